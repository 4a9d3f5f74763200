"""Prototypes: a belief that remembers people, and takes a human for somebody like one of them.

    q = a (p - p_bar) + r,    p one of P training people with weights w, p_bar their mean;    r ~ N(m, V)

The rest r starts at (mu, (1 - a^2) sigma^2), so that with equal weights q has the population's mean and variance. The
likeness a starts at how far a person is like the nearest prototype, which is measured in the training pool. Given the
prototype, the rest is the Kalman filter of `ammo_env.gaussian`, and its covariance is the same whoever the prototype
is; only its mean differs, and that linearly: m_p = m + (A - a) (p - p_bar) with one matrix A for all. So the posterior
over prototypes and rest is exact for ratings (elsewhere linearised at q_hat), in the filter's notation:

    log w_p -= sum_s (z_s - (L^-1 H A)_s (p - p_bar))^2 / 2 d_s
    A' = A - sum_s u_s (L^-1 H A)_s / d_s,    m and V as in the filter
    q_hat = m + A (p_bar_w - p_bar),          cov q = V + A cov_w(p) A^T

Drift takes the human away from the prototype and into the rest: A' = rho A, and r forgets as the filter does. So with
time the belief goes over into the Kalman filter; where people are like nobody else (a = 0) it is one from the start.
Beyond the filter's R leading coordinates prototypes say nothing.
Sources: Alspach & Sorenson 1972 (Gaussian sums); West 1993 (mixtures shrunk so that they keep mean and variance).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.aipp import Aipp
from ammo_env.arrays import TINY, Array, FloatArray, IntArray, identity
from ammo_env.beliefs import Beliefs, KalmanBelief, belief
from ammo_env.config import AmmoConfig
from ammo_env.gaussian import (
    VARIANCE_FLOOR,
    aged,
    along,
    diagonal,
    drawn,
    eliminate,
    learnt,
    spread,
    spread_along,
)
from ammo_env.memory import Impression
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace

LOG_NOTHING = -40.0  # far below a rounding error of the sum; subnormal numbers would make a product ten times slower


@belief("prototypes")
class PrototypeBelief:
    """`own` holds log_weight [E, U, P], bearing A [E, U, R, R], rest_mean [E, U, D], rest_variance [E, U, D],
    rest_covariance [E, U, R, R], and the covariance of the whole."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        if config.beliefs.prior != "population":
            raise ConfigError(
                f"beliefs.model 'prototypes' knows the population, so beliefs.prior='{config.beliefs.prior}' "
                "cannot be: choose prior 'population' or model 'full_kalman'"
            )
        self._arrays, self._aipp = arrays, aipp
        self._diagonal = KalmanBelief(arrays, config, space, aipp)  # what the rest begins with, and how it forgets
        self._rho = config.humans.drift_rho
        chosen = spread_out(len(space.people), config.beliefs.num_prototypes)
        self.remembered = chosen
        self._likeness = likeness(space.people, chosen, space.mean)
        self._rank = min(space.dim, config.beliefs.rank)
        prototypes = space.people[chosen][:, : self._rank]
        prototypes = prototypes - prototypes.mean(axis=0)
        minus = np.full((1, len(chosen)), -1.0, dtype=np.float32)
        self._columns = arrays.asarray(np.concatenate([prototypes.T, minus]))  # [R + 1, P]
        squares = (prototypes[:, :, None] * prototypes[:, None]).reshape(len(chosen), -1)
        self._moments = arrays.asarray(np.concatenate([prototypes, squares], axis=1))  # [P, R + R^2]

    def prior(self, envs: int, humans: int) -> Beliefs:
        start, rank = self._diagonal.prior(envs, humans), self._rank
        like = self._arrays.zeros(envs, humans, rank) + self._likeness
        left = start.variance[..., :rank] * (1.0 - self._likeness**2)
        variance = self._arrays.xp.concat([left, start.variance[..., rank:]], axis=-1) + VARIANCE_FLOOR
        rest = Beliefs(start.mean, variance, {"covariance": diagonal(self._arrays, variance, rank)})
        weights = self._arrays.zeros(envs, humans, self._columns.shape[-1])
        return self._joined(weights, diagonal(self._arrays, like, rank), rest)

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs:
        arrays, rest, dim, rank = self._arrays, _rest(beliefs), beliefs.mean.shape[-1], self._rank
        affinity = along(arrays, sent.vectors, beliefs.mean) + sent.assumed_bait
        expected, slope, noise = self._aipp.expectation(affinity, sent.filled, sent.feedback.subspace)
        items = (slope * arrived)[..., None] * sent.vectors
        surprise = (sent.feedback.value - expected) * arrived + along(arrays, items, beliefs.mean - rest.mean)
        pulls = spread_along(arrays, rest.own["covariance"], rest.variance, items)
        bearing = arrays.xp.matmul(items[..., :rank], beliefs.own["bearing"])
        told, pivots = eliminate(arrays, pulls, items, noise, surprise[..., None], bearing)
        bearing, aim = told[..., dim + 1 :], told[..., dim : dim + 1]
        gap = self._gaps(arrays.xp.concat([bearing, aim], axis=-1) * (0.5 / pivots)[..., None] ** 0.5)
        gap *= gap  # in place: the largest array of a round
        log_weight = beliefs.own["log_weight"] - gap.sum(axis=-2)
        gains = (told[..., :rank] / pivots[..., None]).mT
        return self._joined(
            log_weight - arrays.xp.max(log_weight, axis=-1, keepdims=True),
            beliefs.own["bearing"] - arrays.xp.matmul(gains, bearing),
            learnt(arrays, rest.mean, rest.own["covariance"], rest.variance, told[..., : dim + 1], pivots),
        )

    def forget(self, beliefs: Beliefs) -> Beliefs:
        # The sum regresses as its parts do, so that no weight need be looked at again.
        if self._rho == 1.0:
            return beliefs
        rest, rho = _rest(beliefs), self._rho
        whole, later = self._diagonal.forget(beliefs), self._diagonal.forget(rest)
        later.own = {"covariance": aged(self._arrays, rest.own["covariance"], later.variance, rho)}
        covariance = aged(self._arrays, beliefs.own["covariance"], whole.variance, rho)
        own = _own(beliefs.own["log_weight"], rho * beliefs.own["bearing"], later, covariance)
        return Beliefs(whole.mean, whole.variance, own)

    def spread(self, beliefs: Beliefs, vectors: Array) -> Array:
        return spread(self._arrays, beliefs.own["covariance"], beliefs.variance, vectors)

    def draw(self, beliefs: Beliefs, noise: Array) -> Array:
        return drawn(self._arrays, beliefs, beliefs.own["covariance"], noise)

    def _gaps(self, rows: Array) -> Array:
        """x . (p - p_bar) - aim of rows [x, aim] [E, U, S, R + 1] -> [E, U, S, P], as one product of matrices."""
        product = self._arrays.xp.matmul(rows.reshape(-1, rows.shape[-1]), self._columns)
        return product.reshape(*rows.shape[:-1], -1)

    def _joined(self, log_weight: Array, bearing: Array, rest: Beliefs) -> Beliefs:
        """The moments of q = A (p - p_bar) + r."""
        xp, (envs, humans, number), rank = self._arrays.xp, log_weight.shape, self._rank
        weight = xp.exp(xp.clip(log_weight, LOG_NOTHING, None))
        moments = xp.matmul(weight.reshape(-1, number), self._moments).reshape(envs, humans, -1)
        moments /= weight.sum(axis=-1, keepdims=True)
        mean = moments[..., :rank]
        among = moments[..., rank:].reshape(envs, humans, rank, rank) - mean[..., :, None] * mean[..., None, :]
        covariance = xp.matmul(xp.matmul(bearing, among), bearing.mT) + rest.own["covariance"]
        whole = rest.mean + 0.0
        whole[..., :rank] += along(self._arrays, bearing, mean)
        variance = rest.variance + 0.0
        variance[..., :rank] = (covariance * self._arrays.constant[identity, rank]).sum(axis=-1)
        own = _own(log_weight, bearing, rest, covariance)
        return Beliefs(whole, xp.clip(variance, VARIANCE_FLOOR, None), own)


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
    own = beliefs.own
    return Beliefs(own["rest_mean"], own["rest_variance"], {"covariance": own["rest_covariance"]})


def _own(log_weight: Array, bearing: Array, rest: Beliefs, covariance: Array) -> dict[str, Array]:
    return {
        "log_weight": log_weight,
        "bearing": bearing,
        "rest_mean": rest.mean,
        "rest_variance": rest.variance,
        "rest_covariance": rest.own["covariance"],
        "covariance": covariance,
    }
