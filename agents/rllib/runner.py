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

from agents.policy import Turn
from agents.rllib.plan import TrainingPlan
from agents.rllib.players import SidePlayers
from agents.rllib.quiet import quietly
from agents.training_settings import SIDES
from agents.verdicts import Tally, judge
from ammo_env.metrics import Meter
from ammo_env.vector import VectorEnv


class BatchedRunner(EnvRunner):  # type: ignore[misc]
    """Steps E worlds at once; `config.env_config["plan"]` holds the `TrainingPlan`."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.plan: TrainingPlan = config.env_config["plan"]
        self.make_env()
        self.make_module()
        networks = {name: self.module[name].network for name in self.plan.specs}
        self._players = {
            side: SidePlayers(self.plan, side, {name: networks[name] for name in self.plan.slots(side)}, self.env)
            for side in SIDES
        }
        self._turns: dict[str, Turn] = {}
        self._rng: np.random.Generator
        self._generator: torch.Generator
        self._world_seed: int | None
        self._begin_streams(iteration=0)
        self._meter, self._tally = Meter(), Tally(self.plan.num_players)

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
        settings, self._fresh = self.plan.settings, False
        for players in self._players.values():
            players.start()
        if self._turns:
            self._assume()
        self._meter, self._tally = Meter(), Tally(self.plan.num_players)
        with torch.inference_mode():
            for round_number in range(settings.rounds_per_iteration):
                self._play_round(last=round_number == settings.rounds_per_iteration - 1)
                if round_number % settings.measure_every == 0:
                    self._meter.add(self.env.measure())
                    self._tally.add({side: players.holders for side, players in self._players.items()}, judge(self.env))
        # Outside, because tensors made in inference mode cannot be trained on; stacking makes new ones.
        with torch.no_grad():
            return self._batch()

    def report(self) -> dict[str, float]:
        """Means over the last `sample`: the worlds' metrics (over the measured rounds) and every player's reward."""
        report = self._meter.summary()
        del report["cumulative_regret"]  # not all rounds were measured
        for players in self._players.values():
            report.update(players.record.report())
        return report

    def judged(self) -> tuple[Tally, dict[str, tuple[float, ...]]]:
        """What AiPP said of the players in the last `sample`, and slot → what it did, as a point."""
        behaviour = {
            name: players.record.behaviour(name)
            for side, players in self._players.items()
            for name in self.plan.slots(side)
        }
        return self._tally, behaviour

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state of a runner: the weights."""
        return {COMPONENT_RL_MODULE: self.module.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take new weights: {"rl_module": module id → state dict, or a reference to it in Ray's object store}, and new
        players: {"rosters": side → `SideRoster`}."""
        if COMPONENT_RL_MODULE in state:
            weights = state[COMPONENT_RL_MODULE]
            self.module.set_state(ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights)
        for side, roster in state.get("rosters", {}).items():
            self._players[side].enrol(roster)
        if self._fresh and state.get("iteration"):  # started in mid-run, in place of one that was lost
            self._begin_streams(state["iteration"])

    def training_state(self) -> dict[str, Any]:
        """Everything else that a continuation depends on: random streams, worlds, seats, what was last seen."""
        return {
            "rng": self._rng.bit_generator.state,
            "generator": self._generator.get_state(),
            "world_seed": self._world_seed,
            "players": {side: players.state(self._turns.get(side)) for side, players in self._players.items()},
            "obs": {side: turn.obs for side, turn in self._turns.items()},
            "mask": {side: turn.mask for side, turn in self._turns.items()},
            "worlds": None if self._world_seed is not None else self.env.get_state(),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Load what `training_state` gave."""
        self._fresh = False
        self._rng.bit_generator.state = state["rng"]
        self._generator.set_state(state["generator"])
        self._world_seed = state["world_seed"]
        if state["worlds"] is not None:
            self.env.set_state(state["worlds"])
        self._turns = {}
        if state["obs"]:
            self._see(state["obs"], state["mask"])
        for side, players in self._players.items():
            players.load(state["players"][side], self._turns.get(side))

    def assert_healthy(self) -> None:
        """Called by RLlib on remote runners."""
        assert self.env is not None
        assert self.module is not None

    def _begin_streams(self, iteration: int) -> None:
        """Random streams of a runner that starts before `iteration` + 1; no two ever share one."""
        words = [self.plan.settings.seed, self.worker_index or 0, *([iteration] if iteration else [])]
        streams = np.random.SeedSequence(words).generate_state(3, np.uint64)
        self._world_seed = int(streams[0] >> np.uint64(33))
        self._rng = np.random.default_rng(int(streams[1]))
        self._generator = torch.Generator().manual_seed(int(streams[2] >> np.uint64(1)))
        self._fresh = True

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
        after = infos.get("final_obs", obs)  # what those see who acted, where others may act next
        for side, players in self._players.items():
            players.earn(rewards[side], infos["reward_terms"][side], after[side])
            if side in infos.get("retired", {}):
                players.retire(infos["retired"][side])
            if last or ended.any():
                players.close(self._turns[side], terminations)
        if ended.any():
            self._turns = {}

    def _begin_episode(self) -> None:
        obs, infos = self.env.reset(seed=self._world_seed)
        self._world_seed = None
        self._see(obs, infos["action_mask"])
        # Rows of seat weights belong together over the sides; with fewer worlds than rows all get their turn.
        rows = max(1 if p.roster.weights is None else len(p.roster.weights) for p in self._players.values())
        first_row = int(self._rng.integers(rows)) if rows > 1 else 0
        for players in self._players.values():
            players.deal(self._rng, first_row)
        self._assume()

    def _assume(self) -> None:
        """Who sits before a human brings a guess of its own at what ungrounded content adds to answers."""
        self.env.assume(self._players["user_buddy"].bait_guesses(self.plan.world.beliefs.bait_guess))

    def _see(self, obs: Mapping[str, NDArray[np.float32]], mask: Mapping[str, NDArray[np.bool_]]) -> None:
        self._turns = {side: Turn(obs=obs[side], mask=mask[side], env=self.env) for side in SIDES}

    def _batch(self) -> MultiAgentBatch:
        settings = self.plan.settings
        batches = {
            name: SampleBatch(columns)
            for players in self._players.values()
            for name, columns in players.columns().items()
        }
        return MultiAgentBatch(batches, env_steps=settings.rounds_per_iteration * settings.num_worlds)
