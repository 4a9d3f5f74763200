"""Seats: where goal buddies sit, and the geometry of their subspaces.

Seat g creates in subspace g mod M, unless it is told where, and shares that subspace's facts and steering basis with
the other seats there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.arrays import Array, IntArray, normalise, row_starts
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace

NO_FACT = -10.0  # added to the dot product with the padding of a set of facts: below any true one


class Seats:
    """World constants of the goal seats, on the backend.

    `subspace` [G] is the subspace in which each seat creates, `home` [G] that whose entities it may be; by default both
    are g mod M. `norm` says whether creations are unit vectors ("unit") or have a length of their own ("free").
    """

    def __init__(
        self,
        arrays: Any,
        space: MetaSpace,
        num_goals: int,
        shelf_size: int,
        subspace: IntArray | None = None,
        home: IntArray | None = None,
        norm: str = "unit",
    ) -> None:
        self._arrays, self._shelf_size = arrays, shelf_size
        self._unit = norm == "unit"
        subspaces, num_facts, _ = space.facts.shape
        dealt = np.arange(num_goals) % subspaces
        subspace = dealt if subspace is None else subspace
        self._grid = None if (subspace == dealt).all() else tuple(map(arrays.asarray, _grid(subspace, subspaces)))
        owner = np.repeat(np.arange(num_goals), shelf_size)  # [C]
        self._missing = -num_goals % subspaces
        self.subspace = arrays.asarray(subspace)  # [G]
        self.open = arrays.asarray(np.isin(np.arange(subspaces), subspace))  # [M] does anybody create there?
        self.moved_to = arrays.asarray(np.arange(subspaces))  # [M] where who was in a subspace is now
        self.owner = arrays.asarray(owner)  # [C] goal buddy of a creation
        self.subspace_of_creation = arrays.asarray(subspace[owner])  # [C]
        self._rank = arrays.asarray(space.entity_subspace, arrays.float32)  # [N]
        home = subspace if home is None else home
        self._home = arrays.asarray(_homes(space, home))  # [G]
        count = np.bincount(space.entity_subspace, minlength=subspaces)
        self._choice = arrays.asarray(count[home])  # [G] entities that the seat may be
        self._first_choice = arrays.asarray((np.cumsum(count) - count)[home])  # [G] where they begin, by subspace
        same = np.triu(home[:, None] == home, 1)
        self._earlier_here = arrays.asarray(same, arrays.float32)  # [G, G] an earlier seat with the same entities
        self.facts = arrays.asarray(space.facts)  # [M, F, D]
        self.num_facts = subspaces * num_facts  # of the space, padding included
        self._first_fact = arrays.asarray(num_facts * subspace)  # [G] flat index
        self._basis = arrays.asarray(space.steering)  # [M, D, A]
        self._basis_rows = arrays.asarray(np.ascontiguousarray(np.swapaxes(space.steering, 1, 2)))  # [M, A, D]
        self._fact_columns = arrays.asarray(np.ascontiguousarray(np.swapaxes(space.facts, 1, 2)))  # [M, D, F]
        padding = np.where(space.fact_mask, 0.0, NO_FACT)[subspace]  # [G, F]
        self._padding = None if space.fact_mask.all() else arrays.asarray(padding, arrays.float32)
        coords = np.matmul(space.facts, space.steering)  # [M, F, A]
        self._fact_coords = arrays.asarray(coords.astype(np.float32))
        rivals = (subspace[:, None] == subspace) & ~np.eye(num_goals, dtype=np.bool_)  # [G, G]
        share = rivals / np.maximum(shelf_size * rivals.sum(axis=1, keepdims=True), 1)
        self._rivals = arrays.asarray(share, arrays.float32)  # averages the creations on the rivals' shelves
        self._ones = arrays.asarray(np.ones(shelf_size), arrays.float32)

    def settle(self, draws: Any, envs: int) -> Array:
        """Entities [E, G] of the seats' subspaces, drawn without repetition while there are enough."""
        key = draws.uniform(envs, *self._rank.shape) - self._rank
        order = self._arrays.top_k(key, key.shape[-1])  # subspace by subspace, in random order within each
        return order[:, self._home]

    def succeed(self, draws: Any, entity: Array, leaving: Array) -> Array:
        """New entities [E, G] for the seats that are `leaving` [E, G] bool; those of the others stay.

        Drawn from the seat's home without repetition: free entities first, then those that were just left, and
        only where there are no more those that somebody else holds.
        """
        arrays, xp, (envs, entities) = self._arrays, self._arrays.xp, (len(entity), len(self._rank))
        place = entity + arrays.constant[row_starts, (envs, entities)]
        grade = arrays.zeros(envs, entities) + 2.0
        arrays.put(grade, place[leaving], 1.0)
        arrays.put(grade, place[~leaving], 0.0)
        key = (draws.uniform(envs, entities) + grade) * (1.0 / 3.0) - self._rank
        order = arrays.top_k(key, entities)
        turn = arrays.as_int(xp.matmul(arrays.as_float(leaving), self._earlier_here)) % self._choice
        chosen = arrays.take(order, self._first_choice + turn + arrays.constant[row_starts, (envs, entities)])
        return xp.where(leaving, chosen, entity)

    def times(self, x: Array, tables: Array) -> Array:
        """Each seat's row times the table of its subspace: [E, G, X], [M, X, Y] -> [E, G, Y]."""
        arrays, (envs, goals, size) = self._arrays, x.shape
        if self._grid is not None:
            x = x[:, self._grid[0]]
        elif self._missing:  # for the same number P = ceil(G / M) of seats in every subspace
            x = arrays.xp.concat([x, arrays.zeros(envs, self._missing, size)], axis=1)
        seats = arrays.permute(x.reshape(envs, -1, len(tables), size), (1, 2, 0, 3))  # [P, M, E, X]
        product = arrays.permute(arrays.xp.matmul(seats, tables), (2, 0, 1, 3))
        product = product.reshape(envs, -1, tables.shape[-1])
        return product[:, :goals] if self._grid is None else product[:, self._grid[1]]

    def lift(self, steering: Array) -> Array:
        """W s of the seat's subspace: [E, G, A] -> [E, G, D]."""
        return self.times(steering, self._basis_rows)

    def project(self, vectors: Array) -> Array:
        """W^T x of the seat's subspace: [E, G, D] -> [E, G, A]."""
        return self.times(vectors, self._basis)

    def mean_of_rivals(self, vectors: Array) -> Array:
        """Creations [E, C, D] -> mean of the other seats' creations in the seat's subspace [E, G, D], or 0."""
        xp, (envs, _, dim) = self._arrays.xp, vectors.shape
        shelves = xp.matmul(self._ones, vectors.reshape(envs, -1, self._shelf_size, dim))  # [E, G, D] sums
        return xp.matmul(self._rivals, shelves)

    def by_subspace(self, x: Array) -> Array:
        """[E, P, D] of the parts that the world is made of -> [E, M, D] sums over the parts of each subspace."""
        return x

    def liked_group(self, creator: Array, subspace: Array) -> Array:
        """The part [E, U, S] to which what is liked of an item counts, by its creator and its subspace."""
        return subspace

    def of_subspace(self, x: Array) -> Array:
        """[E, M, D] -> [E, G, D]: the row of each seat's subspace."""
        arrays, (envs, subspaces, _) = self._arrays, x.shape
        return arrays.take_rows(x, self.subspace + arrays.constant[row_starts, (envs, subspaces)])

    def fact_coords(self, nearest: Array, added: Array | None = None) -> Array:
        """W^T f of facts by the flat index of `nearest_fact`: [E, G] -> [E, G, A]."""
        xp, arrays = self._arrays.xp, self._arrays
        if added is None:
            return arrays.take_rows(self._fact_coords, nearest)
        of_space = arrays.take_rows(self._fact_coords, xp.clip(nearest, None, self.num_facts - 1))
        of_episode = self.project(arrays.take_rows(added, xp.clip(nearest - self.num_facts, 0, None)))
        return xp.where((nearest >= self.num_facts)[..., None], of_episode, of_space)

    def nearest_fact(self, creations: Array, added: Array | None = None) -> tuple[Array, Array]:
        """[E, G, D] -> flat index of the nearest own fact [E, G], and its distance in [0, 2] [E, G].

        With a free norm that is the distance of the creation's direction: length is quality, and has no part in whether
        it is true. What has no direction (a zero vector) is 1 from every fact.
        The distance is taken between the vectors themselves: 2 - 2 cos loses half the digits near a fact.
        `added` [E, M, B, D] holds facts that an episode added to those of the space (`State.added_facts`); they are
        counted on from `num_facts`, world by world.
        """
        xp, arrays = self._arrays.xp, self._arrays
        creations = self.claims(creations)
        likeness = self.times(creations, self._fact_columns)  # [E, G, F]
        if self._padding is not None:
            likeness = likeness + self._padding
        nearest = likeness.argmax(axis=-1) + self._first_fact
        gap = creations - arrays.take_rows(self.facts, nearest)
        distance = xp.sqrt(arrays.vecdot(gap, gap))
        if added is None:
            return nearest, distance
        other, farther = (x[..., 0] for x in self.nearest_added(creations[:, :, None], added))
        return xp.where(farther < distance, other, nearest), xp.minimum(farther, distance)

    def claims(self, creations: Array) -> Array:
        """What creations [..., D] say, whatever their quality: unit vectors."""
        return creations if self._unit else normalise(self._arrays, creations)

    def nearest_added(self, creations: Array, added: Array) -> tuple[Array, Array]:
        """The same among the added facts [E, M, B, D] alone, for several creations of a seat: [E, G, L, D] -> [E, G, L]
        twice."""
        xp, arrays, (envs, subspaces, slots, dim) = self._arrays.xp, self._arrays, added.shape
        creations = self.claims(creations)
        own = self.of_subspace(added.reshape(envs, subspaces, -1)).reshape(envs, -1, slots, dim)
        group = self.subspace + arrays.constant[row_starts, (envs, subspaces)]  # [E, G] row of [E, M]
        row = slots * group[..., None] + xp.matmul(creations, own.mT).argmax(axis=-1)
        gap = creations - arrays.take_rows(added, row)
        return self.num_facts + row, xp.sqrt(arrays.vecdot(gap, gap))


def _homes(space: MetaSpace, subspace: IntArray) -> IntArray:
    """Places [G] of the seats when entities are ordered by subspace: the first seat of a subspace has its first.

    Raises `ConfigError` where a seat's subspace has no entity.
    """
    count = np.bincount(space.entity_subspace, minlength=len(space.facts))
    if not count[subspace].all():
        raise ConfigError("a subspace without entities has no place for a goal buddy: add entities or drop it")
    first = np.cumsum(count) - count
    return np.asarray(first[subspace] + turns(subspace) % count[subspace])


def turns(subspace: IntArray) -> IntArray:
    """[G] -> [G]: how many seats of its own subspace come before each."""
    order = np.argsort(subspace, kind="stable")
    start = np.searchsorted(subspace[order], subspace[order])
    result = np.empty_like(order)
    result[order] = np.arange(len(order)) - start
    return result


def _grid(subspace: IntArray, subspaces: int) -> tuple[IntArray, IntArray]:
    """Seats laid out as [P, M] flat, places without a seat holding any seat, and the place of each seat [G] in it."""
    turn = turns(subspace)
    place = turn * subspaces + subspace
    seats = np.zeros((turn.max() + 1) * subspaces, dtype=np.int64)
    seats[place] = np.arange(len(subspace))
    return seats, place
