"""What an outer search looks for: settings of the training with ranges, and how many whole systems look for how long.

Inside a system evolution already changes the genomes of its members; the outer search changes what the system as a
whole was configured with. Positions in a range are *shares* from 0 to 1 on its scale, so that a step means the same
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from scipy.stats.qmc import LatinHypercube

from agents.evolution.genome import Gene
from agents.run_config import RunConfig
from ammo_env.settings import Section, apply_overrides, build


class Range(Section):
    """From `low` to `high`: log: steps are factors of x; horizon: of 1 − x (discounts); linear: shares of the range."""

    low: float
    high: float
    scale: Literal["linear", "log", "horizon"] = "linear"
    whole: bool = Field(False, description="whole numbers only")

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        _ = self.gene  # raises ValueError
        return self

    @property
    def gene(self) -> Gene:
        """The range as something that mutates."""
        return Gene(self.low, self.high, self.scale)

    def at(self, share: float) -> float:
        """The number at a share of the range."""
        low, high = _on_scale(self.low, self.scale), _on_scale(self.high, self.scale)
        return self.gene.clipped(_off_scale(low + share * (high - low), self.scale))

    def value(self, share: float) -> float | int:
        """The setting at a share of the range, to six digits."""
        return round(self.at(share)) if self.whole else float(f"{self.at(share):.6g}")

    def share(self, number: float) -> float:
        """Where a number lies, in [0, 1]; the nearest end for one outside."""
        low, high = _on_scale(self.low, self.scale), _on_scale(self.high, self.scale)
        return (_on_scale(self.gene.clipped(number), self.scale) - low) / (high - low)


class Study(Section):
    """A whole outer search."""

    scenario: str
    config: RunConfig
    search: dict[str, Range] = Field(min_length=1)
    trials: int = Field(8, ge=1, description="systems")
    iterations: int = Field(ge=1, description="training iterations of every system")
    interval: int = Field(10, ge=1, description="iterations between comparisons")
    scheduler: Literal["pbt", "pb2", "none"] = "pbt"
    metric: Literal["normalised_regret", "goal_advantage"] = "normalised_regret"
    seed: int = Field(0, ge=0)

    @property
    def mode(self) -> Literal["min", "max"]:
        """Is the metric to become small or large?"""
        return "min" if self.metric == "normalised_regret" else "max"

    def settings(self, shares: Mapping[str, float]) -> dict[str, float | int]:
        """Dotted key → the setting at its share."""
        return {key: found.value(shares[key]) for key, found in self.search.items()}

    def configured(self, settings: Mapping[str, float | int]) -> RunConfig:
        """The system with these settings."""
        return build(RunConfig, apply_overrides(RunConfig, self.config.model_dump(), settings))

    def first_shares(self) -> list[dict[str, float]]:
        """Where the trials begin: the first as configured, the others spread evenly (a Latin hypercube)."""
        spread = LatinHypercube(len(self.search), rng=self.seed).random(max(self.trials - 1, 1))
        configured = {key: found.share(float(current(key, self.config))) for key, found in self.search.items()}
        return [configured, *(dict(zip(self.search, map(float, row), strict=True)) for row in spread)][: self.trials]

    @model_validator(mode="after")
    def _can_be_compared(self) -> Study:
        if self.scheduler != "none" and self.trials < 2:
            raise ValueError(f"--scheduler {self.scheduler} compares systems: it needs at least 2 trials")
        goals = self.config.training.goal_buddy
        if self.metric == "goal_advantage" and not (goals.members and goals.scripts and goals.scripted_share):
            raise ValueError("the metric goal_advantage needs goal buddies that learn and scripted ones beside them")
        return self


def current(key: str, config: RunConfig) -> Any:
    """The configured value of a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _on_scale(x: float, scale: str) -> float:
    if scale == "linear":
        return x
    return math.log(x) if scale == "log" else -math.log(1.0 - x)


def _off_scale(y: float, scale: str) -> float:
    if scale == "linear":
        return y
    return math.exp(y) if scale == "log" else 1.0 - math.exp(-y)
