"""The final table: what was trained beside every baseline, on the same worlds, with intervals.

User buddies against the bandits (tuned on other worlds), random and the oracle, by normalised regret. Goal buddies by
their seat advantage over every script. What is held out stays held out: real-data worlds are evaluated on people that
nothing was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.sceptic import GUESSES
from agents.evaluation import (
    TUNING,
    Arena,
    evaluate_goal_buddies,
    evaluate_user_buddies,
    make_user_baseline,
    num_tuning_episodes,
    scripted_cast,
    tune_bandits,
)
from agents.policy import Policy, guess_of
from agents.progress import Progress
from agents.report import Cell, score_table
from agents.statistics import Interval, mean_interval, paired_difference, ratio_interval
from ammo_env.config import AmmoConfig
from ammo_env.metrics import Meter


@dataclass(frozen=True)
class Scoreboard:
    """Scores by policy name, for tables and for `scores.json`."""

    scenario: str
    user_buddies: dict[str, dict[str, Cell]]
    goal_buddies: dict[str, dict[str, Cell]]
    raw: dict[str, Any]  # the same as plain numbers
    best_bandit: str = ""
    population: str = ""
    """A table of everybody who was trained."""

    def text(self) -> str:
        """The tables, ready to print."""
        parts = []
        if self.user_buddies:
            parts += [
                f"User buddies on '{self.scenario}': normalised regret, random slate = 1, best slate = 0 (± 95 % over "
                "worlds)",
                score_table(self.user_buddies, "policy"),
            ]
        if self.best_bandit:
            parts.append(f"Best tuned bandit: {self.best_bandit}.")
        if self.goal_buddies:
            parts += [
                "",
                "Goal buddies: reward per round in one seat, and its advantage over each script in the same seat",
                score_table(self.goal_buddies, "policy"),
            ]
        if self.population:
            parts += ["", self.population]
        return "\n".join(parts)


def held_out(config: AmmoConfig) -> AmmoConfig:
    """The same world with people that were never trained on."""
    return config.model_copy(update={"humans": config.humans.model_copy(update={"pool": "heldout"})})


def full_scoreboard(
    config: AmmoConfig,
    scenario: str,
    user_buddies: Mapping[str, Policy],
    goal_buddies: Mapping[str, Policy],
    arena: Arena,
) -> Scoreboard:
    """What was trained against every baseline, the bandits tuned first; progress goes to standard error."""
    config = held_out(config)
    arena = replace(arena, config=config)
    tuning, goals = replace(arena, episodes=1, stream=TUNING), scripted_cast()
    assumed = config.beliefs.bait_guess
    # Whoever was trained may have found a guess at bait besides; then the bandits must have the chance.
    guesses = GUESSES if any(guess_of(one, config) != assumed for one in user_buddies.values()) else ()
    with Progress(num_tuning_episodes(tuning, guesses), "tuning episodes") as progress:
        tuned = tune_bandits(tuning, goals, Ticker(progress), guesses)
    bandits = ["greedy", *(bandit.name for bandit in tuned.values())]
    everybody = {name: make_user_baseline(name) for name in ["random", *bandits, "oracle"]}
    choosing = next(iter(user_buddies.values()), everybody["greedy"])
    board = scoreboard(scenario, {**user_buddies, **everybody}, {**goal_buddies, **goals}, arena, choosing)
    best = min(bandits, key=lambda name: float(board.raw["user_buddies"][name]["normalised_regret"]))
    return replace(board, best_bandit=best, raw={**board.raw, "best_bandit": best})


def scoreboard(
    scenario: str,
    user_buddies: Mapping[str, Policy],
    goal_buddies: Mapping[str, Policy],
    arena: Arena,
    choosing: Policy | None = None,
) -> Scoreboard:
    """All given policies on the arena's worlds.

    User buddies meet the scripts, a quarter of the goal seats each. Goal buddies are tested in one seat per world, with
    scripts in the others and `choosing` filling the slates: by default the first of `user_buddies`, or greedy.
    """
    goals = scripted_cast()
    with Progress(arena.episodes * (len(user_buddies) + len(goal_buddies)), "evaluation episodes") as progress:
        tick = Ticker(progress)
        meters = evaluate_user_buddies(user_buddies, goals, arena, tick)
        chooser = choosing or next(iter(user_buddies.values()), make_user_baseline("greedy"))
        seats = evaluate_goal_buddies(goal_buddies, goals, chooser, arena, tick)
    scripts = [name for name in goals if name in seats]
    goal_rows = {name: _goal_row(name, seats, scripts) for name in seats}
    raw = {
        "scenario": scenario, "seed": arena.seed, "worlds": arena.worlds, "episodes": arena.episodes,
        "user_buddies": {name: meter.summary() for name, meter in meters.items()},
        "goal_buddies": {name: {k: _plain(v) for k, v in row.items()} for name, row in goal_rows.items()},
    }  # fmt: skip
    return Scoreboard(scenario, {name: _user_row(meter) for name, meter in meters.items()}, goal_rows, raw)


class Ticker:
    """Counts finished episodes into a progress line."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def __call__(self, episodes: int) -> None:
        self._done += episodes
        self._progress.update(self._done)


def _user_row(meter: Meter) -> dict[str, Cell]:
    worlds, means = meter.by_world(), meter.summary()
    return {
        "regret": ratio_interval(worlds["regret"], worlds["random_regret"]),
        "second half": ratio_interval(worlds["regret_late"], worlds["random_regret_late"]),
        "retrieval part": means["normalised_retrieval_regret"],
        "engagement": means["engagement"],
        "welfare": means["welfare"],
        "misinformation": means["misinformation"],
    }


def _goal_row(name: str, seats: Mapping[str, NDArray[np.float64]], scripts: list[str]) -> dict[str, Cell]:
    row: dict[str, Cell] = {"reward": mean_interval(seats[name])}
    for script in scripts:
        row[f"over {script}"] = "–" if script == name else paired_difference(seats[name], seats[script])
    return row


def _plain(cell: Cell) -> Any:
    return [cell.estimate, cell.low, cell.high] if isinstance(cell, Interval) else cell
