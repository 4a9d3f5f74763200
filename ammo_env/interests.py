"""Interests: what else a human likes, some of it without knowing.

A human has I interests: the main one, the hidden preference q that forces move, and I - 1 side interests, which are the
preferences of other people of the pool and stay as they are. It likes an item by the best of them (Weston, Weiss & Yee
2013, nonlinear latent factorization):

    u(e) = max_i e.q_i                       what regret and welfare count
    u_felt(e) = max_{i awake} e.q_i          what answers follow

A *latent* interest sleeps until its human is shown an item with e.q_i > `humans.awakening`. The human feels it from the
moment it sees that item: the answers to that slate are the first that follow it. Since the truth counts what still
sleeps, user buddies that discover it can earn more than any that only learn from answers what is already felt.

A belief stays one q_hat per human, which does not fit a maximum of several: it is misspecified, and what it learns is
a compromise. `preference_gap` and `polarisation` are about the main interest alone.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array
from ammo_env.config import AmmoConfig
from ammo_env.forces import Own
from ammo_env.space import MetaSpace


class Interests:
    """Its own arrays, with J = I - 1: `side` [E, U, J, D] unit, `awake` [E, U, J] bool, and `found` [E, U], how many
    interests awoke in the last round."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace) -> None:
        self._arrays, humans = arrays, config.humans
        self._threshold = humans.awakening
        self._pool = arrays.asarray(space.preferences)
        known = humans.interests - 1 - humans.latent_interests
        self._awake = arrays.asarray([j < known for j in range(humans.interests - 1)])  # [J] at birth

    def begin(self, draws: Any, q: Array) -> Own:
        """Side interests are those of people drawn from the pool that the humans themselves come from."""
        arrays, (envs, humans, _), number = self._arrays, q.shape, self._awake.shape[0]
        someone = draws.integers(len(self._pool), envs, humans, number)
        found = arrays.zeros(envs, humans)
        asleep = (found != 0)[..., None]
        return {"side": arrays.take_rows(self._pool, someone), "awake": asleep | self._awake, "found": found}

    def utility(self, own: Own, main: Array, vectors: Array) -> Array:
        """max_i e.q_i [E, U, C] of items [E, C, D], where main [E, U, C] is e.q of the main interest."""
        xp, side = self._arrays.xp, own["side"]
        for number in range(side.shape[2]):
            main = xp.maximum(main, xp.matmul(side[:, :, number], vectors.mT))
        return main

    def meet(self, own: Own, q: Array, vectors: Array, filled: Array) -> tuple[Array, Own]:
        """The humans see items [E, U, S, D], in the slots that are filled -> what they feel about them [E, U, S],
        own' with what that awakened."""
        arrays, xp = self._arrays, self._arrays.xp
        likeness = xp.matmul(vectors, own["side"].mT)  # [E, U, S, J]
        woken = ((likeness > self._threshold) & filled[..., None]).any(axis=-2)
        awake = own["awake"] | woken
        felt = xp.matmul(vectors, q[..., None])[..., 0]
        for number in range(likeness.shape[-1]):
            known = awake[:, :, None, number]
            felt = xp.where(known, xp.maximum(felt, likeness[..., number]), felt)
        found = arrays.as_float(awake & ~own["awake"]).sum(axis=-1)
        return felt, {"side": own["side"], "awake": awake, "found": found}


def make_interests(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Interests | None:
    """None where every human has one interest."""
    return Interests(arrays, config, space) if config.humans.interests > 1 else None
