"""How low can regret be? What is left to gain above the belief `prototypes`, by three yardsticks.

    python benchmarks/limits.py [--scenarios default drift] [--seeds 0 1 2 3 4] [--worlds 64]
    python benchmarks/limits.py --exact --seeds 0 --worlds 16 [--hypotheses 400000]    # default only; half an hour

1. Rules: what is added to q_hat.e, from the standard deviation sd of q.e and the share of the episode that is left. For
   each the best of its settings, chosen with hindsight on the very worlds that it is scored on, seed by seed.
2. Free exploring: LinUCB of some width chooses the slates; beside its own regret stands that of the slate that greedy
   would have chosen then, with what those slates taught. Nobody can do both: it is a bound for any rule that learns no
   more than this.
3. Exact (`--exact`): the posterior over hundreds of thousands of people drawn anew as the world draws its own (mixtures
   of facts), which no buddy may know, weighed by every answer exactly.

Humans are held-out people among scripted creators; everybody guesses at bait rightly (.3).
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
from agents.policy import Policy, Turn
from agents.report import Cell, table
from agents.scoreboard import held_out
from agents.statistics import mean_interval
from ammo_env.aipp import Aipp
from ammo_env.beliefs import NOBODY, Beliefs, belief
from ammo_env.config import AmmoConfig
from ammo_env.gaussian import VARIANCE_FLOOR, drawn, spread
from ammo_env.memory import Impression
from ammo_env.scenarios import load_config
from ammo_env.space import MetaSpace
from ammo_env.synthetic import mixtures

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--exact", action="store_true", help="only compare with the exact posterior")
    parser.add_argument("--hypotheses", type=int, default=400_000, help="of --exact")
    arguments = parser.parse_args()
    if arguments.exact:
        ExactBelief.hypotheses = arguments.hypotheses
        print(exact(arguments.worlds, arguments.seeds))
        return
    for scenario in arguments.scenarios:
        print(f"\n{scenario}\n", rules(scenario, arguments), free_exploring(scenario, arguments), sep="\n")


class Rule(ScorePolicy):
    """q_hat.e plus a bonus."""

    def __init__(self, bonus: Bonus, weight: float) -> None:
        self._bonus, self._weight = bonus, weight

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return feature(turn, "score") + self._bonus(self._weight, feature(turn, "uncertainty"), left(turn))


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
            [_regret(_world(scenario), Rule(bonus, weight), arguments.worlds, seed) for weight in weights]
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
            own.append(_regret(_world(scenario), shadow, arguments.worlds, seed))
            greedy.append(shadow.regret / shadow.random)
        rows.append([width, mean_interval(own), mean_interval(greedy)])
    return table(["width of LinUCB", "its regret", "greedy with its answers"], rows)


def exact(worlds: int, seeds: list[int]) -> str:
    """The same bandits on both beliefs."""
    rows: list[list[Cell]] = []
    for model in ("prototypes", "exact"):
        bandits: dict[str, Policy] = {"linucb=2": LinUCB(2.0), "fading_linucb=3": FadingLinUCB(3.0)}
        for name, bandit in bandits.items():
            found = [_regret(_world("default", model), bandit, worlds, seed) for seed in seeds]
            rows.append([model, name, mean_interval(found)])
    return table(["belief", "bandit", "regret"], rows)


@belief("exact")
class ExactBelief:
    """The posterior of ratings over mixtures of facts; `own` holds their log weights [E, U, hypotheses]."""

    remembered = NOBODY
    hypotheses = 0

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        self._arrays, self._variance = arrays, config.aipp.noise**2
        rng = np.random.default_rng(99)
        self._people = mixtures(rng, config.knowledge, space.facts, space.fact_mask, self.hypotheses)

    def prior(self, envs: int, humans: int) -> Beliefs:
        return self._moments(np.zeros((envs, humans, self.hypotheses), np.float32))

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Any) -> Beliefs:
        logs = beliefs.own["logs"]  # in place: the belief before is not looked at again
        for where in np.ndindex(*logs.shape[:2]):
            told = (sent.feedback.value - sent.assumed_bait)[where]
            gap = (self._people @ sent.vectors[where].T - told) * arrived[where]
            logs[where] -= 0.5 / self._variance * (gap * gap).sum(axis=-1)
        return self._moments(logs)

    def forget(self, beliefs: Beliefs) -> Beliefs:
        return beliefs

    def spread(self, beliefs: Beliefs, vectors: Any) -> Any:
        return spread(self._arrays, beliefs.own["covariance"], beliefs.variance, vectors)

    def draw(self, beliefs: Beliefs, noise: Any) -> Any:
        return drawn(self._arrays, beliefs, beliefs.own["covariance"], noise)

    def _moments(self, logs: NDArray[np.float32]) -> Beliefs:
        dim = self._people.shape[-1]
        mean, covariance = (np.empty((*logs.shape[:2], *shape), np.float32) for shape in ((dim,), (dim, dim)))
        for where in np.ndindex(*logs.shape[:2]):
            weight = np.exp(logs[where] - logs[where].max())
            likely = np.flatnonzero(weight > 1e-6)
            people, share = self._people[likely], weight[likely] / weight[likely].sum()
            mean[where] = share @ people
            covariance[where] = (people * share[:, None]).T @ people - np.outer(mean[where], mean[where])
        variance = np.maximum(np.einsum("...ii->...i", covariance), VARIANCE_FLOOR)
        return Beliefs(mean, variance, {"covariance": covariance, "logs": logs})


def _world(scenario: str, model: str = "prototypes") -> AmmoConfig:
    kinds = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}
    return held_out(load_config(scenario, {**kinds, "beliefs.model": model, "beliefs.bait_guess": 0.3}))


def _regret(world: AmmoConfig, policy: Any, worlds: int, seed: int) -> float:
    arena = Arena(world, worlds, 1, seed)
    return evaluate_user_buddies({"it": policy}, scripted_cast(), arena)["it"].summary()["normalised_regret"]


if __name__ == "__main__":
    main()
