"""Endorsement: what the neighbours' humans have just liked, the raw material of social retrieval.

Human v likes creation c as much as it answered better than it usually does, and liking fades:

    liked_vc' = DECAY liked_vc + sum of max(y - usual_v, 0) over the answers y that arrived
    endorsed_uc = sum_v W_uv liked_vc

with W the network without a human's own weight. `usual_v` is the decayed mean answer of the memory. A creation that
leaves its shelf place takes what was liked about it along, answers that are still on their way included.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.listeners import Arrival, Own, listener
from ammo_env.memory import DECAY
from ammo_env.seats import Seats
from ammo_env.state import State


class Endorsement:
    """Keeps liked [E, U, C] and endorsed [E, U, C], both at least 0."""

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def begin(self, state: State) -> Own:
        shape = (*state.q.shape[:2], state.corpus.born.shape[1])
        return {"liked": self._arrays.zeros(*shape), "endorsed": self._arrays.zeros(*shape)}

    def hear(self, state: State, own: Own, arrivals: list[Arrival]) -> Own:
        arrays, born = self._arrays, state.corpus.born
        liked = own["liked"] * (DECAY * arrays.as_float(born <= state.now)[:, None])
        for arrival in arrivals:
            self._like(state, liked, arrival)
        return {"liked": liked, "endorsed": arrays.xp.matmul(state.own["network"]["friends"], liked)}

    def _like(self, state: State, liked: Array, arrival: Arrival) -> None:
        """In place: the answers of one impression."""
        arrays, item, born = self._arrays, arrival.sent.item, state.corpus.born
        since = arrays.take(born, item + arrays.constant[row_starts, (len(born), 1, born.shape[1])])
        same = arrival.arrived & (since <= state.now - arrival.age)
        better = arrival.sent.feedback.value - state.memory.answer_rate[..., None]
        cell = item + arrays.constant[row_starts, tuple(liked.shape)]
        arrays.add_at(liked, cell, arrays.xp.maximum(better, 0.0) * arrays.as_float(same))


@listener("endorsement")
def _endorsement(arrays: Any, config: AmmoConfig, seats: Seats) -> Endorsement | None:
    return Endorsement(arrays) if config.social.connected else None
