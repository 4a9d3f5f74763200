"""The Kalman filter with its covariance: what an answer about one item says about all others.

    q ~ N(m, P);   answers y = f + H (q - q_hat) + noise, linearised at the mean q_hat; H's rows are f' e
    S = H P H^T + R = L diag(d) L^T,   u = L^-1 H P,   z = L^-1 (y - f)
    m' = m + sum_s u_s z_s / d_s,      P' = P - sum_s u_s u_s^T / d_s

All answers to a slate are taken in at once, which is exact for ratings. P is full over the R = `beliefs.rank` leading
principal coordinates of the population and diagonal over the others (at D <= R that is all of it; at D = 1536 a full
covariance would be 9.4 MB per human). The default filter projects P on its diagonal, which is cheaper per step and much
worse: it forgets that two items which look alike please alike (benchmarks/beliefs.md).
Sources: Kalman 1960; the elimination is an LDL^T factorisation (Golub & Van Loan 2013, section 4.1).
"""

from __future__ import annotations

from typing import Any

from ammo_env.aipp import Aipp
from ammo_env.arrays import Array, identity
from ammo_env.beliefs import NOBODY, Beliefs, KalmanBelief, belief
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace

VARIANCE_FLOOR = 1e-6  # hundreds of answers without noise would leave less than float32 can tell from 0


@belief("full_kalman")
class FullKalmanBelief:
    """`own` holds `covariance` [E, U, R, R]."""

    remembered = NOBODY

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace, aipp: Aipp) -> None:
        self._arrays, self._aipp = arrays, aipp
        self._diagonal = KalmanBelief(arrays, config, space, aipp)  # the same prior, and what forgetting does to it
        self._rank = min(space.dim, config.beliefs.rank)
        self._rho = config.humans.drift_rho

    def prior(self, envs: int, humans: int) -> Beliefs:
        start = self._diagonal.prior(envs, humans)
        return Beliefs(start.mean, start.variance, {"covariance": diagonal(self._arrays, start.variance, self._rank)})

    def absorb(self, beliefs: Beliefs, sent: Impression, arrived: Array) -> Beliefs:
        affinity = along(self._arrays, sent.vectors, beliefs.mean) + sent.assumed_bait
        expected, slope, noise = self._aipp.expectation(affinity, sent.filled, sent.feedback.subspace)
        items = (slope * arrived)[..., None] * sent.vectors
        surprise = ((sent.feedback.value - expected) * arrived)[..., None]
        pulls = spread_along(self._arrays, beliefs.own["covariance"], beliefs.variance, items)
        told, pivots = eliminate(self._arrays, pulls, items, noise, surprise)
        return learnt(self._arrays, beliefs.mean, beliefs.own["covariance"], beliefs.variance, told, pivots)

    def forget(self, beliefs: Beliefs) -> Beliefs:
        if self._rho == 1.0:
            return beliefs
        later = self._diagonal.forget(beliefs)
        later.own = {"covariance": aged(self._arrays, beliefs.own["covariance"], later.variance, self._rho)}
        return later

    def spread(self, beliefs: Beliefs, vectors: Array) -> Array:
        return spread(self._arrays, beliefs.own["covariance"], beliefs.variance, vectors)

    def draw(self, beliefs: Beliefs, noise: Array) -> Array:
        return drawn(self._arrays, beliefs, beliefs.own["covariance"], noise)


def diagonal(arrays: Any, variance: Array, rank: int) -> Array:
    """[E, U, D] -> [E, U, R, R]: the leading R variances on the diagonal."""
    return variance[..., :rank, None] * arrays.constant[identity, rank]


def along(arrays: Any, items: Array, vector: Array) -> Array:
    """[E, U, S, D] . [E, U, D] -> [E, U, S]."""
    return arrays.xp.matmul(items, vector[..., None])[..., 0]


def spread_along(arrays: Any, covariance: Array, variance: Array, items: Array) -> Array:
    """H P of rows H [E, U, S, D] -> [E, U, S, D]; P is `covariance` [E, U, R, R], `variance` [E, U, D] from R on."""
    rank = covariance.shape[-1]
    leading = arrays.xp.matmul(items[..., :rank], covariance)
    if rank == items.shape[-1]:
        return leading
    return arrays.xp.concat([leading, items[..., rank:] * variance[..., None, rank:]], axis=-1)


def eliminate(arrays: Any, pulls: Array, items: Array, noise: Array, *columns: Array) -> tuple[Array, Array]:
    """Forward elimination of S = H P H^T + R: (L^-1 [pulls, *columns] [E, U, S, X], pivots d [E, U, S]).

    pulls = H P and items = H [E, U, S, D], noise = diagonal of R [E, U, S], columns [E, U, S, any].
    """
    xp, slots = arrays.xp, items.shape[-2]
    rows = xp.concat([pulls, *columns, xp.matmul(pulls, items.mT)], axis=-1)
    gram, pivots = rows[..., -slots:], []  # a view: eliminated with the rest
    for slot in range(slots):
        pivots.append(gram[..., slot, slot] + noise[..., slot])
        if slot + 1 < slots:
            factor = gram[..., slot + 1 :, slot] / pivots[-1][..., None]
            rows[..., slot + 1 :, :] -= factor[..., None] * rows[..., slot, None, :]
    return rows[..., :-slots], xp.stack(pivots, axis=-1)


def learnt(arrays: Any, mean: Array, covariance: Array, variance: Array, told: Array, pivots: Array) -> Beliefs:
    """The posterior, from `eliminate` of [pulls, surprise]: told [E, U, S, D + 1], pivots d [E, U, S]."""
    xp, rank = arrays.xp, covariance.shape[-1]
    pulls, surprise = told[..., : mean.shape[-1]], told[..., mean.shape[-1] :]
    gains = pulls / pivots[..., None]
    mean = mean + xp.matmul(gains.mT, surprise)[..., 0]
    covariance = covariance - xp.matmul(gains[..., :rank].mT, pulls[..., :rank])
    variance = xp.maximum(variance - (gains * pulls).sum(axis=-2), xp.full_like(variance, VARIANCE_FLOOR))
    return Beliefs(mean, variance, {"covariance": covariance})


def aged(arrays: Any, covariance: Array, variance: Array, rho: float) -> Array:
    """rho^2 P + (1 - rho^2) diag(sigma^2), whose diagonal is the aged `variance` [E, U, D]."""
    rank = covariance.shape[-1]
    return arrays.xp.where(arrays.constant[identity, rank] > 0, variance[..., :rank, None], rho**2 * covariance)


def spread(arrays: Any, covariance: Array, variance: Array, vectors: Array) -> Array:
    """Standard deviation of q.e: sqrt(e^T P e) [E, U, K] of vectors [E, U, K, D]."""
    square = (spread_along(arrays, covariance, variance, vectors) * vectors).sum(axis=-1)
    return arrays.xp.sqrt(square * (square > 0))


def drawn(arrays: Any, beliefs: Beliefs, covariance: Array, noise: Array) -> Array:
    """A draw of N(mean, P) from standard normal noise, [E, U, D]."""
    xp, rank = arrays.xp, covariance.shape[-1]
    jitter = VARIANCE_FLOOR * arrays.constant[identity, rank]
    root = xp.linalg.cholesky(covariance + jitter)
    leading = xp.matmul(root, noise[..., :rank, None])[..., 0]
    rest = xp.sqrt(beliefs.variance[..., rank:]) * noise[..., rank:]
    return beliefs.mean + xp.concat([leading, rest], axis=-1)
