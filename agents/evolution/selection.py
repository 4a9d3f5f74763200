"""Selection: who of a population is weak, and who is strong, by rules that know the noise of the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.evolution.members import Niche
from agents.evolution.settings import EvolutionSettings


@dataclass(frozen=True)
class Standing:
    """Where a member stands when it is judged."""

    slot: int
    niche: Niche
    fitness: float
    standard_error: float
    ready: bool
    """It has lived long enough to be judged."""
    evidence: float | None = None
    """Fitness without rank and diversity: what the standard error belongs to. None: the same as fitness."""


def weak(standings: Sequence[Standing], settings: EvolutionSettings, rng: np.random.Generator) -> set[int]:
    """The slots found weak in this cycle: every broken member, and of the others:

    Truncation: the lowest share `fraction` of every niche, at least one of two. Tournament: who loses against a random
    rival of the niche. Either way only members that lie clearly below the best of the niche are weak, by `margin`
    standard errors of the difference; a member alone in its niche is measured against the whole side instead, where
    it is weak below the (lower) median of the others, by twice the margin. The best of a niche with rivals is never
    weak.
    """
    result = {standing.slot for standing in standings if standing.ready and standing.fitness == -math.inf}
    ready = [standing for standing in standings if standing.ready and standing.slot not in result]
    for niche in sorted({standing.niche for standing in ready}):
        group = sorted((s for s in ready if s.niche == niche), key=lambda s: (s.fitness, s.slot))
        best = group[-1]
        if len(group) == 1:
            rivals = sorted((s for s in ready if s.niche != niche), key=lambda s: (s.fitness, s.slot))
            # Two lone members that are both far behind must not shield each other.
            if rivals and clearly_below(best, rivals[(len(rivals) - 1) // 2], 2 * settings.margin):
                result.add(best.slot)
            continue
        if settings.selection == "truncation":
            low = group[: max(1, math.floor(settings.fraction * len(group)))]
        else:
            low = [s for s in group[:-1] if s.fitness < _rival(s, group, rng).fitness]
        result.update(s.slot for s in low if clearly_below(s, best, settings.margin))
    return result


def strong(standings: Sequence[Standing], fraction: float) -> list[Standing]:
    """The best share of the standings, at least one where there is any."""
    order = sorted(standings, key=lambda s: (-s.fitness, s.slot))
    return order[: max(1, math.ceil(fraction * len(order)))]


def clearly_below(one: Standing, other: Standing, margin: float) -> bool:
    """evidence₁ + margin·√(se₁² + se₂²) < evidence₂; never while an error is unknown, unless the margin is 0.

    Rank and diversity order the members but are no reason to retire one: the errors know nothing of them.
    """
    mine, theirs = (s.fitness if s.evidence is None else s.evidence for s in (one, other))
    if margin == 0:
        return one.fitness < other.fitness
    return mine + margin * math.hypot(one.standard_error, other.standard_error) < theirs


def _rival(one: Standing, group: Sequence[Standing], rng: np.random.Generator) -> Standing:
    others = [s for s in group if s.slot != one.slot]
    return others[int(rng.integers(len(others)))]
