"""The PettingZoo face: one world as a `ParallelEnv` with dictionaries by agent."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from ammo_env.arrays import FloatArray
from ammo_env.config import AmmoConfig
from ammo_env.life import NAME as LIFE
from ammo_env.observations import Layout
from ammo_env.state import Round
from ammo_env.steering import HOLD, num_nudges
from ammo_env.vector import SIDES, VectorEnv
from ammo_env.view import RENDER_MODES, available_modes, make_view

Infos = dict[str, dict[str, Any]]


class MetaSpaceEnv(ParallelEnv[str, FloatArray, Any]):
    """One world of G goal buddies and U user buddies; agents `user_buddy_0..`, `goal_buddy_0..`.

    Where goal buddies may retire (`config.life`), `possible_agents` also has the ids of those who may be born. Who
    retires gets a last observation and reward with terminations True; in the same step its successor appears in all
    five dictionaries (reward 0) and takes its place in `agents`. Ids are given in order of birth and never return.

    Observations are rows of arrays made fresh each step. `infos[agent]["action_mask"]` is in gymnasium's
    format for discrete spaces (a tuple of S masks for a slate, and one of destinations); for Box goal actions
    `infos[agent]["may_publish"]` says whether a publication would have an effect. Every episode is truncated
    after `episode.num_rounds` rounds.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (the base class declares it as an instance variable)
        "name": "metaspace_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(self, config: AmmoConfig, render_mode: str | None = None) -> None:
        self.config, self.render_mode = config, render_mode
        self.vector = VectorEnv(config, 1)
        self._view = make_view(self.vector, render_mode)
        self.metadata = {**self.metadata, "render_modes": available_modes()}
        self._members = {side: [f"{side}_{n}" for n in range(self.vector.num_agents[side])] for side in SIDES}
        self._first = self._members
        goals, births = self.vector.num_agents["goal_buddy"], config.life.max_births * config.life.is_on
        unborn = [f"goal_buddy_{n}" for n in range(goals, goals + births)]
        named = {"user_buddy": self._members["user_buddy"], "goal_buddy": [*self._members["goal_buddy"], *unborn]}
        self.possible_agents = [agent for side in SIDES for agent in named[side]]
        self.agents: list[str] = []
        # One space object per agent: each has its own random state when it is sampled.
        self.observation_spaces = {a: _copy(self.vector.observation_spaces[s]) for s in SIDES for a in named[s]}
        self.action_spaces = {a: _copy(self.vector.action_spaces[s]) for s in SIDES for a in named[s]}
        size = sum(self.vector.num_agents[s] * self.vector.observation_layouts[s].size for s in SIDES)
        self.state_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self._obs: dict[str, Any] = {}
        self._slate_mask = self._make_slate_mask()
        self._goal_masks = self._make_goal_masks()

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def layout(self, agent: str) -> Layout:
        """Names, slices and shapes of an agent's flat observation."""
        return self.vector.observation_layouts[agent.rsplit("_", 1)[0]]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, FloatArray], Infos]:
        """Begin an episode; a seed fixes everything, None continues the random stream.

        options={"bait_guess": a number, or one per user buddy}: as `VectorEnv.assume`.
        """
        self._obs, _ = self.vector.reset(seed, options)
        self._members = self._first
        self.agents = [agent for side in SIDES for agent in self._members[side]]
        self._view.follow()
        return self._by_agent(self._obs), self._infos()

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, FloatArray], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """One round. Raises `RuntimeError` before reset or after the end, `ValueError` for bad actions."""
        if not self.agents:
            started = "the episode is over" if self._obs else "the environment has not been started"
            raise RuntimeError(f"{started}: call reset() before step()")
        if not isinstance(actions, Mapping):
            raise ValueError(f"step() needs a dict of actions by agent, got {actions!r}")
        if actions.keys() != set(self.agents):
            raise ValueError(self._who_is_wrong(actions))
        stacked = {side: self._stack(side, actions) for side in SIDES}
        self._obs, happened = self.vector.play(stacked)
        scored = self._by_agent({side: happened.rewards[side].tolist() for side in SIDES})
        over = self.vector.is_over
        flags = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, over)
        last = {} if happened.last_seen is None else self._succeed(happened, scored, *flags)
        observations, infos = self._by_agent(self._obs) | last, self._infos()
        infos |= {agent: dict(self._goal_masks[False]) for agent in last}
        result = observations, scored, *flags, infos
        if over:
            self.agents = []
        self._view.follow()
        return result

    def state(self) -> FloatArray:
        """All agents' observations in one vector [size], for centralised critics; nothing hidden."""
        if not self._obs:
            raise RuntimeError("the environment has not been started: call reset() before state()")
        return np.concatenate([self._obs[side].reshape(-1) for side in SIDES])

    def render(self) -> Any:
        """The round: a line (`ansi`), a picture uint8 [H, W, 3] (`rgb_array`), or None and a window (`human`).

        A window also follows every reset and step by itself. Raises `ConfigError` for one where there is no display.
        """
        return self._view.render()

    def close(self) -> None:
        """Closes the window, if there is one."""
        self._view.close()

    def _by_agent(self, rows: dict[str, Any]) -> dict[str, Any]:
        users, goals = (rows[side][0] for side in SIDES)
        return dict(zip(itertools.chain(*self._members.values()), [*users, *goals], strict=True))

    def _succeed(self, happened: Round, rewards: dict[str, float], *flags: dict[str, bool]) -> dict[str, FloatArray]:
        """Newborns take the seats of the retired, in `agents` and in what the step returns -> last observations."""
        assert happened.last_seen is not None
        assert happened.retired is not None
        identity, seated = self.vector.world.state.own[LIFE]["id"][0].tolist(), self._members["goal_buddy"]
        self._members = self._members | {"goal_buddy": [f"goal_buddy_{number}" for number in identity]}
        self.agents = [agent for side in SIDES for agent in self._members[side]]
        last: dict[str, FloatArray] = {}
        for seat in np.flatnonzero(happened.retired).tolist():
            gone, successor = seated[seat], self._members["goal_buddy"][seat]
            last[gone], flags[0][gone], rewards[successor] = happened.last_seen[0, seat], True, 0.0
            for flag in flags:
                flag[successor] = False
            # A caller can only seed the spaces of agents that it sees: a newborn samples on from its predecessor's.
            self.action_spaces[successor].seed(int(self.action_spaces[gone].np_random.integers(2**31)))
        return last

    def _stack(self, side: str, actions: dict[str, Any]) -> NDArray[Any]:
        rows, space = [actions[agent] for agent in self._members[side]], self.vector.action_spaces[side]
        kinds, shape = "iuf" if isinstance(space, spaces.Box) else "iu", space.shape or ()
        try:
            stacked = np.array(rows)
        except ValueError:
            stacked = np.array(None)
        if stacked.dtype.kind in kinds and stacked.shape == (len(rows), *shape):
            return stacked[None]
        for agent, row in zip(self._members[side], rows, strict=True):
            if not _fits(row, kinds, shape):
                raise ValueError(f"action {row!r} of {agent} does not fit its action space {space}")
        return np.array([np.asarray(row).astype(np.int64) for row in rows])[None]  # signed beside unsigned

    def _who_is_wrong(self, actions: dict[str, Any]) -> str:
        missing = [agent for agent in self.agents if agent not in actions]
        unknown = [agent for agent in actions if agent not in self.agents]
        parts = [f"no action for {', '.join(missing)}"] * bool(missing)
        parts += [f"an action for {', '.join(map(str, unknown))}, not an agent of this round"] * bool(unknown)
        return "step() needs one action for each of env.agents: " + "; ".join(parts)

    def _infos(self) -> Infos:
        able = self.vector.may_publish()[0].tolist()
        if self.config.num_destinations:  # which of them are open may change
            self._slate_mask = self._make_slate_mask()
        infos: Infos = {agent: dict(self._slate_mask) for agent in self._members["user_buddy"]}
        for agent, can in zip(self._members["goal_buddy"], able, strict=True):
            infos[agent] = dict(self._goal_masks[can])
        return infos

    def _make_slate_mask(self) -> dict[str, Any]:
        """One mask for all rounds: there are never fewer live creations than candidates."""
        config = self.config
        if config.actions.user_mode == "scores":
            return {}
        mask = _frozen(np.ones(config.attention.num_candidates, dtype=np.int8))
        slots = config.attention.num_slots
        if config.num_destinations:
            return {"action_mask": (*(mask,) * slots, _frozen(self.vector.world.seats.open.astype(np.int8)))}
        return {"action_mask": mask if slots == 1 else (mask,) * slots}

    def _make_goal_masks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(without energy, with energy)."""
        if self.config.actions.goal_mode != "nudge":
            return {"may_publish": False}, {"may_publish": True}
        every = np.ones(num_nudges(self.config.goal_buddies.steering_dim), dtype=np.int8)
        hold = np.zeros_like(every)
        hold[HOLD] = 1
        return {"action_mask": _frozen(hold)}, {"action_mask": _frozen(every)}


def _fits(row: Any, kinds: str, shape: tuple[int, ...]) -> bool:
    try:
        value = np.asarray(row)
    except ValueError:
        return False
    return value.dtype.kind in kinds and value.shape == shape


def _frozen(mask: NDArray[np.int8]) -> NDArray[np.int8]:
    mask.flags.writeable = False
    return mask


def _copy(space: spaces.Space[Any]) -> spaces.Space[Any]:
    if isinstance(space, spaces.Box):
        return spaces.Box(space.low, space.high, dtype=space.dtype)  # type: ignore[arg-type]
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    assert isinstance(space, spaces.MultiDiscrete)
    return spaces.MultiDiscrete(space.nvec)
