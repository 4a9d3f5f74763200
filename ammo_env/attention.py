"""Attention: which candidates a user buddy is shown, and how its choice becomes a slate.

Retrieval is one function, `retrieve`, whatever index (`ammo_env.index`) gives the scores that it goes by. The K
candidates are retrieved in shares, one after the other, each from what those before it left, so that nothing is
shown twice: *semantic* (largest q_hat . e, best first), *social* (what the neighbours' humans just liked), *fresh*
(random or newest). A slate never holds a creation twice: a repeated choice leaves that slot empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.arrays import Array, BoolArray, row_starts
from ammo_env.config import AttentionConfig

BARRED = 1e6  # far below any score, endorsement or round


@dataclass
class Slates:
    """What the humans look at."""

    items: Array  # [E, U, S] creation index 0..C-1; meaningless where not filled
    filled: Array  # [E, U, S] bool


@dataclass(frozen=True)
class Sought:
    """What retrieval goes by, for some of the humans of all worlds."""

    scores: Array  # [E, U, C] belief scores q_hat . e
    born: Array  # [E, C] publication rounds
    endorsed: Array | None = None  # [E, U, C] by the neighbours' humans; None without a network
    barred: Array | None = None  # [E, U, C] bool: shown only where nothing else is left; None where nobody is rejected


# share(arrays, draws, sought, order, taken, count) -> order'. `order` [E, U, C] holds every creation once, those of the
# shares before in its first `taken` places; the share puts its own `count` behind them, best first.
Share = Callable[[Any, Any, Sought, Array, int, int], Array]


def retrieve(arrays: Any, draws: Any, sought: Sought, config: AttentionConfig) -> Array:
    """Candidates [E, U, K], no creation twice: the semantic share, then the social, then the fresh one."""
    taken, social, fresh = shares(config)
    order = arrays.ranked(last_if(arrays, sought.scores, sought.barred), taken)
    unknown = newest if config.fresh == "newest" else spread_out
    for count, share in ((social, endorsed), (fresh, unknown)):
        if count:
            order, taken = share(arrays, draws, sought, order, taken, count), taken + count
    return order[..., :taken]


def shares(config: AttentionConfig) -> tuple[int, int, int]:
    """How many of the K candidates are semantic, social and fresh."""
    shown = config.num_candidates
    fresh = round(shown * config.fresh_share)
    social = min(round(shown * config.social_share), shown - fresh)
    return shown - fresh - social, social, fresh


def endorsed(arrays: Any, draws: Any, sought: Sought, order: Array, taken: int, count: int) -> Array:
    """What the neighbours' humans liked most; among equals, what the shares before would have taken next."""
    left = order[..., taken:]
    cell = left + arrays.constant[row_starts, sought.scores.shape]
    first = arrays.ranked(arrays.take(last_if(arrays, sought.endorsed, sought.barred), cell), count)
    chosen = arrays.take(left, first + arrays.constant[row_starts, tuple(left.shape)])
    return arrays.xp.concat([order[..., :taken], chosen], axis=-1)


def newest(arrays: Any, draws: Any, sought: Sought, order: Array, taken: int, count: int) -> Array:
    """The latest publications, ties at random; what is left behind is not kept, so this share is the last."""
    born, left = sought.born, order[..., taken:]
    others = left + arrays.constant[row_starts, (len(born), 1, born.shape[-1])]
    key = arrays.take(born, others) + draws.uniform(*others.shape)
    if sought.barred is not None:
        key = last_if(arrays, key, arrays.take(sought.barred, left + arrays.constant[row_starts, order.shape]))
    return _behind(arrays, order, taken, arrays.top_k(key, count))


def spread_out(arrays: Any, draws: Any, sought: Sought, order: Array, taken: int, count: int) -> Array:
    """Systematic sampling of `count` of the other ranks: evenly spaced from a random start; a last share as well.

    Each rank is as likely as any other, and none is drawn twice.
    """
    envs, humans, live = order.shape
    others = live - taken
    uniform = draws.uniform(envs, humans, 1)
    if sought.barred is not None:
        return _spread_out_over_the_free(arrays, uniform, sought.barred, order, taken, count)
    return _behind(arrays, order, taken, evenly(arrays, uniform, others, count))


def evenly(arrays: Any, uniform: Array, size: Array | int, count: int) -> Array:
    """[E, U, count] of the places 0..size - 1, evenly spaced from a random start: `uniform` [E, U, 1] in [0, 1)."""
    start = arrays.as_int(uniform * size)
    return (start + size // count * arrays.constant[np.arange, count]) % size


def _spread_out_over_the_free(
    arrays: Any, uniform: Array, barred: Array, order: Array, taken: int, count: int
) -> Array:
    """The same over the ranks that are not barred, and over barred ones where those are fewer than `count`."""
    left = order[..., taken:]
    free = ~arrays.take(barred, left + arrays.constant[row_starts, order.shape])
    first = arrays.ranked(arrays.as_float(free), left.shape[-1])  # the free, in order, then the barred
    room = arrays.xp.clip(free.sum(axis=-1)[..., None], count, None)
    places = evenly(arrays, uniform, room, count)
    return _behind(arrays, order, taken, arrays.take(first, places + arrays.constant[row_starts, tuple(left.shape)]))


def last_if(arrays: Any, key: Array, barred: Array | None) -> Array:
    """A key to rank by, with what is barred behind everything else."""
    return key if barred is None else key - BARRED * arrays.as_float(barred)


def _behind(arrays: Any, order: Array, taken: int, places: Array) -> Array:
    """The first `taken` of the order, then those at `places` [E, U, count] of the rest."""
    chosen = arrays.take(order, places + taken + arrays.constant[row_starts, order.shape])
    return arrays.xp.concat([order[..., :taken], chosen], axis=-1)


def form_slates(arrays: Any, candidates: Array, positions: Array) -> Slates:
    """Candidate positions [E, U, S] -> slates; a position chosen again leaves its slot empty."""
    items = arrays.take(candidates, positions + arrays.constant[row_starts, candidates.shape])
    same = items[..., :, None] == items[..., None, :]
    repeated = (same & arrays.constant[_earlier, positions.shape[-1]]).any(axis=-1)
    return Slates(items, ~repeated)


def _earlier(slots: int) -> BoolArray:
    """[S, S]: does the column's slot come before the row's?"""
    return np.tri(slots, k=-1, dtype=np.bool_)
