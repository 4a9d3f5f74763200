"""Compression: content that spans r of D dimensions, rotated into r, with every dot product as it was.

All content computations are dot products. With B [D, r] an orthonormal basis of the content's span,
x.y = (B^T x).(B^T y) for a content vector x and any y: exactly, whatever y has outside the span. Where r is smaller
than the span, x loses its part x' outside B and is stretched to unit length again, as is y, so that

    |error of x.y| <= 1 - sqrt((1 - |x'|^2)(1 - |y'|^2)) + |x'||y'|

which is 2 a^2 for two vectors that lose at most the length a (Cauchy-Schwarz; a sum is off by at most what it lost).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import FloatArray

Double = NDArray[np.float64]
RANK_TOLERANCE = 1e-6  # of the largest singular value; float32 rounding is 1e-7 of it


def content_basis(content: FloatArray, others: FloatArray, rank: int) -> tuple[Double, int]:
    """B [D, rank] orthonormal, and the rank of the content [n, D].

    The content's leading singular directions come first; what is left of the rank goes to the leading directions of
    what `others` [P, D] have outside of them.
    """
    _, values, directions = np.linalg.svd(content.astype(np.float64), full_matrices=False)
    needed = int((values > RANK_TOLERANCE * values[0]).sum())
    kept = directions[: min(rank, needed)]
    if len(kept) < rank:
        outside = others - others @ kept.T @ kept
        # The kept directions get the eigenvalue -1, all others at least 0: so they come last.
        _, vectors = np.linalg.eigh(outside.T @ outside / len(outside) - kept.T @ kept)
        kept = np.concatenate([kept, vectors[:, ::-1].T[: rank - len(kept)]])
    return np.ascontiguousarray(kept.T), needed


def into(basis: Double, rows: FloatArray) -> tuple[Double, float]:
    """Unit rows [..., D] in the basis, stretched to unit length, and the greatest length that one of them lost.

    A row of zeros stays zero; a row wholly outside becomes the last axis.
    """
    inside = rows @ basis
    lost = np.linalg.norm(rows - inside @ basis.T, axis=-1)
    length = np.linalg.norm(inside, axis=-1, keepdims=True)
    outside = (length[..., 0] < RANK_TOLERANCE) & (lost > RANK_TOLERANCE)
    inside[outside, -1], length[outside] = 1.0, 1.0
    return inside / np.maximum(length, RANK_TOLERANCE), float(lost.max(initial=0.0))


def into_orthonormal(basis: Double, columns: FloatArray) -> Double:
    """The orthonormal columns [D, A] nearest to given ones, in the basis: [r, A]; the same if nothing is lost."""
    left, _, right = np.linalg.svd(columns.T.astype(np.float64) @ basis, full_matrices=False)
    return np.asarray((left @ right).T)


def dot_bound(one: float, other: float) -> float:
    """Bound on the error of a dot product of unit vectors that lost at most these lengths: see above."""
    one, other = min(one, 1.0), min(other, 1.0)
    return 1.0 - float(np.sqrt((1.0 - one**2) * (1.0 - other**2))) + one * other

