"""The league: who should meet whom, and the hall of fame of frozen past members that the living must not forget.

Payoffs are fading means of how well each living player did in worlds shared with each opponent. From them come the
weights by which seats are dealt (`agents.matchmaking.assign_seats`): equal, by fitness, or by prioritised fictitious
self-play (Vinyals et al. 2019), where a focal player is matched with the opponents that are hard for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from agents.evolution.settings import MatchmakingSettings
from agents.training_settings import SIDES

Floats = NDArray[np.float64]
_FADE = 0.9
_LEAST = 0.1  # an opponent that is never hard is still met sometimes
_FOCAL = 0.5  # share of its side's seats that a focal player has in its worlds


@dataclass(frozen=True)
class Frozen:
    """A past member in the hall of fame."""

    member: int
    slot: int
    niche: str
    weights: Mapping[str, Tensor]

    def state(self) -> dict[str, Any]:
        """Plain data and tensors."""
        return {"member": self.member, "slot": self.slot, "niche": self.niche, "weights": dict(self.weights)}


class Hall:
    """The frozen members of one side, oldest first; a new one beyond `size` pushes the oldest out."""

    def __init__(self, size: int, frozen: Sequence[Frozen] = ()) -> None:
        self.size, self.frozen = size, list(frozen)[-size:] if size else []

    def admit(self, entry: Frozen) -> bool:
        """Take in a member, unless the hall has no room at all or holds that member already."""
        if self.size == 0 or any(entry.member == other.member for other in self.frozen):
            return False
        self.frozen = [*self.frozen, entry][-self.size :]
        return True


class Payoffs:
    """side → fading mean outcome of its players (rows) against the other side's players (columns).

    Players are the living slots, then the places of the hall. What was never seen counts as the mean of its row.
    """

    def __init__(self, players: Mapping[str, int]) -> None:
        shapes = {side: (players[side], players[_other(side)]) for side in SIDES}
        self._total = {side: np.zeros(shape) for side, shape in shapes.items()}
        self._weight = {side: np.zeros(shape) for side, shape in shapes.items()}

    def add(self, outcomes: Mapping[str, tuple[Floats, Floats]]) -> None:
        """One iteration: side → (sums [P, O] of outcome · shared seats, shared seats [P, O])."""
        for side, (total, weight) in outcomes.items():
            self._total[side] = _FADE * self._total[side] + total
            self._weight[side] = _FADE * self._weight[side] + weight

    def forget(self, side: str, player: int) -> None:
        """Somebody else plays under this index from now on."""
        for table in (self._total, self._weight):
            table[side][player], table[_other(side)][:, player] = 0.0, 0.0

    def table(self, side: str) -> Floats:
        """[P, O] mean outcomes."""
        total, weight = self._total[side], self._weight[side]
        whole = weight.sum(axis=1, keepdims=True)
        usual = total.sum(axis=1, keepdims=True) / np.where(whole > 0, whole, 1.0)
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), usual)

    def state(self) -> dict[str, Any]:
        """Arrays by side, copies."""
        return {"total": _copied(self._total), "weight": _copied(self._weight)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._total, self._weight = _copied(state["total"]), _copied(state["weight"])


def seat_weights(
    settings: MatchmakingSettings,
    members: Mapping[str, int],
    halls: Mapping[str, int],
    fitness: Mapping[str, Sequence[float]],
    payoffs: Payoffs,
) -> dict[str, Floats]:
    """Side → [R, P] weights of its players; the rows of both sides belong together, and worlds rotate over them.

    uniform: 1. fitness: (rank from 1)^sharpness. pfsp: one row for every living player of both sides as the focal one,
    which holds half of its side's seats, against opponents o with weight (hardness + .1)^sharpness, where hardness is
    its shortfall against o, scaled to [0, 1] over the opponents. The hall holds `hall_share` in total.
    """
    if settings.method == "pfsp" and all(members[side] for side in SIDES):
        rows = _prioritised(settings, members, halls, payoffs)
    else:
        rows = {side: np.ones((1, members[side])) for side in SIDES}
        if settings.method == "fitness":
            rows = {side: _by_rank(fitness[side], settings.sharpness) for side in SIDES}
        rows = {side: np.concatenate([rows[side], np.ones((1, halls[side]))], axis=1) for side in SIDES}
    return {side: _with_hall(rows[side], members[side], settings.hall_share) for side in SIDES}


def _prioritised(
    settings: MatchmakingSettings, members: Mapping[str, int], halls: Mapping[str, int], payoffs: Payoffs
) -> dict[str, Floats]:
    rows: dict[str, list[Floats]] = {side: [] for side in SIDES}
    for side in SIDES:
        other = _other(side)
        table = payoffs.table(side)[:, : members[other] + halls[other]]
        for focal in range(members[side]):
            own = np.full(members[side] + halls[side], 1.0 - _FOCAL) / max(members[side] - 1, 1)
            own[focal] = _FOCAL if members[side] > 1 else 1.0
            short = table[focal].max(initial=-np.inf) - table[focal]
            hardness = short / short.max() if short.max(initial=0.0) > 0 else np.zeros_like(short)
            rows[side].append(own)
            rows[other].append((hardness + _LEAST) ** settings.sharpness)
    return {side: np.stack(rows[side]) for side in SIDES}


def _by_rank(fitness: Sequence[float], sharpness: float) -> Floats:
    ranks = rankdata(np.asarray(fitness, dtype=np.float64))  # equals share theirs
    weights: Floats = ranks[None] ** sharpness
    return weights


def _with_hall(rows: Floats, members: int, share: float) -> Floats:
    """Rows rescaled so that the frozen players hold `share` together, and the living the rest."""
    living, frozen = rows[:, :members], rows[:, members:]
    if not members or not frozen.shape[1]:
        return rows
    living = (1.0 - share) * living / living.sum(axis=1, keepdims=True)
    frozen = share * frozen / frozen.sum(axis=1, keepdims=True)
    return np.concatenate([living, frozen], axis=1)


def _copied(tables: Mapping[str, Floats]) -> dict[str, Floats]:
    return {side: table.copy() for side, table in tables.items()}


def _other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]
