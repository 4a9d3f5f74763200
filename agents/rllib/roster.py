"""Who plays on one side and how: what the trainer tells every runner before it samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.evolution.members import Niche
from agents.league import Frozen
from agents.rllib.plan import TrainingPlan
from agents.training_settings import Hyperparameters


@dataclass(frozen=True)
class SideRoster:
    """One side's players."""

    hyperparameters: Mapping[str, Hyperparameters]
    """Slot → what its rewards and advantages are made with."""
    adaptive: frozenset[str]
    """Slots whose members see their own history."""
    frozen: tuple[Frozen, ...] = ()
    weights: NDArray[np.float64] | None = None
    """[R, P] by which learned seats are dealt, or equally."""


def first_roster(plan: TrainingPlan, side: str) -> SideRoster:
    """The founders, by the settings alone."""
    slots, settings = plan.slots(side), plan.settings
    return SideRoster(
        dict.fromkeys(slots, settings.hyperparameters(side)),
        frozenset(s for i, s in enumerate(slots) if settings.side(side).niche_of(i) is Niche.ADAPTIVE),
    )
