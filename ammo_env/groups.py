"""Groups of like-minded humans: what a norm shift turns and whose consensus may reject a creator."""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.arrays import Array, IntArray, row_starts


def like_minded(arrays: Any, q: Array, groups: int) -> Array:
    """[E, U, D] preferences -> [E, U] group 0..groups - 1, of equal sizes up to one.

    Humans are ordered along the first coordinate, the principal axis on which people differ most, and cut into groups.
    """
    envs, people = q.shape[:2]
    order = arrays.ranked(q[..., 0], people)
    group = arrays.xp.zeros_like(order)
    place = order + arrays.constant[row_starts, (envs, people)]
    cut = arrays.constant[_cut, (people, groups)]
    arrays.put(group, place.reshape(-1), arrays.xp.concat([cut] * envs))
    return group


def _cut(size: tuple[int, int]) -> IntArray:
    """[U]: the group of each rank."""
    people, groups = size
    return np.arange(people, dtype=np.int64) * groups // people
