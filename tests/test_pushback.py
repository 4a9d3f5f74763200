"""Push-back: whom a group rejects, for how long, and that a rejected creator is seen less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.attention import Sought, retrieve
from ammo_env.config import AttentionConfig
from ammo_env.memory import DECAY
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("latency", [0, 1])
def test_rejections_by_definition(
    groups: int, latency: int, small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """Fading sums, the threshold, and the rounds of rejection, recomputed answer by answer."""
    env = small_env(3, {
        "social.num_groups": groups, "aipp.latency": latency, "aipp.noise": 0.5, "episode.num_rounds": 20,
        "social.pushback": {"rejection_below": 0.3, "answers_needed": 2.0, "rejection_rounds": 3},
    })  # fmt: skip
    rng, rejections = np.random.default_rng(0), 0
    env.reset(seed=0)
    answers, number, left = (np.zeros((3, groups, 5)) for _ in range(3))
    sent: list[Any] = []
    for now in range(20):
        group, owner = env.world.state.own["pushback"]["group"], np.arange(10) // 2
        barred = env.world.state.own["pushback"]["barred"]
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        sent.append(env.last_round.impression)
        answers, number = answers * DECAY, number * DECAY
        if now >= latency:
            heard = sent[now - latency]
            for e, u, s in np.argwhere(heard.feedback.answered):
                cell = (e, group[e, u], heard.creator[e, u, s])
                answers[cell] += heard.feedback.value[e, u, s]
                number[cell] += 1
        rejected = (number >= 2.0) & (answers < 0.3 * number) & (left == 0)
        left = np.where(rejected, 3, np.maximum(left - 1, 0))
        answers[rejected] = number[rejected] = 0.0
        rejections += int(rejected.sum())
        own = env.world.state.own["pushback"]
        np.testing.assert_allclose(own["answers"], answers, atol=1e-4)
        np.testing.assert_allclose(own["number"], number, atol=1e-4)
        np.testing.assert_array_equal(own["left"], left)
        for e, u in np.ndindex(3, 4):
            np.testing.assert_array_equal(own["barred"][e, u], left[e, group[e, u], owner] > 0)
        assert barred.shape == (3, 4, 10)
    assert rejections > 3


@pytest.mark.parametrize("settings", [{}, {"fresh": "newest"}, {"social_share": 0.25}, {"fresh_share": 1.0}])
def test_the_rejected_are_shown_only_where_nothing_else_is_left(settings: dict[str, Any]) -> None:
    """In every share: with 10 of 20 barred none is among 8 candidates, with 15 barred all 5 free ones are."""
    rng = np.random.default_rng(0)
    scores, endorsed = (rng.standard_normal((3, 4, 20)).astype(np.float32) for _ in range(2))
    born = rng.integers(9, size=(3, 20)).astype(np.float32)
    config = AttentionConfig.model_validate({"num_candidates": 8, **settings})
    for number in (10, 15):
        barred = rng.random((3, 4, 20)).argsort(axis=-1) < number
        found = retrieve(ARRAYS, NumpyDraws(0), Sought(scores, born, endorsed, barred), config)
        assert (np.diff(np.sort(found, axis=-1), axis=-1) > 0).all()
        shown = np.take_along_axis(barred, found, axis=-1).sum(axis=-1)
        np.testing.assert_array_equal(shown, max(0, 8 - (20 - number)))


def test_with_nobody_barred_retrieval_is_as_without() -> None:
    rng = np.random.default_rng(0)
    scores, born = rng.standard_normal((3, 4, 20)).astype(np.float32), np.zeros((3, 20), np.float32)
    for fresh in ("random", "newest"):
        config = AttentionConfig.model_validate({"num_candidates": 8, "fresh": fresh})
        plain = retrieve(ARRAYS, NumpyDraws(0), Sought(scores, born), config)
        nobody = np.zeros(scores.shape, np.bool_)
        found = retrieve(ARRAYS, NumpyDraws(0), Sought(scores, born, None, nobody), config)
        np.testing.assert_array_equal(plain, found)


def visible(env: VectorEnv, act: RandomActions, rounds: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Visibility of every creator in each round, and whether all humans rejected it then, each [T, E, G]."""
    rng, seen, out = np.random.default_rng(0), [], []
    env.reset(seed=0)
    for _ in range(rounds):
        own = env.world.state.own.get("pushback")
        out.append(np.zeros((env.num_envs, 5), bool) if own is None else own["left"][:, 0] > 0)
        env.step(act(env, rng))
        seen.append(env.world.state.memory.goal_visibility)
    return np.array(seen), np.array(out)


def test_the_visibility_of_a_rejected_creator_falls(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """One group, slates at random: a rejected creator's visibility is 0, that of the others rises; without push-back
    the same creators in the same rounds had about the mean."""
    settings = {"attention.num_candidates": 4, "episode.num_rounds": 24}
    rejecting = {**settings, "social.pushback": {"rejection_below": 0.25, "answers_needed": 4.0}}
    seen, out = visible(small_env(50, rejecting), random_actions, 24)
    plain, _ = visible(small_env(50, settings), random_actions, 24)
    # While no more than three of five creators (six of ten creations) are out, four candidates can do without them.
    few = out.sum(axis=-1, keepdims=True) <= 3
    assert (out & few).sum() > 100
    assert seen[out & few].max() == 0.0
    assert seen[~out].mean() > plain.mean() > 0.3
    assert plain[out & few].mean() > 0.2
