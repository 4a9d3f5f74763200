"""Social influence: the classical models to the digits that were printed, and what they do to preferences."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, get_arrays
from ammo_env.closed_forms import friedkin_johnsen_equilibrium
from ammo_env.config import AmmoConfig
from ammo_env.forces import FORCES, ORDER, make_forces
from ammo_env.influence import near_weights, social_step, with_own_weight
from ammo_env.metrics import polarisation
from ammo_env.vector import VectorEnv
from ammo_env.world import World

ARRAYS = NumpyArrays()
MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
# Friedkin and Johnsen (1999): four people who discuss a sum of money.
FOUR = [[0.220, 0.120, 0.360, 0.300], [0.147, 0.215, 0.344, 0.294], [0.0, 0.0, 1.0, 0.0], [0.090, 0.178, 0.446, 0.286]]
OPINIONS = np.array([[25.0], [25.0], [75.0], [85.0]])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_four_people_settle_where_friedkin_and_johnsen_say(backend: str) -> None:
    """(60.02, 59.98, 75, 74.99) by iterating the step in float64: the solution of the linear system to 1e-9."""
    arrays = get_arrays(backend)
    weights, start = arrays.asarray(FOUR, arrays.xp.float64), arrays.asarray(OPINIONS)
    susceptibility = 1.0 - arrays.asarray(np.diag(FOUR).copy())
    opinions = start
    for _ in range(200):
        opinions = social_step(arrays, opinions, weights, start, susceptibility)
    settled = arrays.to_numpy(opinions)[:, 0]
    np.testing.assert_array_equal(settled.round(2), [60.02, 59.98, 75.0, 74.99])
    np.testing.assert_allclose(settled, friedkin_johnsen_equilibrium(FOUR, OPINIONS[:, 0]), atol=1e-9)


def clusters(start: NDArray[Any], listens: NDArray[Any], epsilon: float, arrays: Any = ARRAYS) -> NDArray[Any]:
    """Where opinions [U] end, after 60 rounds of bounded confidence."""
    opinions = arrays.asarray(start[:, None])
    for _ in range(60):
        near = near_weights(arrays, opinions, arrays.asarray(listens), epsilon)
        opinions = social_step(arrays, opinions, near)
    return np.asarray(arrays.to_numpy(opinions)[:, 0])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_twenty_one_agents_form_the_three_clusters_of_hegselmann_and_krause(backend: str, dtype: Any) -> None:
    """On [0, 1] with epsilon = .1: .143997, .5, .856003, although neighbours stand exactly at epsilon (i / 20)."""
    listens = np.ones((21, 21)) - np.eye(21)
    end = clusters((np.arange(21) / 20).astype(dtype), listens, 0.1, get_arrays(backend))
    np.testing.assert_array_equal(np.unique(end.astype(np.float64).round(6)), [0.143997, 0.5, 0.856003])
    assert end.dtype == dtype


def test_nobody_listens_beyond_the_network_or_the_confidence() -> None:
    """Two of four are near but not neighbours, two are neighbours but far: nothing moves; then one pair meets."""
    start, listens = np.array([0.0, 0.05, 0.5, 0.9]), np.zeros((4, 4))
    np.testing.assert_allclose(clusters(start, listens, 0.1), start, atol=1e-15)
    listens[2, 3] = listens[3, 2] = 1.0
    np.testing.assert_allclose(clusters(start, listens, 0.1), start, atol=1e-15)
    np.testing.assert_allclose(clusters(start, listens, 0.4), [0.0, 0.05, 0.7, 0.7], atol=1e-12)


def test_degroot_agrees_on_the_weights_of_the_left_eigenvector() -> None:
    """DeGroot's own example of consensus: W = ((1/2, 1/2), (1/4, 3/4)) ends at y_1 / 3 + 2 y_2 / 3, in D dimensions."""
    weights, start = np.array([[0.5, 0.5], [0.25, 0.75]]), np.random.default_rng(0).standard_normal((2, 5))
    opinions = start
    for _ in range(100):
        opinions = social_step(ARRAYS, opinions, weights)
    np.testing.assert_allclose(opinions, np.stack([start[0] / 3 + 2 * start[1] / 3] * 2), atol=1e-9)


def test_equilibrium_in_several_dimensions_and_with_a_stubbornness_of_choice() -> None:
    """Worlds side by side [E, U, D]: 400 steps reach the solution to 1e-9; who has a = 0 never moves."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(5), size=(3, 5))
    start, open_to = rng.standard_normal((3, 5, 2)), rng.uniform(0.0, 0.95, size=(3, 5))
    open_to[:, 0] = 0.0
    opinions = start
    for _ in range(400):
        opinions = social_step(ARRAYS, opinions, weights, start, open_to)
    for e in range(3):
        settled = friedkin_johnsen_equilibrium(weights[e], start[e], open_to[e])
        np.testing.assert_allclose(opinions[e], settled, atol=1e-9)
    np.testing.assert_allclose(opinions[:, 0], start[:, 0], atol=1e-12)


def test_own_weight_by_hand() -> None:
    """influence .4 on a human who listens to the other, and on one who listens to nobody."""
    weights = with_own_weight(ARRAYS, np.array([[0.0, 1.0], [0.0, 0.0]], np.float32), 0.4)
    np.testing.assert_allclose(weights, [[0.6, 0.4], [0.0, 1.0]], atol=1e-7)


def unit(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def rounds(world: World, env: VectorEnv, act: RandomActions, number: int) -> list[NDArray[np.float32]]:
    """Preferences at the start and after each round."""
    rng, path = np.random.default_rng(0), [world.state.q]
    for _ in range(number):
        env.step(act(env, rng))
        path.append(world.state.q)
    return path


def played(env: VectorEnv, act: RandomActions, number: int = 4) -> list[NDArray[np.float32]]:
    env.reset(seed=0)
    return rounds(env.world, env, act, number)


def test_a_world_moves_preferences_by_each_model(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Recomputed in float64 from the network: q' = unit(step(q)), to 1e-6 a round."""
    given = {"social.network": "given", "social.matrix": FOUR}
    matrix = np.array(FOUR)
    path = played(small_env(2, {**given, "social.degroot.influence": 0.5}), random_actions)
    for q, after in pairwise(path):
        np.testing.assert_allclose(after, unit((0.5 * np.eye(4) + 0.5 * matrix) @ q.astype(np.float64)), atol=1e-6)
    path = played(small_env(2, {**given, "social.friedkin_johnsen.neighbour_weight": 1.0}), random_actions)
    open_to = 1.0 - np.diag(matrix)[:, None]
    for q, after in pairwise(path):
        np.testing.assert_allclose(after, unit(open_to * (matrix @ q) + (1 - open_to) * path[0]), atol=1e-6)
    fixed = {**given, "social.friedkin_johnsen": {"neighbour_weight": 0.3, "stubbornness": 0.25}}
    path = played(small_env(2, fixed), random_actions)
    mixed = 0.7 * np.eye(4) + 0.3 * matrix
    for q, after in pairwise(path):
        np.testing.assert_allclose(after, unit(0.75 * (mixed @ q) + 0.25 * path[0]), atol=1e-6)


def test_bounded_confidence_in_a_world_listens_within_an_angle(
    small_env: MakeEnv, random_actions: RandomActions
) -> None:
    settings = {"social.network": "random", "social.num_neighbours": 3, "humans.num_humans": 6}
    env = small_env(3, {**settings, "social.bounded_confidence": {"angle": 1.0, "openness": 0.5}})
    path = played(env, random_actions)
    listens = (env.world.state.own["network"]["weights"] > 0) | np.eye(6, dtype=bool)
    for q, after in pairwise(path):
        cosine = np.clip(q.astype(np.float64) @ q.mT, -1, 1)
        near = listens & ((np.arccos(cosine) <= 1.0) | np.eye(6, dtype=bool))
        heard = (near / near.sum(axis=-1, keepdims=True)) @ q
        np.testing.assert_allclose(after, unit(0.5 * q + 0.5 * heard), atol=1e-6)
    assert (path[0] != path[-1]).any()


@pytest.mark.parametrize("network", ["similar", "random", "ring"])
def test_degroot_makes_people_agree_and_stubbornness_keeps_them_apart(
    network: str, small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """Polarisation falls by more than half in eight rounds; half as stubborn, it falls less."""
    connected = {"social.network": network, "social.num_neighbours": 3, "social.degroot.influence": 0.5}
    path = played(small_env(20, connected), random_actions, 8)
    before, after = (polarisation(q).mean() for q in (path[0], path[-1]))
    assert after < 0.5 * before
    stubborn = {"social.network": network, "social.num_neighbours": 3,
                "social.friedkin_johnsen": {"neighbour_weight": 0.5, "stubbornness": 0.5}}  # fmt: skip
    held = polarisation(played(small_env(20, stubborn), random_actions, 8)[-1]).mean()
    assert after < held < before


def test_forces_act_in_the_stated_order(small_config: MakeConfig) -> None:
    """ORDER names forces that there are, and the order in a world is that of ORDER."""
    assert set(ORDER) <= set(FORCES)
    config = small_config({
        "social.network": "ring", "social.norm_shift.shift_rate": 0.1, "social.bounded_confidence.angle": 1.0,
        "social.friedkin_johnsen.neighbour_weight": 0.1, "social.degroot.influence": 0.1, "events.rate": 0.1,
        "social.exposure.seen_weight": 0.1, "humans.drift_rho": 0.9,
    })  # fmt: skip
    assert tuple(World(config).forces) == ORDER
    assert make_forces(ARRAYS, small_config(), World(config).space) == {}


def test_the_step_takes_tensors_of_either_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        weights = torch.eye(3, dtype=dtype)
        opinions = torch.ones(2, 3, 1, dtype=dtype)
        assert social_step(get_arrays("torch"), opinions, weights).dtype == dtype
