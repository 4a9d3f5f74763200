"""Everybody on one side of all worlds: the members that learn and the scripted policies that do not.

Each episode the seats are dealt anew. Each round every member acts for all its seats in one forward pass, scripted
policies fill theirs, and what the members saw, did and earned is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.matchmaking import assign_seats
from agents.networks import BuddyNetwork
from agents.policy import Policy, Turn
from agents.rllib.rollout import Rollout


class SidePlayers:
    """The players of one side.

    Args:
        networks: member id → its network (shared with the runner's modules, so new weights act at once).
        scripts: name → scripted policy.
        share: share of a world's seats that scripted policies hold.
        action_space: the space of one buddy; continuous actions are clipped to it on their way to the world.
        num_worlds: E.
        num_seats: N, buddies of this side per world.
    """

    def __init__(
        self,
        networks: Mapping[str, BuddyNetwork],
        scripts: Mapping[str, Policy],
        share: float,
        action_space: gymnasium.Space[Any],
        num_worlds: int,
        num_seats: int,
    ) -> None:
        self._networks, self._scripts, self._share = networks, scripts, share
        self._space = action_space
        self._shape = (num_worlds, num_seats)
        self._space_shape = action_space.shape or ()  # of one action; a slate of one slot is a plain number
        self.rollouts: dict[str, Rollout] = {}
        self._script_rewards: dict[str, list[float]] = {}
        self.seat(np.zeros(self._shape, dtype=np.int64))
        self.start()

    def deal(self, rng: np.random.Generator) -> None:
        """Deal the seats for an episode."""
        members, scripts = len(self._networks), len(self._scripts)
        self.seat(assign_seats(rng, *self._shape, members, scripts, self._share))

    def seat(self, holders: NDArray[np.int64]) -> None:
        """Seat players as given: [E, N] member indices, or −1 − j for script j."""
        self.holders, flat = holders, holders.ravel()
        self._rows = {name: torch.from_numpy(np.flatnonzero(flat == i)) for i, name in enumerate(self._networks)}
        self._script_seats = {name: holders == -1 - j for j, name in enumerate(self._scripts)}

    def start(self) -> None:
        """Begin new records."""
        self.rollouts = {name: Rollout() for name in self._networks}
        self._script_rewards = {name: [] for name in self._scripts}

    def act(self, turn: Turn, generator: torch.Generator, rng: np.random.Generator) -> NDArray[Any]:
        """[E, N, ...] actions of the whole side, those of members recorded."""
        actions: NDArray[Any] | None = None
        for name, (obs, mask) in self._views(turn).items():
            network = self._networks[name]
            inputs, values = network(obs, mask)
            drawn = network.spec.distribution(inputs).sample(generator)
            record = self.rollouts[name]
            record.obs.append(obs)
            record.mask.append(mask)
            record.inputs.append(inputs)
            record.values.append(values)
            record.actions.append(drawn)
            actions = self._blank(drawn) if actions is None else actions
            actions.reshape(-1, *self._space_shape)[self._rows[name]] = drawn.numpy().reshape(-1, *self._space_shape)
        return self._clipped(self._with_scripts(actions, turn, rng))

    def earn(self, rewards: NDArray[np.float32]) -> None:
        """Record the rewards [E, N] of the round that was just played."""
        flat = torch.from_numpy(rewards).flatten()
        for name, rows in self._rows.items():
            self.rollouts[name].rewards.append(flat[rows])
        for name, seats in self._script_seats.items():
            if seats.any():
                self._script_rewards[name].append(float(rewards[seats].mean()))

    def close(self, turn: Turn, terminated: NDArray[np.bool_]) -> None:
        """Mark an end after the last round: what follows is worth V of `turn`, or 0 in worlds [E] that terminated."""
        alive = torch.from_numpy(np.repeat(~terminated, self._shape[1]))
        for name, (obs, mask) in self._views(turn).items():
            values = self._networks[name](obs, mask)[1] * alive[self._rows[name]]
            record = self.rollouts[name]
            record.boundaries.append((len(record.rewards) - 1, values))

    def report(self) -> dict[str, float]:
        """Mean reward per round of every member, and its advantage over the mean of the scripted policies."""
        scripted = {name: float(np.mean(rewards)) for name, rewards in self._script_rewards.items() if rewards}
        report = {f"script_{name}/reward": reward for name, reward in scripted.items()}
        for name, record in self.rollouts.items():
            reward = float(torch.stack(record.rewards).mean())
            report[f"{name}/reward"] = reward
            if scripted:
                report[f"{name}/advantage_over_scripts"] = reward - float(np.mean(list(scripted.values())))
        return report

    def _views(self, turn: Turn) -> dict[str, tuple[Tensor, Tensor]]:
        """Member → its rows of the observations [R, F] and masks [R, ...]; the world makes new arrays every round."""
        obs = torch.from_numpy(turn.obs).flatten(0, 1)
        mask = torch.from_numpy(turn.mask).flatten(0, 1)
        if len(self._rows) == 1 and not self._script_seats:
            return dict.fromkeys(self._rows, (obs, mask))
        return {name: (obs[rows], mask[rows]) for name, rows in self._rows.items()}

    def _blank(self, like: Tensor) -> NDArray[Any]:
        return np.zeros((*self._shape, *self._space_shape), dtype=like.numpy().dtype)

    def _with_scripts(self, actions: NDArray[Any] | None, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        for name, seats in self._script_seats.items():
            if seats.any():
                scripted = self._scripts[name].act(turn, rng)
                actions = np.zeros_like(scripted) if actions is None else actions
                actions[seats] = scripted[seats]
        assert actions is not None, "every seat is dealt, so somebody acted"
        return actions

    def _clipped(self, actions: NDArray[Any]) -> NDArray[Any]:
        if isinstance(self._space, gymnasium.spaces.Box):
            actions = np.clip(actions, self._space.low, self._space.high)
        return actions
