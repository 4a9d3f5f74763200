"""Baselines of both sides: bandits and the all-knowing oracle for user buddies, scripts for goal buddies.

User-side baselines score candidates; the S best scores fill the slate. Goal-side baselines are constant
gains. Both are translated into whatever action kind the environment uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy, Turn
from ammo_env import steering
from ammo_env.arrays import NumpyArrays

TIE_BREAK = 1e-6  # utility units: equal scores are broken at random, not by retrieval order


class ScorePolicy:
    """A user-side policy given by a score per candidate, [E, U, K]."""

    side = "user_buddy"

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        raise NotImplementedError

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        scores = self.scores(turn, rng)
        scores = np.where(turn.mask, scores + TIE_BREAK * rng.random(scores.shape), -np.inf)
        attention = turn.env.config.attention
        if turn.env.config.actions.user_mode == "scores":
            bounded = scores / (1.0 + np.abs(scores))  # monotone into [-1, 1]: the same slate
            return np.where(turn.mask, bounded, -1.0).astype(np.float32)
        best = np.argsort(-scores, axis=-1)[..., : attention.num_slots]
        return best[..., 0] if attention.num_slots == 1 else best


def _feature(turn: Turn, name: str) -> NDArray[Any]:
    layout = turn.env.observation_layouts["user_buddy"]
    table: NDArray[Any] = layout.block(turn.obs, "candidates")
    return table[..., layout.candidate_features.index(name)]


class RandomSlate(ScorePolicy):
    """A uniformly random slate of the candidates shown."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return rng.random(turn.mask.shape)


class Greedy(ScorePolicy):
    """The S largest q_hat . e."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return _feature(turn, "score")


class Softmax(ScorePolicy):
    """Plackett-Luce over q_hat . e / temperature (Gumbel top-S)."""

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = temperature

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return _feature(turn, "score") + self.temperature * rng.gumbel(size=turn.mask.shape)


class LinUCB(ScorePolicy):
    """q_hat . e + width * sd(q . e). Source: Li et al. 2010; the posterior is the environment's belief."""

    def __init__(self, width: float = 0.5) -> None:
        self.width = width

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return _feature(turn, "score") + self.width * _feature(turn, "uncertainty")


class Thompson(ScorePolicy):
    """theta . e with theta ~ N(q_hat, width^2 * variance), one draw per human and round (Agrawal & Goyal
    2013).

    Reads the buddy's own belief and the shown candidates' vectors from the world, nothing hidden.
    """

    def __init__(self, width: float = 1.0) -> None:
        self.width = width

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        world, to_numpy = turn.env.world, turn.env.arrays.to_numpy
        state = world.state
        spread = np.sqrt(to_numpy(state.beliefs.variance))
        noise = rng.standard_normal(spread.shape, dtype=np.float32)
        theta = to_numpy(state.beliefs.mean) + self.width * spread * noise
        shown = to_numpy(state.corpus.vectors).reshape(-1, theta.shape[-1])[
            to_numpy(state.candidates + world.world_row)
        ]
        sampled: NDArray[Any] = np.vecdot(shown, theta[:, :, None, :])
        return sampled


class Oracle(ScorePolicy):
    """All-knowing: the S largest true e.q of the candidates shown. Looks at hidden state."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        world, to_numpy = turn.env.world, turn.env.arrays.to_numpy
        return np.take_along_axis(to_numpy(world.state.utility), to_numpy(world.state.candidates), -1)


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


Maker = Callable[..., Policy]
USER_BASELINES: dict[str, Maker] = {
    "random": RandomSlate,
    "greedy": Greedy,
    "softmax": Softmax,
    "linucb": LinUCB,
    "thompson": Thompson,
    "oracle": Oracle,
}
GOAL_BASELINES: dict[str, Maker] = {
    "random_script": RandomScript,
    "truthful": lambda: Script(0.0, 1.0),
    "chaser": lambda: Script(1.0, 0.0),
    "clickbait": lambda: Script(1.0, -1.0),
}
# What is tuned per scenario before anything is called the best bandit: name -> (argument, values).
GRIDS: dict[str, tuple[str, tuple[float, ...]]] = {
    "softmax": ("temperature", (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)),
    "linucb": ("width", (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)),
    "thompson": ("width", (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)),
}
