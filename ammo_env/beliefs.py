"""Beliefs: what a user buddy knows of its human, and the models that it may learn by.

Whatever the model, a belief is a mean and a variance per principal coordinate, from which scores, features and
bandits are made. A model turns answers into beliefs; it registers itself under the name that `beliefs.model` uses.
The default is an extended Kalman filter whose observation model is AiPP's: an answer y to item e has mean f(e.q),
slope f', variance r. The filter knows noise, position bias and rho. It does not know bait: what ungrounded content is
taken to add to an answer is the user buddy's guess (`Impression.assumed_bait`, bait_guess * provenance), in every model
here. With the default of 0 it is misled.
Items are absorbed one after the other; after each the covariance is projected on its diagonal.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ammo_env.aipp import Aipp
from ammo_env.arrays import Array, IntArray
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace

NOBODY: IntArray = np.arange(0)


@dataclass
class Beliefs:
    """Posterior of the hidden preferences."""

    mean: Array  # [E, U, D]
    variance: Array  # [E, U, D]
    own: dict[str, Array] = field(default_factory=dict)  # what else the model keeps, [E, U, ...] each


class BeliefModel(Protocol):
    """How a user buddy learns, for all humans of all worlds at once.

    `prior` is the belief of a new episode; `absorb` learns from the answers to one impression that `arrived`
    [E, U, S] now (bool); `forget` is the time update of one round of drift. None of them writes to the arrays of the
    belief it is given: what must last from round to round is in the `Beliefs` it returns, so that a saved world
    continues exactly. Of the impression a model may use what the user buddy saw and what was answered. `spread` is the
    standard deviation of q.e [E, U, K] for vectors [E, U, K, D], which it may overwrite; `draw` is a sample of q
    [E, U, D] from standard normal noise [E, U, D]. `remembered` are the rows of `MetaSpace.people` that the model knows
    by heart: none of them is drawn in training.
    """

    remembered: IntArray

    def prior(self, envs: int, humans: int) -> Beliefs: ...
    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs: ...
    def forget(self, beliefs: Beliefs) -> Beliefs: ...
    def spread(self, beliefs: Beliefs, vectors: Array) -> Array: ...
    def draw(self, beliefs: Beliefs, noise: Array) -> Array: ...


@runtime_checkable
class AllKnowing(Protocol):
    """A belief that the world tells the truth, before candidates are retrieved: for closed forms and yardsticks."""

    def told(self, q: Array) -> Beliefs: ...


BeliefFactory = Callable[[Any, AmmoConfig, MetaSpace, Aipp], BeliefModel]
BELIEFS: dict[str, BeliefFactory] = {}


def belief(name: str) -> Callable[[BeliefFactory], BeliefFactory]:
    """Register a belief model, built as `factory(arrays, config, space, aipp)`."""

    def register(factory: BeliefFactory) -> BeliefFactory:
        BELIEFS[name] = factory
        return factory

    return register


def make_belief(arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> BeliefModel:
    """The model of `beliefs.model`. Raises `ConfigError` for an unknown name."""
    name = config.beliefs.model
    if name not in BELIEFS:
        close = difflib.get_close_matches(name, sorted(BELIEFS), n=1, cutoff=0.0)
        raise ConfigError(
            f"beliefs.model '{name}' is not known; the nearest is '{close[0]}' (there are: "
            f"{', '.join(sorted(BELIEFS))})"
        )
    return BELIEFS[name](arrays, config, space, aipp)


@belief("kalman")
class KalmanBelief:
    """The filter of this module, from the population's moments or from ignorance."""

    remembered = NOBODY

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        self._arrays, self._aipp = arrays, aipp
        self._mean, self._variance = arrays.asarray(space.mean), arrays.asarray(space.variance)
        self._ignorant = config.beliefs.prior == "zero"
        self._rho, self._mode = config.humans.drift_rho, config.humans.drift_mode

    def prior(self, envs: int, humans: int) -> Beliefs:
        zeros = self._arrays.zeros(envs, humans, len(self._mean))
        if self._ignorant:
            return Beliefs(zeros, zeros + 1.0 / len(self._mean))
        return Beliefs(zeros + self._mean, zeros + self._variance)

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs:
        affinity = self._arrays.xp.matmul(sent.vectors, beliefs.mean[..., None])[..., 0] + sent.assumed_bait
        model = self._aipp.expectation(affinity, sent.filled, sent.feedback.subspace)
        return absorb(self._arrays, beliefs, sent.vectors, sent.feedback.value, arrived, model)

    def forget(self, beliefs: Beliefs) -> Beliefs:
        return forget(beliefs, self._rho, self._mode, self._mean, self._variance)

    def spread(self, beliefs: Beliefs, vectors: Array) -> Array:
        vectors *= vectors  # in place: the largest array of a round
        return self._arrays.xp.sqrt(self._arrays.xp.matmul(vectors, beliefs.variance[..., None])[..., 0])

    def draw(self, beliefs: Beliefs, noise: Array) -> Array:
        return beliefs.mean + self._arrays.xp.sqrt(beliefs.variance) * noise


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
