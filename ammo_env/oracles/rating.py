"""Ratings: the human states what it thinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array, FloatArray
from ammo_env.oracles.protocol import oracle


@oracle("rating")
class RatingOracle:
    """The human states the affinity itself: y = a, with variance noise^2 around the utility."""

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays = arrays
        self._variance = max(faults.noise**2, 1e-4)

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]:
        return affinity, present

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        one = self._arrays.constant[_ones, tuple(utility.shape)]
        return utility, one, one * self._variance


def _ones(shape: tuple[int, ...]) -> FloatArray:
    return np.ones(shape, dtype=np.float32)
