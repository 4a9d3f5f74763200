"""The cascade: down the slate until something pleases."""

from __future__ import annotations

from typing import Any

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array
from ammo_env.oracles.protocol import bernoulli_variance, oracle, sigmoid


@oracle("cascade")
class CascadeOracle:
    """The human examines items from the top and stops at the first click; what lies below it is not answered.

    P(click | examined) = r = sigmoid(sharpness * (a - threshold)), so P(click on slot k) = r_k prod_{j<k} (1 - r_j),
    j over the items present. A skipped item is an answer of 0. Given that an item was examined its answer depends on
    itself alone, so the observation model (mean r, slope b r (1 - r), variance r (1 - r)) is exact.
    Source: Craswell et al. 2008 (cascade model) with a logistic attraction.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _attraction(self, utility: Array) -> Array:
        return sigmoid(self._arrays, self._faults.sharpness * (utility - self._faults.threshold))

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]:
        arrays = self._arrays
        pleased = arrays.as_float(present & (uniform < self._attraction(affinity)))
        earlier = arrays.xp.cumulative_sum(pleased, axis=-1) - pleased
        examined = present & (earlier == 0.0)
        return pleased * examined, examined

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        mean = self._attraction(utility)
        slope = self._faults.sharpness * mean * (1.0 - mean)
        return mean, slope, bernoulli_variance(self._arrays, mean)
