"""The final: who plays, who wins, and that its record outlives a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.census import Resident, residents
from agents.evaluation import Arena
from agents.final import FINALS_FILE, crowned, play_final, read_results, write_results
from agents.training_settings import SIDES

HERE = Path("iteration-000040.ckpt")


@pytest.fixture(scope="module")
def everybody(made_up_run: Any) -> list[Resident]:
    return residents(made_up_run.tree, HERE)


@pytest.fixture(scope="module")
def arena(made_up_run: Any) -> Arena:
    return Arena(made_up_run.config.world, worlds=4)


def test_all_the_living_play_and_the_best_are_the_champions(everybody: list[Resident], arena: Arena) -> None:
    """One user buddy chooses what it believes to be worst, one what it believes to be best; nobody is trained."""
    upside_down, upright = [one for one in everybody if one.side == "user_buddy" and not one.frozen][:2]
    sharpness = {upside_down.name: -50.0, upright.name: 50.0}
    changed = [_sharpened(one, sharpness[one.name]) if one.name in sharpness and not one.frozen else one
               for one in everybody]  # fmt: skip
    results = play_final(changed, arena)
    for side in SIDES:
        assert set(results[side]) == {one.name for one in everybody if one.side == side and not one.frozen}
    ranked = sorted(results["user_buddy"], key=lambda name: results["user_buddy"][name])
    assert ranked[0] == upside_down.name
    assert all(-2.0 < regret < 0.0 for regret in results["user_buddy"].values())
    winners = {one.side: one for one in crowned(changed, results) if one.champion}
    assert len(winners) == sum(one.champion for one in crowned(changed, results)) == 2
    for side, one in winners.items():
        assert not one.frozen
        assert results[side][one.name] == max(results[side].values())
    assert play_final(changed, arena) == results


def test_who_lives_alone_on_its_side_plays_no_final(everybody: list[Resident], arena: Arena) -> None:
    first = {one.side: one for one in reversed(everybody) if not one.frozen}
    assert play_final(list(first.values()), arena) == {}
    creators = [one for one in everybody if one.side == "goal_buddy"]
    assert set(play_final(creators, arena)) == {"goal_buddy"}  # greedy fills the slates


def test_without_a_final_the_fittest_stay_champions(everybody: list[Resident]) -> None:
    def champions(census: list[Resident]) -> dict[str, str]:
        return {one.side: one.name for one in census if one.champion}

    user = next(one for one in everybody if one.side == "user_buddy" and not one.frozen and not one.champion)
    assert champions(crowned(everybody, {})) == champions(everybody)
    assert champions(crowned(everybody, {"user_buddy": {user.name: 1.0}})) == champions(everybody) | {
        "user_buddy": user.name
    }


def test_results_belong_to_their_checkpoint_and_outlive_a_torn_line(tmp_path: Path) -> None:
    results = {"user_buddy": {"user-1": -0.2, "user-2": -0.1}}
    assert read_results(tmp_path, HERE) == {}
    (tmp_path / FINALS_FILE).write_text('{"checkpoint": "iteration-000040.ckpt", "user_bud')
    write_results(tmp_path, HERE, results)
    write_results(tmp_path, Path("iteration-000080.ckpt"), {"user_buddy": {"user-9": 0.0}})
    assert read_results(tmp_path, HERE) == results
    assert read_results(tmp_path, Path("iteration-000020.ckpt")) == {}


def _sharpened(one: Resident, sharpness: float) -> Resident:
    return replace(one, weights={**one.weights, "skip": one.weights["skip"] * 0.0 + sharpness})
