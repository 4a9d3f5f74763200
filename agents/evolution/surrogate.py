"""What traits are worth: a Gaussian process over all verdicts, and children that are drawn where it promises most.

A verdict tells little: what a member happened to meet in one iteration moves it by more than what sets good traits
apart. Selection forgets verdicts with whom they were about; here they go on to tell of whoever is like them. With the
verdict y of member i in iteration t, on n seats (n̄ their mean in that iteration):

    y_it = f(x_i) + m_i + c_t + ε,    f ~ GP(0, σ² r exp(−|x − x'|² / 2ℓ²)),   m ~ N(0, σ² MEMBER),   ε ~ N(0, σ² n̄/n)

x are its traits, each on its gene's scale in [0, 1]; m is what it has learned besides; c_t, what the people and rivals
of an iteration did to all, is free, so that only comparisons within an iteration count. r and ℓ are the likeliest of a
grid, σ² the likeliest beside them. A child's traits maximise one draw of f over random places and the surroundings of
the living (Thompson sampling: children differ as long as it is open what is best).
Sources: Parker-Holder et al. 2020 (population-based bandits; theirs is for hyper-parameters and improvements, this for
traits, which show at once); Jin 2011 (surrogates in evolution); Henderson 1975 (m and c beside f: mixed models).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agents.evolution.genome import GeneRanges, Genome

Array: TypeAlias = NDArray[np.floating[Any]]

SIGNAL = (0.01, 0.1, 1.0, 10.0, 100.0)  # r: the variance of f in verdicts' variances
LENGTH = (0.3, 0.6, 1.2)  # l, in ranges of a gene
MEMBER = 0.05  # the variance of m in verdicts' variances
SETTLING = 0.25  # share of a run
MEMORY = 256  # iterations whose verdicts are kept
PLACES, NEARBY, NEAR = 128, 16, 0.05  # random places; those around each of the living, and their standard deviation


@dataclass(frozen=True)
class Trial:
    """One verdict on one member."""

    member: int
    place: tuple[float, ...]
    value: float
    seats: float


class Surrogate:
    """Verdicts on traits, and what they make likely.

    Args:
        ranges: the traits that evolve. Places [N, d] have one column for each, in the order of `self.ranges`.
    """

    def __init__(self, ranges: GeneRanges) -> None:
        self.ranges = dict(sorted(ranges.items()))
        self._iterations: list[list[Trial]] = []
        self._fit: _Fit | None = None  # of all that was added so far, once it is asked for

    def add(self, verdicts: Sequence[tuple[int, Genome, float, float]]) -> None:
        """One iteration's verdicts: (member, genome, value, seats > 0) of everybody who was judged."""
        trials = [Trial(member, self.place(genome), value, seats) for member, genome, value, seats in verdicts]
        self._iterations, self._fit = [*self._iterations, trials][-MEMORY:], None

    def place(self, genome: Genome) -> tuple[float, ...]:
        """Where a genome's traits lie: each on its gene's scale in [0, 1]."""
        return tuple(gene.share(genome[name]) for name, gene in self.ranges.items())

    def proposed(self, living: Sequence[Genome], rng: np.random.Generator, left: float = 1.0) -> dict[str, float]:
        """The traits of a child; `left` in [0, 1] is the share of the run that is to come, in which what it teaches can
        be used: in the last `SETTLING` of a run draws of f narrow down to its mean."""
        near = np.array([self.place(genome) for genome in living]).reshape(-1, len(self.ranges)).repeat(NEARBY, axis=0)
        near = np.clip(near + NEAR * rng.standard_normal(near.shape), 0.0, 1.0)
        places = np.concatenate([rng.random((PLACES, len(self.ranges))), near])
        mean, covariance = self.posterior(places)
        deviation = _root(covariance) @ rng.standard_normal(len(places))
        best = places[(mean + min(1.0, left / SETTLING) * deviation).argmax()]
        return {name: gene.at(share) for (name, gene), share in zip(self.ranges.items(), best.tolist(), strict=True)}

    def posterior(self, places: Array) -> tuple[Array, Array]:
        """Mean [N] and covariance [N, N] of f at places [N, d]; the prior where nothing has been compared yet."""
        if self._fit is None:
            evidence = _comparisons(self._iterations)
            if evidence is None:
                return np.zeros(len(places)), _kernel(places, places, LENGTH[0])
            fits = [_Fit.of(evidence, signal, length) for signal, length in product(SIGNAL, LENGTH)]
            self._fit = max(fits, key=lambda fit: fit.likelihood)
        return self._fit.posterior(places)

    def state(self) -> list[list[list[Any]]]:
        """Plain data."""
        return [
            [[trial.member, list(trial.place), trial.value, trial.seats] for trial in trials]
            for trials in self._iterations
        ]

    def load(self, state: Sequence[Sequence[Sequence[Any]]]) -> None:
        """Go on from `state`."""
        self._iterations = [
            [Trial(int(member), tuple(place), float(value), float(seats)) for member, place, value, seats in trials]
            for trials in state
        ]
        self._fit = None


@dataclass(frozen=True)
class _Comparisons:
    """What all verdicts say once the c_t are gone: a Gaussian in the members' worth g = f + m, up to a constant,
    log p = −(g' information g − 2 pull' g + square) / 2σ² − count log σ."""

    places: Array
    information: Array
    pull: Array
    square: float
    count: int


def _comparisons(iterations: Sequence[Sequence[Trial]]) -> _Comparisons | None:
    """None where no two members were ever judged together, or they did not differ at all."""
    rows: dict[tuple[int, tuple[float, ...]], int] = {}  # whose traits are changed from outside is somebody else then
    for trials in iterations:
        for trial in trials:
            rows.setdefault((trial.member, trial.place), len(rows))
    information, pull, square, count = np.zeros((len(rows), len(rows))), np.zeros(len(rows)), 0.0, 0
    for trials in iterations:
        if len(trials) < 2:
            continue
        own = [rows[trial.member, trial.place] for trial in trials]
        weight = np.array([trial.seats for trial in trials])
        weight /= weight.mean()
        value = np.array([trial.value for trial in trials])
        value -= np.average(value, weights=weight)
        information[np.ix_(own, own)] += np.diag(weight) - np.outer(weight, weight) / weight.sum()
        pull[own] += weight * value
        square, count = square + float(weight @ value**2), count + len(trials) - 1
    if square == 0.0:
        return None
    return _Comparisons(np.array([place for _, place in rows]), information, pull, square, count)


@dataclass(frozen=True)
class _Fit:
    """The posterior under one r and one ℓ, with L L' the prior covariance of g over σ²."""

    evidence: _Comparisons
    signal: float
    length: float
    root: Array
    """L."""
    inverse: Array
    """(1 + L' information L)⁻¹."""
    pulled: Array
    """inverse L' pull: the posterior mean of L⁻¹ g."""
    variance: float
    """σ²."""
    likelihood: float

    @classmethod
    def of(cls, evidence: _Comparisons, signal: float, length: float) -> _Fit:
        members = evidence.places
        prior = signal * _kernel(members, members, length) + MEMBER * np.eye(len(members))
        root = np.linalg.cholesky(prior)
        precision = np.eye(len(members)) + root.T @ evidence.information @ root
        inverse = np.linalg.inv(precision)
        pulled = inverse @ (root.T @ evidence.pull)
        left = max(evidence.square - float(evidence.pull @ root @ pulled), 1e-9 * evidence.square)
        variance = left / evidence.count
        likelihood = -0.5 * (evidence.count * math.log(variance) + float(np.linalg.slogdet(precision)[1]))
        return cls(evidence, signal, length, root, inverse, pulled, variance, likelihood)

    def posterior(self, places: Array) -> tuple[Array, Array]:
        across: Array = np.linalg.solve(self.root, self.signal * _kernel(self.evidence.places, places, self.length))
        known = across.T @ (np.eye(len(self.inverse)) - self.inverse) @ across
        return across.T @ self.pulled, self.variance * (self.signal * _kernel(places, places, self.length) - known)


def _root(covariance: Array) -> Array:
    """L with L L' = covariance, but for as little on the diagonal as rounding errors ask for."""
    mean = covariance.trace() / len(covariance)
    for jitter in (1e-6, 1e-4, 1e-2):
        try:
            return np.linalg.cholesky(covariance + jitter * mean * np.eye(len(covariance)))
        except np.linalg.LinAlgError:  # much is known: what is left is small against the terms it is the difference of
            continue
    return np.diag(np.sqrt(np.maximum(covariance.diagonal(), 0.0)))


def _kernel(one: Array, other: Array, length: float) -> Array:
    """exp(−|x − x'|² / 2ℓ²) of places [N, d] and [M, d] -> [N, M]."""
    squares = ((one[:, None] - other) ** 2).sum(axis=-1)
    kernel: Array = np.exp(-0.5 * squares / length**2)
    return kernel

