"""Goal buddies that write: a creation is a sentence about its entity, and its vector the sentence's embedding.

What a goal buddy steers towards is as ever e = normalise(a + kappa W s); it then says whichever sentence about its
entity comes nearest, argmax_v e.s_v over the entity's V claims. Action spaces, observations and policies stay as they
are (the steering that was meant is what a goal buddy sees as its last), and what can be said bounds what can be
claimed: true, half true or false, but always a sentence that can be read.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array
from ammo_env.claims import Claims
from ammo_env.space import MetaSpace


class Writing:
    """The table of all sentences; sentence v about entity n has the number n * V + v."""

    def __init__(self, arrays: Any, claims: Claims) -> None:
        self._arrays = arrays
        entities, self._width, dim = claims.vectors.shape
        self._sentences = arrays.asarray(claims.vectors.reshape(-1, dim))  # [N V, D]
        self._by_entity = arrays.asarray(claims.vectors.reshape(entities, -1))  # [N, V D]
        self._truthful = arrays.asarray(claims.truthful.reshape(-1))  # [N V]
        self._texts = [text for row in claims.texts for text in row]

    def write(self, entity: Array, aim: Array) -> tuple[Array, Array]:
        """The sentences about entities [E, G] nearest to aims [E, G, D]: their vectors [E, G, D] and numbers [E, G]."""
        arrays, (envs, goals, dim) = self._arrays, aim.shape
        own = arrays.take_rows(self._by_entity, entity).reshape(envs, goals, self._width, dim)
        likeness = arrays.xp.matmul(own, aim[..., None])[..., 0]  # [E, G, V]
        sentence = entity * self._width + likeness.argmax(axis=-1)
        return arrays.take_rows(self._sentences, sentence), sentence

    def truthful(self, sentence: Array) -> Array:
        """Whether sentences are true, bool, by their numbers: hidden from the buddies."""
        return self._arrays.take(self._truthful, sentence)

    def texts(self, sentence: Array) -> list[list[str]]:
        """Sentences [E, C] by their numbers, to be read."""
        return [[self._texts[number] for number in row] for row in self._arrays.to_numpy(sentence).tolist()]


def make_writing(arrays: Any, space: MetaSpace) -> Writing | None:
    """None where there is nothing to write with: `goal_buddies.creations` is "steered"."""
    return None if space.claims is None else Writing(arrays, space.claims)
