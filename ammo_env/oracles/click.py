"""Clicks on any number of slots, fewer the lower the slot."""

from __future__ import annotations

from typing import Any

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array
from ammo_env.oracles.protocol import bernoulli_variance, oracle, sigmoid


@oracle("click")
class ClickOracle:
    """Position-based click model: P(click on slot k) = decay^k * sigmoid(sharpness * (a - threshold)).

    Source: Craswell et al. 2008 (examination hypothesis) with a logistic attraction.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _probability(self, utility: Array) -> tuple[Array, Array, Array]:
        faults, slots = self._faults, utility.shape[-1]
        examined = self._arrays.asarray(
            [faults.position_decay**k for k in range(slots)], self._arrays.float32
        )
        attraction = sigmoid(self._arrays, faults.sharpness * (utility - faults.threshold))
        return examined * attraction, examined, attraction

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]:
        return self._arrays.as_float(uniform < self._probability(affinity)[0]), present

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        mean, examined, attraction = self._probability(utility)
        slope = examined * self._faults.sharpness * attraction * (1.0 - attraction)
        return mean, slope, bernoulli_variance(self._arrays, mean)
