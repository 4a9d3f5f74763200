"""Who is in a checkpoint: the living and the frozen, with their lineage, and one champion per side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.census import find, parse_name, residents, take_census
from agents.checkpoints import CheckpointError, write_checkpoint
from agents.evolution.members import Niche
from agents.training_settings import SIDES

HERE = Path("a.ckpt")


def test_everybody_is_counted_with_the_right_weights(made_up_run: Any, tmp_path: Path) -> None:
    """Three and four alive, two in each hall, through a file and back."""
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, made_up_run.tree)
    everybody = take_census(path)
    assert [(r.side, r.frozen) for r in everybody] == [
        *[("user_buddy", False)] * 3, *[("user_buddy", True)] * 2, *[("goal_buddy", False)] * 4,
        *[("goal_buddy", True)] * 2,
    ]  # fmt: skip
    for resident in everybody:
        state = made_up_run.tree["evolution"]["halls"][resident.side]
        held = next(e for e in state if e["member"] == resident.member.id) if resident.frozen else (
            made_up_run.tree["members"][resident.module]
        )  # fmt: skip
        assert all(torch.equal(value, resident.weights[name]) for name, value in held["weights"].items())
        assert resident.adaptive == (resident.member.niche is Niche.ADAPTIVE)
        assert all(parent < resident.member.id for parent in resident.member.parents)


def test_the_champion_is_the_fittest_that_was_judged(made_up_run: Any) -> None:
    """Ready after three iterations; born in the last cycle is too young, however fit."""
    everybody = residents(made_up_run.tree, HERE)
    for side in SIDES:
        evidence = made_up_run.tree["evolution"]["populations"][side]["evidence"]
        own = [r for r in everybody if r.side == side and not r.frozen]
        judged = [r for r in own if evidence[str(r.member.slot)]["iterations"] >= 3]
        best = max(judged, key=lambda r: r.fitness)
        assert [r.name for r in own if r.champion] == [best.name]
        assert find(everybody, side, None, HERE) is best
        assert all(math.isfinite(r.fitness) for r in own)


def test_a_living_member_comes_before_its_frozen_self(made_up_run: Any) -> None:
    everybody = residents(made_up_run.tree, HERE)
    frozen = [r for r in everybody if r.side == "goal_buddy" and r.frozen]
    retired, alive = frozen
    assert find(everybody, "goal_buddy", retired.member.id, HERE) is retired
    assert not find(everybody, "goal_buddy", alive.member.id, HERE).frozen


def test_who_is_not_there_is_named_beside_who_is(made_up_run: Any) -> None:
    everybody = residents(made_up_run.tree, HERE)
    with pytest.raises(CheckpointError, match=r"a\.ckpt holds no member user-999; alive: user-\d+.*hall of fame:"):
        find(everybody, "user_buddy", 999, HERE)
    with pytest.raises(CheckpointError, match="holds no user_buddy; alive: nobody"):
        find([], "user_buddy", None, HERE)


def test_a_checkpoint_without_populations_is_refused(made_up_run: Any) -> None:
    old = {key: value for key, value in made_up_run.tree.items() if key != "evolution"}
    with pytest.raises(CheckpointError, match=r"a\.ckpt holds no populations that this version can read"):
        residents(old, HERE)


def test_what_is_no_run_says_so(made_up_run: Any) -> None:
    broken = {**made_up_run.tree, "settings": {"evolution": {"evry": 3}}}
    with pytest.raises(CheckpointError, match=r"a\.ckpt holds no populations that this version can read"):
        residents(broken, HERE)


def test_names() -> None:
    assert parse_name("user-7") == ("user_buddy", 7)
    assert parse_name("goal-12") == ("goal_buddy", 12)
    assert {parse_name(text) for text in ("goal_1", "user-", "user-1x", "buddy-1", "")} == {None}
