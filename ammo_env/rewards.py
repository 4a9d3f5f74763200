"""Rewards: named terms, each a pure function of arrays; the world weighs and adds them.

regret R(S, q) = sum of the S largest e.q over the live corpus - sum of e.q over the slate, at least 0, and 0
iff the slate is a best one. An empty slot is scored as the worst live creation, so that leaving it empty
never pays.
"""

from __future__ import annotations

from typing import Any

from ammo_env.arrays import Array, row_starts


def slate_value(arrays: Any, worst: Array, shown: Array, filled: Array) -> Array:
    """Sum of e.q over a slate [E, U]; worst [E, U] of the live corpus, shown [E, U, S] of the slots."""
    return arrays.xp.where(filled, shown, worst[..., None]).sum(axis=-1)


def regret(best: Array, value: Array) -> Array:
    """R(S, q) = best - value, in utility units, at least 0 (rounding is clipped)."""
    gap = best - value
    return gap * (gap > 0)


def random_regret(best: Array, utility: Array, slots: int) -> Array:
    """Expected regret of a uniform slate of the live corpus: best - S * mean_c e_c.q, exact, [E, U]."""
    return best - utility.sum(axis=-1) * (slots / utility.shape[-1])


def group_mixture(arrays: Any, own: Array, societal: float) -> Array:
    """(1 - w) own + w mean over the group (all humans of the world): [E, U] -> [E, U]."""
    if societal == 0.0:
        return own
    return (1.0 - societal) * own + societal * arrays.xp.mean(own, axis=-1, keepdims=True)


def production_cost(arrays: Any, vectors: Array, exponent: float, goals: int) -> Array:
    """Mean |e| ** beta over each shelf: creations [E, C, D] -> [E, G], at least 0. Source: Jagadeesan et al. 2022."""
    lengths = arrays.xp.sqrt(arrays.vecdot(vectors, vectors)).reshape(len(vectors), goals, -1)
    return (lengths**exponent).sum(axis=-1) * (1.0 / lengths.shape[-1])


def visibility(arrays: Any, items: Array, filled: Array, live: int) -> Array:
    """Share of a world's slates that hold each creation [E, C], in [0, 1]; zero-sum over creations."""
    envs, humans, _ = items.shape
    flat = items + arrays.constant[row_starts, (envs, 1, live)]
    counts = arrays.count(flat, filled, envs * live)
    return counts.reshape(envs, live) * (1.0 / humans)
