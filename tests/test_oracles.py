"""Oracles: the contract that every registered one inherits, each by hand, and that a belief learns from each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import NumpyArrays
from ammo_env.oracles import ORACLES, PreferenceOracle, make_oracle
from ammo_env.settings import ConfigError
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]


def oracle_of(kind: str, **settings: Any) -> PreferenceOracle:
    return make_oracle(ARRAYS, AippFaults.model_validate({"kind": kind, **settings}))


def slate(seed: int, shape: tuple[int, ...] = (5, 3, 4)) -> tuple[Floats, Bools]:
    """Utilities in [-1, 1] and slots that hold an item, three quarters of them."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.0, 1.0, shape).astype(np.float32), rng.random(shape) < 0.75


@pytest.mark.parametrize("kind", sorted(ORACLES))
@pytest.mark.parametrize("settings", [{}, {"noise": 0.0}, {"sharpness": 1.0, "threshold": -0.3, "position_decay": 1.0}])
class TestOracleContract:
    """What a belief and a world rely on, whatever the oracle."""

    def test_answers_and_models_are_finite_float32_of_the_slate(self, kind: str, settings: dict[str, Any]) -> None:
        oracle, (utility, present) = oracle_of(kind, **settings), slate(0)
        uniform = np.random.default_rng(1).random(utility.shape, dtype=np.float32)
        value, answered = oracle.answer(utility, present, uniform)
        assert answered.shape == utility.shape
        assert answered.dtype == np.bool_
        for part in (value, *oracle.expectation(utility, present)):
            assert part.shape == utility.shape
            assert part.dtype == np.float32
            assert np.isfinite(part).all()

    def test_only_items_are_answered(self, kind: str, settings: dict[str, Any]) -> None:
        """An empty slot has no answer; of two items in a slate at least one has."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(1, (200, 3, 4))
        _, answered = oracle.answer(utility, present, np.random.default_rng(1).random(utility.shape, dtype=np.float32))
        assert not (answered & ~present).any()
        assert answered[present.sum(axis=-1) == 2].any(axis=-1).all()

    def test_the_variance_is_positive(self, kind: str, settings: dict[str, Any]) -> None:
        """A belief divides by it: at least 1e-4, also where the mean is certain."""
        utility = np.array([[-1.0, 1.0, 30.0, -30.0]], np.float32)
        _, _, variance = oracle_of(kind, **settings).expectation(utility, np.ones((1, 4), bool))
        assert (variance >= 1e-4).all()

    def test_the_expectation_is_the_mean_of_the_answers(self, kind: str, settings: dict[str, Any]) -> None:
        """200,000 questions about the same slate: within 4 standard errors of the answers that there are."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(2, (1, 2, 4))
        uniform = np.random.default_rng(3).random((200_000, 2, 4), dtype=np.float32)
        shape = uniform.shape
        value, answered = oracle.answer(np.broadcast_to(utility, shape), np.broadcast_to(present, shape), uniform)
        mean, _, _ = oracle.expectation(utility, present)
        number = np.maximum(answered.sum(axis=0), 1)
        measured = (value * answered).sum(axis=0, dtype=np.float64) / number
        spread = np.sqrt((answered * (value - measured) ** 2).sum(axis=0, dtype=np.float64) / number)
        assert (np.abs(measured - mean[0]) <= 4 * spread / np.sqrt(number) + 1e-6)[number > 100].all()
        assert (number > 100).sum() >= 4

    def test_the_slope_is_the_derivative_of_the_expectation(self, kind: str, settings: dict[str, Any]) -> None:
        """Central difference in each slot's own utility, step 1e-2: within 1e-3 of the slope."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(4)
        _, slope, _ = oracle.expectation(utility, present)
        for slot in range(utility.shape[-1]):
            nudge = np.zeros(utility.shape[-1], np.float32)
            nudge[slot] = 1e-2
            above, below = (oracle.expectation(utility + s * nudge, present)[0][..., slot] for s in (1, -1))
            difference = (above - below) / 2e-2
            np.testing.assert_allclose(difference[present[..., slot]], slope[..., slot][present[..., slot]], atol=1e-3)

    def test_a_better_item_is_answered_better(self, kind: str, settings: dict[str, Any]) -> None:
        """Slopes are never negative: more utility, at least as good an answer on average."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(5)
        assert (oracle.expectation(utility, present)[1] >= 0).all()

    def test_extremes_do_not_overflow(self, kind: str, settings: dict[str, Any]) -> None:
        """Sharpness 1e4 and utilities of 1e3 stay finite, without a warning."""
        oracle = oracle_of(kind, **{**settings, "sharpness": 1e4})
        utility = np.array([[-1e3, 1e3, 0.0]], np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parts = oracle.expectation(utility, np.ones((1, 3), bool))
        assert all(np.isfinite(part).all() for part in parts)

    def test_absent_items_do_not_matter(self, kind: str, settings: dict[str, Any]) -> None:
        """Whatever stands in an empty slot, the answers to the others are the same."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(6)
        uniform = np.random.default_rng(7).random(utility.shape, dtype=np.float32)
        other = np.where(present, utility, 5.0).astype(np.float32)
        for first, second in zip(
            (*oracle.answer(utility, present, uniform), *oracle.expectation(utility, present)),
            (*oracle.answer(other, present, uniform), *oracle.expectation(other, present)),
            strict=True,
        ):
            np.testing.assert_array_equal(first[present], second[present])


def test_the_oracles_that_ship() -> None:
    assert set(ORACLES) >= {"rating", "click", "choice", "pairwise", "cascade"}


def test_an_unknown_oracle_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"aipp\.kind 'ratng' is not known; the nearest is 'rating' \(there are: c"):
        oracle_of("ratng")


def test_a_rating_is_the_affinity() -> None:
    """y = a, slope 1, variance noise^2 = .25."""
    utility, present = slate(0)
    oracle = oracle_of("rating", noise=0.5)
    value, answered = oracle.answer(utility, present, utility)
    np.testing.assert_array_equal(value, utility)
    np.testing.assert_array_equal(answered, present)
    mean, slope, variance = oracle.expectation(utility, present)
    np.testing.assert_array_equal(mean, utility)
    assert (slope == 1.0).all()
    assert (variance == 0.25).all()


def test_click_probabilities_by_hand() -> None:
    """decay .7, sharpness 4, threshold .4: slot k at utility .4 is clicked with .7^k / 2; at .65 with .7^k .731059."""
    oracle = oracle_of("click")
    even, better = (oracle.expectation(np.full((1, 4), u, np.float32), np.ones((1, 4), bool)) for u in (0.4, 0.65))
    np.testing.assert_allclose(even[0], [[0.5, 0.35, 0.245, 0.1715]], atol=1e-6)
    np.testing.assert_allclose(even[1], [[1.0, 0.7, 0.49, 0.343]], atol=1e-6)
    np.testing.assert_allclose(even[2], [[0.25, 0.2275, 0.184975, 0.14208775]], atol=1e-6)
    np.testing.assert_allclose(better[0], 0.73105858 * np.array([[1.0, 0.7, 0.49, 0.343]]), atol=1e-6)


def test_choice_probabilities_by_hand() -> None:
    """sharpness ln 2 / .1, threshold .4: utilities (.4, .5, .3, absent .9) weigh 1, 2, .5 against 1 for no click."""
    oracle = oracle_of("choice", sharpness=float(np.log(2) / 0.1), threshold=0.4)
    present = np.array([[True, True, True, False]])
    mean, slope, _ = oracle.expectation(np.array([[0.4, 0.5, 0.3, 0.9]], np.float32), present)
    np.testing.assert_allclose(mean, [[1 / 4.5, 2 / 4.5, 0.5 / 4.5, 0.0]], atol=1e-5)
    np.testing.assert_allclose(slope, np.log(2) / 0.1 * mean * (1 - mean), atol=1e-4)


def test_at_most_one_item_is_chosen() -> None:
    utility, present = slate(0, (2000, 1, 4))
    uniform = np.random.default_rng(0).random(utility.shape, dtype=np.float32)
    answers, answered = oracle_of("choice").answer(utility, present, uniform)
    np.testing.assert_array_equal(answered, present)
    assert set(np.unique(answers)) == {0.0, 1.0}
    assert answers.sum(axis=-1).max() == 1
    assert answers[~present].sum() == 0
    assert (answers.sum(axis=-1) == 0).any(), "no click is an option"


def test_comparisons_by_hand() -> None:
    """sharpness ln 3 / .1, slots (.5, empty, .4, .7, .9, .1): .5 meets .4 (3 to 1), .7 meets .9 (1 to 9), .1 nobody."""
    oracle = oracle_of("pairwise", sharpness=float(np.log(3) / 0.1))
    utility = np.array([[0.5, 9.0, 0.4, 0.7, 0.9, 0.1]], np.float32)
    present = np.array([[True, False, True, True, True, True]])
    mean, slope, variance = (part[0] for part in oracle.expectation(utility, present))
    paired = [0, 2, 3, 4]
    np.testing.assert_allclose(mean[paired], [0.75, 0.25, 0.1, 0.9], atol=1e-5)
    np.testing.assert_allclose(slope[paired], np.log(3) / 0.1 * np.array([0.1875, 0.1875, 0.09, 0.09]), atol=1e-4)
    np.testing.assert_allclose(variance[paired], [0.1875, 0.1875, 0.09, 0.09], atol=1e-5)
    assert slope[5] == 0.0, "nobody to compare with teaches nothing"
    uniform = np.array([[0.74, 0.0, 0.0, 0.11, 0.99, 0.0]], np.float32)
    value, answered = oracle.answer(utility, present, uniform)
    np.testing.assert_array_equal(answered, [[True, False, True, True, True, False]])
    np.testing.assert_array_equal(value, [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]])


def test_one_of_a_pair_wins() -> None:
    """Of 2000 slates of four, 0 to 4 of them there: as many wins as pairs, and answers from both ends of each pair."""
    utility, present = slate(3, (2000, 1, 4))
    uniform = np.random.default_rng(0).random(utility.shape, dtype=np.float32)
    value, answered = oracle_of("pairwise").answer(utility, present, uniform)
    pairs = present.sum(axis=-1) // 2
    np.testing.assert_array_equal(value.sum(axis=-1), pairs)
    np.testing.assert_array_equal(answered.sum(axis=-1), 2 * pairs)


def test_a_comparison_does_not_know_the_level() -> None:
    """All items .3 better: the same probabilities, to 1e-6."""
    utility, present = slate(0)
    level, higher = (oracle_of("pairwise").expectation(utility + up, present) for up in (0.0, 0.3))
    for one, other in zip(level, higher, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_cascade_by_hand() -> None:
    """threshold .4, all at utility .4 (an even chance): skipped, then clicked, and never seen below."""
    oracle, utility = oracle_of("cascade"), np.full((1, 5), 0.4, np.float32)
    present = np.array([[True, False, True, True, True]])
    value, answered = oracle.answer(utility, present, np.array([[0.6, 0.1, 0.4, 0.1, 0.9]], np.float32))
    np.testing.assert_array_equal(value, [[0.0, 0.0, 1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(answered, [[True, False, True, False, False]])
    mean, slope, variance = oracle.expectation(utility, present)
    np.testing.assert_allclose(mean, 0.5)
    np.testing.assert_allclose(slope, 1.0)
    np.testing.assert_allclose(variance, 0.25)


def test_a_cascade_clicks_as_craswell_says() -> None:
    """P(click on slot k) = r_k prod_{j<k} (1 - r_j), r = sigmoid(4 (u - .4)): 200,000 slates, 4 standard errors."""
    utility, shape = np.array([0.1, 0.5, 0.3, 0.8], np.float32), (200_000, 4)
    uniform = np.random.default_rng(4).random(shape, dtype=np.float32)
    value, answered = oracle_of("cascade").answer(np.broadcast_to(utility, shape), np.ones(shape, bool), uniform)
    r = 1 / (1 + np.exp(-4 * (utility.astype(np.float64) - 0.4)))
    reached = np.cumprod([1.0, *(1 - r[:-1])])
    for measured, chance in ((value, reached * r), (answered, reached)):
        assert (np.abs(measured.mean(axis=0) - chance) <= 4 * np.sqrt(chance * (1 - chance) / shape[0])).all()
    assert value.sum(axis=-1).max() == 1


def gaps(env: VectorEnv, rounds: list[int], random_actions: RandomActions) -> NDArray[np.float64]:
    """|q - q_hat| of every human after so many rounds of random slates, [len(rounds), E * U]."""
    env.reset(seed=0)
    rng, measured = np.random.default_rng(0), []
    for now in range(rounds[-1] + 1):
        if now in rounds:
            state = env.world.state
            measured.append(np.linalg.norm(state.q - state.beliefs.mean, axis=-1).reshape(-1))
        if now < rounds[-1]:
            env.step(random_actions(env, rng))
    return np.array(measured, np.float64)


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_a_belief_learns_from_it(kind: str, small_env: MakeEnv, random_actions: RandomActions) -> None:
    """240 humans, 4 random slots a round, no bait: after 10 rounds the filter's |q - q_hat| is smaller than at the
    prior, and after 60 smaller than after 10, each by 4 standard errors of the paired difference; after 60 rounds it
    is at most .9 of the prior's."""
    env = small_env(60, {"aipp.kind": kind, "aipp.bait": 0.0, "attention.num_slots": 4, "num_rounds": 60})
    prior, early, late = gaps(env, [0, 10, 60], random_actions)
    for before, after in ((prior, early), (early, late)):
        fall = before - after
        assert fall.mean() > 4 * fall.std(ddof=1) / np.sqrt(fall.size)
    assert late.mean() < 0.9 * prior.mean()
