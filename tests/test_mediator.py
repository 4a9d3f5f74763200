"""The Shapley mediator: its closed form against the definition, the axioms, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from agents.baselines import ShapleyMediator
from agents.baselines.bandits import feature
from agents.baselines.mediator import shapley_values
from agents.policy import take_turn
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]


@pytest.mark.parametrize("seed", range(5))
def test_the_closed_form_is_the_mean_marginal_contribution(seed: int) -> None:
    """Five items: the mean over all 120 orders of what an item adds to the largest satisfaction so far, to 1e-9."""
    satisfaction = np.random.default_rng(seed).random(5)
    expected = np.zeros(5)
    for order in permutations(range(5)):
        best = 0.0
        for item in order:
            expected[item] += max(satisfaction[item] - best, 0.0) / 120
            best = max(best, satisfaction[item])
    np.testing.assert_allclose(shapley_values(satisfaction), expected, atol=1e-9)


def test_by_hand() -> None:
    """(.3, .9, .6): .3/3 = .1 to each, .3/2 = .15 more to the upper two, .3 more to the best."""
    np.testing.assert_allclose(shapley_values(np.array([0.3, 0.9, 0.6])), [0.1, 0.55, 0.25], atol=1e-12)


def test_efficiency() -> None:
    """In 200 games of 16 the values sum to the largest satisfaction, to 1e-9."""
    satisfaction = np.random.default_rng(0).random((200, 16))
    np.testing.assert_allclose(shapley_values(satisfaction).sum(axis=-1), satisfaction.max(axis=-1), atol=1e-9)


def test_fairness() -> None:
    """Equal items have equal values, an item that satisfies nobody has none, and who satisfies more has no less."""
    satisfaction = np.random.default_rng(1).integers(0, 5, (200, 8)) / 4
    values = shapley_values(satisfaction)
    assert (values[satisfaction == 0] == 0).all()
    for one in range(8):
        for other in range(8):
            gap = satisfaction[:, one] - satisfaction[:, other]
            np.testing.assert_allclose(values[gap == 0, one], values[gap == 0, other], atol=1e-12)
            assert (values[gap > 0, one] > values[gap > 0, other]).all()


def test_monotonicity() -> None:
    """A provider that improves its own item never loses, and takes nothing but from those above its old level."""
    rng = np.random.default_rng(2)
    satisfaction = rng.random((500, 6))
    better = satisfaction.copy()
    better[:, 0] += rng.random(500) * (1.0 - better[:, 0])
    before, after = shapley_values(satisfaction), shapley_values(better)
    assert (after[:, 0] >= before[:, 0] - 1e-12).all()
    below = satisfaction[:, 1:] <= satisfaction[:, :1]
    np.testing.assert_allclose(after[:, 1:][below], before[:, 1:][below], atol=1e-12)
    assert (after[:, 1:] <= before[:, 1:] + 1e-12).all()


def test_first_slots_are_shown_in_proportion_to_the_values(small_env: MakeEnv) -> None:
    """4000 slates of one turn: the share of each candidate in the first slot is phi / sum phi, at 4 standard errors."""
    env = small_env(1, {"humans.num_humans": 1})
    obs, _ = env.reset(seed=0)
    turn, rng, draws = take_turn(env, obs, "user_buddy"), np.random.default_rng(1), 4000
    slates = np.array([ShapleyMediator().act(turn, rng)[0, 0] for _ in range(draws)])
    values = shapley_values(np.clip(feature(turn, "score")[0, 0], 0.0, 1.0))
    chance = values / values.sum()
    assert (chance > 0.01).sum() > 0
    share = np.bincount(slates[:, 0], minlength=7) / draws
    assert (np.abs(share - chance) <= 4 * np.sqrt(chance * (1 - chance) / draws) + 1e-9).all()
    assert (slates[:, 0] != slates[:, 1]).all()
