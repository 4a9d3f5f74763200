"""How low can regret be? What is left to gain above the belief `prototypes`, by four yardsticks.

    python benchmarks/limits.py [--scenarios default drift] [--seeds 0 1 2 3 4] [--worlds 64]
                                [--parts rules free shown additions]

1. Rules: what is added to q_hat.e, from the standard deviation sd of q.e and the share of the episode that is left. For
   each the best of its settings, chosen with hindsight on the very worlds that it is scored on, seed by seed.
2. Free exploring: LinUCB of some width chooses the slates; beside its own regret stands that of the slate that greedy
   would have chosen then, with what those slates taught. Nobody can do both: it is a bound for any rule that learns no
   more than this.
3. Shown: the best rule where retrieval shows more of the corpus, up to all of it.
4. Additions: to the best rule each of the other things that a user buddy sees is added, with a little weight of either
   sign. A parabola through the three regrets says what the best weight would gain: how far a policy that is linear in
   what it sees is from its optimum.

What a better belief would bring is in exact_belief.py, what looking ahead would, in lookahead.py. Humans are held-out
people among scripted creators; everybody guesses at bait rightly (.3).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from agents.baselines import FadingLinUCB, LinUCB
from agents.baselines.bandits import ScorePolicy, feature, left
from agents.evaluation import Arena, evaluate_user_buddies, scripted_cast
from agents.policy import Turn
from agents.report import Cell, table
from agents.scoreboard import held_out
from agents.statistics import mean_interval
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config

# name -> what is added, from w, sd [E, U, K] and the share of the episode that is left, and the w that are tried
Bonus = Callable[[float, NDArray[Any], float], NDArray[Any]]
RULES: Mapping[str, tuple[Bonus, tuple[float, ...]]] = {
    "nothing (greedy)": (lambda w, sd, rest: w * sd, (0.0,)),
    "w sd": (lambda w, sd, rest: w * sd, (1.0, 1.5, 2.0, 2.5)),
    "w sd, fading": (lambda w, sd, rest: w * rest * sd, (2.0, 2.5, 3.0, 3.5)),
    "w sd, fading to a quarter": (lambda w, sd, rest: w * (0.25 + 0.75 * rest) * sd, (2.0, 2.5, 3.0, 3.5)),
    "w sd, fading to a half": (lambda w, sd, rest: w * (0.5 + 0.5 * rest) * sd, (1.5, 2.0, 2.5, 3.0)),
    "w sd, fading as a root": (lambda w, sd, rest: w * rest**0.5 * sd, (2.0, 2.5, 3.0, 3.5)),
    "w sd²": (lambda w, sd, rest: w * sd**2, (4.0, 6.0, 8.0, 10.0)),
    "w sd², fading": (lambda w, sd, rest: w * rest * sd**2, (6.0, 8.0, 10.0, 12.0)),
}
WIDTHS = (1.0, 2.0, 3.0, 4.0)
BEST = 2.5  # width of FadingLinUCB, which is "w sd, fading to a quarter": on both worlds within the noise
STEP = 0.01  # weight of an addition, in utility per standard deviation


def _seen(name: str) -> Callable[[Turn], NDArray[Any]]:
    return lambda turn: feature(turn, name)


def _place(turn: Turn) -> NDArray[Any]:
    """0 for the best score of those shown, 1 for the next, ..."""
    return np.argsort(np.argsort(-feature(turn, "score"), axis=-1), axis=-1)


# What might be added to the best rule -> [E, U, K]; the last ones change what uncertainty is worth to whom and when.
ADDITIONS: Mapping[str, Callable[[Turn], NDArray[Any]]] = {
    **{name: _seen(name) for name in ("novelty", "creator_answer", "creator_seen", "age", "popularity", "provenance")},
    "sd²": lambda turn: feature(turn, "uncertainty") ** 2,
    "sd, early": lambda turn: feature(turn, "uncertainty") * left(turn) ** 3,
    "sd, by place": lambda turn: feature(turn, "uncertainty") * _place(turn),
    "sd, by provenance": lambda turn: feature(turn, "uncertainty") * feature(turn, "provenance"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    for scenario in arguments.scenarios:
        print(f"\n{scenario}", *(PARTS[part](scenario, arguments) for part in arguments.parts), sep="\n\n", flush=True)


class Rule(ScorePolicy):
    """q_hat.e plus a bonus."""

    def __init__(self, bonus: Bonus, weight: float) -> None:
        self._bonus, self._weight = bonus, weight

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return feature(turn, "score") + self._bonus(self._weight, feature(turn, "uncertainty"), left(turn))


class WithAddition(FadingLinUCB):
    """The best rule plus so much per standard deviation of something else."""

    def __init__(self, addition: Callable[[Turn], NDArray[Any]], step: float) -> None:
        super().__init__(BEST)
        self._addition, self._step = addition, step

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        added = self._addition(turn)
        return super().scores(turn, rng) + self._step * added / max(float(added.std()), 1e-9)


class Shadow(ScorePolicy):
    """LinUCB that notes what greedy would have lost: the sum over rounds of its regret, and of a random slate's."""

    def __init__(self, width: float) -> None:
        self._bandit, self.regret, self.random = LinUCB(width), 0.0, 0.0

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        state, slots = turn.env.world.state, turn.env.config.attention.num_slots
        utility = np.asarray(state.utility)
        best = -np.sort(-utility, axis=-1)[..., :slots].sum(axis=-1)
        shown = np.take_along_axis(utility, np.asarray(state.candidates), -1)
        greedy = np.argsort(-feature(turn, "score"), axis=-1)[..., :slots]
        self.regret += float((best - np.take_along_axis(shown, greedy, -1).sum(axis=-1)).sum())
        self.random += float((best - slots * utility.mean(axis=-1)).sum())
        return self._bandit.scores(turn, rng)


def rules(scenario: str, arguments: argparse.Namespace) -> str:
    """Every rule with the best w of every seed, and with the one w that is best over all of them."""
    rows: list[list[Cell]] = []
    for name, (bonus, weights) in RULES.items():
        scores = np.array([
            [regret(world_of(scenario), Rule(bonus, weight), arguments.worlds, seed) for weight in weights]
            for seed in arguments.seeds
        ])  # fmt: skip
        one = scores.mean(axis=0).argmin()
        rows.append([name, mean_interval(scores.min(axis=1)), weights[one], mean_interval(scores[:, one])])
    return table(["added to q_hat.e", "best w of each seed", "one w", "regret with it"], rows)


def free_exploring(scenario: str, arguments: argparse.Namespace) -> str:
    """LinUCB's own regret, and greedy's on what it has learnt."""
    rows: list[list[Cell]] = []
    for width in WIDTHS:
        own, greedy = [], []
        for seed in arguments.seeds:
            shadow = Shadow(width)
            own.append(regret(world_of(scenario), shadow, arguments.worlds, seed))
            greedy.append(shadow.regret / shadow.random)
        rows.append([width, mean_interval(own), mean_interval(greedy)])
    return table(["width of LinUCB", "its regret", "greedy with its answers"], rows)


def shown(scenario: str, arguments: argparse.Namespace) -> str:
    """The best rule at several widths, by how many creations a user buddy is shown."""
    rows: list[list[Cell]] = []
    for number, fresh in ((16, 0.25), (16, 0.0), (32, 0.25), (64, 0.0)):
        world = world_of(scenario, **{"attention.num_candidates": number, "attention.fresh_share": fresh})
        found = [
            [regret(world, FadingLinUCB(width), arguments.worlds, seed) for seed in arguments.seeds]
            for width in (2.0, 2.5, 3.0)
        ]
        rows.append([number, fresh, *map(mean_interval, found)])
    return table(["shown", "fresh share", "w=2", "w=2.5", "w=3"], rows)


def additions(scenario: str, arguments: argparse.Namespace) -> str:
    """What a little of everything else does to the best rule, and what the best of it would gain."""
    world, rows = world_of(scenario), list[list[Cell]]()

    def scores(rule: ScorePolicy) -> NDArray[Any]:
        return np.array([regret(world, rule, arguments.worlds, seed) for seed in arguments.seeds])

    without = scores(FadingLinUCB(BEST))
    for name, addition in ADDITIONS.items():
        more, less = (scores(WithAddition(addition, step)) - without for step in (STEP, -STEP))
        slope, bend = float((more - less).mean()) / 2, float((more + less).mean()) / 2
        gain = slope**2 / (4 * bend) if bend > 0 else float("nan")
        rows.append([name, mean_interval(more), mean_interval(less), gain])
    titles = ["added to the best rule", f"+{STEP} per deviation", f"-{STEP} per deviation", "the best weight gains"]
    return table(titles, rows, 4)


PARTS: Mapping[str, Callable[[str, argparse.Namespace], str]] = {
    "rules": rules, "free": free_exploring, "shown": shown, "additions": additions,
}  # fmt: skip


def world_of(scenario: str, **changes: Any) -> AmmoConfig:
    """The world of a scenario with the belief `prototypes`, and people that nothing was trained on."""
    kinds = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}
    beliefs = {"beliefs.model": "prototypes", "beliefs.bait_guess": 0.3}
    return held_out(load_config(scenario, {**kinds, **beliefs, **changes}))


def regret(world: AmmoConfig, policy: Any, worlds: int, seed: int) -> float:
    """Normalised regret of a policy for everybody in so many worlds, among scripted creators."""
    arena = Arena(world, worlds, 1, seed)
    return evaluate_user_buddies({"it": policy}, scripted_cast(), arena)["it"].summary()["normalised_regret"]


if __name__ == "__main__":
    main()
