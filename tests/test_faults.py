"""Faults of the humans: each by its formula, off without a trace, and off where a subspace says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.aipp import Aipp, Question
from ammo_env.aipp_settings import AippConfig
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.faults import FAULTS, Own
from ammo_env.settings import ConfigError, build
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
Floats = NDArray[np.float32]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]

ENVS, HUMANS, GOALS = 2000, 3, 4
ON: dict[str, dict[str, float]] = {
    "human": {"human_bias": 0.5, "human_scale": 0.3},
    "creator": {"creator_bias": 0.5},
    "mood": {"inconsistency": 0.3},
}


def rate(settings: dict[str, Any], utility: float = 0.2, rounds: int = 1) -> tuple[list[Floats], dict[str, Own]]:
    """Noiseless ratings of `rounds` equal slates: slot s holds an item of subspace s by goal buddy s."""
    aipp = Aipp(ARRAYS, build(AippConfig, {"noise": 0.0, "bait": 0.0, **settings}), GOALS)
    draws, shape = NumpyDraws(0), (ENVS, HUMANS, GOALS)
    own = aipp.begin(draws, ENVS, HUMANS, GOALS)
    place = np.broadcast_to(np.arange(GOALS), shape)
    question = Question(np.full(shape, utility, np.float32), np.zeros(shape, np.float32), np.ones(shape, bool),
                        place, place)  # fmt: skip
    return [aipp.ask(draws, question, own).value for _ in range(rounds)], own


def test_every_fault_is_tested() -> None:
    assert ON.keys() == FAULTS.keys()


def test_a_human_is_harsh_or_kind_all_the_time() -> None:
    """human_bias .5: a human adds the same constant to every item and round; over humans mean 0, deviation .5, each
    within 4 standard errors."""
    (first, again), _ = rate({"human_bias": 0.5}, rounds=2)
    np.testing.assert_array_equal(first, again)
    assert np.ptp(first, axis=-1).max() == 0.0
    offset = first[..., 0].astype(np.float64) - 0.2
    assert abs(offset.mean()) < 4 * 0.5 / np.sqrt(offset.size)
    assert offset.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * offset.size))


def test_a_human_exaggerates_or_shrugs() -> None:
    """human_scale .3: an opinion of .2 is told as .2 exp(.3 z), and an opinion of 0 as 0."""
    (told,), own = rate({"human_scale": 0.3})
    np.testing.assert_allclose(told, 0.2 * np.exp(0.3 * own["aipp"]["vigour"]) * np.ones(GOALS), atol=1e-6)
    factor = np.log(told[..., 0] / 0.2, dtype=np.float64)
    assert factor.std() == pytest.approx(0.3, abs=4 * 0.3 / np.sqrt(2 * factor.size))
    (silent,), _ = rate({"human_scale": 0.3}, utility=0.0)
    assert (silent == 0.0).all()


def test_a_creator_is_famous_with_everybody() -> None:
    """creator_bias .5: all humans of a world add the same constant to a creator's items, another in every world."""
    (told,), own = rate({"creator_bias": 0.5})
    assert np.ptp(told, axis=1).max() == 0.0
    np.testing.assert_allclose(told[:, 0], 0.2 + 0.5 * own["aipp"]["fame"], atol=1e-6)
    fame = told[:, 0].astype(np.float64) - 0.2
    assert fame.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2 * fame.size))


def test_asked_again_a_moody_human_says_something_else() -> None:
    """inconsistency .3: an answer is .2 with probability .7, else uniform in [-1, 1] (mean 0, variance 1/3); a repeated
    question gets the same answer with probability .49. All at 4 standard errors."""
    (first, again), _ = rate({"inconsistency": 0.3}, rounds=2)
    calm = np.isclose(first, 0.2)
    size = first.size
    assert calm.mean() == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / size))
    moods = first[~calm].astype(np.float64)
    assert moods.mean() == pytest.approx(0.0, abs=4 * np.sqrt(1 / 3 / moods.size))
    assert moods.var() == pytest.approx(1 / 3, abs=4 * np.sqrt((1 / 5 - 1 / 9) / moods.size))
    assert np.abs(moods).max() <= 1.0
    same = (first == again).mean()
    assert same == pytest.approx(0.49, abs=4 * np.sqrt(0.49 * 0.51 / size))


@pytest.mark.parametrize("name", sorted(ON))
def test_a_subspace_may_be_spared(name: str) -> None:
    """Off in subspace 2 alone: there the rating is the utility, elsewhere it is not."""
    settings: dict[str, Any] = {**ON[name], "subspaces": {2: dict.fromkeys(ON[name], 0.0)}}
    (told,), _ = rate(settings)
    assert (told[..., 2] == np.float32(0.2)).all()
    for place in (0, 1, 3):
        assert (told[..., place] != np.float32(0.2)).mean() > 0.25


@pytest.mark.parametrize("name", sorted(ON))
def test_one_subspace_alone_may_be_wrong(name: str) -> None:
    (told,), _ = rate({"subspaces": {1: ON[name]}})
    assert (told[..., [0, 2, 3]] == np.float32(0.2)).all()
    assert (told[..., 1] != np.float32(0.2)).mean() > 0.25


def test_off_they_cost_no_draw_and_keep_nothing(small_env: MakeEnv) -> None:
    env = small_env(3)
    env.reset(seed=0)
    assert "aipp" not in env.world.state.own


@pytest.mark.parametrize("name", sorted(ON))
def test_faults_draw_after_the_noise(name: str) -> None:
    """At a strength of 1e-12 the same stream gives the same noisy ratings as without the fault, to 1e-6."""
    shape, answers = (5, HUMANS, GOALS), []
    place = np.broadcast_to(np.arange(GOALS), shape)
    question = Question(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.ones(shape, bool), place, place)
    for strength in (0.0, 1e-12):
        aipp = Aipp(ARRAYS, build(AippConfig, dict.fromkeys(ON[name], strength)), GOALS)
        own = aipp.begin(NumpyDraws(1), 5, HUMANS, GOALS)
        assert bool(own) == (strength > 0)
        answers.append(aipp.ask(NumpyDraws(0), question, own).value)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


@pytest.mark.parametrize("name", sorted(ON))
def test_a_saved_world_keeps_its_faults(name: str, small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Restored elsewhere, three more rounds are answered bit-equal; another seed draws other humans."""
    env = small_env(3, {f"aipp.{key}": value for key, value in ON[name].items()})
    env.reset(seed=0)
    rng, twin = np.random.default_rng(0), VectorEnv(env.config, 3)
    env.step(random_actions(env, rng))
    twin.set_state(env.get_state())
    for _ in range(3):
        actions = random_actions(env, rng)
        env.step(actions)
        twin.step(actions)
        assert env.last_round is not None
        assert twin.last_round is not None
        np.testing.assert_array_equal(
            env.last_round.impression.feedback.value, twin.last_round.impression.feedback.value
        )


def test_a_state_saved_with_other_faults_is_refused(small_env: MakeEnv) -> None:
    """Both ways; and what each fault draws is what it says that it keeps."""
    plain, famous = small_env(2), small_env(2, {"aipp.creator_bias": 0.5})
    plain.reset(seed=0)
    famous.reset(seed=0)
    assert set(famous.world.state.own["aipp"]) == {"fame"}
    for env, other, keeps in ((plain, famous, "['fame']"), (famous, plain, "[]")):
        with pytest.raises(ValueError, match=re.escape(f"the faults of its humans keep {keeps}")):
            env.set_state(other.get_state())


def test_faults_stay_hidden(small_env: MakeEnv) -> None:
    """The first observations, before any answer, are those of a world whose humans are wrong in another way."""
    env = small_env(3, {"aipp.human_bias": 0.5, "aipp.creator_bias": 0.5})
    obs, _ = env.reset(seed=0)
    own = env.world.state.own["aipp"]
    own.update({key: -value for key, value in own.items()})
    for side, seen in env._observe().items():
        np.testing.assert_array_equal(seen, obs[side])


@pytest.mark.parametrize("name", sorted(ON))
def test_a_fault_misleads_a_belief(name: str, small_env: MakeEnv, random_actions: RandomActions) -> None:
    """No belief knows of it: after 40 rounds of random slates |q - q_hat| of 240 humans is larger than without the
    fault, by 4 standard errors of the paired difference."""
    gaps = []
    strong = {"human_bias": 1.0, "human_scale": 0.8} if name == "human" else {key: 2 * v for key, v in ON[name].items()}
    for settings in ({}, {f"aipp.{key}": value for key, value in strong.items()}):
        env = small_env(60, {"aipp.bait": 0.0, "num_rounds": 40, **settings})
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(40):
            env.step(random_actions(env, rng))
        state = env.world.state
        gaps.append(np.linalg.norm(state.q - state.beliefs.mean, axis=-1).reshape(-1).astype(np.float64))
    harm = gaps[1] - gaps[0]
    assert harm.mean() > 4 * harm.std(ddof=1) / np.sqrt(harm.size)


@pytest.mark.parametrize(("key", "value"), [("inconsistency", 1.5), ("human_bias", -0.1), ("creator_bias", -1.0)])
def test_a_strength_out_of_range_is_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: Input should be (greater|less) than or equal to"):
        build(AippConfig, {key: value})
