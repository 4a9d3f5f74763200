"""Goal-side scripts of constant gains, translated into whatever action kind the environment uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Turn
from ammo_env import steering
from ammo_env.arrays import NumpyArrays


class Script:
    """A goal-side policy of constant gains (towards demand, towards the nearest fact, keep last); publishes
    if it can.
    """

    side = "goal_buddy"

    def __init__(self, demand: float, fact: float, keep: float = 0.0) -> None:
        self._gains = np.array([demand, fact, keep, 1.0], dtype=np.float32)

    def gains(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return np.tile(self._gains, (*turn.obs.shape[:2], 1))

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        gains, mode = self.gains(turn, rng), turn.env.config.actions.goal_mode
        if mode == "gains":
            return gains
        if mode == "steer":
            return _as_steering(turn, gains)
        return _as_nudges(turn, gains, rng)


class RandomScript(Script):
    """Random gains; publishes half of the time."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0)

    def gains(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return rng.uniform(-1.0, 1.0, (*turn.obs.shape[:2], 4)).astype(np.float32)


def _as_steering(turn: Turn, gains: NDArray[Any]) -> NDArray[Any]:
    layout = turn.env.observation_layouts["goal_buddy"]
    demand, fact, last = (layout.block(turn.obs, name) for name in ("demand", "fact", "last"))
    steered, willing = steering.from_gains(NumpyArrays(), gains, demand, fact, last)
    return np.concatenate([steered, np.where(willing, 1.0, -1.0)[..., None]], axis=-1).astype(np.float32)


def _as_nudges(turn: Turn, gains: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """One pull becomes the move, each as likely as it is strong; away from a target is a step along the axis on
    which the last publication is farthest beyond it.
    """
    demand, fact, publish = gains[..., 0], gains[..., 1], gains[..., 3] > 0
    pull = np.abs(demand) + np.abs(fact)
    follow = rng.random(demand.shape) * pull < np.abs(demand)
    to_demand = np.where(demand > 0, steering.TO_DEMAND, _away(turn, "demand"))
    to_fact = np.where(fact > 0, steering.TO_FACT, _away(turn, "fact"))
    moves = np.where(pull == 0, steering.PUBLISH, np.where(follow, to_demand, to_fact))
    able = turn.mask if turn.mask.ndim == 2 else turn.mask[..., steering.PUBLISH]
    return np.where(publish & able, moves, steering.HOLD)


def _away(turn: Turn, target: str) -> NDArray[Any]:
    """The axis move [E, G] that leads farthest away from `target`."""
    layout = turn.env.observation_layouts["goal_buddy"]
    beyond = layout.block(turn.obs, "last") - layout.block(turn.obs, target)
    axis = np.abs(beyond).argmax(axis=-1)
    negative = np.take_along_axis(beyond, axis[..., None], -1)[..., 0] < 0
    moves: NDArray[Any] = steering.FIRST_AXIS_MOVE + 2 * axis + negative
    return moves
