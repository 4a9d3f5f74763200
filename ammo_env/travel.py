"""Travel: a user buddy chooses which subspace to visit next; goal buddies stay in theirs.

The semantic share of a human's candidates comes from the subspace visited (and from elsewhere only where that has too
few creations); the other shares come from everywhere. Regret is against the whole live corpus, so travelling well
pays. To choose by, a user buddy sees where it is and, per subspace m, the largest q_hat . e of its live creations and
how unsure that is, the root mean variance of q . e over them:

    value_m = max_{e in m} q_hat . e        doubt_m = sqrt(sum_d variance_d mean_{e in m} e_d^2)

both 0 where nobody creates. Such a subspace is closed: who asks for it stays. Who is in a subspace that is merged into
another, or asks for it, comes to be in the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.seats import Seats
from ammo_env.state import State

Own = dict[str, Array]
AWAY = 8.0  # taken off the score of what is not in the subspace visited: more than scores differ by


class Travel:
    """Its own arrays: `place` [E, U] int, the subspace visited; `value` and `doubt` [E, U, P] by subspace."""

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays
        self._seats: Seats | None = None
        self._made: tuple[Array, Array]

    def begin(self, draws: Any, envs: int, humans: int, seats: Seats) -> Own:
        """Everybody starts in a random open subspace."""
        key = draws.uniform(envs, humans, seats.open.shape[0]) + self._arrays.as_float(seats.open)
        return {"place": key.argmax(axis=-1)}

    def move(self, own: Own, destination: Array | None, seats: Seats) -> Own:
        """To `destination` [E, U], as the subspaces are now; without one everybody stays."""
        take, asked = self._arrays.take, own["place"] if destination is None else destination
        here, there = take(seats.moved_to, own["place"]), take(seats.moved_to, asked)
        return {**own, "place": self._arrays.xp.where(take(seats.open, there), there, here)}

    def look(self, own: Own, state: State, seats: Seats) -> Own:
        """What every subspace is believed to hold."""
        arrays, xp, vectors = self._arrays, self._arrays.xp, state.corpus.vectors
        members, share = self._tables(seats)
        scores = xp.matmul(state.beliefs.mean, vectors.mT)  # [E, U, C]
        cell = members.reshape(-1) + arrays.constant[row_starts, tuple(scores.shape)]
        best = arrays.max(arrays.take(scores, cell).reshape(*scores.shape[:2], *members.shape))[..., 0]
        squares = xp.matmul(share, vectors * vectors)  # [E, P, D]
        spread = xp.matmul(state.beliefs.variance, squares.mT)
        return {**own, "value": best * arrays.as_float(seats.open), "doubt": xp.sqrt(spread)}

    def narrowed(self, scores: Array, place: Array, seats: Seats) -> Array:
        """Scores [E, U, C] to retrieve by: what is not in the subspace visited comes after everything that is."""
        away = seats.subspace_of_creation != place[..., None]
        return scores - AWAY * self._arrays.as_float(away)

    def seen(self, own: Own) -> Array:
        """What a user buddy sees [E, U, 3P]: where it is (one-hot), values, doubts."""
        arrays = self._arrays
        here = own["place"][..., None] == arrays.constant[np.arange, own["value"].shape[-1]]
        return arrays.xp.concat([arrays.as_float(here), own["value"], own["doubt"]], axis=-1)

    def _tables(self, seats: Seats) -> tuple[Array, Array]:
        """Members [P, Q] of every subspace, the first repeated; and the matrix [P, C] that averages over them."""
        if self._seats is not seats:
            where = self._arrays.to_numpy(seats.subspace_of_creation)
            inside = where == np.arange(seats.open.shape[0])[:, None]
            members = np.argsort(~inside, axis=1, kind="stable")[:, : inside.sum(axis=1).max()]
            members = np.where(np.take_along_axis(inside, members, 1), members, members[:, :1])
            share = (inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)).astype(np.float32)
            self._seats, self._made = seats, (self._arrays.asarray(members), self._arrays.asarray(share))
        return self._made


def make_travel(arrays: Any, config: AmmoConfig) -> Travel | None:
    """None where `attention.travel` is off."""
    return Travel(arrays) if config.attention.travel else None
