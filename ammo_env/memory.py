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

    item: Array  # [E, U, S] shelf place 0..C-1 of the creations shown; meaningless where not filled
    vectors: Array  # [E, U, S, D] the creations shown (a copy: shelves move on)
    creator: Array  # [E, U, S] goal buddy that made the item
    provenance: Array  # [E, U, S] noisy view of its grounding error, as the user buddy was shown it
    assumed_bait: Array  # [E, U, S] utility that the user buddy takes that to add to the answer
    filled: Array  # [E, U, S] bool
    feedback: Feedback
    credited: Array | None = None  # [E, U, S] bool: the creator is still there to be told; None: everybody is


@dataclass
class Memory:
    """Running statistics of a batch of worlds."""

    recent: Array  # [E, U, D] decayed mean of what the human was shown
    by_creator: Array  # [E, 2, U, G] arrived answers to this creator's items: their sum, and their number; in place
    answer_rate: Array  # [E, U] decayed mean answer
    liked: Array  # [E, X, D] decayed sum of items weighted by approval; by subspace (X = M) or by creator (X = G)
    goal_visibility: Array  # [E, G] visibility in the last round, summed over the shelf
    goal_exposure: Array  # [E, G] decayed mean of that
    goal_answers: Array  # [E, G] decayed mean answer to own items

    @property
    def creator_answers(self) -> Array:
        return self.by_creator[:, 0]

    @property
    def creator_seen(self) -> Array:
        return self.by_creator[:, 1]


def empty_memory(arrays: Any, envs: int, humans: int, goals: int, groups: int, dim: int) -> Memory:
    """Nothing seen yet; what is liked is kept in X = `groups` groups."""
    return Memory(
        recent=arrays.zeros(envs, humans, dim),
        by_creator=arrays.zeros(envs, 2, humans, goals),
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
    weight = arrays.as_float(impression.filled) * ((1.0 - DECAY) / impression.filled.shape[-1])
    seen = arrays.xp.matmul(weight[..., None, :], impression.vectors)[..., 0, :]
    memory.recent = DECAY * memory.recent + seen
    memory.liked = DECAY * memory.liked
    memory.goal_visibility = visibility
    memory.goal_exposure = DECAY * memory.goal_exposure + (1.0 - DECAY) * visibility


def hear(
    arrays: Any, memory: Memory, impression: Impression, arrived: Array, group: Array
) -> tuple[Array, Array]:
    """Arrived answers enter the running statistics; `group` [E, U, S] is the group in which an item is liked.

    Returns the sum of the answers that arrived and their number, each [E, U].
    """
    envs, _, _, goals = memory.by_creator.shape
    creator = impression.creator[:, None]
    heard = arrays.empty(envs, 2, *arrived.shape[1:])  # answers, and their number
    heard[:, 1] = arrived
    heard[:, 0] = impression.feedback.value * heard[:, 1]
    credited = heard if impression.credited is None else heard * arrays.as_float(impression.credited)[:, None]
    arrays.add_at(memory.by_creator, creator + arrays.constant[row_starts, memory.by_creator.shape], credited)
    seat = creator + arrays.constant[row_starts, (envs, 2, 1, goals)]
    by_goal = arrays.count(seat, credited, 2 * envs * goals).reshape(envs, 2, goals)
    memory.goal_answers = _moved(arrays, memory.goal_answers, by_goal)
    by_human = heard.sum(axis=-1)
    memory.answer_rate = _moved(arrays, memory.answer_rate, by_human)
    likes = credited if group is impression.creator else heard  # what its creator does not hear it does not learn from
    _like(arrays, memory, impression.vectors, arrays.xp.maximum(likes[:, 0], 0.0), group)
    return by_human[:, 0], by_human[:, 1]


def forget_creators(arrays: Any, memory: Memory, gone: Array, liked_by_creator: bool) -> None:
    """Others sit in the seats `gone` [E, G] from now on: nothing was shown of them and nothing said about them."""
    stays = arrays.as_float(~gone)
    memory.by_creator = memory.by_creator * stays[:, None, None]
    memory.goal_visibility = memory.goal_visibility * stays
    memory.goal_exposure = memory.goal_exposure * stays
    memory.goal_answers = memory.goal_answers * stays
    if liked_by_creator:
        memory.liked = memory.liked * stays[..., None]


def _moved(arrays: Any, average: Array, heard: Array) -> Array:
    """Running averages [E, N] after more values [E, 2, N], their sum and number; unchanged where there are none."""
    total, number = heard[:, 0], heard[:, 1]
    return average + (total - number * average) * ((1.0 - DECAY) / arrays.xp.maximum(number, 1.0))


def _like(arrays: Any, memory: Memory, vectors: Array, approval: Array, group: Array) -> None:
    """Items [E, U, S, D] join what is liked in their group [E, U, S], weighted by approval [E, U, S]."""
    envs, groups, dim = memory.liked.shape
    if groups <= FEW_GROUPS:
        inside = group.reshape(envs, 1, -1) == arrays.constant[np.arange, groups][:, None]
        weights = inside * approval.reshape(envs, 1, -1)  # [E, X, U * S]
        memory.liked = memory.liked + arrays.xp.matmul(weights, vectors.reshape(envs, -1, dim))
    else:
        row = group + arrays.constant[row_starts, (envs, 1, groups)]
        cell = dim * row[..., None] + arrays.constant[np.arange, dim]
        arrays.add_at(memory.liked, cell, approval[..., None] * vectors)
