"""Reward terms: pure functions, checked by hand."""

from __future__ import annotations

import numpy as np

from ammo_env import rewards
from ammo_env.arrays import NumpyArrays

ARRAYS = NumpyArrays()
UTILITY = np.array([[[0.9, -0.2, 0.4, 0.1]]], np.float32)  # [E, U, C] = [1, 1, 4]
WORST = np.array([[-0.2]], np.float32)


def test_regret_by_hand() -> None:
    """Best two of (.9, -.2, .4, .1) are worth 1.3; the slate (.4, .1) is worth .5: regret .8; a best slate: 0."""
    best, _ = ARRAYS.extremes(UTILITY, 2)
    np.testing.assert_allclose(best, [[1.3]], atol=1e-6)
    full = np.ones((1, 1, 2), bool)
    value = rewards.slate_value(ARRAYS, WORST, UTILITY[..., 2:], full)
    np.testing.assert_allclose(rewards.regret(best, value), [[0.8]], atol=1e-6)
    value = rewards.slate_value(ARRAYS, WORST, UTILITY[..., [2, 0]], full)
    np.testing.assert_allclose(rewards.regret(best, value), [[0.0]], atol=1e-6)


def test_an_empty_slot_counts_as_the_worst_creation() -> None:
    """Slate (.9, empty): .9 - .2 = .7, regret .6: leaving a slot empty never pays."""
    value = rewards.slate_value(ARRAYS, WORST, UTILITY[..., [0, 0]], np.array([[[True, False]]]))
    np.testing.assert_allclose(value, [[0.7]], atol=1e-6)
    assert (value <= rewards.slate_value(ARRAYS, WORST, UTILITY[..., [0, 1]], np.ones((1, 1, 2), bool)) + 1e-7).all()


def test_rounding_never_makes_a_regret_negative() -> None:
    best = np.array([1.0, 1.0, 1.0], np.float32)
    np.testing.assert_array_equal(rewards.regret(best, np.array([1.0000001, 1.0, 0.5], np.float32)), [0.0, 0.0, 0.5])


def test_the_regret_of_a_random_slate_is_exact() -> None:
    """Best 1.3 - 2 mean(.9, -.2, .4, .1) = .7, and the mean over all 12 ordered slates is the same."""
    best, _ = ARRAYS.extremes(UTILITY, 2)
    np.testing.assert_allclose(rewards.random_regret(best, UTILITY, 2), [[0.7]], atol=1e-6)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    every = [float(best[0, 0] - UTILITY[0, 0, i] - UTILITY[0, 0, j]) for i, j in pairs]
    np.testing.assert_allclose(np.mean(every), 0.7, atol=1e-6)


def test_visibility_is_the_share_of_slates() -> None:
    """Two worlds, two humans, slates (0, 1), (0, empty) and (2, 1), (1, 0)."""
    items = np.array([[[0, 1], [0, 0]], [[2, 1], [1, 0]]])
    filled = np.array([[[True, True], [True, False]], [[True, True], [True, True]]])
    seen = rewards.visibility(ARRAYS, items, filled, 3)
    np.testing.assert_allclose(seen, [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5]])
    np.testing.assert_allclose(seen.sum(axis=1), filled.sum(axis=(1, 2)) / 2)


def test_the_group_shares_as_much_as_it_is_told() -> None:
    """w = .25 of the mean over humans; w = 0 gives the very same array, w = 1 the mean."""
    own = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)
    assert rewards.group_mixture(ARRAYS, own, 0.0) is own
    np.testing.assert_allclose(rewards.group_mixture(ARRAYS, own, 0.25), [[0.125, 0.875], [2.25, 3.75]])
    np.testing.assert_allclose(rewards.group_mixture(ARRAYS, own, 1.0), [[0.5, 0.5], [3.0, 3.0]])
