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

    log: x; horizon: 1 − x, both moved by factors; linear: x, moved by shares of the range.
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
        low, high = self._to_scale(self.low), self._to_scale(self.high)
        return self.clipped(self._from_scale(low + (high - low) * rng.random()))

    def moved(self, value: float, factor: float, up: bool) -> float:
        """One step of a perturbation by `factor` > 1: x·factor or x/factor; the share factor − 1 of a linear range."""
        step = (factor - 1.0) * (self.high - self.low) if self.scale == "linear" else math.log(factor)
        return self.clipped(self._from_scale(self._to_scale(self.clipped(value)) + (step if up else -step)))

    def _to_scale(self, value: float) -> float:
        if self.scale == "linear":
            return value
        return math.log(value) if self.scale == "log" else -math.log(1.0 - value)

    def _from_scale(self, value: float) -> float:
        if self.scale == "linear":
            return value
        return math.exp(value) if self.scale == "log" else 1.0 - math.exp(-value)


GeneRanges: TypeAlias = Mapping[str, Gene]

# What evolves in AMMO. `novelty` weighs the reward for unclaimed regions (explorers only); `honesty` multiplies the
# world's price of grounding errors in what a goal buddy is trained on, never in what it is judged by.
GENES: GeneRanges = {
    "learning_rate": Gene(1e-4, 1e-2),
    "entropy": Gene(3e-4, 3e-2),
    "clip": Gene(0.05, 0.4),
    "gamma": Gene(0.7, 0.99, "horizon"),
    "gae_lambda": Gene(0.7, 0.99, "horizon"),
    "novelty": Gene(0.01, 0.5),
    "honesty": Gene(0.5, 2.0),
}


def mutated(genome: Genome, ranges: GeneRanges, rng: np.random.Generator, factor: float, resample: float) -> Genome:
    """Every gene of `ranges` is perturbed by ×factor or ÷factor, or with chance `resample` drawn anew.

    Genes outside `ranges` stay as they are (Jaderberg et al. 2017, "explore").
    """
    child = dict(genome)
    for name in sorted(ranges.keys() & genome.keys()):
        fresh, up = rng.random(2)
        gene = ranges[name]
        child[name] = gene.drawn(rng) if fresh < resample else gene.moved(genome[name], factor, up < 0.5)
    return child


def crossed(one: Genome, other: Genome, rng: np.random.Generator) -> Genome:
    """Uniform crossover: every gene from either parent, at even odds."""
    return {name: (one if rng.random() < 0.5 else other)[name] for name in sorted(one)}
