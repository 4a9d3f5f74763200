"""A population of one side: members in fixed slots, judged by evidence and renewed in cycles.

A cycle (Jaderberg et al. 2017, with patience and niches) finds the weak of every niche, lets those retire whom it has
found weak several times in a row, and fills their slots: a child inherits the weights and the optimiser of one
strong parent or recombines two, and learns on with a mutated genome. Whoever holds the weights is a `Bodies`: the
learner in training, a stub in tests, so that the same code runs both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from agents.evolution.fitness import Evidence, Verdict, combined, diversity
from agents.evolution.genome import GENES, GeneRanges, Genome
from agents.evolution.heredity import Heredity
from agents.evolution.members import Event, Lineage, Member, Niche
from agents.evolution.selection import Standing, strong, weak
from agents.evolution.settings import EvolutionSettings


class Bodies(Protocol):
    """Holds the weights and optimiser of every slot of one side."""

    def inherit(self, slot: int, parent: int, noise: float, rng: np.random.Generator) -> None:
        """Slot gets a copy of the parent slot's weights and optimiser state, with `noise` on the weights."""

    def recombine(self, slot: int, parents: tuple[int, int], how: str, rng: np.random.Generator) -> None:
        """Slot gets weights made of both parents' ("average" or "layers"); the optimiser's state likewise."""

    def renew(self, slot: int, rng: np.random.Generator) -> None:
        """Slot gets fresh weights and a fresh optimiser."""

    def set_genome(self, slot: int, niche: Niche, genome: Genome) -> None:
        """From now on the slot learns with this genome, in this niche."""


class Population:
    """The members of one side.

    Args:
        niches: the niche of every slot's founder.
        genome: the configured genome; the first founder has exactly this one.
        settings: how the cycle works.
        seed: of all draws of this population.
        ranges: the genes that evolve, of those in `genome`.
        resident: niche → genes that only its members have; elsewhere they are 0.
    """

    def __init__(
        self,
        niches: Sequence[Niche],
        genome: Genome,
        settings: EvolutionSettings,
        seed: int,
        ranges: GeneRanges = GENES,
        resident: Mapping[Niche, frozenset[str]] | None = None,
    ) -> None:
        self.settings = settings
        self._rng = np.random.default_rng(seed)
        self.lineage = Lineage()
        self.cycles = 0
        self.evidence: dict[int, Evidence] = {}
        self._strikes: dict[int, int] = {}
        self._heredity = Heredity(genome, ranges, resident or {}, settings, self._rng)
        self.events: list[Event] = []
        for slot, niche in enumerate(niches):
            self._born(slot, niche, self._heredity.founder(niche, differs=slot > 0), (), "founded")

    @property
    def living(self) -> dict[int, Member]:
        """Slot → member."""
        return self.lineage.living

    def observe(self, verdicts: Mapping[int, Verdict]) -> None:
        """Take in what AiPP said of the slots in one iteration; slots without seats are left out."""
        seen = {slot: verdict for slot, verdict in verdicts.items() if verdict.seats > 0}
        values = {slot: combined(verdict, self.settings.fitness) for slot, verdict in seen.items()}
        finite = {slot: value for slot, value in values.items() if math.isfinite(value)}
        seats = sum(seen[slot].seats for slot in finite)
        mean = sum(finite[slot] * seen[slot].seats for slot in finite) / seats if seats else 0.0
        for slot, verdict in seen.items():
            evidence = self.evidence[slot]
            if slot in finite:
                behaviour = verdict.behaviour
                evidence.add(values[slot] - mean, values[slot], verdict.seats, self.settings.memory, behaviour)
            else:
                evidence.broken = True
                evidence.iterations += 1
        if self._heredity.surrogate is not None:
            living = self.living
            self._heredity.surrogate.add([
                (living[slot].id, living[slot].genome, value, seen[slot].seats) for slot, value in finite.items()
            ])  # fmt: skip

    def condemn(self, slot: int) -> None:
        """The weights in a slot have diverged: nothing may be made of them, and its member retires in its turn."""
        self.evidence[slot].broken = True

    def fitness(self) -> dict[int, float]:
        """Slot → fitness: evidence against the side's mean, plus rank within the niche, plus diversity."""
        weights, own = self.settings.fitness, {slot: self.evidence[slot].mean for slot in self.living}
        spread = diversity({slot: self.evidence[slot].behaviour for slot in self.living})
        result: dict[int, float] = {}
        for slots in self.niches().values():
            for slot in slots:
                ahead = sum(own[slot] > own[rival] for rival in slots) - sum(own[slot] < own[rival] for rival in slots)
                rank = 0.5 * ahead / max(len(slots) - 1, 1)  # equals share their place
                result[slot] = own[slot] + weights.rank * rank + weights.diversity * spread[slot]
        return dict(sorted(result.items()))

    def niches(self) -> dict[Niche, list[int]]:
        """Niche → the slots of its living members."""
        result: dict[Niche, list[int]] = {}
        for slot, member in self.living.items():
            result.setdefault(member.niche, []).append(slot)
        return result

    def champion(self) -> int | None:
        """The slot of the member with the highest fitness − standard error of those that are ready; None without one.

        A lucky newborn has a large error and does not win by it. Broken members never do.
        """
        ready = [standing for standing in self.standings() if standing.ready and math.isfinite(standing.fitness)]
        return max(ready, key=lambda s: (s.fitness - s.standard_error, s.fitness)).slot if ready else None

    def standings(self) -> list[Standing]:
        """Where every living member stands."""
        fitness = self.fitness()
        return [
            Standing(
                slot, member.niche, fitness[slot], self.evidence[slot].standard_error,
                self.evidence[slot].iterations >= self.settings.ready_after, self.evidence[slot].mean,
            )
            for slot, member in self.living.items()
        ]  # fmt: skip

    def cycle(self, bodies: Bodies, left: float = 1.0) -> list[Event]:
        """Judge everybody, retire whose patience is spent, and fill their slots; returns what happened.

        Args:
            left: the share of the run that is to come: the less, the less children's traits are there to find out.
        """
        self.cycles += 1
        before = len(self.events)
        standings = self.standings()
        found = weak(standings, self.settings, self._rng)
        for standing in standings:
            if standing.ready:
                self._strikes[standing.slot] = self._strikes[standing.slot] + 1 if standing.slot in found else 0
        leaving = [slot for slot in sorted(found) if self._strikes[slot] >= self.settings.patience]
        staying = [standing for standing in standings if standing.slot not in leaving]
        fitness = {standing.slot: standing.fitness for standing in standings}
        for slot in leaving:
            self._replace(slot, staying, bodies, fitness[slot], left)
        return self.events[before:]

    def plant(self, slot: int, genome: Genome, bodies: Bodies) -> Member:
        """Give a living member another genome, whatever its range (experiments, tests)."""
        member = self.lineage.changed(slot, genome)
        bodies.set_genome(slot, member.niche, member.genome)
        return member

    def state(self) -> dict[str, Any]:
        """Everything that a continuation depends on, as plain data."""
        return {
            "lineage": self.lineage.state(),
            "cycles": self.cycles,
            "evidence": {str(slot): evidence.state() for slot, evidence in self.evidence.items()},
            "strikes": {str(slot): strikes for slot, strikes in self._strikes.items()},
            "surrogate": None if self._heredity.surrogate is None else self._heredity.surrogate.state(),
            "rng": self._rng.bit_generator.state,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; past events are not part of it."""
        self.lineage = Lineage.from_state(state["lineage"])
        self.cycles = state["cycles"]
        self.evidence = {int(slot): Evidence.from_state(value) for slot, value in state["evidence"].items()}
        self._strikes = {int(slot): int(strikes) for slot, strikes in state["strikes"].items()}
        if self._heredity.surrogate is not None:
            self._heredity.surrogate.load(state["surrogate"])
        self._rng.bit_generator.state = state["rng"]
        self.events = []

    def _replace(
        self, slot: int, staying: Sequence[Standing], bodies: Bodies, fitness: float, left: float
    ) -> None:
        """The member in `slot` retires, and a child of those who stay is born there."""
        old = self.lineage.retired(slot, self.cycles)
        self._note("retired", old, fitness)
        niche = self._niche_of_child(old.niche)
        parents = self._parents(niche, staying)
        members = tuple(self.living[parent].id for parent in parents)
        genomes = [self.lineage[member].genome for member in members]
        if len(parents) == 2:
            bodies.recombine(slot, (parents[0], parents[1]), self.settings.crossover, self._rng)
            kind = "recombined"
        elif parents:
            bodies.inherit(slot, parents[0], self.settings.weight_noise, self._rng)
            kind = "inherited"
        else:  # nobody else has lived long enough to be a parent
            bodies.renew(slot, self._rng)
            kind = "founded"
        genome = self._heredity.child(niche, genomes, [member.genome for member in self.living.values()], left)
        child = self._born(slot, niche, genome, members, kind)
        bodies.set_genome(slot, niche, child.genome)

    def _niche_of_child(self, niche: Niche) -> Niche:
        """Where the child of an emptied place lives: there, or by chance in another niche if this one can spare it."""
        wanders, others = self._rng.random() < self.settings.migration, sorted(self.niches().keys() - {niche})
        spared = len(self.niches().get(niche, [])) >= self.settings.niche_minimum
        if not (wanders and others and spared):
            return niche
        return others[int(self._rng.integers(len(others)))]

    def _parents(self, niche: Niche, staying: Sequence[Standing]) -> list[int]:
        """One or two slots among the strong of the niche, or of the whole side where the niche has none."""
        ready = [standing for standing in staying if standing.ready and math.isfinite(standing.fitness)]
        own = [standing for standing in ready if standing.niche == niche]
        able = strong(own or ready, self.settings.fraction)
        if not able:
            return []
        first = able[int(self._rng.integers(len(able)))]
        # The second parent may be anybody above the side's median: two of the same small niche are often one.
        others = [standing.slot for standing in strong(ready, 0.5) if standing.slot != first.slot]
        if others and self._rng.random() < self.settings.recombine:
            return [first.slot, others[int(self._rng.integers(len(others)))]]
        return [first.slot]

    def _born(self, slot: int, niche: Niche, genome: Genome, parents: tuple[int, ...], kind: str) -> Member:
        member = self.lineage.born(slot, niche, genome, parents, self.cycles)
        self.evidence[slot], self._strikes[slot] = Evidence(), 0
        self._note(kind, member)
        return member

    def _note(self, kind: str, member: Member, fitness: float | None = None) -> None:
        self.events.append(
            Event(self.cycles, kind, member.id, member.slot, str(member.niche), member.parents, member.genome, fitness)
        )
