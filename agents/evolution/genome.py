"""Genomes: the hyper-parameters h that a member learns with, and how they mutate and cross over.

A genome is a plain mapping of gene names to numbers. Each gene lives on the scale on which a step means the same
everywhere: a learning rate on its logarithm, a discount on the logarithm of its horizon 1/(1 − γ).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Genome: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class Gene:
    """The range of one hyper-parameter and its scale.

    log: x; horizon: 1 − x, both moved by a factor; linear: x, moved by a random share of its range.
    """

    low: float
    high: float
    scale: Literal["log", "horizon", "linear"] = "log"

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a gene's range must not be empty, got {self.low}..{self.high}")
        if (self.scale == "log" and self.low <= 0) or (self.scale == "horizon" and self.high >= 1):
            raise ValueError(f"the range {self.low}..{self.high} is not on the scale '{self.scale}'")

    def clipped(self, value: float) -> float:
        """The nearest value in range."""
        return min(max(value, self.low), self.high)

    def drawn(self, rng: np.random.Generator) -> float:
        """Uniform on the gene's scale."""
        return self.at(rng.random())

    def at(self, share: float) -> float:
        """The value at `share` in [0, 1] of the range, on the gene's scale."""
        low, high = self._to_scale(self.low), self._to_scale(self.high)
        return self.clipped(self._from_scale(low + (high - low) * share))

    def share(self, value: float) -> float:
        """Where a value lies in the range, on the gene's scale: 0 to 1, the inverse of `at`."""
        low, high = self._to_scale(self.low), self._to_scale(self.high)
        return (self._to_scale(self.clipped(value)) - low) / (high - low)

    def moved(self, value: float, factor: float, up: bool, share: float = 1.0) -> float:
        """One step of a perturbation by `factor` > 1: x·factor or x/factor; in a linear range by `share` in [0, 1] of
        its part factor − 1, which would be a leap if it were always all of it. Who would leave a linear range turns
        round at its end, where many traits begin: half of their children would not differ otherwise."""
        start, sign = self.clipped(value), 1.0 if up else -1.0
        if self.scale == "linear":
            step = sign * share * (factor - 1.0) * (self.high - self.low)
            return self.clipped(start + (step if self.low <= start + step <= self.high else -step))
        return self.clipped(self._from_scale(self._to_scale(start) + sign * math.log(factor)))

    def _to_scale(self, value: float) -> float:
        if self.scale == "linear":
            return value
        return math.log(value) if self.scale == "log" else -math.log(1.0 - value)

    def _from_scale(self, value: float) -> float:
        if self.scale == "linear":
            return value
        return math.exp(value) if self.scale == "log" else 1.0 - math.exp(-value)


GeneRanges: TypeAlias = Mapping[str, Gene]

# What a member learns with. `novelty` weighs the reward for unclaimed regions (explorers only); `honesty` multiplies
# the world's price of grounding errors in what a goal buddy is trained on, never in what it is judged by.
LEARNING_GENES: GeneRanges = {
    "learning_rate": Gene(1e-4, 1e-2),
    "entropy": Gene(3e-4, 3e-2),
    "clip": Gene(0.05, 0.4),
    "gamma": Gene(0.7, 0.998, "horizon"),
    "gae_lambda": Gene(0.7, 0.998, "horizon"),
    "novelty": Gene(0.01, 0.5),
    "honesty": Gene(0.5, 2.0),
}
# Traits: what a user buddy is rather than learns, kept beside its network's weights (`agents.networks`). A gradient
# does not reach them, because what they do pays after a whole episode, or outside the policy; selection does.
# `optimism` weighs what it does not know beside what it believes, at the beginning of an episode (`FADING`);
# `bait_guess` is what it takes ungrounded content to add to an answer, so how far it trusts its human's pleasure.
TRAITS: GeneRanges = {
    "optimism": Gene(0.0, 4.0, "linear"),
    "bait_guess": Gene(0.0, 1.0, "linear"),
}
# The share of optimism that is gone when an episode ends: what an answer teaches is worth the rounds that are left to
# use it in. With all of it gone nothing is better, and where tastes drift regret is higher (benchmarks/beliefs.md).
FADING = 0.75
GENES: GeneRanges = {**LEARNING_GENES, **TRAITS}
# Side -> what evolves there. The price of grounding errors is a goal buddy's: elsewhere the gene would only drift.
GENES_OF: Mapping[str, GeneRanges] = {
    "user_buddy": {name: gene for name, gene in GENES.items() if name != "honesty"},
    "goal_buddy": LEARNING_GENES,
}


def mutated(genome: Genome, ranges: GeneRanges, rng: np.random.Generator, factor: float, resample: float) -> Genome:
    """Every gene of `ranges` is perturbed (`Gene.moved`, up or down), or with chance `resample` drawn anew.

    Genes outside `ranges` stay as they are (Jaderberg et al. 2017, "explore").
    """
    child = dict(genome)
    for name in sorted(ranges.keys() & genome.keys()):
        fresh, up, share = rng.random(3)
        gene = ranges[name]
        child[name] = gene.drawn(rng) if fresh < resample else gene.moved(genome[name], factor, up < 0.5, share)
    return child


def crossed(one: Genome, other: Genome, rng: np.random.Generator) -> Genome:
    """Uniform crossover: every gene from either parent, at even odds."""
    return {name: (one if rng.random() < 0.5 else other)[name] for name in sorted(one)}
