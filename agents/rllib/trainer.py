"""The trainer: sample, learn, hand the new weights to the runners, and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.policy.sample_batch import MultiAgentBatch, concat_samples
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from agents.checkpoints import read_checkpoint, write_checkpoint
from agents.rllib.evolving import Evolution
from agents.rllib.learner import BuddyLearner
from agents.rllib.plan import TrainingPlan
from agents.rllib.quiet import no_cluster, quietly
from agents.rllib.runner import BatchedRunner
from agents.verdicts import Tally

REPORT = "ammo"
CHECKPOINT_FILE = "training.ckpt"
T = TypeVar("T")
Judged: TypeAlias = tuple[Tally, dict[str, tuple[float, ...]]]
"""What `BatchedRunner.judged` returns."""


@dataclass(frozen=True)
class Sampled:
    """What one iteration learns from."""

    batch: Any
    """What the learner's `update` takes."""
    env_steps: int
    agent_steps: int
    report: dict[str, float]


class BuddyTrainer(PPO):  # type: ignore[misc]
    """PPO over `BatchedRunner` and `BuddyLearner`; build it with `build_algorithm`."""

    def train_iteration(self) -> dict[str, float]:
        """Sample and learn once.

        Returns:
            Flat numbers of this iteration: the worlds' metrics (means over rounds and worlds; "normalised_regret"),
            "<member>/reward", "<member>/advantage_over_scripts", "<member>/policy_loss" and the other loss terms,
            "iteration", "agent_steps" (decisions learned from), seconds and agent steps per second.
        """
        with no_cluster(self.plan.settings.num_env_runners == 0), quietly():
            self.train()
        return dict(self._report)

    @property
    def plan(self) -> TrainingPlan:
        """What this trainer was built from."""
        plan: TrainingPlan = self.config.env_config["plan"]
        return plan

    @property
    def learner(self) -> BuddyLearner:
        """The learner in this process: weights, optimisers, hyper-parameters."""
        learner: BuddyLearner = self.learner_group._learner
        return learner

    @property
    def evolution(self) -> Evolution:
        """The populations over the learner's slots."""
        if not hasattr(self, "_evolution"):
            self._evolution = Evolution(self.plan, self.learner)
        return self._evolution

    def training_step(self) -> None:
        """One iteration; called by RLlib."""
        started = time.perf_counter()
        sample = self._sample()
        sampled, steps = time.perf_counter(), sample.agent_steps
        self.metrics.log_value(
            (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), sample.env_steps, reduce="lifetime_sum"
        )
        results = self.learner_group.update(batch=sample.batch)
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        population = self.evolution.report()  # before a cycle puts others in their slots
        self.evolution.cycle(self.iteration + 1)
        self.push_weights()
        finished = time.perf_counter()
        self._report = {
            "iteration": float(self.iteration + 1),
            "sampled_steps_per_second": steps / (sampled - started),
            **sample.report,
            **self.learner.last_terms,
            **population,
            "agent_steps": float(steps),
            "sampling_seconds": sampled - started,
            "learning_seconds": finished - sampled,
            "steps_per_second": steps / (finished - started),
        }
        for name, value in self._report.items():
            self.metrics.log_value((REPORT, name), value, window=1)

    def training_state(self) -> dict[str, Any]:
        """Everything that an exact continuation depends on, as plain data and arrays."""
        learner = self.learner.training_state()
        members = {
            name: {"spec": self.plan.specs[name].model_dump(mode="json"), **member}
            for name, member in learner.pop("members").items()
        }
        return {
            "iteration": self.iteration,
            "settings": self.plan.settings.model_dump(mode="json"),
            "world": self.plan.world.model_dump(mode="json"),
            "members": members,
            "learner": learner,
            "evolution": self.evolution.state(),
            "runners": dict(self._on_runners(lambda runner: (runner.worker_index, runner.training_state()))),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `training_state` of the same plan."""
        self._iteration = state["iteration"]
        self.learner.load_training_state({**state["learner"], "members": state["members"]})
        self.evolution.load(state["evolution"])
        states = state["runners"]
        self.push_weights()
        # A runner that was lost when the checkpoint was written has no state in it and begins a new random stream.
        self._on_runners(
            lambda runner: (
                runner.load_training_state(states[runner.worker_index]) if runner.worker_index in states else None
            )
        )

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """RLlib's and Tune's way to save: our own file in their folder."""
        write_checkpoint(Path(checkpoint_dir) / CHECKPOINT_FILE, self.training_state())

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """RLlib's and Tune's way to restore."""
        self.load_training_state(read_checkpoint(Path(checkpoint_dir) / CHECKPOINT_FILE))

    def push_weights(self) -> None:
        """Give all runners the learner's weights, and the players of both sides.

        RLlib's own sync skips weights whose sequence number did not advance, as after a restore or after evolution.
        """
        state = self._runner_state()
        self._on_runners(lambda runner: runner.set_state(state))

    def _setup_logdir(self) -> None:
        """Outside Tune nothing is logged here: RLlib would leave an empty folder per trainer in the home directory."""
        if self._storage is not None:
            super()._setup_logdir()

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """RLlib's hook before an iteration: runners that Ray has started again get weights and players like all."""
        restored: list[int] = env_runner_group.probe_unhealthy_env_runners()
        if restored:
            self.push_weights()
        return restored

    def _runner_state(self) -> dict[str, Any]:
        rosters = self.evolution.rosters()  # first: founding a population gives the networks their traits
        return {
            COMPONENT_RL_MODULE: self.learner.module.get_state(),
            "rosters": rosters,
            "iteration": self.iteration,
        }

    def _sample(self) -> Sampled:
        sampled = self._on_runners(lambda runner: (runner.sample(), runner.report(), runner.judged()))
        if not sampled:
            raise self._all_lost()
        batches, reports, judged = zip(*sampled, strict=True)
        batch = batches[0] if len(batches) == 1 else _joined(batches)
        steps = sum(len(rows["obs"]) for rows in batch.policy_batches.values())
        return Sampled(batch, batch.env_steps(), steps, self._observed(reports, judged, len(sampled)))

    def _observed(
        self, reports: Sequence[Mapping[str, float]], judged: Sequence[Judged], runners: int
    ) -> dict[str, float]:
        """The mean of the reports of samples by so many runners, after the populations took in their verdicts."""
        tally = reduce(Tally.merged, (tally for tally, _ in judged))
        self.evolution.observe(tally, {name: point for _, points in judged for name, point in points.items() if point})
        names = dict.fromkeys(name for r in reports for name in r)
        report = {name: float(np.mean([r[name] for r in reports if name in r])) for name in names}
        return {**report, "lost_runners": float(max(1, self.plan.settings.num_env_runners) - runners)}

    def _all_lost(self) -> RuntimeError:
        return RuntimeError(
            f"all {self.plan.settings.num_env_runners} sampling processes are lost: check the cluster, then go on "
            "from the last checkpoint with --resume"
        )

    def _on_runners(self, function: Callable[[BatchedRunner], T]) -> list[T]:
        """Call `function` on every runner that samples: the remote ones, or the one in this process."""
        local = self.plan.settings.num_env_runners == 0
        results: list[T] = self.env_runner_group.foreach_env_runner(function, local_env_runner=local)
        return results


def _joined(batches: tuple[MultiAgentBatch, ...]) -> MultiAgentBatch:
    members = dict.fromkeys(name for batch in batches for name in batch.policy_batches)
    return MultiAgentBatch(
        {
            name: concat_samples([b.policy_batches[name] for b in batches if name in b.policy_batches])
            for name in members
        },
        env_steps=sum(batch.env_steps() for batch in batches),
    )
