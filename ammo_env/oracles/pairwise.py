"""Comparisons: which of two do you like better?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array, BoolArray
from ammo_env.oracles.protocol import bernoulli_variance, oracle, sigmoid


@oracle("pairwise")
class PairwiseOracle:
    """Bradley-Terry: P(i is preferred to j) = sigmoid(sharpness * (a_i - a_j)), answered 1 for i and 0 for j.

    Pairing: the items present, from the top, are taken two by two (first and second, third and fourth, ...), whatever
    slots they lie in. Each is compared once; the last of an odd number has no partner and no answer, so a slate with
    one item teaches nothing.

    Observation model per item, the partner's utility taken as known: mean p = sigmoid(b (u_i - u_j)), slope
    b p (1 - p), variance p (1 - p). A pair is one comparison seen from both ends. Absorbed as two answers its gradient
    is exact, (y - p) b e_i + ((1 - y) - (1 - p)) b e_j = (y - p) b (e_i - e_j), and of its information
    b^2 p (1 - p) (e_i - e_j)(e_i - e_j)^T only the cross terms -e_i e_j^T are left out: 0 on average.
    Source: Bradley & Terry 1952.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _partners(self, present: Array) -> Array:
        """[..., S, S] bool: is the column's item the partner of the row's?"""
        arrays = self._arrays
        slots = present.shape[-1]
        place = arrays.xp.cumulative_sum(arrays.as_float(present), axis=-1) - 1.0  # among those present
        pair = arrays.xp.floor(0.5 * place)
        both = present[..., :, None] & present[..., None, :] & arrays.constant[_others, slots]
        return both & (pair[..., :, None] == pair[..., None, :])

    def _wins(self, utility: Array, partner: Array) -> Array:
        """[..., S]: P(preferred to the partner); 1/2 where there is none."""
        xp = self._arrays.xp
        gap = xp.where(partner, utility[..., :, None] - utility[..., None, :], 0.0).sum(axis=-1)
        return sigmoid(self._arrays, self._faults.sharpness * gap)

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]:
        arrays, xp = self._arrays, self._arrays.xp
        partner = self._partners(present)
        won = uniform < self._wins(affinity, partner)
        upper = partner & ~arrays.constant[_earlier, present.shape[-1]]  # rows that lie above their partner decide
        value = xp.where(upper.any(axis=-1), won, (partner & ~won[..., None, :]).any(axis=-1))
        compared = partner.any(axis=-1)
        return arrays.as_float(value & compared), compared

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        partner = self._partners(present)
        mean = self._wins(utility, partner)
        slope = self._faults.sharpness * mean * (1.0 - mean) * partner.any(axis=-1)
        return mean, slope, bernoulli_variance(self._arrays, mean)


def _others(slots: int) -> BoolArray:
    return ~np.eye(slots, dtype=np.bool_)


def _earlier(slots: int) -> BoolArray:
    """[S, S]: does the column's slot come before the row's?"""
    return np.tri(slots, k=-1, dtype=np.bool_)
