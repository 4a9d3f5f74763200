"""Novelty: what explorers are paid for, by hand and from real observations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents.curiosity import chosen_features, creation_novelty, slate_novelty
from ammo_env.observations import CANDIDATE_FEATURES, goal_layout, user_layout
from ammo_env.vector import VectorEnv

LAYOUT, FEATURES = user_layout(4), len(CANDIDATE_FEATURES)
NOVELTY = CANDIDATE_FEATURES.index("novelty")


def seen(novelties: list[list[float]], history: int = 0) -> torch.Tensor:
    """[B, F] of user buddies whose candidates differ by novelty alone; a history may follow."""
    obs = torch.full((len(novelties), LAYOUT.size + history), 9.0)
    for row, values in enumerate(novelties):
        for candidate, value in enumerate(values):
            obs[row, candidate * FEATURES + NOVELTY] = value
    return obs


@pytest.mark.parametrize("history", [0, 5])
def test_a_slate_is_as_novel_as_its_items_on_average(history: int) -> None:
    obs = seen([[0.1, 0.2, 0.4, 0.8], [1.0, 2.0, 0.0, 0.5]], history)
    slates = torch.tensor([[3, 0], [2, 1]])
    assert slate_novelty(LAYOUT, obs, slates, 2).tolist() == pytest.approx([0.45, 1.0])


def test_a_slate_of_one_is_a_plain_number() -> None:
    obs = seen([[0.1, 0.2, 0.4, 0.8], [1.0, 2.0, 0.0, 0.5]])
    assert slate_novelty(LAYOUT, obs, torch.tensor([2, 1]), 1).tolist() == pytest.approx([0.4, 2.0])


def test_scores_choose_the_best_as_the_world_clips_and_breaks_ties() -> None:
    """2.0 and 1.5 are both 1 in the box, where the first of them comes first."""
    obs = seen([[0.1, 0.2, 0.4, 0.8]])
    assert slate_novelty(LAYOUT, obs, torch.tensor([[0.5, -0.1, 0.7, -3.0]]), 2).tolist() == pytest.approx([0.25])
    assert slate_novelty(LAYOUT, obs, torch.tensor([[0.5, 1.5, 0.7, 2.0]]), 1).tolist() == pytest.approx([0.2])


def test_chosen_features_are_those_of_the_chosen_in_order() -> None:
    obs = torch.arange(2 * LAYOUT.size, dtype=torch.float32).reshape(2, -1)
    chosen = chosen_features(LAYOUT, obs, torch.tensor([[1, 3], [0, 2]]), 2)
    assert chosen.shape == (2, 2, FEATURES)
    for row, slate in enumerate([[1, 3], [0, 2]]):
        for slot, candidate in enumerate(slate):
            assert torch.equal(chosen[row, slot], obs[row, candidate * FEATURES : (candidate + 1) * FEATURES])


@pytest.mark.parametrize("market", [True, False])
def test_a_creation_is_as_novel_as_it_is_far_from_the_crowd(market: bool) -> None:
    """2 axes: ‖last − supply‖/(2√2); the corners of the box are 1 apart. Without a market the fact is the crowd."""
    layout = goal_layout(2, market)
    obs = torch.zeros(3, layout.size)
    obs[:, layout.slices["last"]] = torch.tensor([[1.0, 1.0], [0.3, 0.0], [0.5, 0.5]])
    crowd = layout.slices["supply" if market else "fact"]
    obs[:, crowd] = torch.tensor([[-1.0, -1.0], [0.0, 0.4], [0.5, 0.5]])
    assert creation_novelty(layout, obs).tolist() == pytest.approx([1.0, 0.5 / 8**0.5, 0.0])


def test_novelty_in_the_worlds_is_in_its_range_and_varies(small_env: Callable[..., VectorEnv]) -> None:
    env = small_env(4)
    rng, (obs, _) = np.random.default_rng(0), env.reset(seed=0)
    for _ in range(5):
        slates = rng.random((4, 4, 7)).argsort(-1)[..., :2]
        users = torch.from_numpy(obs["user_buddy"]).flatten(0, 1)
        novelty = slate_novelty(env.observation_layouts["user_buddy"], users, torch.from_numpy(slates).flatten(0, 1), 2)
        recent = env.world.state.memory.recent
        obs, _, _, _, _ = env.step({"user_buddy": slates, "goal_buddy": rng.integers(0, 3, (4, 5))})
        assert env.last_round is not None
        shown = env.last_round.impression.vectors                                                 # [E, U, S, D]
        expected = 1.0 - np.einsum("eusd,eud->eus", shown, recent).mean(-1)
        np.testing.assert_allclose(novelty.reshape(4, 4).numpy(), expected, atol=1e-5)
        creators = torch.from_numpy(obs["goal_buddy"]).flatten(0, 1)
        far = creation_novelty(env.observation_layouts["goal_buddy"], creators)
        assert far.min() >= 0
        assert far.max() <= 1
        assert far.std() > 0
