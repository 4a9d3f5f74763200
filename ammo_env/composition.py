"""Composition: subspaces that are unions of others, and that merge and split in mid-episode, by a schedule.

The schedule is the same for all worlds, so the seats of every phase are made once and chosen by the round. What is kept
subspace by subspace (what was liked, running events, facts that events add) is kept by *part*, see `schedule.py`; a
subspace's share is the sum over its parts, so that a merger adds up and a split gives back. Events go on happening in
every part. At a change the grounding errors of live creations are taken anew, against the facts of their subspace as it
is now, and the last steering is carried over into its basis; energy, beliefs and answers under way stay as they are. A
merged subspace has the AiPP of its first part, a half that of its whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ammo_env.aipp_settings import AippConfig
from ammo_env.arrays import Array, IntArray, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.creations import Corpus, reground
from ammo_env.creator_settings import GoalBuddyConfig
from ammo_env.schedule import Plan
from ammo_env.seats import Seats, turns
from ammo_env.space import MetaSpace


class Composition:
    """The parts of a world, and its seats in every round. Made by `make_composition`."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, plan: Plan) -> None:
        self._plan = plan
        for parts in plan.composed:
            space = space.composed(*parts)
        first = len(space.facts)
        for parent in plan.halved:
            space = space.halved(parent, config.knowledge.seed)
        self.space = space  # its subspaces are the parts
        buddies = config.goal_buddies
        part, home = deal_parts(plan, buddies.num_goal_buddies, first)
        self._phases = [PhaseSeats(arrays, space, buddies, part, home, subspace) for subspace in plan.subspace]

    def seats_at(self, now: int) -> Seats:
        """The seats of a round."""
        return self._phases[sum(now >= start for start in self._plan.starts) - 1]

    def aipp(self, config: AippConfig) -> AippConfig:
        """The settings by part: those that a composed subspace or a half takes over are named."""
        inherited = {part: config.subspaces[o] for part, o in enumerate(self._plan.origin) if o in config.subspaces}
        return config.model_copy(update={"subspaces": inherited})


class PhaseSeats(Seats):
    """The seats of one phase: each seat's `part` [G], whose entities `home` [G] it may be; the parts' subspace [P]."""

    def __init__(
        self,
        arrays: Any,
        space: MetaSpace,
        buddies: GoalBuddyConfig,
        part: IntArray,
        home: IntArray,
        subspace: Sequence[int],
    ) -> None:
        of_part = np.asarray(subspace)
        now = replace(space.merged(subspace), entity_subspace=space.entity_subspace)
        super().__init__(
            arrays, now, buddies.num_goal_buddies, buddies.shelf_size, of_part[part], home, buddies.norm
        )
        self._part = arrays.asarray(part)
        self._together = arrays.asarray(of_part == np.arange(len(of_part))[:, None], arrays.float32)  # [M, P]
        self._parts = arrays.asarray(_parts(of_part)[of_part[part]])  # [G, Q]
        self.moved_to = arrays.asarray(of_part)

    def by_subspace(self, x: Array) -> Array:
        return self._arrays.xp.matmul(self._together, x)

    def liked_group(self, creator: Array, subspace: Array) -> Array:
        return self._arrays.take(self._part, creator)

    def nearest_added(self, creations: Array, added: Array) -> tuple[Array, Array]:
        xp, arrays, (envs, parts, slots, dim) = self._arrays.xp, self._arrays, added.shape
        goals, most = self._parts.shape
        creations = self.claims(creations)
        own = added.reshape(envs, parts, -1)[:, self._parts].reshape(envs, goals, most * slots, dim)
        best = xp.matmul(creations, own.mT).argmax(axis=-1)  # [E, G, L] of Q * B
        part = arrays.take(self._parts, best // slots + arrays.constant[row_starts, (goals, most)])
        row = slots * (part + arrays.constant[row_starts, (envs, 1, parts)]) + best % slots
        gap = creations - arrays.take_rows(added, row)
        return self.num_facts + row, xp.sqrt(arrays.vecdot(gap, gap))


def make_composition(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Composition | None:
    """The composition that a configuration asks for, over the subspaces of a space; None where it asks for none."""
    plan = config.plan
    return None if plan is None else Composition(arrays, config, space, plan)


def deal_parts(plan: Plan, num_goals: int, first: int) -> tuple[IntArray, IntArray]:
    """The part of every seat [G], and that whose entities it may be [G]; `first` parts are there undivided.

    Seat g is in part g mod `first`. Of a part that is halved every other seat is in the second half. A composed one has
    no entities of its own, so its seats are entities of its parts in turn.
    """
    part = np.arange(num_goals) % first
    turn, home = turns(part), part.copy()
    for number, parts in enumerate(plan.composed, first - len(plan.composed)):
        inside = part == number
        home[inside] = np.asarray(parts)[turn[inside] % len(parts)]
    for number, parent in enumerate(plan.halved, first):
        inside = np.flatnonzero(part == parent)[1::2]
        part[inside] = home[inside] = number
    return part, home


def move_in(arrays: Any, corpus: Corpus, before: Seats, seats: Seats, added: Array | None) -> None:
    """The subspaces have changed under the live creations: errors, nearest facts and steering are taken anew."""
    xp, (envs, goals, _) = arrays.xp, corpus.steering.shape
    shelves = corpus.vectors.reshape(envs, goals, -1, corpus.vectors.shape[-1])
    places = shelves.shape[2]
    apart = arrays.permute(shelves, (2, 0, 1, 3)).reshape(places * envs, goals, -1)
    nearest, distance = (
        arrays.permute(x.reshape(places, envs, goals), (1, 2, 0)) for x in seats.nearest_fact(apart)
    )
    error = arrays.empty(envs, goals, places)  # contiguous, because publications write to it in place
    error[...] = distance
    newest = (corpus.oldest - 1) % places
    corpus.nearest_fact = xp.where(newest[..., None] == arrays.constant[np.arange, places], nearest, 0).sum(axis=-1)
    corpus.grounding_error = error.reshape(envs, -1)
    corpus.shelf_error = error.sum(axis=-1) * (1.0 / places)
    if added is not None:
        reground(arrays, corpus, seats, added)
    steering = seats.project(before.lift(corpus.steering))
    corpus.steering = arrays.empty(*steering.shape)  # contiguous, because newborns' steering is written to it in place
    corpus.steering[...] = steering / xp.maximum(arrays.max(xp.abs(steering)), 1.0)


def _parts(of_part: IntArray) -> IntArray:
    """[P] -> [M, Q]: the parts of every subspace, the first of them repeated; of one that is not there, itself."""
    every = [np.flatnonzero(of_part == number) for number in range(len(of_part))]
    most = max(map(len, every))
    rows = [[*parts, *[parts[0]] * (most - len(parts))] if len(parts) else [n] * most for n, parts in enumerate(every)]
    return np.array(rows)
