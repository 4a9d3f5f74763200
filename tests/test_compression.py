"""Compression: content of rank r in r dimensions with every dot product kept, else within the bound reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.compression import dot_bound
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace, build_space
from ammo_env.vector import VectorEnv

RandomActions = Callable[..., Any]
# 2 subspaces of 6 facts and 8 entities: 12 + 16 = 28 independent directions, whatever D is above that.
CONTENT_RANK = 28
SIZES = {"num_subspaces": 2, "facts_per_subspace": 6, "entities_per_subspace": 8, "pool_size": 300}


def space_of(dim: int, steering_dim: int = 3, heldout: bool = False, **knowledge: Any) -> MetaSpace:
    config = load_config("default", {"knowledge": {"dim": dim, **SIZES, **knowledge}})
    return build_space(load_knowledge(config.knowledge), steering_dim, heldout)


def vectors_of(space: MetaSpace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Content (facts, entities, steering directions) and preferences, each [n, D] in double precision."""
    directions = np.swapaxes(space.steering, 1, 2).reshape(-1, space.dim)
    content = np.concatenate([space.facts[space.fact_mask], space.entities, directions])
    return content.astype(np.float64), space.preferences.astype(np.float64)


def test_at_1536_dimensions_every_dot_product_is_kept() -> None:
    """The paper scenario's content spans 4 x 32 facts + 256 entities = 384 directions: in 384 dimensions every dot
    product of content and preferences is the same to 1e-6, and nothing is reported as lost."""
    config = load_config("paper")
    space = build_space(load_knowledge(config.knowledge), config.goal_buddies.steering_dim, heldout=False)
    made = space.compress(384)
    assert (space.dim, made.space.dim, made.content_rank) == (1536, 384, 384)
    (content, people), (small, crowd) = vectors_of(space), vectors_of(made.space)
    everything, rotated = np.concatenate([content, people]), np.concatenate([small, crowd])
    assert np.abs(rotated @ rotated.T - everything @ everything.T).max() < 1e-6
    assert max(made.content_bound, made.preference_bound, made.preference_loss) < 1e-8


@pytest.mark.parametrize("heldout", [False, True])
def test_the_population_stays_diagonal_in_its_principal_axes(heldout: bool) -> None:
    """Variances are the r largest of the D, the mean is as long, and the covariance of the people is diagonal."""
    space = space_of(64, heldout=heldout)
    small = space.compress(CONTENT_RANK).space
    np.testing.assert_allclose(small.variance, space.variance[:CONTENT_RANK], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(small.mean), np.linalg.norm(space.mean), atol=1e-6)
    centred = small.people.astype(np.float64) - small.people.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(centred)
    np.testing.assert_allclose(covariance, np.diag(small.variance), atol=1e-7)
    np.testing.assert_allclose(small.people.mean(axis=0), small.mean, atol=1e-6)


@pytest.mark.parametrize("rank", [4, 10, 20, 27])
@pytest.mark.parametrize("preference", ["mixture", "uniform"])
def test_below_the_rank_errors_stay_within_the_bounds(rank: int, preference: str) -> None:
    """Largest absolute error of a dot product of facts and entities, and of either with preferences, in 64 dimensions;
    everything has unit length, and the steering directions are orthonormal."""
    space = space_of(64, preference=preference)
    made = space.compress(rank)
    (content, people), (small, crowd) = vectors_of(space), vectors_of(made.space)
    content, small = content[:CONTENT_RANK], small[:CONTENT_RANK]  # without the steering directions
    error = np.abs(small @ small.T - content @ content.T).max()
    with_people = np.abs(small @ crowd.T - content @ people.T).max()
    assert 1e-3 < error < made.content_bound + 1e-6
    assert 1e-3 < with_people < made.preference_bound + 1e-6
    for rows in (small, crowd):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    for basis in made.space.steering:
        np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-6)


def test_preferences_outside_the_content_lose_what_is_reported() -> None:
    """Uniform preferences in 512 dimensions hold about 28/512 of their squared length in the content: at the content's
    rank dot products of content are exact and the greatest loss is reported; with rank D nothing is lost at all."""
    space = space_of(512, preference="uniform")
    made = space.compress(CONTENT_RANK)
    (content, people), (small, _) = vectors_of(space), vectors_of(made.space)
    assert np.abs(small @ small.T - content @ content.T).max() < 1e-6
    assert made.content_bound < 1e-8
    _, _, span = np.linalg.svd(content, full_matrices=False)
    held = ((people @ span[:CONTENT_RANK].T) ** 2).sum(axis=1)
    assert held.mean() == pytest.approx(28 / 512, abs=0.01)
    assert made.preference_loss == pytest.approx(1.0 - held.min(), abs=1e-6)
    whole = space.compress(512)
    assert whole.preference_loss < 1e-8
    (_, crowd), (kept, same) = vectors_of(space), vectors_of(whole.space)
    assert np.abs(kept @ same.T - content @ crowd.T).max() < 1e-6


def test_rank_beyond_the_content_goes_to_the_preferences() -> None:
    """Each dimension more than the content needs holds more of the preferences, and content stays exact."""
    space, losses = space_of(64, preference="uniform"), []
    for rank in (28, 40, 52, 64):
        made = space.compress(rank)
        assert made.content_bound < 1e-8
        mean = np.linalg.norm(vectors_of(space)[1], axis=1).mean()
        assert mean == pytest.approx(1.0, abs=1e-6)
        losses.append(made.preference_loss)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 0.5 > 1e-8 > losses[-1]


def test_the_bound_in_closed_form() -> None:
    """Vectors that lose nothing: 0. Two that lose the length a: 2 a^2. One that loses all: 1."""
    assert dot_bound(0.0, 0.0) == 0.0
    assert dot_bound(0.3, 0.3) == pytest.approx(2 * 0.09, abs=1e-12)
    assert dot_bound(0.0, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("case", [{}, {"beliefs.model": "prototypes"}, {"observations.goal_view": "own_feedback"}])
def test_a_compressed_world_is_the_same_world(case: dict[str, Any], random_actions: RandomActions) -> None:
    """Without drift no draw depends on D: eight rounds in 28 of 200 dimensions give the same observations to 5e-4,
    rewards and utilities to 1e-4."""
    sizes: dict[str, Any] = {f"knowledge.{name}": value for name, value in SIZES.items()}
    sizes |= {"num_goal_buddies": 5, "steering_dim": 3, "goal_buddies.shelf_size": 2, "num_humans": 4,
              "num_candidates": 7, "num_slots": 2, "actions.goal_buddy": "gains", **case}  # fmt: skip
    large = VectorEnv(load_config("default", {**sizes, "knowledge.dim": 200}), 3)
    small = VectorEnv(load_config("default", {**sizes, "knowledge.dim": 200, "compress": CONTENT_RANK}), 3)
    assert (large.world.space.dim, small.world.space.dim) == (200, CONTENT_RANK)
    assert large.world.compression is None
    assert small.world.compression is not None
    assert small.world.compression.preference_bound < 1e-8
    seen, again = large.reset(seed=0)[0], small.reset(seed=0)[0]
    rng = np.random.default_rng(0)
    for _ in range(8):
        actions = random_actions(large, rng)
        for side in seen:
            # Prototypes keep a variance floor of 1e-6 per dimension, which the sum of the variances shows.
            np.testing.assert_allclose(seen[side], again[side], atol=5e-4)
        seen, rewards, *_ = large.step(actions)
        again, earned, *_ = small.step(actions)
        for side in rewards:
            np.testing.assert_allclose(rewards[side], earned[side], atol=1e-4)
        np.testing.assert_allclose(large.world.state.utility, small.world.state.utility, atol=1e-4)


def test_ranks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"compress=2 must lie in 3\.\.64"):
        space_of(64).compress(2)
    with pytest.raises(ConfigError, match=r"compress=65 must lie in 3\.\.64"):
        space_of(64).compress(65)
    with pytest.raises(ConfigError, match=r"knowledge\.compress=33 must lie between .*steering_dim=8 and"):
        load_config("default", {"knowledge.compress": 33})
