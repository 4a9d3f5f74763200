"""Two halves of a cloud of unit vectors: 2-means on the sphere, seeded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray

ROUNDS = 100  # far more than it takes to settle


def two_means(vectors: FloatArray, seed: int) -> tuple[BoolArray, FloatArray]:
    """Which of the rows [n, D] belong to the second half [n], and the unit centres of both [2, D].

    Lloyd's algorithm with dot products for distances (Dhillon & Modha 2001), from a random row and the row least like
    it. Raises `ValueError` where there are not two different rows.
    """
    rows = vectors.astype(np.float64)
    first = rows[np.random.default_rng(seed).integers(len(rows))]
    centres = np.stack([first, rows[(rows @ first).argmin()]])
    if np.allclose(centres[0], centres[1]):
        raise ValueError("there are not two different vectors to divide")
    second = _nearer(rows, centres)
    for _ in range(ROUNDS):
        centres = np.stack([_unit(rows[~second].mean(axis=0)), _unit(rows[second].mean(axis=0))])
        moved = _nearer(rows, centres)
        if (moved == second).all() or moved.all() or not moved.any():
            break
        second = moved
    return second, centres.astype(np.float32)


def _nearer(rows: NDArray[np.float64], centres: NDArray[np.float64]) -> BoolArray:
    likeness = rows @ centres.T
    return np.asarray(likeness[:, 1] > likeness[:, 0])


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x / max(float(np.linalg.norm(x)), 1e-12))
