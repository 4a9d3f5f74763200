"""Mere exposure, norm shifts of a group, and the groups themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays
from ammo_env.groups import like_minded
from ammo_env.norms import turn_towards
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]


def sphere(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    x = rng.standard_normal(shape)
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def test_turning_is_by_the_angle_and_at_most_onto_the_target() -> None:
    """In the plane of q and the target; algebra at 1e-9 in float64."""
    rng = np.random.default_rng(0)
    q, target = sphere(rng, 50, 6), sphere(rng, 50, 6)
    apart = np.arccos(np.vecdot(q, target))
    turned = turn_towards(ARRAYS, q, target, 0.7)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.vecdot(q, turned), np.cos(np.minimum(apart, 0.7)), atol=1e-9)
    np.testing.assert_allclose(np.vecdot(turned, target), np.cos(np.maximum(apart - 0.7, 0.0)), atol=1e-9)
    np.testing.assert_allclose(turn_towards(ARRAYS, q, q, 0.7), q, atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_groups_are_cut_along_the_first_axis(groups: int) -> None:
    """Sizes differ by at most one, and nobody of a group lies beyond anybody of the next."""
    q = sphere(np.random.default_rng(0), 4, 7, 5).astype(np.float32)
    group = like_minded(ARRAYS, q, groups)
    for e in range(4):
        sizes = np.bincount(group[e], minlength=groups)
        assert sizes.max() - sizes.min() <= 1
        in_order = group[e][np.argsort(-q[e, :, 0])]
        np.testing.assert_array_equal(in_order, np.sort(group[e]))


def test_people_come_to_like_what_they_see(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """q' = unit(q + w mean of the slate), recomputed from the impression; affinity to what was seen rises."""
    env, rng = small_env(3, {"social.exposure.seen_weight": 0.3}), np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(5):
        q = env.world.state.q
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        seen = env.last_round.impression
        mean = (seen.vectors * seen.filled[..., None]).sum(axis=2) / 2
        moved = q + 0.3 * mean
        after = env.world.state.q
        np.testing.assert_allclose(after, moved / np.linalg.norm(moved, axis=-1, keepdims=True), atol=1e-6)
        assert (np.vecdot(after, mean) > np.vecdot(q, mean)).all()


def test_a_scheduled_shift_turns_one_group_of_every_world(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Only in the listed rounds; the humans of one group turn by the angle (or onto the target), the others not."""
    env = small_env(40, {"social.norm_shift": {"shift_rounds": [1, 3], "shift_angle": 0.5}, "social.num_groups": 2})
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    struck: list[int] = []
    for now in range(4):
        q = env.world.state.q
        env.step(random_actions(env, rng))
        turn = np.arccos(np.clip(np.vecdot(q.astype(np.float64), env.world.state.q), -1, 1))
        if now not in (1, 3):
            np.testing.assert_array_equal(env.world.state.q, q)
            continue
        group = env.world.state.own["norm_shift"]["group"]
        turns = turn > 1e-3
        assert turn.max() < 0.5 + 1e-3
        assert (np.abs(turn[turns] - 0.5) < 1e-3).mean() > 0.9  # the others were nearer to the target than that
        for e in range(40):
            hit = set(group[e][turns[e]])
            assert len(hit) <= 1  # 0 where they all thought like the target before
            struck += hit
    assert len(struck) > 70
    assert 10 < sum(struck) < 60  # either group


def test_shifts_come_at_their_rate(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """With one group and rate .2 a world shifts in 1 - exp(-.2) of its rounds, within 4 standard errors."""
    env, rng = small_env(400, {"social.norm_shift.shift_rate": 0.2}), np.random.default_rng(0)
    env.reset(seed=0)
    happened = []
    for _ in range(6):
        q = env.world.state.q
        env.step(random_actions(env, rng))
        happened.append((env.world.state.q != q).any(axis=(1, 2)))
    chance = 1 - np.exp(-0.2)
    assert abs(np.mean(happened) - chance) < 4 * np.sqrt(chance * (1 - chance) / 2400)
