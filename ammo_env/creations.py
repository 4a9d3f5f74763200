"""Creations: what goal buddies put into the MetaSpace, on shelves of fixed size, paid for with energy.

Goal buddy i sits at its entity's vector a_i in subspace m. Publishing with steering s in [-1, 1]^A makes
e = normalise(a_i + kappa * W_m s), which overwrites its oldest shelf place. A creation's index on the shelves
is its identity: place l of goal buddy g is creation c = g * L + l, so that C = G * L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.arrays import Array, normalise, row_starts
from ammo_env.config import GoalBuddyConfig
from ammo_env.space import MetaSpace

NO_FACT = -10.0  # added to the dot product with the padding of a set of facts: below any true one


class Seats:
    """World constants of the goal seats, on the backend: seat g creates in subspace g mod M."""

    def __init__(self, arrays: Any, space: MetaSpace, num_goals: int, shelf_size: int) -> None:
        self._arrays, self._space = arrays, space
        subspaces, num_facts, _ = space.facts.shape
        self._subspace = np.arange(num_goals) % subspaces
        self._subspaces, self._missing = subspaces, -num_goals % subspaces
        owner = np.repeat(np.arange(num_goals), shelf_size)  # [C]
        self.subspace = arrays.asarray(self._subspace)  # [G]
        self.owner = arrays.asarray(owner)  # [C] goal buddy of a creation
        self.subspace_of_creation = arrays.asarray(self._subspace[owner])  # [C]
        self.facts = arrays.asarray(space.facts)  # [M, F, D]
        self.first_fact = arrays.asarray(num_facts * self._subspace)  # [G] flat index
        self._basis = arrays.asarray(space.steering)  # [M, D, A]
        self._basis_rows = arrays.asarray(np.ascontiguousarray(np.swapaxes(space.steering, 1, 2)))  # [M, A, D]
        self._fact_columns = arrays.asarray(np.ascontiguousarray(np.swapaxes(space.facts, 1, 2)))  # [M, D, F]
        padding = np.where(space.fact_mask, 0.0, NO_FACT)[:, None]  # [M, 1, F]
        self._padding = None if space.fact_mask.all() else arrays.asarray(padding, arrays.float32)
        coords = np.matmul(space.facts, space.steering)  # [M, F, A]
        self._fact_coords = arrays.asarray(coords.astype(np.float32))
        self._shelf_size = shelf_size
        rivals = (self._subspace[:, None] == self._subspace) & ~np.eye(num_goals, dtype=np.bool_)  # [G, G]
        share = rivals / np.maximum(shelf_size * rivals.sum(axis=1, keepdims=True), 1)
        self._rivals = arrays.asarray(share, arrays.float32)  # averages the creations on the rivals' shelves
        self._ones = arrays.asarray(np.ones(shelf_size), arrays.float32)

    def settle(self, draws: Any, envs: int) -> Array:
        """Entities [E, G] of the seats' subspaces, drawn without repetition while there are enough."""
        xp, arrays = self._arrays.xp, self._arrays
        entity = xp.zeros((envs, len(self._subspace)), dtype=arrays.int64)
        for m in np.unique(self._subspace):
            seats, places = (
                np.flatnonzero(self._subspace == m),
                np.flatnonzero(self._space.entity_subspace == m),
            )
            order = arrays.top_k(draws.uniform(envs, len(places)), len(places))
            chosen = order[:, arrays.asarray(np.arange(len(seats)) % len(places))]
            entity[:, arrays.asarray(seats)] = arrays.asarray(places)[chosen]
        return entity

    def by_subspace(self, x: Array) -> Array:
        """[E, G, X] -> [M, E * P, X]: the P = ceil(G / M) seats of a subspace side by side, padded with zeros.

        What is constant over a subspace (its facts, its basis) is then one matrix product per subspace.
        """
        envs, _, size = x.shape
        if self._missing:
            x = self._arrays.xp.concat([x, self._arrays.zeros(envs, self._missing, size)], axis=1)
        seats = self._arrays.permute(x.reshape(envs, -1, self._subspaces, size), (2, 0, 1, 3))
        return seats.reshape(self._subspaces, -1, size)

    def by_seat(self, x: Array, envs: int) -> Array:
        """[M, E * P, X] -> [E, G, X]: the inverse of `by_subspace`."""
        size = x.shape[-1]
        seats = self._arrays.permute(x.reshape(self._subspaces, envs, -1, size), (1, 2, 0, 3))
        seats = seats.reshape(envs, -1, size)
        return seats[:, : -self._missing] if self._missing else seats

    def lift(self, steering: Array) -> Array:
        """W s of the seat's subspace: [E, G, A] -> [E, G, D]."""
        product = self._arrays.xp.matmul(self.by_subspace(steering), self._basis_rows)
        return self.by_seat(product, len(steering))

    def project(self, vectors: Array) -> Array:
        """W^T x of the seat's subspace: [E, G, D] -> [E, G, A]."""
        product = self._arrays.xp.matmul(self.by_subspace(vectors), self._basis)
        return self.by_seat(product, len(vectors))

    def mean_of_rivals(self, vectors: Array) -> Array:
        """Creations [E, C, D] -> mean of the other seats' creations in the seat's subspace [E, G, D], or 0."""
        xp, (envs, _, dim) = self._arrays.xp, vectors.shape
        shelves = xp.matmul(self._ones, vectors.reshape(envs, -1, self._shelf_size, dim))  # [E, G, D] sums
        return xp.matmul(self._rivals, shelves)

    def of_subspace(self, x: Array) -> Array:
        """[E, M, D] -> [E, G, D]: the row of each seat's subspace."""
        arrays, (envs, subspaces, _) = self._arrays, x.shape
        return arrays.take_rows(x, self.subspace + arrays.constant[row_starts, (envs, subspaces)])

    def fact_coords(self, nearest: Array) -> Array:
        """W^T f of facts by flat index: [E, G] -> [E, G, A]."""
        return self._arrays.take_rows(self._fact_coords, nearest)

    def nearest_fact(self, creations: Array) -> tuple[Array, Array]:
        """[E, G, D] unit -> flat index of the nearest own fact [E, G], and its distance in [0, 2] [E, G].

        The distance is taken between the vectors themselves: 2 - 2 cos loses half the digits near a fact.
        """
        xp, arrays = self._arrays.xp, self._arrays
        likeness = xp.matmul(self.by_subspace(creations), self._fact_columns)  # [M, E * P, F]
        if self._padding is not None:
            likeness = likeness + self._padding
        best = likeness.argmax(axis=-1)[..., None]
        nearest = self.by_seat(best, len(creations))[..., 0] + self.first_fact
        gap = creations - arrays.take_rows(self.facts, nearest)
        return nearest, xp.sqrt(arrays.vecdot(gap, gap))


@dataclass
class Corpus:
    """The live creations of E worlds; every array is replaced or written in place by `publish` alone."""

    vectors: Array  # [E, C, D] unit
    grounding_error: Array  # [E, C] distance to the nearest fact, [0, 2]
    provenance: Array  # [E, C] noisy view of the grounding error, fixed at publication
    born: Array  # [E, C] round of publication (0 for the first shelf)
    popularity: Array  # [E, C] decayed share of slates that held it
    oldest: Array  # [E, G] shelf place that the next publication overwrites
    energy: Array  # [E, G]
    steering: Array  # [E, G, A] steering of the last publication
    nearest_fact: Array  # [E, G] flat index of the fact nearest to the last publication
    shelf_error: Array  # [E, G] mean grounding error of the shelf


def create(arrays: Any, anchors: Array, seats: Seats, steering: Array, scale: float) -> Array:
    """e = normalise(a + kappa W s): anchors [E, G, D], steering [E, G, A] -> [E, G, D]."""
    return normalise(arrays, anchors + scale * seats.lift(steering))


def first_shelf(
    arrays: Any, draws: Any, anchors: Array, seats: Seats, config: GoalBuddyConfig, provenance_noise: float
) -> Corpus:
    """Full shelves at reset: every creation has steering uniform in [-initial_spread, initial_spread]."""
    xp, places = arrays.xp, config.shelf_size
    envs, goals, dim = anchors.shape
    drawn = arrays.permute(draws.uniform(envs, places, goals, config.steering_dim), (1, 0, 2, 3))
    spread = (drawn.reshape(places * envs, goals, -1) * 2.0 - 1.0) * config.initial_spread
    made = create(arrays, xp.concat([anchors] * places), seats, spread, config.steering_scale)
    nearest, error = seats.nearest_fact(made)
    vectors = arrays.permute(made.reshape(places, envs, goals, dim), (1, 2, 0, 3))
    errors = arrays.permute(error.reshape(places, envs, goals), (1, 2, 0))
    flat = (envs, goals * places)
    return Corpus(
        vectors=vectors.reshape(*flat, dim),
        grounding_error=errors.reshape(flat),
        provenance=errors.reshape(flat) + provenance_noise * draws.normal(*flat),
        born=arrays.zeros(*flat),
        popularity=arrays.zeros(*flat),
        oldest=xp.zeros_like(nearest[:envs]),
        energy=arrays.zeros(envs, goals) + config.energy_cap,
        steering=spread[-envs:],
        nearest_fact=nearest[-envs:],
        shelf_error=errors.sum(axis=-1) * (1.0 / places),
    )


def publish(
    arrays: Any,
    draws: Any,
    corpus: Corpus,
    made: tuple[Array, Array, Array, Array],
    willing: Array,
    config: GoalBuddyConfig,
    provenance_noise: float,
    now: int,
) -> Array:
    """Put new creations on the shelves of the willing that can pay; energy regrows. -> bool [E, G]: who did.

    `made` is (steering [E, G, A], vectors [E, G, D], flat nearest fact [E, G], grounding error [E, G]).
    """
    xp = arrays.xp
    steering, vectors, nearest, error = made
    envs, goals = willing.shape
    published = willing & (corpus.energy >= config.publish_cost)
    signal = error + provenance_noise * draws.normal(envs, goals)
    seat = xp.nonzero(published.reshape(-1))[0]
    place = seat * config.shelf_size + corpus.oldest.reshape(-1)[seat]
    arrays.put_rows(corpus.vectors, place, vectors.reshape(envs * goals, -1)[seat])
    arrays.put(corpus.grounding_error, place, error.reshape(-1)[seat])
    arrays.put(corpus.provenance, place, signal.reshape(-1)[seat])
    arrays.put(corpus.born, place, float(now))
    arrays.put(corpus.popularity, place, 0.0)
    corpus.oldest = (corpus.oldest + published) % config.shelf_size
    corpus.steering = xp.where(published[..., None], steering, corpus.steering)
    corpus.nearest_fact = xp.where(published, nearest, corpus.nearest_fact)
    left = xp.where(published, corpus.energy - config.publish_cost, corpus.energy)
    corpus.energy = xp.minimum(left + config.energy_regrowth, config.energy_cap)
    shelves = corpus.grounding_error.reshape(envs, goals, -1)
    corpus.shelf_error = shelves.sum(axis=-1) * (1.0 / config.shelf_size)
    return published
