"""Goal-side baselines that know where they want to be: an aim in steering coordinates, reached as actions allow.

All of them use what a goal buddy observes, and the settings of its own world (prices, sizes), which are no secret.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Turn
from ammo_env import steering
from ammo_env.arrays import NumpyArrays

Floats = NDArray[Any]


class Aimed:
    """Publishes whenever it can, as near to its aim as one action gets.

    Raw steering takes the aim as it is; gains take the least-squares fit of it by demand, fact and last publication,
    each gain within [-1, 1]; a nudge is the move that ends nearest to it.
    """

    side = "goal_buddy"

    def aim(self, turn: Turn) -> Floats:
        """Where the next creation should be: steering [E, G, A] in [-1, 1]."""
        raise NotImplementedError

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        aim, mode = self.aim(turn), turn.env.config.actions.goal_mode
        if mode == "nudge":
            return _nearest_nudge(turn, aim)
        chosen = aim if mode == "steer" else _fitted_gains(turn, aim)
        return np.concatenate([chosen, np.ones_like(chosen[..., :1])], axis=-1).astype(np.float32)


def seen(turn: Turn, name: str) -> Floats:
    """A block of the goal side's observation."""
    block: Floats = turn.env.observation_layouts["goal_buddy"].block(turn.obs, name)
    return block


def scalar(turn: Turn, name: str) -> Floats:
    """One of the goal side's scalars, [E, G]."""
    return seen(turn, "scalars")[..., turn.env.observation_layouts["goal_buddy"].features["scalars"].index(name)]


def sees_supply(turn: Turn) -> bool:
    """Is it told where its rivals are?"""
    return "supply" in turn.env.observation_layouts["goal_buddy"].shapes


def _fitted_gains(turn: Turn, aim: Floats) -> Floats:
    targets = np.stack([seen(turn, name) for name in ("demand", "fact", "last")], axis=-1)  # [E, G, A, 3]
    gains: Floats = np.matmul(np.linalg.pinv(targets.astype(np.float64), rcond=1e-6), aim[..., None])[..., 0]
    return gains.clip(-1.0, 1.0)


def _nearest_nudge(turn: Turn, aim: Floats) -> NDArray[np.int64]:
    buddies = turn.env.config.goal_buddies
    moves = np.arange(steering.PUBLISH, steering.num_nudges(buddies.steering_dim))
    everywhere = np.broadcast_to(moves[:, None, None], (len(moves), *aim.shape[:2]))
    demand, fact, last = (seen(turn, name) for name in ("demand", "fact", "last"))
    ends, _ = steering.from_nudges(NumpyArrays(), everywhere, demand, fact, last, buddies.nudge_step)
    best = moves[np.square(ends - aim).sum(axis=-1).argmin(axis=0)]
    return np.where(turn.mask[..., steering.PUBLISH], best, steering.HOLD)


class Stubborn(Aimed):
    """Publishes its anchor, whatever anybody likes: aim 0. By nudges it walks back there and stays."""

    def aim(self, turn: Turn) -> Floats:
        return np.zeros_like(seen(turn, "last"))


class Copycat(Aimed):
    """Imitates the most visible rival, as far as a goal buddy can see who that is.

    Nobody is shown single rivals. Supply is the mean of all rivals' creations; demand is the mean of what was shown,
    weighted by how it was liked, so that visible creations count most. The visible rival is taken to lie half-way from
    the one to the other. Before anything was liked the aim is supply; where rivals are not seen (own feedback), demand.
    """

    def aim(self, turn: Turn) -> Floats:
        demand = seen(turn, "demand")
        if not sees_supply(turn):
            return demand
        supply = seen(turn, "supply")
        return np.where(scalar(turn, "demand_near")[..., None] == 0.0, supply, 0.5 * (supply + demand))
