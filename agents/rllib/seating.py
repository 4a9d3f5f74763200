"""A dealing laid out as rows: the learned seats of one side in the order of their players, and what goes for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.evolution.members import Niche
from agents.rllib.roster import SideRoster


@dataclass(frozen=True)
class Seating:
    """Who sits where, until the next dealing or the next roster. B are the learned rows."""

    rows: Tensor
    """[B] seats of [E·N] in the order of their players."""
    counts: tuple[int, ...]
    """Rows of every learned player."""
    own: Mapping[str, slice]
    """Member or place in the hall → its rows."""
    living: int
    """Rows of the living members; they come first."""
    scripted: Mapping[str, NDArray[np.bool_]]
    """Script → its seats [E, N]."""
    novelty: Tensor | None
    """[B] weights of novelty; None where all are 0."""
    honesty: Tensor | None
    """[B] honesty − 1; None where all are 0."""
    adaptive: Tensor | None
    """[B] 1 where the player sees its history; None where none does."""
    in_order: bool
    """Are the rows all the seats, in the order of the seats?"""

    def learned(self, table: NDArray[Any]) -> Tensor:
        """The rows [B, ...] of the learned seats out of [E, N, ...]."""
        flat = torch.from_numpy(table).flatten(0, 1)
        return flat if self.in_order else flat[self.rows]


def seating(
    holders: NDArray[np.int64], members: Sequence[str], scripts: Sequence[str], roster: SideRoster
) -> Seating:
    """Lay out the seats: holders [E, N] of indices into members and then the hall, or −1 − j for script j."""
    flat, players = holders.ravel(), len(members) + len(roster.frozen)
    taken = np.flatnonzero(flat >= 0)
    order = taken[np.argsort(flat[taken], kind="stable")]
    counts = np.bincount(flat[taken], minlength=players).tolist()
    ends = np.cumsum([0, *counts]).tolist()
    names = [*members, *(f"hall_{place}" for place in range(len(roster.frozen)))]
    own = {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(names)}
    genomes = roster.hyperparameters
    frozen = {f"hall_{i}": float(entry.niche == Niche.ADAPTIVE) for i, entry in enumerate(roster.frozen)}
    return Seating(
        rows=torch.from_numpy(order),
        counts=tuple(counts),
        own=own,
        living=ends[len(members)],
        scripted={name: holders == -1 - j for j, name in enumerate(scripts)},
        novelty=_by_row({name: genomes[name].novelty for name in members}, own, len(order)),
        honesty=_by_row({name: genomes[name].honesty - 1.0 for name in members}, own, len(order)),
        adaptive=_by_row({name: float(name in roster.adaptive) for name in members} | frozen, own, len(order)),
        in_order=len(order) == flat.size and bool((np.diff(order) > 0).all()),
    )


def _by_row(values: Mapping[str, float], own: Mapping[str, slice], rows: int) -> Tensor | None:
    """[B] the number of every row's player, 0 where it has none; None where all are 0."""
    if not any(values.values()):
        return None
    result = torch.zeros(rows)
    for name, value in values.items():
        result[own[name]] = value
    return result
