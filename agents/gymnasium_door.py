"""The gymnasium door: one learner in one seat, baselines (or policies of your own) in all the others.

    import ammo_env, gymnasium
    env = gymnasium.make("AMMO/UserBuddy-v0", scenario="drift", goal_buddies=("truthful", "clickbait"), num_slots=2)
    env = gymnasium.make("AMMO/GoalBuddy-v0", user_buddies="softmax=0.1", continuous_actions=True)

The ids are known once `ammo_env` or `agents` is imported; `gymnasium.make("ammo_env:AMMO/UserBuddy-v0")` imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.opponents import EVERYBODY, Opponents, deal, make_cast
from agents.policy import take_turn
from ammo_env.arrays import FloatArray
from ammo_env.config import AmmoConfig
from ammo_env.observations import Layout
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.spaces import action_space, observation_space
from ammo_env.validation import bait_guess_of
from ammo_env.vector import SIDES, VectorEnv
from ammo_env.view import RENDER_MODES, available_modes, make_view

KINDS = {"user_buddy": "slate", "goal_buddy": "gains"}  # of the side without the learner where nothing else is said


class BuddyEnv(gymnasium.Env[FloatArray, Any]):
    """One buddy's life in a world of others.

    Observation, action and reward are those of the same seat in `metaspace_v0.parallel_env`; `info` is what it is told
    there (`action_mask` in gymnasium's format, or `may_publish`). An episode is truncated after `episode.num_rounds`
    rounds; a goal buddy that retires earlier (`config.life`) is terminated. Others are dealt to their seats anew in
    every episode. A seed fixes the world (as it does in the PettingZoo door) and what the others draw.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 (the base class's)

    def __init__(
        self,
        side: str,
        config: AmmoConfig,
        seat: int,
        user_buddies: Opponents,
        goal_buddies: Opponents,
        render_mode: str | None = None,
    ) -> None:
        self.side, self.config, self.seat, self.render_mode = side, config, seat, render_mode
        self.vector = VectorEnv(config, 1)
        self._view = make_view(self.vector, render_mode)
        self.metadata = {**self.metadata, "render_modes": available_modes()}
        seats = self.vector.num_agents[side]
        if isinstance(seat, bool) or not isinstance(seat, int | np.integer) or not 0 <= seat < seats:
            raise ConfigError(f"seat={seat!r}: the {side}s of this world sit in seats 0..{seats - 1}")
        named = {"user_buddy": user_buddies, "goal_buddy": goal_buddies}
        self._casts = {side: make_cast(side, named[side]) for side in SIDES}
        self.observation_space = observation_space(self.layout)
        self.action_space = action_space(config, side)
        self._rng: np.random.Generator | None = None
        self._obs: dict[str, Any] = {}
        self._over = True

    @property
    def layout(self) -> Layout:
        """Names, slices and shapes of the flat observation."""
        return self.vector.observation_layouts[self.side]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin an episode; a seed fixes everything, None continues the random streams.

        options={"bait_guess": ...}: what a learner that is a user buddy takes ungrounded content to add to answers.
        """
        super().reset(seed=seed)
        if seed is not None or self._rng is None:
            # Of its own: gymnasium's generator has the very numbers of the world's.
            self._rng = np.random.default_rng([int(self.np_random.integers(2**31)), 1])
        own = bait_guess_of(options)
        own = self.config.beliefs.bait_guess if own is None else float(own)
        self._obs, _ = self.vector.reset(seed)
        for side, (cast, players) in self._casts.items():
            deal(cast, players, self.vector.num_agents[side], self._rng)
        guesses = self._casts["user_buddy"][0].guesses(self.vector)
        if self.side == "user_buddy":
            guesses[0, self.seat] = own
        self.vector.assume(guesses)
        self._over = False
        self._view.follow()
        return self._own(self._obs), self._info()

    def step(self, action: Any) -> tuple[FloatArray, SupportsFloat, bool, bool, dict[str, Any]]:
        """One round. Raises `RuntimeError` before reset or after the end, `ValueError` for a bad action."""
        if self._over or self._rng is None:
            raise RuntimeError("the episode is over, or has not been started: call reset() before step()")
        chosen = {side: cast.act(take_turn(self.vector, self._obs, side), self._rng)
                  for side, (cast, _) in self._casts.items()}  # fmt: skip
        chosen[self.side] = self._with_own(chosen[self.side], action)
        self._obs, happened = self.vector.play(chosen)
        retired = self.side == "goal_buddy" and happened.retired is not None and bool(happened.retired[0, self.seat])
        truncated = self.vector.is_over
        self._over = retired or truncated
        seen = self._obs
        if retired:
            seen = {"goal_buddy": self.vector.final_goal_obs(self._obs, happened)}
        self._view.follow()
        reward = float(happened.rewards[self.side][0, self.seat])
        return self._own(seen), reward, retired, truncated, self._info()

    def render(self) -> Any:
        """As `MetaSpaceEnv.render`."""
        return self._view.render()

    def close(self) -> None:
        """Closes the window, if there is one."""
        self._view.close()

    def action_masks(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Flat mask of a discrete action, slot after slot, as maskable PPO of SB3-contrib asks for it."""
        mask = self._info().get("action_mask")
        if mask is None:
            raise ConfigError(f"{self.action_space} has no masks: they are of discrete actions")
        return np.concatenate(mask if isinstance(mask, tuple) else [mask]).astype(np.bool_)

    def _own(self, obs: dict[str, Any]) -> FloatArray:
        row: FloatArray = obs[self.side][0, self.seat]
        return row

    def _with_own(self, others: Any, action: Any) -> Any:
        """The actions [1, N, ...] of the learner's side, its own among them."""
        own, row = np.asarray(action), others[0, self.seat]
        kinds = "iuf" if isinstance(self.action_space, spaces.Box) else "iu"
        if own.dtype.kind not in kinds or own.shape != row.shape:
            raise ValueError(f"action {action!r} does not fit the action space {self.action_space}")
        others = others.copy()
        others[0, self.seat] = own
        return others

    def _info(self) -> dict[str, Any]:
        mask, slots = self.vector.action_masks()[self.side][0, self.seat], self.config.attention.num_slots
        if isinstance(self.action_space, spaces.Box):
            return {"may_publish": bool(mask)} if self.side == "goal_buddy" else {}
        mask = mask.astype(np.int8)
        return {"action_mask": (mask,) * slots if isinstance(self.action_space, spaces.MultiDiscrete) else mask}


def user_buddy_env(scenario: str | Path = "default", **settings: Any) -> BuddyEnv:
    """`AMMO/UserBuddy-v0`: the learner fills the slots of one human; arguments as `buddy_env`."""
    return buddy_env("user_buddy", scenario, **settings)


def goal_buddy_env(scenario: str | Path = "default", **settings: Any) -> BuddyEnv:
    """`AMMO/GoalBuddy-v0`: the learner is one creator; arguments as `buddy_env`."""
    return buddy_env("goal_buddy", scenario, **settings)


def buddy_env(
    side: str,
    scenario: str | Path = "default",
    seat: int = 0,
    user_buddies: Opponents = "softmax=0.1",
    goal_buddies: Opponents = EVERYBODY,
    continuous_actions: bool = False,
    render_mode: str | None = None,
    **overrides: Any,
) -> BuddyEnv:
    """One learner of a side in a scenario.

    seat: which place of its side it holds. user_buddies, goal_buddies: who holds the others, as names of baselines,
    policies, or several of them that are dealt equally. continuous_actions: a `Box` for the learner instead of a
    discrete space. render_mode: ansi, rgb_array or human. overrides: settings as in `metaspace_v0.parallel_env`. Raises
    `ConfigError`.
    """
    mine = {"actions.continuous": continuous_actions, **overrides} if continuous_actions else overrides
    config = load_config(scenario, mine)
    other = "goal_buddy" if side == "user_buddy" else "user_buddy"
    if getattr(config.actions, other) is None:
        config = config.model_copy(update={"actions": config.actions.model_copy(update={other: KINDS[other]})})
    return BuddyEnv(side, config, seat, user_buddies, goal_buddies, render_mode)
