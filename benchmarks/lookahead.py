"""Does looking ahead beat a width? The knowledge gradient and expected improvement beside LinUCB.

    python benchmarks/lookahead.py [--scenarios default drift] [--seeds 0 1 2 3 4] [--worlds 64]

The online knowledge gradient (Ryzhov, Powell & Frazier 2012; linear beliefs: Negoescu, Frazier & Powell 2011) adds to
q_hat.e what one answer about e is expected to add to the best slate of the corpus, for every round that is left:

    E[max slate of mu + b Z] - max slate of mu,    Z ~ N(0, 1),    b = (e_c' P e) / sqrt(e' P e + noise² / n)

mu = q_hat.e_c over the live corpus. n is how many answers are thought of at once (one tells so little that it seldom
changes a slate), and what they add is divided by n. Under drift rounds count by rho to their power. Expected
improvement (Mockus 1975) is E[max(q.e - the worst score of the greedy slate, 0)], with the deviation times w, which
fades to a quarter. For each its best setting with hindsight on the worlds that it is scored on, seed by seed, and with
one setting for all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from limits import regret, world_of
from numpy.typing import NDArray
from scipy.special import ndtr

from agents.baselines import FadingLinUCB
from agents.baselines.bandits import ScorePolicy, faded, feature, left
from agents.policy import Policy, Turn
from agents.report import Cell, table
from agents.statistics import mean_interval

NODES = 6  # of the Gauss-Hermite rule for Z


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--worlds", type=int, default=64)
    arguments = parser.parse_args()
    for scenario in arguments.scenarios:
        world, rows = world_of(scenario), list[list[Cell]]()
        for name, rules in RULES.items():
            found = np.array([
                [regret(world, make(), arguments.worlds, seed) for make in rules.values()] for seed in arguments.seeds
            ])  # fmt: skip
            one = found.mean(axis=0).argmin()
            best = mean_interval(found.min(axis=1))
            rows.append([name, best, list(rules)[one], mean_interval(found[:, one])])
        titles = ["rule", "best setting of each seed", "one setting", "regret with it"]
        print(f"\n{scenario}\n", table(titles, rows), sep="\n", flush=True)


class KnowledgeGradient(ScorePolicy):
    """q_hat.e plus `weight` times the knowledge gradient of `answers` answers, times the rounds that are left."""

    def __init__(self, weight: float, answers: int) -> None:
        self._weight, self._answers = weight, answers
        nodes, shares = np.polynomial.hermite_e.hermegauss(NODES)
        self._rule = list(zip(nodes, shares / shares.sum(), strict=True))

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        state, config = turn.env.world.state, turn.env.config
        slots, vectors, covariance = config.attention.num_slots, state.corpus.vectors, state.beliefs.own["covariance"]
        world = np.arange(len(vectors))[:, None, None]
        shown = np.matmul(vectors[world, state.candidates], covariance)                     # [E, U, K, D]
        pulls = np.matmul(shown, vectors[:, None].mT)                                       # [E, U, K, C]
        variance = np.take_along_axis(pulls, state.candidates[..., None], -1)               # [E, U, K, 1]
        moves = pulls / np.sqrt(variance + config.aipp.noise**2 / self._answers)
        mean = np.matmul(state.beliefs.mean, vectors.mT)                                    # [E, U, C]
        gain = -best_slate(mean, slots)[..., None]
        for node, share in self._rule:
            gain = gain + share * best_slate(mean[:, :, None] + node * moves, slots)
        ahead, rho = config.episode.num_rounds * left(turn) - 1.0, config.humans.drift_rho
        rounds = ahead if rho == 1.0 else rho * (1.0 - rho**ahead) / (1.0 - rho)
        return feature(turn, "score") + self._weight * rounds * gain / self._answers


class ExpectedImprovement(ScorePolicy):
    """On the worst item that greedy would show."""

    def __init__(self, width: float) -> None:
        self._width = width

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        score, slots = feature(turn, "score"), turn.env.config.attention.num_slots
        deviation = self._width * faded(turn) * feature(turn, "uncertainty") + 1e-6
        above = (score - np.sort(score, axis=-1)[..., -slots, None]) / deviation
        density = np.exp(-0.5 * above**2) / np.sqrt(2.0 * np.pi)
        return np.asarray(deviation * (above * ndtr(above) + density))


def best_slate(values: NDArray[Any], slots: int) -> NDArray[Any]:
    """The sum of the S largest of the last axis."""
    return np.asarray(np.partition(values, -slots, axis=-1)[..., -slots:].sum(axis=-1))


# rule -> setting -> a new policy
RULES: Mapping[str, Mapping[str, Callable[[], Policy]]] = {
    "LinUCB, fading": {f"w={w}": partial(FadingLinUCB, w) for w in (2.0, 2.5, 3.0)},
    "knowledge gradient": {
        f"w={w} n={n}": partial(KnowledgeGradient, w, n) for n, w in product((1, 4, 16), (0.25, 0.5, 1.0, 2.0))
    },
    "expected improvement": {f"w={w}": partial(ExpectedImprovement, w) for w in (2.0, 2.5, 3.0, 3.5, 4.0)},
}


if __name__ == "__main__":
    main()
