"""Fitness of a genome: what AiPP said of it, iteration by iteration, against everybody else in the same iterations.

Members live in the same worlds but hold different numbers of seats, were born at different times, and all of them
improve. So a verdict is first taken relative to the side's mean of its iteration, then averaged with weights that
fade, and comes with its standard error: two members differ when their difference exceeds it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.evolution.settings import FitnessSettings

PATHS = ("satisfaction", "engagement", "accuracy")


@dataclass(frozen=True)
class Verdict:
    """What AiPP's paths said of one slot in one iteration."""

    paths: Mapping[str, float]
    """One number for each of `PATHS`, means over the slot's seats and rounds."""
    seats: float
    """Seat-rounds behind it."""
    behaviour: tuple[float, ...] = ()
    """Descriptor of what it did, the same length for all."""


@dataclass
class Evidence:
    """Fading sums over the verdicts of one genome."""

    weight: float = 0.0
    weight_squares: float = 0.0
    total: float = 0.0
    total_squares: float = 0.0
    iterations: int = 0
    level: float = 0.0
    """Fading sum of the absolute value, for reports."""
    behaviour: tuple[float, ...] = ()
    broken: bool = False
    """A verdict was not a finite number: the member's weights have diverged."""

    def add(self, value: float, level: float, seats: float, memory: float, behaviour: tuple[float, ...]) -> None:
        """One more iteration; `value` is relative to the side's mean, `level` absolute."""
        self.weight = memory * self.weight + seats
        self.weight_squares = memory**2 * self.weight_squares + seats**2
        self.total = memory * self.total + seats * value
        self.total_squares = memory * self.total_squares + seats * value**2
        self.level = memory * self.level + seats * level
        self.iterations += 1
        if behaviour:
            old = self.behaviour or behaviour
            self.behaviour = tuple(memory * a + (1 - memory) * b for a, b in zip(old, behaviour, strict=True))

    @property
    def mean(self) -> float:
        """Weighted mean; 0 (the side's mean) before the first verdict; −∞ for a broken member."""
        if self.broken:
            return -math.inf
        return self.total / self.weight if self.weight else 0.0

    @property
    def mean_level(self) -> float:
        """Weighted mean of the absolute values; NaN before the first verdict."""
        return self.level / self.weight if self.weight else math.nan

    @property
    def standard_error(self) -> float:
        """Of the mean; infinite while only one verdict is remembered, 0 for a broken member."""
        if self.broken:
            return 0.0
        effective = self.weight**2 / self.weight_squares if self.weight_squares else 0.0
        if effective < 1.0 + 1e-6:
            return math.inf
        variance = max(self.total_squares / self.weight - self.mean**2, 0.0)
        return math.sqrt(variance / (effective - 1.0))

    def state(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "behaviour": list(self.behaviour)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Evidence:
        """The evidence that `state` described."""
        return cls(**{**state, "behaviour": tuple(state["behaviour"])})


def combined(verdict: Verdict, weights: FitnessSettings) -> float:
    """The weighted sum of a verdict's paths; −∞ where one is not finite (a member that broke)."""
    values = [getattr(weights, path) * verdict.paths.get(path, 0.0) for path in PATHS]
    return sum(values) if all(map(math.isfinite, values)) else -math.inf


def diversity(behaviours: Mapping[int, tuple[float, ...]]) -> dict[int, float]:
    """Slot → mean distance of its behaviour to all others, over the mean of that, minus 1; 0 where nothing differs.

    Every coordinate is scaled by its standard deviation over the members.
    """
    if len(behaviours) < 2 or not all(behaviours.values()):
        return dict.fromkeys(behaviours, 0.0)
    table = np.array([behaviours[slot] for slot in behaviours], dtype=np.float64)
    if not np.isfinite(table).all():
        table = np.nan_to_num(table, nan=0.0, posinf=0.0, neginf=0.0)
    spread = table.std(axis=0)
    table = table[:, spread > 0] / spread[spread > 0]
    distances = np.linalg.norm(table[:, None] - table[None], axis=-1).sum(axis=1) / (len(table) - 1)
    mean = distances.mean()
    return {slot: float(d / mean - 1.0) if mean > 0 else 0.0 for slot, d in zip(behaviours, distances, strict=True)}
