"""Push-back: a group whose answers to a creator are bad on average rejects it, and then hardly sees it for a while.

Of every group of humans and every creator the sum and the number of answers are kept, both fading by DECAY per round.
When the number reaches `answers_needed` and the mean lies under `rejection_below`, the group rejects the creator:
for `rejection_rounds` rounds its creations come last in every share of the retrieval for the group's humans. Then it
gets another chance, from no answers on; so does whoever takes over a seat.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.groups import like_minded
from ammo_env.listeners import Arrival, Own, listener
from ammo_env.memory import DECAY
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.succession import forgets, staying_places


class Pushback:
    """Keeps group [E, U]; answers [E, Q, G] and number [E, Q, G], fading; left [E, Q, G], rounds of rejection that are
    left; barred [E, U, C], whose creations are shown last to whom."""

    def __init__(self, arrays: Any, config: AmmoConfig, seats: Seats) -> None:
        self._arrays, self._seats, self._setting = arrays, seats, config.social.pushback
        assert self._setting.rejection_below is not None
        self._below, self._groups = self._setting.rejection_below, config.social.num_groups

    def begin(self, state: State) -> Own:
        envs, goals = state.entity.shape
        group = like_minded(self._arrays, state.q, self._groups)
        answers, number, left = (self._arrays.zeros(envs, self._groups, goals) for _ in range(3))
        barred = self._barred(group, left)
        return {"group": group, "answers": answers, "number": number, "left": left, "barred": barred}

    def hear(self, state: State, own: Own, arrivals: list[Arrival]) -> Own:
        xp, as_float = self._arrays.xp, self._arrays.as_float
        answers, number, left = DECAY * own["answers"], DECAY * own["number"], own["left"]
        for arrival in arrivals:
            more, count = self._tally(own["group"], arrival, answers.shape)
            answers, number = answers + more, number + count
        rejected = (number >= self._setting.answers_needed) & (answers < self._below * number) & (left == 0)
        left = xp.where(rejected, 0.0 * left + self._setting.rejection_rounds, xp.clip(left - 1.0, 0.0, None))
        kept = as_float(~rejected)
        return {
            "group": own["group"],
            "answers": answers * kept,
            "number": number * kept,
            "left": left,
            "barred": self._barred(own["group"], left),
        }

    def _tally(self, group: Array, arrival: Arrival, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Sum and number of the answers of each group to each creator, each [E, Q, G]."""
        arrays, (envs, groups, goals) = self._arrays, shape
        row = group + arrays.constant[row_starts, (envs, groups)]
        cell, there = row[..., None] * goals + arrival.sent.creator, arrays.as_float(arrival.credited)
        values = (arrival.sent.feedback.value * there, there)
        more, count = (arrays.count(cell, value, envs * groups * goals).reshape(*shape) for value in values)
        return more, count

    def _barred(self, group: Array, left: Array) -> Array:
        arrays, (envs, groups, goals) = self._arrays, left.shape
        row = group + arrays.constant[row_starts, (envs, groups)]
        return arrays.take(left, row[..., None] * goals + self._seats.owner) > 0


@forgets("pushback")
def _forget(arrays: Any, draws: Any, own: Own, retired: Array) -> Own:
    """Nobody has anything against a newborn."""
    stays, places = arrays.as_float(~retired)[:, None], own["barred"].shape[-1] // retired.shape[-1]
    ended = {name: own[name] * stays for name in ("answers", "number", "left")}
    return own | ended | {"barred": own["barred"] & (staying_places(arrays, retired, places)[:, None] > 0)}


@listener("pushback")
def _pushback(arrays: Any, config: AmmoConfig, seats: Seats) -> Pushback | None:
    return None if config.social.pushback.rejection_below is None else Pushback(arrays, config, seats)
