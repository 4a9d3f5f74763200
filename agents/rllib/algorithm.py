"""The trainer: sample, learn, hand the new weights to the runners, and report.

`build_algorithm` turns settings and worlds into an RLlib Algorithm whose runner and learner are ours. Without remote
runners everything happens in this process and no Ray cluster is started.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.sample_batch import MultiAgentBatch, concat_samples
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from agents.checkpoints import read_checkpoint, write_checkpoint
from agents.rllib.learner import BuddyLearner
from agents.rllib.modules import BuddyModule
from agents.rllib.plan import TrainingPlan
from agents.rllib.quiet import no_cluster, quietly
from agents.rllib.runner import BatchedRunner

REPORT = "ammo"
CHECKPOINT_FILE = "training.ckpt"
T = TypeVar("T")


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

    def training_step(self) -> None:
        """One iteration; called by RLlib."""
        started = time.perf_counter()
        batch, report = self._sample()
        sampled = time.perf_counter()
        self.metrics.log_value(
            (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), batch.env_steps(), reduce="lifetime_sum"
        )
        results = self.learner_group.update(batch=batch)
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.push_weights()
        finished = time.perf_counter()
        steps = sum(len(rows["obs"]) for rows in batch.policy_batches.values())
        self._report = {
            "iteration": float(self.iteration + 1),
            **report,
            **self.learner.last_terms,
            "agent_steps": float(steps),
            "sampling_seconds": sampled - started,
            "learning_seconds": finished - sampled,
            "sampled_steps_per_second": steps / (sampled - started),
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
            "runners": self._on_runners(lambda runner: runner.training_state()),
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `training_state` of the same plan."""
        self._iteration = state["iteration"]
        self.learner.load_training_state({**state["learner"], "members": state["members"]})
        states = dict(enumerate(state["runners"], start=min(1, self.plan.settings.num_env_runners)))
        self._on_runners(lambda runner: runner.load_training_state(states[runner.worker_index]))
        self.push_weights()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """RLlib's and Tune's way to save: our own file in their folder."""
        write_checkpoint(Path(checkpoint_dir) / CHECKPOINT_FILE, self.training_state())

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """RLlib's and Tune's way to restore."""
        self.load_training_state(read_checkpoint(Path(checkpoint_dir) / CHECKPOINT_FILE))

    def push_weights(self) -> None:
        """Give all runners the learner's weights.

        RLlib's own sync skips weights whose sequence number did not advance, as after a restore or after evolution.
        """
        weights = {COMPONENT_RL_MODULE: self.learner.module.get_state()}
        self._on_runners(lambda runner: runner.set_state(weights))

    def _sample(self) -> tuple[MultiAgentBatch, dict[str, float]]:
        batches, reports = zip(*self._on_runners(lambda runner: (runner.sample(), runner.report())), strict=True)
        report = {name: float(np.mean([r[name] for r in reports])) for name in reports[0]}
        return (batches[0] if len(batches) == 1 else _joined(batches)), report

    def _on_runners(self, function: Callable[[BatchedRunner], T]) -> list[T]:
        """Call `function` on every runner that samples: the remote ones, or the one in this process."""
        local = self.plan.settings.num_env_runners == 0
        results: list[T] = self.env_runner_group.foreach_env_runner(function, local_env_runner=local)
        return results


def build_algorithm(plan: TrainingPlan) -> BuddyTrainer:
    """A trainer, ready for `train_iteration`. Starts no cluster unless the plan wants remote runners."""
    with no_cluster(plan.settings.num_env_runners == 0), quietly():
        trainer: BuddyTrainer = _config(plan).build_algo()
        trainer.push_weights()
        return trainer


def _config(plan: TrainingPlan) -> PPOConfig:
    settings = plan.settings
    env_steps = settings.num_worlds * settings.rounds_per_iteration * max(1, settings.num_env_runners)
    return (
        PPOConfig(algo_class=BuddyTrainer)
        .environment(env_config={"plan": plan})
        .framework("torch")
        .multi_agent(policies=set(plan.specs), policy_mapping_fn=_unused_mapping)
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=_module_specs(plan)))
        .env_runners(
            env_runner_cls=BatchedRunner,
            num_env_runners=settings.num_env_runners,
            num_envs_per_env_runner=settings.num_worlds,
            rollout_fragment_length=settings.rounds_per_iteration,
        )
        .fault_tolerance(restart_failed_env_runners=False)
        .learners(num_learners=0)
        .training(
            gamma=settings.gamma,
            lambda_=settings.gae_lambda,
            train_batch_size_per_learner=env_steps,
            minibatch_size=env_steps,
            num_epochs=settings.epochs,
            use_kl_loss=False,
            learner_class=BuddyLearner,
            learner_config_dict={
                "settings": settings, "sides": {name: spec.side for name, spec in plan.specs.items()}
            },
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
        .debugging(log_level="ERROR")
    )


def _module_specs(plan: TrainingPlan) -> dict[str, RLModuleSpec]:
    seeds = np.random.SeedSequence(plan.settings.seed).generate_state(len(plan.specs))
    return {
        name: RLModuleSpec(
            module_class=BuddyModule,
            observation_space=plan.spaces[spec.side][0],
            action_space=plan.spaces[spec.side][1],
            model_config={"spec": spec.model_dump(), "seed": int(seed)},
        )
        for (name, spec), seed in zip(plan.specs.items(), seeds, strict=True)
    }


def _unused_mapping(agent_id: Any, episode: Any, **kwargs: Any) -> str:
    raise RuntimeError("seats are dealt by agents.matchmaking, not by RLlib's policy mapping")


def _joined(batches: tuple[MultiAgentBatch, ...]) -> MultiAgentBatch:
    members = batches[0].policy_batches
    return MultiAgentBatch(
        {name: concat_samples([batch.policy_batches[name] for batch in batches]) for name in members},
        env_steps=sum(batch.env_steps() for batch in batches),
    )
