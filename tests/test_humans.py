"""The humans' drift: unit vectors whose correlation over one round is rho."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.humans import drift, isotropic_drift, population_drift
from ammo_env.world import World

ARRAYS = NumpyArrays()


def sphere(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    x = rng.standard_normal(shape)
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize("dim", [3, 64, 1536])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.98])
def test_isotropic_drift_turns_by_exactly_rho(dim: int, rho: float) -> None:
    """q.q' = rho for every human, and |q'| = 1, at every D: 2e-6 in float32."""
    rng = np.random.default_rng(dim)
    q = sphere(rng, 50, dim)
    moved = isotropic_drift(ARRAYS, q, rho, rng.standard_normal((50, dim)).astype(np.float32))
    np.testing.assert_allclose(np.vecdot(q, moved), rho, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=-1), 1.0, atol=2e-6)


def test_isotropic_drift_has_no_direction() -> None:
    """The step orthogonal to q is uniform around it: its mean is 0 within 4 standard errors."""
    rng = np.random.default_rng(0)
    q = np.zeros((20000, 3), np.float32)
    q[:, 2] = 1.0
    moved = isotropic_drift(ARRAYS, q, 0.6, rng.standard_normal(q.shape).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(moved[:, :2], axis=-1), 0.8, atol=1e-5)
    assert np.abs(moved[:, :2].mean(axis=0)).max() < 4 * 0.8 / np.sqrt(2 * 20000)


def test_population_drift_by_hand() -> None:
    """mu = (.5, 0), rho = .6, sigma = (.1, .2), q = (0, 1), noise = (1, -1): unit((.28, .44))."""
    mean, deviation = np.array([0.5, 0.0], np.float32), np.array([0.1, 0.2], np.float32)
    q, noise = np.array([[0.0, 1.0]], np.float32), np.array([[1.0, -1.0]], np.float32)
    moved = population_drift(ARRAYS, q, 0.6, noise, mean, deviation)
    raw = np.array([0.5 + 0.6 * -0.5 + 0.8 * 0.1, 0.6 - 0.8 * 0.2])
    np.testing.assert_allclose(raw, [0.28, 0.44], atol=1e-9)
    np.testing.assert_allclose(moved[0], raw / np.linalg.norm(raw), atol=1e-6)


@pytest.mark.parametrize("mode", ["population", "isotropic"])
def test_without_drift_nothing_is_drawn_and_nothing_moves(mode: str) -> None:
    """rho = 1: the very same array comes back and the random stream has not moved."""
    draws, q = NumpyDraws(0), sphere(np.random.default_rng(0), 2, 3, 5)
    before = draws.get_state()
    assert drift(ARRAYS, draws, q, 1.0, mode, q[0, 0], q[0, 0]) is q
    assert draws.get_state() == before


def test_drift_has_two_modes(small_config: Callable[..., AmmoConfig]) -> None:
    """The configured mode is the function that runs, on the world's own noise and moments."""
    q, mean = sphere(np.random.default_rng(1), 4, 6), np.full(6, 0.2, np.float32)
    deviation = np.linspace(0.1, 0.3, 6, dtype=np.float32)
    noise = NumpyDraws(5).normal(4, 6)
    np.testing.assert_array_equal(
        drift(ARRAYS, NumpyDraws(5), q, 0.9, "isotropic", mean, deviation), isotropic_drift(ARRAYS, q, 0.9, noise)
    )
    np.testing.assert_array_equal(
        drift(ARRAYS, NumpyDraws(5), q, 0.9, "population", mean, deviation),
        population_drift(ARRAYS, q, 0.9, noise, mean, deviation),
    )


@pytest.mark.parametrize("pool", ["train", "heldout"])
def test_a_world_draws_its_humans_uniformly_from_its_pool(
    pool: str, small_config: Callable[..., AmmoConfig]
) -> None:
    """Every person of the pool is met; counts within 4 standard deviations of a binomial's mean."""
    world = World(small_config({"humans.pool": pool}), 2000)
    world.reset(seed=0)
    people = len(world.space.preferences)
    assert people == {"train": 64, "heldout": 16}[pool]
    counts = np.bincount(world.state.human.reshape(-1), minlength=people)
    expected = 8000 / people
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected)
    np.testing.assert_array_equal(world.state.q, world.space.preferences[world.state.human])
