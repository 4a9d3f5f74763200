"""Schedules of mergers and splits: which part is in which subspace when, and which schedules cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from ammo_env.config import AmmoConfig
from ammo_env.schedule import Plan
from ammo_env.settings import ConfigError, apply_overrides, build


def plan_of(*schedule: dict[str, Any], composed: list[list[int]] | None = None) -> Plan:
    """The plan of four subspaces over 64 rounds."""
    setting = {"schedule": list(schedule), "composed": composed or []}
    plan = build(AmmoConfig, {"subspaces": setting}).plan
    assert plan is not None
    return plan


def test_without_a_schedule_there_is_no_plan() -> None:
    assert AmmoConfig().plan is None
    assert AmmoConfig().num_parts == 4


def test_a_merger_and_its_split() -> None:
    """0 and 1 are one from round 20 on, with the number of the first, and themselves again from 40 on."""
    plan = plan_of({"round": 20, "merge": [0, 1]}, {"round": 40, "split": 0})
    assert plan.starts == (0, 20, 40)
    assert plan.subspace == ((0, 1, 2, 3), (0, 0, 2, 3), (0, 1, 2, 3))
    assert plan.origin == (0, 1, 2, 3)
    assert plan.num_parts == 4


def test_the_first_named_gives_the_number() -> None:
    assert plan_of({"round": 1, "merge": [3, 0, 2]}).subspace[1] == (3, 1, 3, 3)


def test_splits_undo_mergers_latest_first() -> None:
    """(0 1), then (2 (0 1)): one split gives 2 and (0 1), a second 0 and 1."""
    plan = plan_of(
        {"round": 1, "merge": [0, 1]}, {"round": 2, "merge": [2, 0]}, {"round": 3, "split": 2}, {"round": 4, "split": 0}
    )
    assert plan.subspace == ((0, 1, 2, 3), (0, 0, 2, 3), (2, 2, 2, 3), (0, 0, 2, 3), (0, 1, 2, 3))


def test_a_base_subspace_splits_in_two_parts_that_were_there_from_the_start() -> None:
    """1 becomes 1 and 4 in round 5, and 4 becomes 4 and 5 in round 9; before, the parts are where their whole is."""
    plan = plan_of({"round": 5, "split": 1}, {"round": 9, "split": 4})
    assert plan.halved == (1, 4)
    assert plan.subspace == ((0, 1, 2, 3, 1, 1), (0, 1, 2, 3, 4, 4), (0, 1, 2, 3, 4, 5))
    assert plan.origin == (0, 1, 2, 3, 1, 1)


def test_changes_of_one_round_are_one_phase() -> None:
    plan = plan_of({"round": 5, "merge": [0, 1]}, {"round": 5, "merge": [0, 2]})
    assert (plan.starts, plan.subspace[1]) == ((0, 5), (0, 0, 0, 3))


def test_composed_subspaces_are_parts_of_their_own() -> None:
    plan = plan_of({"round": 5, "merge": [4, 3]}, composed=[[2, 1]])
    assert plan.subspace == ((0, 1, 2, 3, 4), (0, 1, 2, 4, 4))
    assert plan.origin == (0, 1, 2, 3, 2)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"schedule": [{"round": 3}]}, "either 'merge: .*' or 'split: number'"),
        ({"schedule": [{"round": 3, "merge": [0, 1], "split": 2}]}, "either 'merge: .*' or 'split: number'"),
        ({"schedule": [{"round": 0, "split": 0}]}, "greater than or equal to 1"),
        ({"schedule": [{"round": 3, "merge": [0]}]}, "merge \\[0\\] must name two or more different subspaces"),
        ({"schedule": [{"round": 3, "merge": [0, 0]}]}, "merge \\[0, 0\\] must name two or more different"),
        ({"schedule": [{"round": 3, "merge": [0, 4]}]}, "round 3: there is no subspace 4 then, only 0, 1, 2, 3"),
        ({"schedule": [{"round": 3, "merge": [0, 1]}, {"round": 4, "split": 1}]}, "no subspace 1 then, only 0, 2, 3"),
        ({"schedule": [{"round": 3, "split": 0}, {"round": 2, "split": 1}]}, "round 2 comes after round 3"),
        ({"schedule": [{"round": 64, "split": 0}]}, "round 64 is never played, the episode has 64 rounds"),
        ({"schedule": [{"round": 3, "split": 4}], "composed": [[0, 1]]}, "subspace 4 is composed"),
        ({"composed": [[0]]}, "\\[0\\] must name two or more different subspaces of 0..3"),
        ({"composed": [[0, 7]]}, "\\[0, 7\\] must name two or more different subspaces of 0..3"),
        ({"schedule": [{"round": 3, "splits": 0}]}, "splits"),
    ],
)
def test_schedules_that_cannot_be_say_why(setting: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        build(AmmoConfig, apply_overrides(AmmoConfig, {}, {"subspaces": setting}))
