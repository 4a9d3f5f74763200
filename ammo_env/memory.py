"""What the platform remembers of the rounds so far: the raw material of features, never of rewards.

Everything here is fed by what was shown and by answers that have arrived; nothing is computed from a hidden
preference. Running averages decay by `DECAY` per round, a horizon of five rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.aipp import Feedback
from ammo_env.arrays import Array, row_starts

DECAY = 0.8
# Up to this many groups of liked items a product with indicators beats a scatter-add.
FEW_GROUPS = 64


@dataclass
class Impression:
    """One round's slates as they were shown, with the answers that are under way."""

    vectors: Array  # [E, U, S, D] the creations shown (a copy: shelves move on)
    creator: Array  # [E, U, S] goal buddy that made the item
    filled: Array  # [E, U, S] bool
    feedback: Feedback


@dataclass
class Memory:
    """Running statistics of a batch of worlds; the large ones, by human and creator, are written in place."""

    recent: Array  # [E, U, D] decayed mean of what the human was shown
    creator_answers: Array  # [E, U, G] sum of arrived answers to this creator's items
    creator_seen: Array  # [E, U, G] number of those answers
    answer_rate: Array  # [E, U] decayed mean answer
    liked: Array  # [E, X, D] decayed sum of items weighted by approval; by subspace (X = M) or by creator (X = G)
    goal_visibility: Array  # [E, G] visibility in the last round, summed over the shelf
    goal_exposure: Array  # [E, G] decayed mean of that
    goal_answers: Array  # [E, G] decayed mean answer to own items


def empty_memory(arrays: Any, envs: int, humans: int, goals: int, groups: int, dim: int) -> Memory:
    """Nothing seen yet; what is liked is kept in X = `groups` groups."""
    return Memory(
        recent=arrays.zeros(envs, humans, dim),
        creator_answers=arrays.zeros(envs, humans, goals),
        creator_seen=arrays.zeros(envs, humans, goals),
        answer_rate=arrays.zeros(envs, humans),
        liked=arrays.zeros(envs, groups, dim),
        goal_visibility=arrays.zeros(envs, goals),
        goal_exposure=arrays.zeros(envs, goals),
        goal_answers=arrays.zeros(envs, goals),
    )


def consume(arrays: Any, memory: Memory, impression: Impression, visibility: Array) -> None:
    """What was shown enters what the human recently saw: recent' = DECAY recent + (1 - DECAY) mean(slate).

    `visibility` [E, G] is that of each goal buddy's shelf.
    """
    weights = arrays.xp.astype(impression.filled, arrays.float32) * (1.0 / impression.filled.shape[-1])
    seen = arrays.xp.matmul(weights[..., None, :], impression.vectors)[..., 0, :]
    memory.recent = DECAY * memory.recent + (1.0 - DECAY) * seen
    memory.liked = DECAY * memory.liked
    memory.goal_visibility = visibility
    memory.goal_exposure = DECAY * memory.goal_exposure + (1.0 - DECAY) * visibility


def hear(
    arrays: Any, memory: Memory, impression: Impression, arrived: Array, group: Array
) -> tuple[Array, Array]:
    """Arrived answers enter the running statistics; `group` [E, U, S] is the group in which an item is liked.

    Returns the sum of the answers that arrived and their number, each [E, U].
    """
    envs, humans, goals = memory.creator_seen.shape
    there = arrays.xp.astype(arrived, arrays.float32)
    value, creator = impression.feedback.value * there, impression.creator
    by_human = creator + arrays.constant(row_starts, envs, humans, goals)
    arrays.add_at(memory.creator_answers, by_human, value)
    arrays.add_at(memory.creator_seen, by_human, there)
    by_world = creator + arrays.constant(row_starts, envs, 1, goals)
    answers, seen = (arrays.count(by_world, x, envs * goals).reshape(envs, goals) for x in (value, there))
    total, heard = value.sum(axis=-1), there.sum(axis=-1)
    memory.answer_rate = _moved(arrays, memory.answer_rate, total, heard)
    memory.goal_answers = _moved(arrays, memory.goal_answers, answers, seen)
    _like(arrays, memory, impression.vectors, value * (value > 0), group)
    return total, heard


def _moved(arrays: Any, average: Array, total: Array, count: Array) -> Array:
    """A running average after `count` new values that sum to `total`; unchanged where there is none."""
    fresh = total / arrays.xp.maximum(count, 1.0) - average
    return average + (1.0 - DECAY) * fresh * (count > 0)


def _like(arrays: Any, memory: Memory, vectors: Array, approval: Array, group: Array) -> None:
    """Items [E, U, S, D] join what is liked in their group [E, U, S], weighted by approval [E, U, S]."""
    envs, groups, dim = memory.liked.shape
    if groups <= FEW_GROUPS:
        inside = group.reshape(envs, 1, -1) == arrays.constant(np.arange, groups)[:, None]
        weights = inside * approval.reshape(envs, 1, -1)  # [E, X, U * S]
        memory.liked = memory.liked + arrays.xp.matmul(weights, vectors.reshape(envs, -1, dim))
    else:
        row = group + arrays.constant(row_starts, envs, 1, groups)
        cell = dim * row[..., None] + arrays.constant(np.arange, dim)
        arrays.add_at(memory.liked, cell, approval[..., None] * vectors)
