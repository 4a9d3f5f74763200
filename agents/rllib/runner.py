"""Sampling: all worlds in one step, one forward pass per member and round.

RLlib's own runners walk over agents and episodes in Python; this one moves arrays. Advantages are computed where
the data is, and `sample` returns the columns that the learner reads. Seats dealt, random streams and the worlds
themselves are its state, so that a resumed run continues as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from agents.matchmaking import member_id
from agents.policy import Turn
from agents.rllib.plan import TrainingPlan
from agents.rllib.players import SidePlayers
from agents.rllib.quiet import quietly
from agents.training_settings import SIDES
from ammo_env.metrics import Meter
from ammo_env.vector import VectorEnv


class BatchedRunner(EnvRunner):  # type: ignore[misc]
    """Steps E worlds at once; `config.env_config["plan"]` holds the `TrainingPlan`."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.plan: TrainingPlan = config.env_config["plan"]
        self.make_env()
        self.make_module()
        settings = self.plan.settings
        self._players = {side: self._side_players(side) for side in SIDES}
        streams = np.random.SeedSequence([settings.seed, self.worker_index or 0]).generate_state(3, np.uint64)
        self._world_seed: int | None = int(streams[0] >> np.uint64(33))
        self._rng = np.random.default_rng(int(streams[1]))
        self._generator = torch.Generator().manual_seed(int(streams[2] >> np.uint64(1)))
        self._turns: dict[str, Turn] = {}
        self._meter = Meter()

    def make_env(self) -> None:
        """Build the worlds."""
        self.env: VectorEnv = self.plan.make_worlds()

    def make_module(self) -> None:
        """Build the networks of all members; their weights come from the learner."""
        with quietly():
            self.module = self.config.get_multi_rl_module_spec(env=None, spaces=self.get_spaces()).build()

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        """Module id → (observation space, action space) of one buddy."""
        spaces = self.plan.spaces
        return {INPUT_ENV_SPACES: (None, None), **{name: spaces[spec.side] for name, spec in self.plan.specs.items()}}

    def sample(self, **kwargs: Any) -> MultiAgentBatch:
        """Play `rounds_per_iteration` rounds in every world.

        Returns:
            One SampleBatch of T·R rows per member: the columns of `Rollout.columns`.
        """
        settings = self.plan.settings
        for players in self._players.values():
            players.start()
        self._meter = Meter()
        with torch.inference_mode():
            for round_number in range(settings.rounds_per_iteration):
                self._play_round(last=round_number == settings.rounds_per_iteration - 1)
                if round_number % settings.measure_every == 0:
                    self._meter.add(self.env.measure())
        # Outside, because tensors made in inference mode cannot be trained on; stacking makes new ones.
        with torch.no_grad():
            return self._batch()

    def report(self) -> dict[str, float]:
        """Means over the last `sample`: the worlds' metrics (over the measured rounds) and every player's reward."""
        report = self._meter.summary()
        del report["cumulative_regret"]  # not all rounds were measured
        for players in self._players.values():
            report.update(players.report())
        return report

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state of a runner: the weights."""
        return {COMPONENT_RL_MODULE: self.module.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take new weights: {"rl_module": module id → state dict, or a reference to it in Ray's object store}."""
        if COMPONENT_RL_MODULE in state:
            weights = state[COMPONENT_RL_MODULE]
            self.module.set_state(ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights)

    def training_state(self) -> dict[str, Any]:
        """Everything else that a continuation depends on: random streams, worlds, seats, what was last seen."""
        return {
            "rng": self._rng.bit_generator.state,
            "generator": self._generator.get_state(),
            "world_seed": self._world_seed,
            "holders": {side: players.holders for side, players in self._players.items()},
            "obs": {side: turn.obs for side, turn in self._turns.items()},
            "mask": {side: turn.mask for side, turn in self._turns.items()},
            "worlds": None if self._world_seed is not None else self.env.get_state(),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Load what `training_state` gave."""
        self._rng.bit_generator.state = state["rng"]
        self._generator.set_state(state["generator"])
        self._world_seed = state["world_seed"]
        for side, players in self._players.items():
            players.seat(state["holders"][side])
        if state["worlds"] is not None:
            self.env.set_state(state["worlds"])
        self._turns = {}
        if state["obs"]:
            self._see(state["obs"], state["mask"])

    def assert_healthy(self) -> None:
        """Called by RLlib on remote runners."""
        assert self.env is not None
        assert self.module is not None

    def _side_players(self, side: str) -> SidePlayers:
        settings = self.plan.settings.side(side)
        names = [member_id(side, index) for index in range(settings.members)]
        return SidePlayers(
            {name: self.module[name].network for name in names},
            self.plan.scripts.get(side, {}),
            settings.scripted_share,
            self.env.action_spaces[side],
            self.env.num_envs,
            self.env.num_agents[side],
        )

    def _play_round(self, last: bool) -> None:
        if not self._turns:
            self._begin_episode()
        actions: dict[str, NDArray[Any]] = {
            side: players.act(self._turns[side], self._generator, self._rng)
            for side, players in self._players.items()
        }
        obs, rewards, terminations, truncations, infos = self.env.step(actions)
        self._see(obs, infos["action_mask"])
        ended = terminations | truncations
        if ended.any() != ended.all():
            raise RuntimeError("some worlds of the batch ended before others; worlds of a batch must end together")
        for side, players in self._players.items():
            players.earn(rewards[side])
            if last or ended.any():
                players.close(self._turns[side], terminations)
        if ended.any():
            self._turns = {}

    def _begin_episode(self) -> None:
        obs, infos = self.env.reset(seed=self._world_seed)
        self._world_seed = None
        self._see(obs, infos["action_mask"])
        for players in self._players.values():
            players.deal(self._rng)

    def _see(self, obs: Mapping[str, NDArray[np.float32]], mask: Mapping[str, NDArray[np.bool_]]) -> None:
        self._turns = {side: Turn(obs=obs[side], mask=mask[side], env=self.env) for side in SIDES}

    def _batch(self) -> MultiAgentBatch:
        settings = self.plan.settings
        batches = {
            name: SampleBatch(rollout.columns(self.plan.specs[name], settings.gamma, settings.gae_lambda))
            for players in self._players.values()
            for name, rollout in players.rollouts.items()
        }
        return MultiAgentBatch(batches, env_steps=settings.rounds_per_iteration * settings.num_worlds)
