"""What the living members of one side saw, did and earned since the record began, and what can be told of it: columns
to train on, what a member did as a point, mean rewards.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.curiosity import chosen_features, creation_novelty, slate_novelty
from agents.networks import NetworkSpec
from agents.rllib.rollout import Rollout, joined
from agents.rllib.seating import Seating
from agents.training_settings import Hyperparameters
from ammo_env.observations import Layout

BEHAVIOUR_EVERY = 8  # rounds between those that describe a member's behaviour


class SideRecord:
    """One `Rollout` per dealing of the seats, and the rewards of the scripted seats.

    Args:
        side: whose.
        specs: member → what its network is like.
        layout: of the side's observations.
        num_slots: S.
        seats: who sits where when it begins.
    """

    def __init__(
        self, side: str, specs: Mapping[str, NetworkSpec], layout: Layout, num_slots: int, seats: Seating
    ) -> None:
        self._side, self._specs, self._layout, self._num_slots = side, specs, layout, num_slots
        self.rollouts: list[tuple[Rollout, Mapping[str, slice]]] = []
        self._script_rewards: dict[str, list[float]] = {name: [] for name in seats.scripted}
        self.deal(seats)

    def deal(self, seats: Seating) -> None:
        """From now on players sit like this."""
        self.rollouts.append((Rollout(), seats.own))

    def act(self, living: int, obs: Tensor, mask: Tensor, inputs: Tensor, values: Tensor, drawn: Tensor) -> None:
        """One round of the learned seats [B, ...], of which the first `living` are kept."""
        record = self.rollouts[-1][0]
        columns = (record.obs, record.mask, record.inputs, record.values, record.actions)
        for column, rows in zip(columns, (obs, mask, inputs, values, drawn), strict=True):
            column.append(rows[:living])

    def earn(
        self,
        seats: Seating,
        rewards: NDArray[np.float32],
        terms: Mapping[str, NDArray[np.float32]],
        after: NDArray[np.float32],
    ) -> None:
        """The rewards [E, N] of the round just played, made of named `terms`; `after` [E, N, F] is what whoever acted
        saw next."""
        for name, held in seats.scripted.items():
            if held.any():
                self._script_rewards[name].append(float(rewards[held].mean()))
        if not self._specs:
            return
        record, living = self.rollouts[-1][0], seats.rows[: seats.living]
        earned = torch.from_numpy(rewards).flatten()[living]
        record.judged.append(earned)
        if seats.honesty is not None and "grounding" in terms:
            price = torch.from_numpy(terms["grounding"]).flatten()[living]
            earned = earned + seats.honesty[: seats.living] * price
        if seats.novelty is not None:
            if self._side == "user_buddy":
                novelty = slate_novelty(self._layout, record.obs[-1], record.actions[-1], self._num_slots)
            else:
                novelty = creation_novelty(self._layout, torch.from_numpy(after).flatten(0, 1)[living])
            earned = earned + seats.novelty[: seats.living] * novelty
        record.rewards.append(earned)

    def retire(self, seats: Seating, retired: NDArray[np.bool_]) -> None:
        """After `earn`: the lives in the seats [E, N] ended with the round just played. Their players go on with the
        next life there, from which no advantage reaches back."""
        if self._specs and retired.any():
            record = self.rollouts[-1][0]
            record.retirements[len(record.rewards) - 1] = seats.learned(retired)[: seats.living]

    def close(self, living: int, obs: Tensor, mask: Tensor, alive: Tensor, values: Tensor) -> None:
        """After the last round: what follows is worth `values` [B], made of what is seen then; `alive` [B] is 0 where
        the episode terminated."""
        record = self.rollouts[-1][0]
        record.boundaries.append((len(record.rewards) - 1, (values * alive)[:living]))
        record.closing.append((obs[:living], mask[:living], alive[:living]))

    def columns(self, hyperparameters: Mapping[str, Hyperparameters]) -> dict[str, dict[str, Tensor]]:
        """Member → its training columns; members that had no seat are left out."""
        result: dict[str, dict[str, Tensor]] = {}
        for name, spec in self._specs.items():
            own = hyperparameters[name]
            parts = [record.columns(spec, own.gamma, own.gae_lambda, rows) for record, rows in self.played(name)]
            if parts:
                result[name] = joined(parts)
        return result

    def behaviour(self, name: str) -> tuple[float, ...]:
        """What a member did, as a point: mean action, or mean features of what it chose; empty without a seat."""
        points = []
        for record, rows in self.played(name):
            for obs, actions in list(zip(record.obs, record.actions, strict=True))[::BEHAVIOUR_EVERY]:
                points.append(self._described(obs[rows], actions[rows]))
        return tuple(torch.cat(points).mean(0).tolist()) if points else ()

    def report(self) -> dict[str, float]:
        """Mean reward per round of every member, and its advantage over the mean of the scripted policies."""
        scripted = {name: float(np.mean(rewards)) for name, rewards in self._script_rewards.items() if rewards}
        report = {f"script_{name}/reward": reward for name, reward in scripted.items()}
        for name in self._specs:
            parts = [torch.stack(record.judged)[:, rows].flatten() for record, rows in self.played(name)]
            if not parts:
                continue
            reward = float(torch.cat(parts).mean())
            report[f"{name}/reward"] = reward
            if scripted:
                report[f"{name}/advantage_over_scripts"] = reward - float(np.mean(list(scripted.values())))
        return report

    def played(self, name: str) -> list[tuple[Rollout, slice]]:
        """The rollouts in which a member had seats, and its rows in them."""
        return [
            (record, own[name]) for record, own in self.rollouts if record.obs and own[name].stop > own[name].start
        ]

    def _described(self, obs: Tensor, actions: Tensor) -> Tensor:
        if self._side == "user_buddy":
            return chosen_features(self._layout, obs, actions, self._num_slots).mean(1)
        return actions.clamp(-1.0, 1.0) if actions.dtype.is_floating_point else actions.reshape(-1, 1).float()
