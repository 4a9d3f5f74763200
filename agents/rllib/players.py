"""Everybody on one side of all worlds: the members that learn, the hall of fame, and the scripted policies.

Each episode the seats are dealt anew. Each round all learned players act in one forward pass, scripted policies fill
their own seats, and what the living members saw, did and earned is recorded (`SideRecord`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.history import History
from agents.insight import user_insight
from agents.matchmaking import assign_seats
from agents.networks import BuddyNetwork, build_network
from agents.policy import Policy, Turn
from agents.rllib.plan import TrainingPlan
from agents.rllib.record import SideRecord
from agents.rllib.roster import SideRoster, first_roster
from agents.rllib.seating import seating
from agents.rllib.team import Team
from ammo_env.vector import VectorEnv


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
        self._num_slots = env.config.attention.num_slots
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
        self.record.deal(self._seats)

    def bait_guesses(self, default: float) -> NDArray[np.float64]:
        """[E, N] what the players of user buddies take ungrounded content to add to answers; scripts: `default`."""
        networks = self._team.networks if self._team is not None else []
        own = [network.traits["bait_guess"] for network in networks]
        return np.array([*own, default])[np.maximum(self.holders, -1)]

    def start(self) -> None:
        """Begin a new record; the networks may have new weights."""
        specs = {name: network.spec for name, network in self._networks.items()}
        self.record = SideRecord(self.side, specs, self._layout, self._num_slots, self._seats)
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
            self.record.act(self._seats.living, obs, mask, inputs, values, drawn)
            actions = np.zeros((*self._shape, *self._space_shape), dtype=drawn.numpy().dtype)
            actions.reshape(-1, *self._space_shape)[self._seats.rows] = drawn.numpy().reshape(-1, *self._space_shape)
        return self._clipped(self._with_scripts(actions, turn, rng))

    def earn(
        self, rewards: NDArray[np.float32], terms: Mapping[str, NDArray[np.float32]], after: NDArray[np.float32]
    ) -> None:
        """Record the rewards [E, N] of the round just played, made of named `terms`; `after` [E, N, F] is what whoever
        acted saw next."""
        self.record.earn(self._seats, rewards, terms, after)

    def retire(self, retired: NDArray[np.bool_]) -> None:
        """After `earn`: the lives in the seats [E, N] ended with the round just played. Their players go on with the
        next life there, from which no advantage reaches back."""
        self.record.retire(self._seats, retired)

    def close(self, turn: Turn, terminated: NDArray[np.bool_]) -> None:
        """Mark an end after the last round: what follows is worth V of `turn`, or 0 in worlds [E] that terminated."""
        if self._team is None:
            return
        alive = torch.from_numpy(np.repeat(~terminated, self._shape[1]))[self._seats.rows]
        obs, mask = self._view(turn)
        self.record.close(self._seats.living, obs, mask, alive, self._team.forward(obs, mask)[1])

    def columns(self) -> dict[str, dict[str, Tensor]]:
        """Slot → its training columns; slots that had no seat are left out."""
        return self.record.columns(self.roster.hyperparameters)

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
