"""Life and death of goal buddies in mid-episode; off unless the section `life` sets a cause of death.

A seat always holds one living goal buddy, so G, C = G * L and every closed form stay as they are. At the end of a round
a goal buddy retires where a cause of death holds:

    starvation     its energy was below the price of a publication at the end of `starve_rounds` rounds in a row
    invisibility   its decayed exposure is under `viability`, and it is at least `grace` rounds old

In the same round another one is born into the seat: an entity of the seat's subspace that nobody holds (while there is
one), a full shelf drawn as at reset, full energy, and no history; what other features keep of a seat they forget
(`succession.py`). An id is given once: 0..G-1 to the first generation, then in order of birth, `max_births` of them per
episode; when they are used up nobody retires any more (of several that would, the first seats do). In the last round
nobody retires either: there is no round left to be born into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ammo_env import creations, memory
from ammo_env.arrays import Array, FloatArray, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.succession import forget_seats
from ammo_env.writing import Writing

NAME = "life"  # where its own arrays lie in `State.own`
Witness = Callable[[], Any]


class Life:
    """Its own arrays: `id` [E, G] of each seat's holder and `since` [E, G], the round of its birth; `hungry` [E, G],
    rounds in a row without energy; `births` [E] so far in the episode."""

    def __init__(self, arrays: Any, config: AmmoConfig, entities: Array, writing: Writing | None) -> None:
        self._arrays, self._config, self._entities, self._writing = arrays, config, entities, writing

    def begin(self, envs: int) -> dict[str, Array]:
        """The first generation takes its seats."""
        arrays, goals = self._arrays, self._config.goal_buddies.num_goal_buddies
        first = arrays.asarray(np.tile(np.arange(goals), (envs, 1)))
        return {
            "id": first,
            "since": arrays.zeros(envs, goals),
            "hungry": arrays.zeros(envs, goals),
            "births": first[:, 0] * 0,
        }

    def turn(self, draws: Any, state: State, seats: Seats, witness: Witness | None) -> tuple[Array, Any]:
        """Who retires at the end of a round [E, G] bool, all replaced in `state`; and what `witness()`, called before
        that, says of them (None if nobody retires)."""
        arrays, own = self._arrays, state.own[NAME]
        poor = state.corpus.energy < self._config.goal_buddies.publish_cost
        own = own | {"hungry": (own["hungry"] + 1.0) * arrays.as_float(poor)}
        doomed = self._doomed(state, own)
        earlier = arrays.xp.matmul(arrays.as_float(doomed), arrays.constant[_before, doomed.shape[1]])  # [E, G]
        number = own["births"][:, None] + arrays.as_int(earlier)  # births before one's own, if all were to retire
        retired = doomed & (number < self._config.life.max_births)
        own["id"] = arrays.xp.where(retired, retired.shape[1] + number, own["id"])
        own["births"] = own["births"] + retired.sum(axis=-1)
        own["since"] = arrays.xp.where(retired, float(state.now), own["since"])
        own["hungry"] = own["hungry"] * arrays.as_float(~retired)
        seen = None
        state.own[NAME] = own
        if bool(retired.any()):
            seen = witness() if witness else None
            self._replace(draws, state, seats, retired)
        return retired, seen

    def newborn(self, state: State) -> Array:
        """[E, G] bool: who holds a seat since the end of the last round and has not acted yet."""
        newborn: Array = state.own[NAME]["since"] == float(state.now)
        return newborn

    def _doomed(self, state: State, own: dict[str, Array]) -> Array:
        """[E, G] bool: for whom a cause of death holds."""
        setting, nobody = self._config.life, own["hungry"] < 0.0
        if state.now >= self._config.episode.num_rounds:
            return nobody
        starved = own["hungry"] >= setting.starve_rounds if setting.starve_rounds else nobody
        if not setting.viability:
            return starved
        grown = own["since"] <= float(state.now - setting.grace)
        return starved | (grown & (state.memory.goal_exposure < setting.viability))

    def _replace(self, draws: Any, state: State, seats: Seats, retired: Array) -> None:
        """Newborns take the seats `retired` [E, G]; everything is drawn for the worlds concerned alone."""
        arrays, xp, config = self._arrays, self._arrays.xp, self._config
        worlds = xp.nonzero(xp.any(retired, axis=1))[0]
        leaving = retired[worlds]
        entity = seats.succeed(draws, state.entity[worlds], leaving)
        anchors = arrays.take_rows(self._entities, entity)
        noise = config.observations.provenance_noise
        write = partial(self._writing.write, entity) if self._writing else None
        shelves = creations.first_shelf(arrays, draws, anchors, seats, config.goal_buddies, noise, write)
        seat, source = (xp.nonzero(where.reshape(-1))[0] for where in (retired, leaving))
        everybody = state.entity.reshape(-1) + 0
        arrays.put(everybody, seat, arrays.take(entity, source))
        state.entity = everybody.reshape(retired.shape)
        state.anchors = arrays.take_rows(self._entities, state.entity)
        creations.restock(arrays, state.corpus, shelves, seat, source, state.now)
        memory.forget_creators(arrays, state.memory, retired, config.observations.goal_view == "own_feedback")
        if state.added_facts is not None:
            creations.reground(arrays, state.corpus, seats, state.added_facts)
        state.own = forget_seats(arrays, draws, state.own, retired)
        state.under_way = [_disowned(arrays, sent, retired) for sent in state.under_way]


def make_life(arrays: Any, config: AmmoConfig, entities: Array, writing: Writing | None = None) -> Life | None:
    """None where nobody can die; newborns write where `writing` is given."""
    return Life(arrays, config, entities, writing) if config.life.is_on else None


def _disowned(arrays: Any, sent: Impression, retired: Array) -> Impression:
    """Answers that still arrive teach the user buddies, but are no longer credited to the seats `retired` [E, G]."""
    stays = arrays.take(~retired, sent.creator + arrays.constant[row_starts, (*retired.shape[:1], 1, retired.shape[1])])
    return replace(sent, credited=stays if sent.credited is None else sent.credited & stays)


def _before(size: int) -> FloatArray:
    """[n, n]: 1 where the row comes before the column."""
    return np.triu(np.ones((size, size), dtype=np.float32), 1)
