"""What would a better belief bring? The posterior over people drawn anew as the world draws its own.

    python benchmarks/exact_belief.py [--seeds 0 1 2 3] [--worlds 24] [--hypotheses 200000] [--widths 2 2.5 3]

Default only, where q does not move. Hundreds of thousands of people are drawn as the world draws its own (mixtures of
facts), which no buddy may know, and weighed by every answer exactly; LinUCB of some fading width plays on their mean
and covariance, and on the belief `prototypes` for the same humans. Two and a half minutes a seed and width.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from limits import regret, world_of
from numpy.typing import NDArray

from agents.baselines import FadingLinUCB
from agents.report import Cell, table
from agents.statistics import mean_interval, paired_difference
from ammo_env.aipp import Aipp
from ammo_env.beliefs import NOBODY, Beliefs, belief
from ammo_env.config import AmmoConfig
from ammo_env.gaussian import VARIANCE_FLOOR, drawn, spread
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace
from ammo_env.synthetic import mixtures

UNLIKELY = 12.0  # how far in log below the likeliest a person no longer counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--worlds", type=int, default=24)
    parser.add_argument("--hypotheses", type=int, default=200_000)
    parser.add_argument("--widths", nargs="+", type=float, default=[2.0, 2.5, 3.0])
    arguments = parser.parse_args()
    ExactBelief.hypotheses = arguments.hypotheses
    rows: list[list[Cell]] = []
    found: dict[str, NDArray[Any]] = {}
    for model in ("prototypes", "exact"):
        world = world_of("default", **{"beliefs.model": model})
        found[model] = np.array([
            [regret(world, FadingLinUCB(width), arguments.worlds, seed) for width in arguments.widths]
            for seed in arguments.seeds
        ])  # fmt: skip
        own, usual = found[model].mean(axis=1), found["prototypes"].mean(axis=1)
        rows.append([model, *map(mean_interval, found[model].T), mean_interval(own), paired_difference(own, usual)])
    titles = [f"width {width}" for width in arguments.widths]
    print(table(["belief", *titles, "all widths", "minus prototypes"], rows, 4))


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
        told = sent.feedback.value - sent.assumed_bait
        for env in range(len(logs)):
            gap = self._people @ sent.vectors[env].reshape(-1, self._people.shape[-1]).T  # [hypotheses, U S]
            gap -= told[env].reshape(-1)
            gap *= gap
            kept = gap.reshape(len(gap), *told.shape[1:]) * arrived[env]
            logs[env] -= 0.5 / self._variance * kept.sum(axis=-1).T
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
            likely = np.flatnonzero(logs[where] > logs[where].max() - UNLIKELY)
            weight = np.exp(logs[where][likely] - logs[where].max())
            people, share = self._people[likely], weight / weight.sum()
            mean[where] = share @ people
            covariance[where] = (people * share[:, None]).T @ people - np.outer(mean[where], mean[where])
        variance = np.maximum(np.einsum("...ii->...i", covariance), VARIANCE_FLOOR)
        return Beliefs(mean, variance, {"covariance": covariance, "logs": logs})


if __name__ == "__main__":
    main()
