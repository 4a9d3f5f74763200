"""Attention: which candidates a user buddy is shown, and how its choice becomes a slate.

Retrieval is one function, `retrieve`, so that an exact scan and an index are interchangeable. The K
candidates are a semantic share (largest q_hat . e, best first) followed by a fresh share (random or newest)
of creations that the semantic share does not hold. A slate never holds a creation twice: a repeated choice
leaves that slot empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.arrays import Array, BoolArray, row_starts
from ammo_env.config import AttentionConfig


@dataclass
class Slates:
    """What the humans look at."""

    items: Array  # [E, U, S] creation index 0..C-1; meaningless where not filled
    filled: Array  # [E, U, S] bool


def retrieve(arrays: Any, draws: Any, scores: Array, born: Array, config: AttentionConfig) -> Array:
    """Candidates [E, U, K] from belief scores [E, U, C] and publication rounds [E, C]; no creation twice."""
    count = round(config.num_candidates * config.fresh_share)
    known = config.num_candidates - count
    order = arrays.ranked(scores, known)
    if count == 0:
        return order[..., :known]
    if config.fresh == "newest":
        others = order[..., known:] + arrays.constant[row_starts, (len(born), 1, born.shape[-1])]
        tie = draws.uniform(*others.shape)
        fresh = arrays.top_k(arrays.take(born, others) + tie, count)
    else:
        fresh = _spread_out(arrays, draws, scores.shape, known, count)
    fresh = arrays.take(order, fresh + known + arrays.constant[row_starts, scores.shape])
    return arrays.xp.concat([order[..., :known], fresh], axis=-1)


def _spread_out(arrays: Any, draws: Any, shape: tuple[int, int, int], known: int, count: int) -> Array:
    """Systematic sampling of `count` of the C - known other ranks: evenly spaced from a random start, [E, U, count].

    Each rank is as likely as any other, and none is drawn twice.
    """
    envs, humans, live = shape
    others = live - known
    start = arrays.as_int(draws.uniform(envs, humans, 1) * others)
    return (start + others // count * arrays.constant[np.arange, count]) % others


def form_slates(arrays: Any, candidates: Array, positions: Array) -> Slates:
    """Candidate positions [E, U, S] -> slates; a position chosen again leaves its slot empty."""
    items = arrays.take(candidates, positions + arrays.constant[row_starts, candidates.shape])
    same = items[..., :, None] == items[..., None, :]
    repeated = (same & arrays.constant[_earlier, positions.shape[-1]]).any(axis=-1)
    return Slates(items, ~repeated)


def _earlier(slots: int) -> BoolArray:
    """[S, S]: does the column's slot come before the row's?"""
    return np.tri(slots, k=-1, dtype=np.bool_)
