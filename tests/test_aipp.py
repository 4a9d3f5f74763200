"""AiPP: the contract that every registered oracle inherits, each oracle by hand, and the faults by subspace."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.aipp import ORACLES, Aipp, Feedback, PreferenceOracle, make_oracle
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AippConfig, AippFaults
from ammo_env.settings import ConfigError, build

ARRAYS = NumpyArrays()
Floats = NDArray[np.float32]


def oracle_of(kind: str, **settings: Any) -> PreferenceOracle:
    return make_oracle(ARRAYS, AippFaults.model_validate({"kind": kind, **settings}))


def slate(seed: int, shape: tuple[int, ...] = (5, 3, 4)) -> tuple[Floats, NDArray[np.bool_]]:
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
        parts = oracle.answer(utility, present, uniform), *oracle.expectation(utility, present)
        for part in parts:
            assert part.shape == utility.shape
            assert part.dtype == np.float32
            assert np.isfinite(part).all()

    def test_the_variance_is_positive(self, kind: str, settings: dict[str, Any]) -> None:
        """A belief divides by it: at least 1e-4, also where the mean is certain."""
        utility = np.array([[-1.0, 1.0, 30.0, -30.0]], np.float32)
        _, _, variance = oracle_of(kind, **settings).expectation(utility, np.ones((1, 4), bool))
        assert (variance >= 1e-4).all()

    def test_the_expectation_is_the_mean_of_the_answers(self, kind: str, settings: dict[str, Any]) -> None:
        """200,000 answers to the same slate: within 4 standard errors where an item is present."""
        oracle, (utility, present) = oracle_of(kind, **settings), slate(2, (1, 2, 4))
        uniform = np.random.default_rng(3).random((200_000, 2, 4), dtype=np.float32)
        shape = uniform.shape
        answers = oracle.answer(np.broadcast_to(utility, shape), np.broadcast_to(present, shape), uniform)
        mean, _, _ = oracle.expectation(utility, present)
        error = answers.std(axis=0) / np.sqrt(shape[0]) + 1e-6
        gap = np.abs(answers.mean(axis=0, dtype=np.float64) - mean[0])
        assert (gap <= 4 * error)[present[0]].all()

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
            (oracle.answer(utility, present, uniform), *oracle.expectation(utility, present)),
            (oracle.answer(other, present, uniform), *oracle.expectation(other, present)),
            strict=True,
        ):
            np.testing.assert_array_equal(first[present], second[present])


def test_the_oracles_that_ship() -> None:
    assert set(ORACLES) >= {"rating", "click", "choice"}


def test_an_unknown_oracle_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"aipp\.kind 'ratng' is not known; there are: choice, click, rating"):
        oracle_of("ratng")


def test_a_rating_is_the_affinity() -> None:
    """y = a, slope 1, variance noise^2 = .25."""
    utility, present = slate(0)
    oracle = oracle_of("rating", noise=0.5)
    np.testing.assert_array_equal(oracle.answer(utility, present, utility), utility)
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
    answers = oracle_of("choice").answer(utility, present, uniform)
    assert set(np.unique(answers)) == {0.0, 1.0}
    assert answers.sum(axis=-1).max() == 1
    assert answers[~present].sum() == 0
    assert (answers.sum(axis=-1) == 0).any(), "no click is an option"


def ask(config: dict[str, Any], utility: float, error: float, shape: tuple[int, ...] = (4000, 2, 3)) -> Feedback:
    """Many equal impressions; slot s shows an item of subspace s, the last slot is empty."""
    aipp = Aipp(ARRAYS, build(AippConfig, config), 3)
    filled = np.broadcast_to(np.array([True, True, False]), shape)
    subspace = np.broadcast_to(np.arange(3), shape)
    utilities, errors = np.full(shape, utility, np.float32), np.full(shape, error, np.float32)
    return aipp.ask(NumpyDraws(0), utilities, errors, filled, subspace)


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
