"""AiPP: affinities and faults by subspace, mixed kinds, and feedback that comes late or never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ammo_env.aipp import Aipp, Feedback, Question
from ammo_env.aipp_settings import AippConfig
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.oracles import ORACLES
from ammo_env.settings import build
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]


def ask(config: dict[str, Any], utility: float, error: float, shape: tuple[int, ...] = (4000, 2, 3)) -> Feedback:
    """Many equal impressions; slot s shows an item of subspace s by goal buddy s, the last slot is empty."""
    aipp = Aipp(ARRAYS, build(AippConfig, config), 3)
    filled = np.broadcast_to(np.array([True, True, False]), shape)
    place = np.broadcast_to(np.arange(3), shape)
    utilities, errors = np.full(shape, utility, np.float32), np.full(shape, error, np.float32)
    draws = NumpyDraws(0)
    own = aipp.begin(draws, shape[0], shape[1], 3)
    return aipp.ask(draws, Question(utilities, errors, filled, place, place), own)


def test_affinity_is_utility_plus_bait_plus_noise() -> None:
    """Ratings at e.q = .2, error .5, bait .3, noise .5: mean .35, standard deviation .5, within 4 standard errors."""
    value = ask({"bait": 0.3, "noise": 0.5}, 0.2, 0.5).value[..., :2]
    assert value.mean() == pytest.approx(0.35, abs=4 * 0.5 / np.sqrt(value.size))
    assert value.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * value.size))


def test_every_subspace_has_its_own_bait_and_noise() -> None:
    """Subspace 1 is honest and silent: its ratings are the utility itself."""
    value = ask({"bait": 0.3, "noise": 0.0, "subspaces": {1: {"bait": 0.0}}}, 0.2, 0.5).value
    np.testing.assert_allclose(value[..., 0], 0.35, atol=1e-6)
    np.testing.assert_allclose(value[..., 1], 0.2, atol=1e-6)


def test_every_subspace_has_its_own_kind() -> None:
    """Ratings in subspace 0, clicks on slot 1 in subspace 1: a click is 0 or 1 at rate .7 / 2 (utility = threshold)."""
    value = ask({"bait": 0.0, "noise": 0.0, "subspaces": {1: {"kind": "click"}}}, 0.4, 0.0).value
    np.testing.assert_allclose(value[..., 0], 0.4, atol=1e-6)
    clicks = value[..., 1]
    assert set(np.unique(clicks)) == {0.0, 1.0}
    assert clicks.mean() == pytest.approx(0.35, abs=4 * np.sqrt(0.35 * 0.65 / clicks.size))


def test_scarce_answers() -> None:
    """response .3 in subspace 0 and 1 in subspace 1: shares within 4 standard errors; no answer has value 0."""
    feedback = ask({"subspaces": {0: {"response": 0.3}}}, 0.2, 0.5)
    heard = feedback.answered[..., 0]
    assert heard.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / heard.size))
    assert feedback.answered[..., 1].all()
    assert not feedback.answered[..., 2].any(), "an empty slot is never answered"
    assert (feedback.value[~feedback.answered] == 0).all()
    assert not ask({"response": 0.0}, 0.2, 0.5).answered.any()


def test_late_answers() -> None:
    """Latency 2 in subspace 0, 0 elsewhere: each answer arrives at exactly one delay."""
    config = {"subspaces": {0: {"latency": 2}}}
    aipp = Aipp(ARRAYS, build(AippConfig, config), 3)
    assert aipp.latencies == [0, 2]
    feedback = ask(config, 0.2, 0.5, (5, 2, 3))
    now, later = aipp.arrives_after(feedback, 0), aipp.arrives_after(feedback, 2)
    assert later[..., 0].all()
    assert not later[..., 1].any()
    np.testing.assert_array_equal(now ^ later, feedback.answered)


def test_the_observation_model_is_that_of_the_items_subspace() -> None:
    """Mixed kinds: the mean, slope and variance of each slot are its own oracle's."""
    aipp = Aipp(ARRAYS, build(AippConfig, {"noise": 0.5, "subspaces": {1: {"kind": "click"}, 2: {"noise": 2.0}}}), 3)
    utility = np.full((1, 1, 3), 0.4, np.float32)
    mean, slope, variance = aipp.expectation(utility, np.ones((1, 1, 3), bool), np.arange(3)[None, None])
    np.testing.assert_allclose(mean, [[[0.4, 0.35, 0.4]]], atol=1e-6)
    np.testing.assert_allclose(slope, [[[1.0, 0.7, 1.0]]], atol=1e-6)
    np.testing.assert_allclose(variance, [[[0.25, 0.2275, 4.0]]], atol=1e-6)


def test_choices_compete_only_within_their_aipp() -> None:
    """An item of another kind's subspace takes no part in the choice: its rating leaves the odds alone."""
    config = {"kind": "choice", "noise": 0.0, "bait": 0.0, "subspaces": {1: {"kind": "rating"}}}
    aipp = Aipp(ARRAYS, build(AippConfig, config), 2)
    subspace, filled = np.array([[[0, 1, 0]]]), np.ones((1, 1, 3), bool)
    mean, _, _ = aipp.expectation(np.array([[[0.4, 0.9, 0.4]]], np.float32), filled, subspace)
    np.testing.assert_allclose(mean, [[[1 / 3, 0.9, 1 / 3]]], atol=1e-6)


def test_the_same_stream_gives_the_same_answers() -> None:
    first, second = ask({"kind": "click", "response": 0.5}, 0.3, 0.1), ask({"kind": "click", "response": 0.5}, 0.3, 0.1)
    np.testing.assert_array_equal(first.value, second.value)
    np.testing.assert_array_equal(first.answered, second.answered)


# Every kind and every fault in one world, each subspace with its own.
MIXED: dict[str, Any] = {
    "knowledge.num_subspaces": len(ORACLES),
    "goal_buddies.num_goal_buddies": 2 * len(ORACLES),
    "attention.num_candidates": 2 * len(ORACLES),
    "attention.num_slots": len(ORACLES),
    "aipp.subspaces": {
        index: {"kind": kind, "latency": index, "response": 1.0 - 0.1 * index, "human_bias": 0.1 * index,
                "human_scale": 0.05 * index, "creator_bias": 0.1 * index, "inconsistency": 0.05 * index}
        for index, kind in enumerate(sorted(ORACLES))
    },
}  # fmt: skip


def test_all_kinds_and_faults_mix(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Every subspace is answered in its own kind: ratings are real numbers, all others 0 or 1; of each something is
    heard, and everything stays finite."""
    env = small_env(20, MIXED)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    heard: dict[str, list[float]] = {kind: [] for kind in ORACLES}
    for _ in range(8):
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        feedback = env.last_round.impression.feedback
        assert not (feedback.answered & ~env.last_round.impression.filled).any()
        assert (feedback.value[~feedback.answered] == 0).all()
        for index, kind in enumerate(sorted(ORACLES)):
            heard[kind] += feedback.value[feedback.answered & (feedback.subspace == index)].tolist()
    for kind, values in heard.items():
        assert len(values) > 100, kind
        assert (set(values) == {0.0, 1.0}) == (kind != "rating"), kind
    assert np.isfinite(env.world.state.beliefs.mean).all()


def test_pairs_are_formed_within_an_aipp(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """In a mixed world the comparisons answered in a slate are an even number, half of them won."""
    env = small_env(20, {**MIXED, "aipp.subspaces": {0: {"kind": "pairwise"}, 1: {"kind": "click"}}})
    env.reset(seed=0)
    env.step(random_actions(env, np.random.default_rng(0)))
    assert env.last_round is not None
    feedback = env.last_round.impression.feedback
    compared = feedback.answered & (feedback.subspace == 0)
    assert compared.any()
    np.testing.assert_array_equal(2 * (feedback.value * compared).sum(axis=-1), compared.sum(axis=-1))


def test_feedback_that_comes_after_the_end(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Latency 9 in an episode of 8 rounds: the world plays to its end, nothing is ever heard, and the belief is the
    prior to the last bit; with latency 7 exactly the answers of the first round arrive, in the last."""
    for latency, arrives in ((9, False), (8, False), (7, True)):
        env = small_env(3, {"aipp.latency": latency, "rewards.user_buddy": "feedback"})
        env.reset(seed=0)
        prior = env.world.belief.prior(3, 4)
        rng = np.random.default_rng(0)
        for now in range(8):
            _, rewards, _, truncations, _ = env.step(random_actions(env, rng))
            beliefs = env.world.state.beliefs
            learnt = bool((beliefs.mean != prior.mean).any() or (beliefs.variance != prior.variance).any())
            assert learnt == (arrives and now == 7), (latency, now)
            assert bool(rewards["user_buddy"].any()) == learnt
        assert truncations.all()


def test_answers_of_different_latency_arrive_each_in_its_time(
    small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """Latency 0 in subspace 0 and 3 in subspace 1: in round t what is heard is round t's answers there and round t-3's
    here, by number and by sum to 1e-4."""
    env = small_env(3, {"aipp.subspaces": {1: {"latency": 3}}})
    env.reset(seed=0)
    rng, asked = np.random.default_rng(0), []
    for now in range(8):
        before = env.world.state.memory.by_creator.copy()
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        asked.append(env.last_round.impression.feedback)
        due = [(asked[now], 0)] + ([(asked[now - 3], 1)] if now >= 3 else [])
        arrived = [(f.value, f.answered & (f.subspace == place)) for f, place in due]
        heard = (env.world.state.memory.by_creator - before).sum(axis=(2, 3))  # [E, 2]: sum and number
        number = sum(there.sum(axis=(1, 2)) for _, there in arrived)
        total = sum((value * there).sum(axis=(1, 2), dtype=np.float64) for value, there in arrived)
        np.testing.assert_array_equal(heard[:, 1], number)
        np.testing.assert_allclose(heard[:, 0], total, atol=1e-4)
