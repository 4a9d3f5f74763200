"""Prototypes: a belief that remembers people, and takes a human for somebody like one of them.

    q = a p + r,    p one of P training people, seen from their mean, with weights w;    r ~ N(m, v), diagonal

The rest r starts at (mu, (1 - a^2) sigma^2), so that with equal weights q has the population's mean and variance. The
likeness a starts at how far a person is like the nearest prototype, which is measured in the training pool. Answers
move w and r by the filter's observation model, linearised at the belief's mean q_hat (exact for ratings; taken at each
p instead it was no better for clicks, and worse for choices). Each of the two parts takes for noise what the other does
not know, a mean-field split of the exact Gaussian-sum posterior, which would need a D x D matrix per human:

    log w_p -= sum_s (y_s - f_s - f'_s e_s.(a p + m - q_hat))^2 / 2 (R_s + f'_s^2 e_s^2.v)
    r: the Kalman update under noise R_s + f'_s^2 e_s^2.(a^2 var_w p)

Drift takes the human away from the prototype and into the rest: a' = rho a, and r forgets as the filter does. So with
time the belief goes over into the Kalman filter; where people are like nobody else (a = 0) it is one from the start.
The model also knows that ungrounded content pleases more: the affinity that an answer follows is taken to be
e.q + bait_guess * provenance, the noisy view of the grounding error that a user buddy is shown.
Sources: Alspach & Sorenson 1972 (Gaussian sums); West 1993 (mixtures shrunk so that they keep mean and variance).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.aipp import Aipp
from ammo_env.arrays import TINY, Array, FloatArray, IntArray
from ammo_env.beliefs import Beliefs, KalmanBelief, absorb, belief
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace

LOG_NOTHING = -40.0  # far below a rounding error of the sum; subnormal numbers would make a product ten times slower
VARIANCE_FLOOR = 1e-6  # a human exactly like one prototype would leave nothing to doubt


@belief("prototypes")
class PrototypeBelief:
    """`own` holds log_weight [E, U, P], likeness [E, U, 1], and the rest's rest_mean and rest_variance [E, U, D]."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        if config.beliefs.prior != "population":
            raise ConfigError(
                f"beliefs.model 'prototypes' knows the population, so beliefs.prior='{config.beliefs.prior}' "
                "cannot be: choose prior 'population' or model 'kalman'"
            )
        self._arrays, self._aipp = arrays, aipp
        self._kalman = KalmanBelief(arrays, config, space, aipp)  # what the rest begins with, and how it forgets
        self._bait, self._rho = config.beliefs.bait_guess, config.humans.drift_rho
        chosen = spread_out(len(space.people), config.beliefs.num_prototypes)
        self._likeness = likeness(space.people, chosen, space.mean)
        prototypes = space.people[chosen]
        prototypes = prototypes - prototypes.mean(axis=0)
        minus = np.full((1, len(chosen)), -1.0, dtype=np.float32)
        self._columns = arrays.asarray(np.concatenate([prototypes.T, minus]))  # [D + 1, P]
        self._moments = arrays.asarray(np.concatenate([prototypes, prototypes**2], axis=1))  # [P, 2D]

    def prior(self, envs: int, humans: int) -> Beliefs:
        zeros, rest = self._arrays.zeros, self._kalman.prior(envs, humans)
        rest.variance = rest.variance * (1.0 - self._likeness**2)
        like = zeros(envs, humans, 1) + self._likeness
        return self._joined(zeros(envs, humans, self._columns.shape[-1]), like, rest)

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs:
        arrays, xp, items = self._arrays, self._arrays.xp, sent.vectors
        like, rest = beliefs.own["likeness"], _rest(beliefs)
        believed = _along(xp, items, beliefs.mean)
        affinity = believed + self._bait * sent.provenance
        expected, slope, noise = self._aipp.expectation(affinity, sent.filled, sent.feedback.subspace)
        value, squares = sent.feedback.value, items * items
        from_rest = slope**2 * _along(xp, squares, rest.variance)
        from_prototypes = slope**2 * _along(xp, squares, beliefs.variance - rest.variance)
        # Answers scaled to variance 1/2, so that a squared gap is a log-likelihood; 0 where none has arrived.
        scale = xp.sqrt(0.5 * arrays.as_float(arrived) / (noise + from_rest))
        aim = scale * (value - expected + slope * (believed - _along(xp, items, rest.mean)))
        gap = self._gaps((scale * slope * like)[..., None] * items, aim)
        gap *= gap  # in place: the largest array of a round
        log_weight = beliefs.own["log_weight"] - gap.sum(axis=-2)
        learnt = absorb(arrays, rest, items, value, arrived, (expected, slope, noise + from_prototypes))
        return self._joined(log_weight - xp.max(log_weight, axis=-1, keepdims=True), like, learnt)

    def forget(self, beliefs: Beliefs) -> Beliefs:
        # The sum regresses as its parts do, so that no weight need be looked at again.
        if self._rho == 1.0:
            return beliefs
        whole, rest = self._kalman.forget(beliefs), self._kalman.forget(_rest(beliefs))
        like = self._rho * beliefs.own["likeness"]
        return Beliefs(whole.mean, whole.variance, _own(beliefs.own["log_weight"], like, rest))

    def _gaps(self, x: Array, aim: Array) -> Array:
        """x . prototype - aim: [E, U, S, D], [E, U, S] -> [E, U, S, P], as one product of matrices."""
        rows = self._arrays.xp.concat([x, aim[..., None]], axis=-1)
        return self._arrays.xp.matmul(rows.reshape(-1, rows.shape[-1]), self._columns).reshape(*aim.shape, -1)

    def _joined(self, log_weight: Array, like: Array, rest: Beliefs) -> Beliefs:
        """The moments of q = a p + r."""
        xp, (envs, humans, number) = self._arrays.xp, log_weight.shape
        weight = xp.exp(xp.clip(log_weight, LOG_NOTHING, None))
        moments = xp.matmul(weight.reshape(-1, number), self._moments).reshape(envs, humans, -1)
        moments /= weight.sum(axis=-1, keepdims=True)
        mean, square = moments[..., : rest.mean.shape[-1]], moments[..., rest.mean.shape[-1] :]
        variance = like**2 * (square - mean * mean) + rest.variance
        own = _own(log_weight, like, rest)
        return Beliefs(like * mean + rest.mean, xp.clip(variance, VARIANCE_FLOOR, None), own)


def spread_out(people: int, number: int) -> IntArray:
    """Indices of at most `number` of the people, evenly spaced and never twice."""
    if people <= number:
        return np.arange(people)
    return np.linspace(0, people - 1, number).round().astype(np.int64)


def likeness(people: FloatArray, chosen: IntArray, mean: FloatArray) -> float:
    """a in [0, 1]: the regression of a person on the nearest prototype, both from the population's mean.

    people [N, D] unit; chosen [P] are the prototypes among them. Nobody is compared with themselves.
    """
    cosine = people @ people[chosen].T
    cosine[chosen, np.arange(len(chosen))] = -np.inf
    person, nearest = people - mean, people[chosen[cosine.argmax(axis=1)]] - mean
    share = np.sum(person * nearest) / max(float(np.sum(nearest * nearest)), TINY)
    return float(np.clip(share, 0.0, 1.0))


def _rest(beliefs: Beliefs) -> Beliefs:
    return Beliefs(beliefs.own["rest_mean"], beliefs.own["rest_variance"])


def _own(log_weight: Array, like: Array, rest: Beliefs) -> dict[str, Array]:
    return {"log_weight": log_weight, "likeness": like, "rest_mean": rest.mean, "rest_variance": rest.variance}


def _along(xp: Any, items: Array, vector: Array) -> Array:
    """[E, U, S, D] . [E, U, D] -> [E, U, S]."""
    return xp.matmul(items, vector[..., None])[..., 0]
