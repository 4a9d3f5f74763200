"""Everybody on one side of all worlds: the members that learn, the hall of fame, and the scripted policies.

Each episode the seats are dealt anew. Each round all learned players act in one forward pass, scripted policies fill
their own seats, and what the living members saw, did and earned is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.curiosity import chosen_features, creation_novelty, slate_novelty
from agents.history import History
from agents.insight import user_insight
from agents.matchmaking import assign_seats
from agents.networks import BuddyNetwork, build_network
from agents.policy import Policy, Turn
from agents.rllib.plan import TrainingPlan
from agents.rllib.rollout import Rollout, joined
from agents.rllib.roster import SideRoster, first_roster
from agents.rllib.seating import seating
from agents.rllib.team import Team
from ammo_env.vector import VectorEnv

BEHAVIOUR_EVERY = 8  # rounds between those that describe a member's behaviour


class SidePlayers:
    """The players of one side.

    Args:
        plan: the run.
        side: whose.
        networks: slot → its network (shared with the runner's modules).
        env: the worlds; seats, spaces and layouts are read off it.
    """

    def __init__(self, plan: TrainingPlan, side: str, networks: Mapping[str, BuddyNetwork], env: VectorEnv) -> None:
        self.side, self._networks = side, dict(networks)
        self._scripts: Mapping[str, Policy] = plan.scripts.get(side, {})
        self._share = plan.settings.side(side).scripted_share
        self._space, self._layout = env.action_spaces[side], env.observation_layouts[side]
        self._space_shape = self._space.shape or ()  # of one action; a slate of one slot is a plain number
        self._slots = env.config.attention.num_slots
        self._shape = (env.num_envs, env.num_agents[side])
        source = plan.histories.get(side)
        self._history = History(source, 0) if source else None
        specs = [network.spec for network in self._networks.values()]
        self._insight = user_insight if specs and specs[0].insight_size else None
        self._seen: tuple[Turn, Tensor] | None = None
        self.holders: NDArray[np.int64] = np.full(self._shape, 0 if self._networks else -1, dtype=np.int64)
        self.roster = first_roster(plan, side)
        self._team = self._gathered()
        self._lay_out()
        self.start()

    def enrol(self, roster: SideRoster) -> None:
        """From now on the side is made of these players; seats stay as they are until the next dealing."""
        before, self.roster = self.roster.frozen, roster
        if len(before) != len(roster.frozen) or any(a is not b for a, b in zip(before, roster.frozen, strict=True)):
            self._team = self._gathered()
        self._lay_out()

    @property
    def num_players(self) -> int:
        """P, learned players: the living, then the frozen."""
        return len(self._networks) + len(self.roster.frozen) if self._networks else 0

    def deal(self, rng: np.random.Generator, first_row: int = 0) -> None:
        """Deal the seats for an episode, by rows of the roster's weights from `first_row` on."""
        members, scripts, weights = len(self._networks), len(self._scripts), self.roster.weights
        self.seat(assign_seats(rng, *self._shape, members, scripts, self._share, weights, first_row))

    def seat(self, holders: NDArray[np.int64]) -> None:
        """Seat players as given: [E, N] player indices, or −1 − j for script j."""
        self.holders, self._seen = holders, None
        self._lay_out()
        self._rollouts.append((Rollout(), self._seats.own))

    def bait_guesses(self, default: float) -> NDArray[np.float64]:
        """[E, N] what the players of user buddies take ungrounded content to add to answers; scripts: `default`."""
        networks = self._team.networks if self._team is not None else []
        own = [network.traits["bait_guess"] for network in networks]
        return np.array([*own, default])[np.maximum(self.holders, -1)]

    def start(self) -> None:
        """Begin new records; the networks may have new weights."""
        self._rollouts: list[tuple[Rollout, Mapping[str, slice]]] = [(Rollout(), self._seats.own)]
        self._script_rewards: dict[str, list[float]] = {name: [] for name in self._scripts}
        if self._team is not None:
            self._team.refresh()

    def act(self, turn: Turn, generator: torch.Generator, rng: np.random.Generator) -> NDArray[Any]:
        """[E, N, ...] actions of the whole side, those of members recorded."""
        actions: NDArray[Any] | None = None
        if self._team is not None:
            obs, mask = self._view(turn)
            inputs, values = self._team.forward(obs, mask)
            drawn = self._team.networks[0].spec.distribution(inputs).sample(generator)
            if drawn.dtype.is_floating_point:  # the world takes no NaN, and one diverged member must not end the run
                drawn = drawn.nan_to_num(nan=0.0, posinf=torch.inf, neginf=-torch.inf)
            if self._history is not None:
                self._history.acted(obs, drawn)
            self._record(obs, mask, inputs, values, drawn)
            actions = np.zeros((*self._shape, *self._space_shape), dtype=drawn.numpy().dtype)
            actions.reshape(-1, *self._space_shape)[self._seats.rows] = drawn.numpy().reshape(-1, *self._space_shape)
        return self._clipped(self._with_scripts(actions, turn, rng))

    def earn(
        self, rewards: NDArray[np.float32], terms: Mapping[str, NDArray[np.float32]], after: NDArray[np.float32]
    ) -> None:
        """Record the rewards [E, N] of the round just played, made of named `terms`; `after` [E, N, F] is what whoever
        acted saw next."""
        record, seats = self._rollouts[-1][0], self._seats
        living = seats.rows[: seats.living]
        earned = torch.from_numpy(rewards).flatten()[living]
        if self._team is not None:
            record.judged.append(earned)
            if seats.honesty is not None and "grounding" in terms:
                price = torch.from_numpy(terms["grounding"]).flatten()[living]
                earned = earned + seats.honesty[: seats.living] * price
            if seats.novelty is not None:
                if self.side == "user_buddy":
                    novelty = slate_novelty(self._layout, record.obs[-1], record.actions[-1], self._slots)
                else:
                    novelty = creation_novelty(self._layout, torch.from_numpy(after).flatten(0, 1)[living])
                earned = earned + seats.novelty[: seats.living] * novelty
            record.rewards.append(earned)
        for name, held in seats.scripted.items():
            if held.any():
                self._script_rewards[name].append(float(rewards[held].mean()))

    def retire(self, retired: NDArray[np.bool_]) -> None:
        """After `earn`: the lives in the seats [E, N] ended with the round just played. Their players go on with the
        next life there, from which no advantage reaches back."""
        if self._team is not None and retired.any():
            record = self._rollouts[-1][0]
            record.retirements[len(record.rewards) - 1] = self._seats.learned(retired)[: self._seats.living]

    def close(self, turn: Turn, terminated: NDArray[np.bool_]) -> None:
        """Mark an end after the last round: what follows is worth V of `turn`, or 0 in worlds [E] that terminated."""
        if self._team is None:
            return
        alive = torch.from_numpy(np.repeat(~terminated, self._shape[1]))[self._seats.rows]
        (obs, mask), living = self._view(turn), self._seats.living
        values = (self._team.forward(obs, mask)[1] * alive)[:living]
        record = self._rollouts[-1][0]
        record.boundaries.append((len(record.rewards) - 1, values))
        record.closing.append((obs[:living], mask[:living], alive[:living]))

    def columns(self) -> dict[str, dict[str, Tensor]]:
        """Slot → its training columns; slots that had no seat are left out."""
        result: dict[str, dict[str, Tensor]] = {}
        for name, network in self._networks.items():
            own = self.roster.hyperparameters[name]
            parts = [
                record.columns(network.spec, own.gamma, own.gae_lambda, rows) for record, rows in self.played(name)
            ]
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
        for name in self._networks:
            parts = [torch.stack(record.judged)[:, rows].flatten() for record, rows in self.played(name)]
            if not parts:
                continue
            reward = float(torch.cat(parts).mean())
            report[f"{name}/reward"] = reward
            if scripted:
                report[f"{name}/advantage_over_scripts"] = reward - float(np.mean(list(scripted.values())))
        return report

    def played(self, name: str) -> list[tuple[Rollout, slice]]:
        """The rollouts since `start` in which a member had seats, and its rows in them."""
        return [
            (record, own[name]) for record, own in self._rollouts if record.obs and own[name].stop > own[name].start
        ]

    def state(self, turn: Turn | None) -> dict[str, Any]:
        """Seats and histories, with `turn` in front of the side."""
        seen = self._seen[1] if self._seen is not None and self._seen[0] is turn else None
        return {
            "holders": self.holders,
            "history": self._history.state() if self._history else None,
            "seen": seen if self._history else None,  # without histories it is made of the turn alone
        }

    def load(self, state: Mapping[str, Any], turn: Turn | None) -> None:
        """Go on from `state`, with `turn` in front of the side."""
        self.seat(state["holders"])
        if self._history is not None:
            self._history.load(state["history"])
            if turn is not None and state["seen"] is not None:
                self._seen = turn, state["seen"]
        self.start()

    def _gathered(self) -> Team | None:
        """The living and the frozen as one team; None where nobody learns."""
        frozen = []
        for entry in self.roster.frozen:
            network = build_network(next(iter(self._networks.values())).spec, seed=0)
            network.load_state_dict(dict(entry.weights))
            frozen.append(network)
        return Team([*self._networks.values(), *frozen]) if self._networks else None

    def _lay_out(self) -> None:
        self._seats = seating(self.holders, list(self._networks), list(self._scripts), self.roster)
        if self._team is not None:
            self._team.seat(self._seats.counts)

    def _view(self, turn: Turn) -> tuple[Tensor, Tensor]:
        """The learned rows of observations [B, F], histories included where they are seen, and of masks."""
        if self._seen is None or self._seen[0] is not turn:  # histories move on once per turn
            rows, born = self._seats.learned(turn.obs), turn.newborn(self.side)
            new = None if born is None else self._seats.learned(born)
            self._seen = turn, rows if self._history is None else self._history.extended(rows, new)
        obs = self._seen[1]
        if self._history is not None:  # who sees its own may change within an episode: not in place
            obs, sees = obs.clone(), self._seats.adaptive
            obs[:, -self._history.source.length :] *= 0.0 if sees is None else sees.unsqueeze(-1)
        if self._insight is not None:
            obs = torch.cat([obs, self._seats.learned(self._insight(turn.env))], dim=-1)
        return obs, self._seats.learned(turn.mask)

    def _record(self, obs: Tensor, mask: Tensor, inputs: Tensor, values: Tensor, drawn: Tensor) -> None:
        record, living = self._rollouts[-1][0], self._seats.living
        columns = (record.obs, record.mask, record.inputs, record.values, record.actions)
        for column, rows in zip(columns, (obs, mask, inputs, values, drawn), strict=True):
            column.append(rows[:living])

    def _described(self, obs: Tensor, actions: Tensor) -> Tensor:
        if self.side == "user_buddy":
            return chosen_features(self._layout, obs, actions, self._slots).mean(1)
        return actions.clamp(-1.0, 1.0) if actions.dtype.is_floating_point else actions.reshape(-1, 1).float()

    def _with_scripts(self, actions: NDArray[Any] | None, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        for name, seats in self._seats.scripted.items():
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
