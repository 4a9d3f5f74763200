"""A plan in RLlib's words: the configuration that our runner and learner are built from."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.matchmaking import member_id
from agents.rllib.asynchronous import AsynchronousLearner, AsynchronousRunner
from agents.rllib.learner import BuddyLearner
from agents.rllib.modules import BuddyModule
from agents.rllib.plan import TrainingPlan
from agents.rllib.runner import BatchedRunner

_CLASSES: dict[str, tuple[type[BatchedRunner], type[BuddyLearner]]] = {
    "ppo": (BatchedRunner, BuddyLearner), "appo": (AsynchronousRunner, AsynchronousLearner)
}

# A runner whose node is gone is asked whether it is back before every iteration: for so long at most.
PROBE_SECONDS = 0.5


def ppo_config(plan: TrainingPlan, algo_class: type[Any]) -> PPOConfig:
    """The configuration of a trainer; `algo_class` is what its `build_algo` makes."""
    settings = plan.settings
    runner_class, learner_class = _CLASSES[settings.algorithm]
    env_steps = settings.num_worlds * settings.rounds_per_iteration * max(1, settings.num_env_runners)
    return (
        PPOConfig(algo_class=algo_class)
        .environment(env_config={"plan": plan})
        .framework("torch")
        .multi_agent(policies=set(plan.specs), policy_mapping_fn=_unused_mapping)
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=_module_specs(plan)))
        .env_runners(
            env_runner_cls=runner_class,
            num_env_runners=settings.num_env_runners,
            num_envs_per_env_runner=settings.num_worlds,
            rollout_fragment_length=settings.rounds_per_iteration,
            max_requests_in_flight_per_env_runner=settings.samples_ahead,
        )
        # A lost runner is left out until Ray has started it again somewhere; the others go on.
        .fault_tolerance(restart_failed_env_runners=True, env_runner_health_probe_timeout_s=PROBE_SECONDS)
        .learners(num_learners=0)
        .training(
            gamma=settings.gamma,
            lambda_=settings.gae_lambda,
            train_batch_size_per_learner=env_steps,
            minibatch_size=env_steps,
            num_epochs=settings.epochs,
            use_kl_loss=False,
            learner_class=learner_class,
            learner_config_dict={
                "settings": settings, "sides": {name: spec.side for name, spec in plan.specs.items()}
            },
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
        .debugging(log_level="ERROR")
    )


def _module_specs(plan: TrainingPlan) -> dict[str, RLModuleSpec]:
    drawn = np.random.SeedSequence(plan.settings.seed).generate_state(len(plan.specs))
    seeds = dict(zip(plan.specs, drawn, strict=True))
    if plan.settings.evolution.common_founder:
        seeds = {name: seeds[member_id(spec.side, 0)] for name, spec in plan.specs.items()}
    return {
        name: RLModuleSpec(
            module_class=BuddyModule,
            observation_space=plan.spaces[spec.side][0],
            action_space=plan.spaces[spec.side][1],
            model_config={"spec": spec.model_dump(), "seed": int(seeds[name])},
        )
        for name, spec in plan.specs.items()
    }


def _unused_mapping(agent_id: Any, episode: Any, **kwargs: Any) -> str:
    raise RuntimeError("seats are dealt by agents.matchmaking, not by RLlib's policy mapping")
