"""The humans: hidden unit preferences q, drawn from a pool, that drift.

Drift is parametrised by rho, the correlation of q over one round, so that it means the same at every D.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array, normalise


def isotropic_drift(arrays: Any, q: Array, rho: float, noise: Array) -> Array:
    """q' = rho q + sqrt(1 - rho^2) v with v the unit direction of `noise` orthogonal to q.

    q [..., D] unit, noise [..., D] standard normal -> unit [..., D] with q . q' = rho exactly, so that
    E[q_t . q_{t+l}] = rho^l at every D.
    """
    tangent = noise - arrays.vecdot(noise, q)[..., None] * q
    return normalise(arrays, rho * q + (1.0 - rho**2) ** 0.5 * normalise(arrays, tangent))


def population_drift(arrays: Any, q: Array, rho: float, noise: Array, mean: Array, deviation: Array) -> Array:
    """q' = unit(mu + rho (q - mu) + sqrt(1 - rho^2) sigma * noise), an Ornstein-Uhlenbeck step.

    q, noise [..., D]; population mean mu and deviation sigma [D] in principal coordinates. E[q . q'] is about
    rho + (1 - rho) |mu|^2.
    """
    return normalise(arrays, mean + rho * (q - mean) + (1.0 - rho**2) ** 0.5 * deviation * noise)


def drift(arrays: Any, draws: Any, q: Array, rho: float, mode: str, mean: Array, deviation: Array) -> Array:
    """One round of drift in the configured mode; rho = 1 leaves q as it is and draws nothing."""
    if rho == 1.0:
        return q
    noise = draws.normal(*q.shape)
    if mode == "isotropic":
        return isotropic_drift(arrays, q, rho, noise)
    return population_drift(arrays, q, rho, noise, mean, deviation)
