"""The census of a checkpoint: everybody whose weights it holds, living members and the hall of fame, with what is known
of them, and the champion of each side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from agents.checkpoints import CheckpointError, read_checkpoint
from agents.evolution.members import Member, Niche
from agents.evolution.population import Population
from agents.evolution.settings import EvolutionSettings
from agents.matchmaking import member_id
from agents.networks import NetworkSpec
from agents.training_settings import SIDES


@dataclass(frozen=True)
class Resident:
    """A member whose weights are at hand: alive, or frozen in the hall of fame as it was when it was admitted."""

    side: str
    member: Member
    spec: NetworkSpec
    weights: Mapping[str, Tensor] = field(repr=False)
    frozen: bool = False
    champion: bool = False
    """The fittest living member of its side, or the winner of a final (`agents.final`)."""
    fitness: float = math.nan
    """Against the side's mean when the checkpoint was written; NaN where nothing is known."""
    satisfaction: float = math.nan
    """AiPP's main path on its own scale: 1 − normalised regret, or reward of a seat."""

    @property
    def name(self) -> str:
        """Side and id, unique for ever: "user-7"."""
        return f"{member_word(self.side)}-{self.member.id}"

    @property
    def module(self) -> str:
        """The slot that it lives or lived in: "user_2"."""
        return member_id(self.side, self.member.slot)

    @property
    def adaptive(self) -> bool:
        """Does it see its own history?"""
        return self.member.niche is Niche.ADAPTIVE


def take_census(checkpoint: Path) -> list[Resident]:
    """Everybody in a checkpoint: by side, the living by slot, then the hall, oldest first. Raises `CheckpointError`."""
    return residents(read_checkpoint(checkpoint), checkpoint)


def residents(tree: Mapping[str, Any], source: Path) -> list[Resident]:
    """`take_census` of a checkpoint that was read already; `source` is for messages."""
    try:
        found: list[Resident] = []
        for side in SIDES:
            found += _residents(tree, side)
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{source} holds no populations that this version can read: {error!r}") from error
    return found


def find(everybody: Sequence[Resident], side: str, member: int | None, source: Path) -> Resident:
    """A member by id, the living before the frozen, or without an id the champion. Raises `CheckpointError`."""
    own = [resident for resident in everybody if resident.side == side]
    for resident in own:
        if resident.champion if member is None else resident.member.id == member:
            return resident
    wanted = f"no {side}" if member is None else f"no member {member_word(side)}-{member}"
    living = ", ".join(resident.name for resident in own if not resident.frozen) or "nobody"
    hall = ", ".join(resident.name for resident in own if resident.frozen) or "nobody"
    raise CheckpointError(f"{source} holds {wanted}; alive: {living}; hall of fame: {hall}")


def member_word(side: str) -> str:
    """How members of a side are called: "user", "goal"."""
    return member_id(side, 0).partition("_")[0]


def parse_name(text: str) -> tuple[str, int] | None:
    """ "user-7" → ("user_buddy", 7); None for anything else."""
    sides = {member_word(side): side for side in SIDES}
    match = re.fullmatch(rf"({'|'.join(sides)})-(\d+)", text)
    return (sides[match[1]], int(match[2])) if match else None


def _residents(tree: Mapping[str, Any], side: str) -> list[Resident]:
    prefix = f"{member_word(side)}_"
    held = {int(name.removeprefix(prefix)): value for name, value in tree["members"].items() if name.startswith(prefix)}
    specs = {slot: NetworkSpec.model_validate(value["spec"]) for slot, value in sorted(held.items())}
    state = tree["evolution"]
    population = Population((), {}, EvolutionSettings.model_validate(tree["settings"]["evolution"]), seed=0)
    population.load(state["populations"][side])
    fitness, evidence, best = population.fitness(), population.evidence, champion(population)
    living = [
        Resident(side, population.living[slot], spec, held[slot]["weights"], False, slot == best, fitness[slot],
                 evidence[slot].mean_level)
        for slot, spec in specs.items()
    ]  # fmt: skip
    hall = [
        Resident(side, population.lineage[entry["member"]], living[0].spec, entry["weights"], frozen=True)
        for entry in state["halls"][side]
    ]
    return living + hall


def champion(population: Population) -> int | None:
    """The slot of the fittest living member, of those that were judged if anybody was; None where nobody lives."""
    judged = population.champion()
    if judged is not None:
        return judged
    fitness = population.fitness()
    return max(fitness, key=lambda slot: fitness[slot]) if fitness else None
