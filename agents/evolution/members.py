"""Members and their lineage: who lives in which slot, who descends from whom, and what happened when.

A population has a fixed number of *slots* (the module ids that RLlib knows) and an endless line of *members*: when
one retires, another is born into its slot under a new id. Ids count up and are never used again, and parents are
older than their children, so ancestry is a forest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from agents.evolution.genome import Genome


class Niche(StrEnum):
    """How a member makes its living; fitness is compared within a niche, and every niche keeps a minimum."""

    EXPLOITER = "exploiter"
    """Reward alone: visibility for goal buddies, regret for user buddies."""
    EXPLORER = "explorer"
    """Reward, plus novelty in unclaimed regions."""
    ADAPTIVE = "adaptive"
    """Reward, with the running history of its own actions and their outcomes as an input."""


@dataclass(frozen=True)
class Member:
    """One member of a population, living or dead; its weights are in its slot while it lives."""

    id: int
    slot: int
    niche: Niche
    genome: Genome
    parents: tuple[int, ...] = ()
    """One parent: inherited; two: recombined; none: a founder."""
    generation: int = 0
    """0 for founders, else 1 + the largest of its parents."""
    born: int = 0
    """The cycle of its birth."""
    died: int | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to a member in a cycle: founded, inherited, recombined, retired, admitted."""

    cycle: int
    kind: str
    member: int
    slot: int
    niche: str
    parents: tuple[int, ...] = ()
    genome: Genome = field(default_factory=dict)
    fitness: float | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; the fitness of a broken member is null."""
        fitness = self.fitness if self.fitness is not None and math.isfinite(self.fitness) else None
        return {**asdict(self), "parents": list(self.parents), "genome": dict(self.genome), "fitness": fitness}


class Lineage:
    """All members that ever were, and the living by slot."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._members: dict[int, Member] = {}
        self._living: dict[int, int] = {}
        for member in members:
            self._members[member.id] = member
            if member.died is None:
                self._living[member.slot] = member.id

    @property
    def members(self) -> list[Member]:
        """Everybody, by age."""
        return list(self._members.values())

    @property
    def living(self) -> dict[int, Member]:
        """Slot → the member that lives in it."""
        return {slot: self._members[member] for slot, member in sorted(self._living.items())}

    def __getitem__(self, member: int) -> Member:
        return self._members[member]

    def born(self, slot: int, niche: Niche, genome: Genome, parents: tuple[int, ...], cycle: int) -> Member:
        """A new member in an empty slot. Raises `ValueError` for a slot that is taken or a parent that never was."""
        if slot in self._living:
            raise ValueError(f"slot {slot} is taken by member {self._living[slot]}: retire it first")
        unknown = [parent for parent in parents if parent not in self._members]
        if unknown:
            raise ValueError(f"parents that never lived: {unknown}")
        generation = 1 + max(self._members[parent].generation for parent in parents) if parents else 0
        member = Member(len(self._members), slot, niche, dict(genome), parents, generation, cycle)
        self._members[member.id] = member
        self._living[slot] = member.id
        return member

    def retired(self, slot: int, cycle: int) -> Member:
        """Ends the life of the member in a slot. Raises `KeyError` for an empty slot."""
        member = replace(self._members[self._living.pop(slot)], died=cycle)
        self._members[member.id] = member
        return member

    def changed(self, slot: int, genome: Genome) -> Member:
        """A living member with another genome (planted from outside)."""
        member = replace(self._members[self._living[slot]], genome=dict(genome))
        self._members[member.id] = member
        return member

    def state(self) -> list[dict[str, Any]]:
        """Plain data."""
        return [
            {**asdict(m), "niche": str(m.niche), "parents": list(m.parents), "genome": dict(m.genome)}
            for m in self.members
        ]

    @classmethod
    def from_state(cls, state: list[dict[str, Any]]) -> Lineage:
        """The lineage that `state` described."""
        return cls(
            Member(**{**m, "niche": Niche(m["niche"]), "parents": tuple(m["parents"])}) for m in state
        )
