"""Creations: what goal buddies put into the MetaSpace, on shelves of fixed size, paid for with energy.

Goal buddy i sits at its entity's vector a_i in subspace m. Publishing with steering s in [-1, 1]^A makes
e = normalise(a_i + kappa * W_m s), which overwrites its oldest shelf place. With `goal_buddies.norm` "free" it makes
e = a_i + kappa * W_m s: the direction is what is said, the length how well, and e.q grows with both. A creation's
index on the shelves is its identity: place l of goal buddy g is creation c = g * L + l, so that C = G * L.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.arrays import Array, normalise, row_starts
from ammo_env.creator_settings import GoalBuddyConfig
from ammo_env.seats import Seats

Write = Callable[[Array], tuple[Array, Array]]  # aims [E, G, D] -> vectors [E, G, D], sentences [E, G]


@dataclass
class Corpus:
    """The live creations of E worlds; only `publish`, `reground` and `restock` replace arrays or write into them."""

    vectors: Array  # [E, C, D] unit, unless the norm is free
    grounding_error: Array  # [E, C] distance to the nearest fact, [0, 2]
    provenance: Array  # [E, C] noisy view of the grounding error, fixed at publication
    born: Array  # [E, C] round of publication (0 for the first shelf)
    popularity: Array  # [E, C] decayed share of slates that held it
    oldest: Array  # [E, G] shelf place that the next publication overwrites
    energy: Array  # [E, G]
    steering: Array  # [E, G, A] steering of the last publication
    nearest_fact: Array  # [E, G] flat index of the fact nearest to the last publication
    shelf_error: Array  # [E, G] mean grounding error of the shelf
    sentence: Array | None = None  # [E, C] which sentence it is (`Writing`), where creations are written


def create(arrays: Any, anchors: Array, seats: Seats, steering: Array, scale: float, norm: str = "unit") -> Array:
    """e = normalise(a + kappa W s), or with a free `norm` a + kappa W s: anchors [E, G, D], steering [E, G, A] ->
    [E, G, D]."""
    made = anchors + scale * seats.lift(steering)
    return normalise(arrays, made) if norm == "unit" else made


def first_shelf(
    arrays: Any,
    draws: Any,
    anchors: Array,
    seats: Seats,
    config: GoalBuddyConfig,
    provenance_noise: float,
    write: Write | None = None,
) -> Corpus:
    """Full shelves at reset: every creation has steering uniform in [-initial_spread, initial_spread].

    `write` puts sentences in the place of the vectors aimed at.
    """
    xp, places = arrays.xp, config.shelf_size
    envs, goals, dim = anchors.shape
    drawn = arrays.permute(draws.uniform(envs, places, goals, config.steering_dim), (1, 0, 2, 3))
    spread = (drawn.reshape(places * envs, goals, -1) * 2.0 - 1.0) * config.initial_spread
    made = create(arrays, xp.concat([anchors] * places), seats, spread, config.steering_scale, config.norm)
    sentence = None
    if write is not None:
        parts = [write(made[start : start + envs]) for start in range(0, len(made), envs)]  # place by place
        made = xp.concat([part[0] for part in parts])
        sentence = xp.stack([part[1] for part in parts], axis=-1).reshape(envs, goals * places)
    nearest, error = seats.nearest_fact(made)
    vectors, errors = arrays.empty(envs, goals, places, dim), arrays.empty(envs, goals, places)
    vectors[...] = arrays.permute(made.reshape(places, envs, goals, dim), (1, 2, 0, 3))
    errors[...] = arrays.permute(error.reshape(places, envs, goals), (1, 2, 0))
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
        sentence=sentence,
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
    sentence: Array | None = None,
) -> Array:
    """Put new creations on the shelves of the willing that can pay; energy regrows. -> bool [E, G]: who did.

    `made` is (steering [E, G, A], vectors [E, G, D], flat nearest fact [E, G], grounding error [E, G]);
    `sentence` [E, G] is kept where creations are written.
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
    if sentence is not None:
        arrays.put(corpus.sentence, place, sentence.reshape(-1)[seat])
    corpus.oldest = (corpus.oldest + published) % config.shelf_size
    corpus.steering = xp.where(published[..., None], steering, corpus.steering)
    corpus.nearest_fact = xp.where(published, nearest, corpus.nearest_fact)
    left = xp.where(published, corpus.energy - config.publish_cost, corpus.energy)
    corpus.energy = xp.minimum(left + config.energy_regrowth, config.energy_cap)
    shelves = corpus.grounding_error.reshape(envs, goals, -1)
    corpus.shelf_error = shelves.sum(axis=-1) * (1.0 / config.shelf_size)
    return published


def reground(arrays: Any, corpus: Corpus, seats: Seats, added: Array) -> None:
    """Facts were added: grounding errors of live creations fall to the distance of an added fact that is nearer.

    `added` [E, M, B, D] as in `Seats.nearest_fact`. The provenance signal stays what it was at publication.
    """
    xp, (envs, goals) = arrays.xp, corpus.oldest.shape
    errors = corpus.grounding_error.reshape(envs, goals, -1)
    places = errors.shape[-1]
    shelves = corpus.vectors.reshape(envs, goals, places, -1)
    index, distance = seats.nearest_added(shelves, added)
    nearer = distance < errors
    errors = xp.where(nearer, distance, errors)
    newest = (corpus.oldest - 1) % places + arrays.constant[row_starts, (envs, goals, places)][..., 0]
    corpus.nearest_fact = xp.where(arrays.take(nearer, newest), arrays.take(index, newest), corpus.nearest_fact)
    corpus.grounding_error = errors.reshape(envs, -1)
    corpus.shelf_error = errors.sum(axis=-1) * (1.0 / places)


def restock(arrays: Any, corpus: Corpus, shelves: Corpus, seat: Array, source: Array, now: int) -> None:
    """Newborns' shelves: flat seats `seat` [n] become the flat seats `source` [n] of `shelves`, energy and all."""
    places = corpus.born.shape[1] // corpus.energy.shape[1]
    there, here = ((row[:, None] * places + arrays.constant[np.arange, places]).reshape(-1) for row in (seat, source))
    arrays.put_rows(corpus.vectors, there, arrays.take_rows(shelves.vectors, here))
    for name in ("grounding_error", "provenance", "popularity"):
        arrays.put(getattr(corpus, name), there, arrays.take(getattr(shelves, name), here))
    arrays.put(corpus.born, there, float(now))
    if corpus.sentence is not None:
        arrays.put(corpus.sentence, there, arrays.take(shelves.sentence, here))
    arrays.put_rows(corpus.steering, seat, arrays.take_rows(shelves.steering, source))
    for name in ("oldest", "energy", "nearest_fact", "shelf_error"):
        arrays.put(getattr(corpus, name), seat, arrays.take(getattr(shelves, name), source))
