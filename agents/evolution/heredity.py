"""The genomes of founders and children: crossed or copied, fitted to a niche, mutated, and traits by a surrogate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agents.evolution.genome import TRAITS, GeneRanges, Genome, crossed, mutated
from agents.evolution.members import Niche
from agents.evolution.settings import EvolutionSettings
from agents.evolution.surrogate import Surrogate


class Heredity:
    """What a population makes genomes of.

    Args:
        genome: the configured genome.
        ranges: the genes that evolve, of those in `genome`.
        resident: niche → genes that only its members have; elsewhere they are 0.
        settings: how genomes change.
        rng: the population's; all draws come from it.
    """

    def __init__(
        self,
        genome: Genome,
        ranges: GeneRanges,
        resident: Mapping[Niche, frozenset[str]],
        settings: EvolutionSettings,
        rng: np.random.Generator,
    ) -> None:
        self._genome, self._ranges, self._resident = dict(genome), ranges, dict(resident)
        self._settings, self._rng = settings, rng
        traits = {name: gene for name, gene in ranges.items() if name in TRAITS and name in genome}
        self.surrogate = Surrogate(traits) if traits and settings.traits == "surrogate" else None

    def founder(self, niche: Niche, differs: bool) -> dict[str, float]:
        """The configured genome, or a mutation of it."""
        own = self._fitting(self._genome, niche)
        if differs and self._settings.spread > 1:
            own = self._fitting(mutated(own, self._ranges, self._rng, self._settings.spread, 0.0), niche)
        return own

    def child(self, niche: Niche, parents: Sequence[Genome], living: Sequence[Genome], left: float) -> Genome:
        """A mutation of one parent's genome, of two parents' crossed, or of the configured one where there is none.

        Args:
            niche: the child's.
            parents: at most two.
            living: everybody's, near whom a surrogate looks.
            left: the share of the run that is to come.
        """
        genome = crossed(parents[0], parents[1], self._rng) if len(parents) == 2 else [*parents, self._genome][0]
        fitting, settings = self._fitting(genome, niche), self._settings
        foreign = self._foreign(niche)
        evolving = {name: gene for name, gene in self._ranges.items() if name not in foreign}
        child = mutated(fitting, evolving, self._rng, settings.perturb, settings.resample)
        if self.surrogate is None:
            return child
        return {**child, **self.surrogate.proposed(living, self._rng, left)}

    def _foreign(self, niche: Niche) -> frozenset[str]:
        everywhere = frozenset().union(*self._resident.values()) if self._resident else frozenset()
        return everywhere - self._resident.get(niche, frozenset())

    def _fitting(self, genome: Genome, niche: Niche) -> dict[str, float]:
        """A genome for this niche: genes of other niches are 0, own ones that were 0 are drawn."""
        foreign, own = self._foreign(niche), self._resident.get(niche, frozenset())
        result = {name: 0.0 if name in foreign else float(value) for name, value in genome.items()}
        for name in sorted(own & result.keys()):
            if result[name] == 0.0:
                result[name] = self._ranges[name].drawn(self._rng)
        return result
