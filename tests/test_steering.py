"""From what a goal buddy does to the steering it publishes with, kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import steering
from ammo_env.arrays import NumpyArrays
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()


def row(*values: float) -> NDArray[np.float32]:
    """One goal buddy of one world, [1, 1, A]."""
    return np.array(values, dtype=np.float32)[None, None]


def test_targets_in_steering_coordinates_by_hand() -> None:
    """s = (W^T t - W^T a) / kappa: (.3, .1) from (.1, .2) at .5 is (.4, -.2); (1, .5) from 0 at .5 is (2, 1), which
    shrinks to (1, .5) with its direction kept; kappa = 0 divides by nothing."""
    for target, anchored, scale, expected in (
        (row(0.3, 0.1), row(0.1, 0.2), 0.5, row(0.4, -0.2)),
        (row(1.0, 0.5), row(0.0, 0.0), 0.5, row(1.0, 0.5)),
        (row(0.3, 0.1), row(0.1, 0.2), 0.0, row(0.2, -0.1)),
    ):
        np.testing.assert_allclose(steering.to_steering(ARRAYS, target, anchored, scale), expected, atol=1e-6)


def test_gains_by_hand() -> None:
    """.5 demand - 1 fact + .25 last, clipped to the box; publishes if the fourth is above 0, not at 0."""
    demand, fact, last = row(0.8, -0.4), row(0.1, 0.9), row(0.4, -1.0)
    steered, willing = steering.from_gains(ARRAYS, row(0.5, -1.0, 0.25, 0.01), demand, fact, last)
    np.testing.assert_allclose(steered, row(0.4, -1.0), atol=1e-6)
    assert willing.tolist() == [[True]]
    assert steering.from_gains(ARRAYS, row(0.5, -1.0, 0.25, 0.0), demand, fact, last)[1].tolist() == [[False]]


def test_steer_by_hand() -> None:
    """The first A entries are the steering, clipped; the last publishes if it is above 0."""
    steered, willing = steering.from_steer(ARRAYS, row(0.5, -3.0, 0.2))
    np.testing.assert_allclose(steered, row(0.5, -1.0))
    assert willing.tolist() == [[True]]


@pytest.mark.parametrize(
    ("move", "expected", "publishes"),
    [
        (steering.HOLD, (0.5, -0.9), False),
        (steering.PUBLISH, (0.5, -0.9), True),
        (steering.TO_DEMAND, (0.5 + 0.25 * 0.3, -0.9 + 0.25 * 0.4), True),  # nearer than 1: a quarter of the way
        (steering.TO_FACT, (0.5 - 0.25 * 0.6, -0.9 + 0.25 * 0.8), True),  # distance 2.5: a unit step's quarter
        (steering.FIRST_AXIS_MOVE, (0.75, -0.9), True),
        (steering.FIRST_AXIS_MOVE + 1, (0.25, -0.9), True),
        (steering.FIRST_AXIS_MOVE + 2, (0.5, -0.65), True),
        (steering.FIRST_AXIS_MOVE + 3, (0.5, -1.0), True),  # clipped at the wall
    ],
)
def test_nudges_by_hand(move: int, expected: tuple[float, float], publishes: bool) -> None:
    """From (.5, -.9) with steps of .25, demand at (.8, -.5) and the fact at (-1, 1.1) (out of the box, for once)."""
    steered, willing = steering.from_nudges(
        ARRAYS, np.array([[move]]), row(0.8, -0.5), row(-1.0, 1.1), row(0.5, -0.9), 0.25
    )
    np.testing.assert_allclose(steered, row(*expected), atol=1e-6)
    assert willing.tolist() == [[publishes]]
    assert steered.dtype == np.float32


def test_there_is_a_nudge_for_every_direction() -> None:
    """hold, publish, demand, fact and one each along + and - of A axes: 4 + 2 A."""
    assert [steering.num_nudges(axes) for axes in (1, 3, 8)] == [6, 10, 20]


@pytest.mark.parametrize("mode", ["nudge", "gains", "steer"])
def test_what_is_asked_for_is_what_is_published(
    mode: str, small_env: Callable[..., VectorEnv], random_actions: Callable[..., Any]
) -> None:
    """In the world: the new creation is unit(anchor + kappa W s) with s computed from the observation that the goal
    buddy acted on, and `last` in the next observation is s."""
    env, rng = small_env(3, {"actions.goal_buddy": mode}), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    layout = env.observation_layouts["goal_buddy"]
    for _ in range(4):
        actions = random_actions(env, rng)
        demand, fact, last = (layout.block(obs["goal_buddy"], name) for name in ("demand", "fact", "last"))
        chosen, places = actions["goal_buddy"], env.world.state.corpus.oldest.copy()
        if mode == "nudge":
            steered, willing = steering.from_nudges(ARRAYS, chosen, demand, fact, last, 0.25)
        elif mode == "gains":
            steered, willing = steering.from_gains(ARRAYS, chosen, demand, fact, last)
        else:
            steered, willing = steering.from_steer(ARRAYS, chosen)
        obs, *_ = env.step(actions)
        assert env.last_round is not None
        done, state = env.last_round.published, env.world.state
        np.testing.assert_array_equal(done, willing)  # nobody runs out of energy in four rounds
        for e, g in zip(*done.nonzero(), strict=True):
            moved = state.anchors[e, g] + 0.5 * env.world.space.steering[g % 2] @ steered[e, g]
            new = state.corpus.vectors[e].reshape(5, 2, 9)[g, places[e, g]]
            np.testing.assert_allclose(new, moved / np.linalg.norm(moved), atol=1e-5)
            np.testing.assert_allclose(layout.block(obs["goal_buddy"], "last")[e, g], steered[e, g], atol=1e-6)
