"""One choice per slate, or none."""

from __future__ import annotations

from typing import Any

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array
from ammo_env.oracles.protocol import bernoulli_variance, oracle


@oracle("choice")
class ChoiceOracle:
    """Multinomial logit with a no-click option.

    P(item i) = exp(b a_i) / (exp(b threshold) + sum_j exp(b a_j)), b = sharpness, j over the items present.
    At most one item of the slate is chosen. Source: McFadden 1974. The observation model treats the items'
    indicators as independent given their means.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _probability(self, utility: Array, present: Array) -> Array:
        xp, sharpness = self._arrays.xp, self._faults.sharpness
        logits = sharpness * (utility - self._faults.threshold)  # the no-click option has logit 0
        top = xp.maximum(
            xp.max(xp.where(present, logits, 0.0), axis=-1, keepdims=True), xp.zeros_like(logits[..., :1])
        )
        weights = xp.where(present, xp.exp(xp.where(present, logits, 0.0) - top), 0.0)
        return weights / (xp.exp(-top) + xp.sum(weights, axis=-1, keepdims=True))

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]:
        xp = self._arrays.xp
        upper = xp.cumulative_sum(self._probability(affinity, present), axis=-1)
        dart = uniform[..., :1]  # one draw decides the whole slate
        lower = xp.concat([xp.zeros_like(dart), upper[..., :-1]], axis=-1)
        return self._arrays.as_float((lower <= dart) & (dart < upper)), present

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        mean = self._probability(utility, present)
        slope = self._faults.sharpness * mean * (1.0 - mean)
        return mean, slope, bernoulli_variance(self._arrays, mean)
