"""Endorsement: what the neighbours' humans have just liked, the raw material of social retrieval.

Human v likes creation c as much as it answered better than it usually does, or dislikes it, and both fade:

    liked_vc' = DECAY liked_vc + sum of (y - usual_v) over the answers y that arrived
    heard_vc' = DECAY heard_vc + their number
    endorsed_uc = sum_v W_uv liked_vc / (1 + sum_v W_uv heard_vc)

with W the network without a human's own weight: a mean, shrunk to 0 by one pseudo-answer, because a sum would be high
for whatever is shown often. `usual_v` is the decayed mean answer of the memory. A creation that leaves its shelf place
takes what was liked about it along, answers that are still on their way included.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.listeners import Arrival, Own, listener
from ammo_env.memory import DECAY
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.succession import forgets, staying_places


class Endorsement:
    """Keeps liked, heard and endorsed, each [E, U, C]."""

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def begin(self, state: State) -> Own:
        shape = (*state.q.shape[:2], state.corpus.born.shape[1])
        return {name: self._arrays.zeros(*shape) for name in ("liked", "heard", "endorsed")}

    def hear(self, state: State, own: Own, arrivals: list[Arrival]) -> Own:
        arrays, friends = self._arrays, state.own["network"]["friends"]
        kept = DECAY * arrays.as_float(state.corpus.born <= state.now)[:, None]
        liked, heard = own["liked"] * kept, own["heard"] * kept
        for arrival in arrivals:
            self._count(state, liked, heard, arrival)
        around, number = arrays.xp.matmul(friends, liked), arrays.xp.matmul(friends, heard)
        return {"liked": liked, "heard": heard, "endorsed": around / (1.0 + number)}

    def _count(self, state: State, liked: Array, heard: Array, arrival: Arrival) -> None:
        """In place: the answers of one impression."""
        arrays, item, born = self._arrays, arrival.sent.item, state.corpus.born
        since = arrays.take(born, item + arrays.constant[row_starts, (len(born), 1, born.shape[1])])
        same = arrays.as_float(arrival.arrived & (since <= state.now - arrival.age))
        better = arrival.sent.feedback.value - state.memory.answer_rate[..., None]
        cell = item + arrays.constant[row_starts, tuple(liked.shape)]
        arrays.add_at(liked, cell, better * same)
        arrays.add_at(heard, cell, same)


@forgets("endorsement")
def _forget(arrays: Any, draws: Any, own: Own, retired: Array) -> Own:
    """Whole shelves leave, and are endorsed no more."""
    stays = staying_places(arrays, retired, own["liked"].shape[-1] // retired.shape[-1])[:, None]
    return {name: kept * stays for name, kept in own.items()}


@listener("endorsement")
def _endorsement(arrays: Any, config: AmmoConfig, seats: Seats) -> Endorsement | None:
    return Endorsement(arrays) if config.social.connected else None
