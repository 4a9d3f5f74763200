"""Beliefs: what a user buddy knows of its human, a Gaussian diagonal in principal coordinates.

An extended Kalman filter whose observation model is AiPP's: an answer y to item e has mean f(e.q), slope f',
variance r. The filter knows noise, position bias and rho; it does not know bait, and so is misled by it.
Items are absorbed one after the other; after each the covariance is projected on its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ammo_env.arrays import Array


@dataclass
class Beliefs:
    """Posterior of the hidden preferences."""

    mean: Array  # [E, U, D]
    variance: Array  # [E, U, D]


def absorb(
    arrays: Any,
    beliefs: Beliefs,
    items: Array,
    value: Array,
    arrived: Array,
    model: tuple[Array, Array, Array],
) -> Beliefs:
    """One Kalman update per slot.

    items [E, U, S, D]; value, arrived [E, U, S]; model = (mean, slope, variance) at the belief before the
    update, each [E, U, S]. The model is linearised once per slate; within it the innovation of a slot sees
    what the slots before it taught.
    """
    variance = beliefs.variance
    expected, slope, noise = model
    jacobians = (slope * arrived)[..., None] * items
    surprise = value - expected
    learnt: Array = 0.0  # what the slots so far added to the mean
    for slot in range(items.shape[-2]):
        jacobian = jacobians[..., slot, :]
        spread = variance * jacobian
        gain = spread / (arrays.vecdot(spread, jacobian) + noise[..., slot])[..., None]
        innovation = surprise[..., slot]
        if slot > 0:
            innovation = innovation - arrays.vecdot(jacobian, learnt)
        spread *= gain  # in place, as is the next product: at D = 1536 allocation would cost more than arithmetic
        variance = variance - spread
        gain *= innovation[..., None]
        learnt = learnt + gain
    return Beliefs(beliefs.mean + learnt, variance)


def forget(beliefs: Beliefs, rho: float, mode: str, mean: Array, variance: Array) -> Beliefs:
    """The time update that matches the drift: regress to the population (or to 0) and regain its variance.

    mean' = mu + rho (mean - mu), variance' = rho^2 variance + (1 - rho^2) sigma^2; in isotropic mode mu = 0
    and sigma^2 = 1/D.
    """
    if rho == 1.0:
        return beliefs
    keep = rho**2
    if mode == "isotropic":
        return Beliefs(rho * beliefs.mean, keep * beliefs.variance + (1.0 - keep) / beliefs.mean.shape[-1])
    return Beliefs(mean + rho * (beliefs.mean - mean), keep * beliefs.variance + (1.0 - keep) * variance)
