"""Listening counts as dot products: implicit-feedback alternating least squares (Hu, Koren & Volinsky 2008).

That somebody never listened to an artist says little, that they did says more the oftener they did:

    min over X, Y of   Σ_{u,i} c_ui·(p_ui − x_u·y_i)²  +  λ·(Σ|x_u|² + Σ|y_i|²),   p = 1 if they listened, else 0,

with c_ui = 1 + α·ln(1 + plays). Only directions are kept in the end: e_i = y_i/|y_i| and q_u = x_u/|x_u|.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ammo_env.arrays import FloatArray, IntArray

CONFIDENCE = 5.0  # α
PENALTY = 100.0  # λ
START = 0.1  # standard deviation of the random start

Factors = NDArray[np.float64]


def fit_items(
    person: IntArray, item: IntArray, plays: FloatArray, sizes: tuple[int, int], dim: int, rng: np.random.Generator,
    passes: int = 10,
) -> Factors:  # fmt: skip
    """Factors y [I, D] of the items, of free length, from R counts; sizes = (people, items).

    `passes` alternations from a random start. Each half is exact; a pass costs R·D² multiplications and a D×D system
    for each person and item: .1 s for 1,474 people, 2,829 artists and D = 32. An item without listeners gets 0.
    """
    weights = _weights(person, item, plays, sizes)
    transposed = csr_array(weights.T)
    items: Factors = START * rng.standard_normal((sizes[1], dim))
    for _ in range(passes):
        items = _solve(_solve(items, weights), transposed)
    return items


def place_people(items: Factors, person: IntArray, item: IntArray, plays: FloatArray, num_people: int) -> Factors:
    """x [P, D]: the optimum given the items, for people whom they were fitted to and others; 0 without plays."""
    return _solve(items, _weights(person, item, plays, (num_people, len(items))))


def _weights(person: IntArray, item: IntArray, plays: FloatArray, sizes: tuple[int, int]) -> csr_array:
    """α·ln(1 + plays), sparse [P, I]."""
    return csr_array((CONFIDENCE * np.log1p(plays.astype(np.float64)), (person, item)), shape=sizes)


def _solve(fixed: Factors, weights: csr_array) -> Factors:
    """Rows x = (YᵀY + Σ w y yᵀ + λI)⁻¹ Σ (1 + w) y, the sums over what the row has weights for."""
    dim = fixed.shape[1]
    upper = np.triu_indices(dim)  # y yᵀ is symmetric: half of it is enough
    products = weights @ (fixed[:, upper[0]] * fixed[:, upper[1]])
    squares = np.empty((len(products), dim, dim))
    squares[:, upper[0], upper[1]] = squares[:, upper[1], upper[0]] = products
    squares += fixed.T @ fixed + PENALTY * np.eye(dim)
    confidence = weights.copy()
    confidence.data += 1.0
    return np.asarray(np.linalg.solve(squares, (confidence @ fixed)[..., None])[..., 0])
