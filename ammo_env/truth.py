"""The belief of a user buddy that knows its human: for closed forms, games and yardsticks.

It is told q in every round, before candidates are retrieved, so that greedy is a user buddy that always chooses the
best, softmax one that chooses with probability proportional to exp(e.q / temperature), and the visibility that the
world pays is that of the creator games in the literature. With `beliefs.model: truth` the hidden preference reaches
what the user buddies of the world see, which no other setting does: what they earn there is no measure of learning.
"""

from __future__ import annotations

from typing import Any

from ammo_env.aipp import Aipp
from ammo_env.arrays import Array
from ammo_env.beliefs import NOBODY, Beliefs, belief
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace

DOUBT = 1e-12  # variance of what is known; above 0, as that of every belief


@belief("truth")
class Truth:
    """Mean q, variance `DOUBT`; of several interests the main one. Answers teach it nothing."""

    remembered = NOBODY

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        self._arrays, self._dim = arrays, space.dim

    def prior(self, envs: int, humans: int) -> Beliefs:
        nothing = self._arrays.zeros(envs, humans, self._dim)
        return Beliefs(nothing, nothing + DOUBT)

    def told(self, q: Array) -> Beliefs:
        """The belief of who knows the preferences [E, U, D]."""
        return Beliefs(q, self._arrays.zeros(*q.shape) + DOUBT)

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs:
        return beliefs

    def forget(self, beliefs: Beliefs) -> Beliefs:
        return beliefs

    def spread(self, beliefs: Beliefs, vectors: Array) -> Array:
        return self._arrays.xp.sqrt(self._arrays.vecdot(vectors, vectors) * DOUBT)

    def draw(self, beliefs: Beliefs, noise: Array) -> Array:
        return beliefs.mean + DOUBT**0.5 * noise
