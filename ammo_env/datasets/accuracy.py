"""How well a fit predicts ratings that it has not seen: AUC, NDCG@10 and RMSE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray

LIKED = 4  # a rating of at least this is a film that the person liked


@dataclass(frozen=True)
class Accuracy:
    """How well held-out ratings are predicted; see `accuracy`."""

    auc: float
    ndcg: float
    rmse: float


def accuracy(person: IntArray, rating: FloatArray, score: FloatArray, prediction: FloatArray) -> Accuracy:
    """AUC and NDCG@10 of `score`, RMSE of `prediction`, over the same held-out ratings [R].

    AUC: the chance that a film which the person liked (rating ≥ 4) is scored above one which they did not,
    ties half. NDCG@10: gain 2^rating − 1, discount 1/log2(1 + rank), ties in the given order. Both are means
    over the people who have held-out films of both kinds; NaN where nobody has. RMSE is over all ratings.
    """
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    both = [rows for rows in groups if 0 < np.sum(rating[rows] >= LIKED) < len(rows)]
    if not both:
        return Accuracy(np.nan, np.nan, _rmse(rating, prediction))
    auc = np.mean([_auc(score[rows], rating[rows] >= LIKED) for rows in both])
    ndcg = np.mean([_ndcg(score[rows], 2.0 ** rating[rows] - 1.0) for rows in both])
    return Accuracy(float(auc), float(ndcg), _rmse(rating, prediction))


def _auc(score: FloatArray, liked: BoolArray) -> float:
    gap = score[liked][:, None] - score[~liked][None, :]
    return float(np.mean(gap > 0) + 0.5 * np.mean(gap == 0))


def _ndcg(score: FloatArray, gain: FloatArray, depth: int = 10) -> float:
    discount = 1.0 / np.log2(np.arange(2, min(depth, len(gain)) + 2))
    reached = gain[np.argsort(-score, kind="stable")][:depth] @ discount
    return float(reached / (np.sort(gain)[::-1][:depth] @ discount))


def _rmse(rating: FloatArray, prediction: FloatArray) -> float:
    return float(np.sqrt(np.mean((rating - prediction) ** 2)))
