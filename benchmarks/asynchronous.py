"""APPO: what learning asynchronously brings, and what RLlib's own APPO would cost instead.

    python benchmarks/asynchronous.py [pace | cost] [--rounds 3] [--iterations 4] [--worlds 16]

`pace`: PPO and APPO with two remote runners each, in turns in one cluster: blocks of iterations, of which the first 3
are not counted (the asynchronous runners work ahead meanwhile); wall-clock seconds, so the machine must be idle.
`cost`: one sample of 16 worlds by 64 rounds and three epochs on it, in this process and on one thread, in CPU seconds:
RLlib's APPO, unmodified, on a batched runner that returns SingleAgentEpisodes, against our runner, V-trace and learner.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import time
import uuid
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import ray
import torch
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.core.rl_module.apis import TARGET_NETWORK_ACTION_DIST_INPUTS, TargetNetworkAPI
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agents.rllib.algorithm import build_algorithm
from agents.rllib.asynchronous import AsynchronousRunner
from agents.rllib.fragments import corrected
from agents.rllib.modules import BuddyModule
from agents.rllib.plan import TrainingPlan, make_plan
from agents.rllib.quiet import no_cluster, quietly
from agents.training_settings import TrainingSettings
from ammo_env.scenarios import load_config

UNCOUNTED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pace", "cost"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--worlds", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "pace":
        _pace(arguments.rounds, arguments.iterations, arguments.worlds)
    else:
        _cost(arguments.iterations)


def _plan(**settings: Any) -> TrainingPlan:
    side = {"members": 1, "minibatch": 512, "update_every": 1}
    values = {"user_buddy": side, "goal_buddy": {**side, "scripted_share": 0.0}, **settings}
    return make_plan(TrainingSettings.model_validate(values), load_config("default"))


def _pace(rounds: int, iterations: int, worlds: int) -> None:
    ray.init(num_cpus=8, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    trainers = {
        name: build_algorithm(_plan(algorithm=name, num_env_runners=2, num_worlds=worlds)) for name in ("ppo", "appo")
    }
    speeds: dict[str, list[float]] = {name: [] for name in trainers}
    for number in range(rounds):
        for name, trainer in trainers.items():
            for _ in range(UNCOUNTED):
                trainer.train_iteration()
            began, busy, steps = time.perf_counter(), time.process_time(), 0.0
            for _ in range(iterations):
                report = trainer.train_iteration()
                steps += report["agent_steps"]
            speeds[name].append(steps / (time.perf_counter() - began))
            cpu = f"{steps / (time.process_time() - busy):,.0f} per CPU second of the learner's process"
            said = {key: round(report[key], 2) for key in ("policy_lag", "runners_busy") if key in report}
            print(f"round {number}, {name}: {speeds[name][-1]:,.0f} agent steps/s, {cpu} {said or ''}", flush=True)
    print({name: f"{np.median(values):,.0f}" for name, values in speeds.items()})


def _cost(iterations: int) -> None:
    plan = _plan()
    theirs, ours = _rllibs_appo(plan), build_algorithm(plan)
    rows: dict[str, list[float]] = {"RLlib's APPO on episodes": [], "ours": []}
    for iteration in range(iterations + 1):
        with no_cluster(), quietly():
            began = time.process_time()
            theirs.train()
        rllib = time.process_time() - began
        began = time.process_time()
        steps = ours.train_iteration()["agent_steps"]
        with torch.no_grad():
            for name, parts in AsynchronousRunner._batch(ours.env_runner).items():
                corrected(parts, ours.learner.network(name), ours.learner.hyperparameters(name), 512)
        own = time.process_time() - began
        if iteration:
            for spent, seconds in zip(rows.values(), (rllib, own), strict=True):
                spent.append(seconds)
            print(f"iteration {iteration}: {steps:.0f} rows, RLlib's {rllib:.2f} s, ours {own:.2f} s", flush=True)
    print({name: f"{steps / np.median(spent):,.0f} agent steps per CPU second" for name, spent in rows.items()})


class _TargetModule(BuddyModule, TargetNetworkAPI):
    def make_target_networks(self) -> None:
        self.target = copy.deepcopy(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.network, self.target)]

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {TARGET_NETWORK_ACTION_DIST_INPUTS: self.target(batch["obs"], batch.get("action_mask"))[0]}


class _EpisodeRunner(AsynchronousRunner):
    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        played = super().sample()
        return [episode for name, parts in played.items() for part in parts for episode in self._episodes(name, part)]

    def _episodes(self, name: str, part: dict[str, torch.Tensor]) -> list[SingleAgentEpisode]:
        space = self.plan.spaces[self.plan.specs[name].side]
        obs = torch.cat([part["obs"], part["closing_obs"][-1:]]).numpy()
        actions, log_probs, rewards = (part[key].numpy() for key in ("actions", "action_logp", "rewards"))
        return [
            SingleAgentEpisode(
                id_=uuid.uuid4().hex, agent_id=f"{name}_{row}", module_id=name,
                multi_agent_episode_id=uuid.uuid4().hex, observation_space=space[0], action_space=space[1],
                observations=list(obs[:, row]), actions=list(actions[:, row]),
                rewards=list(rewards[:, row].astype(float)),
                extra_model_outputs={"action_logp": list(log_probs[:, row])}, truncated=True, len_lookback_buffer=0,
            ).to_numpy()
            for row in range(rewards.shape[1])
        ]  # fmt: skip

    def get_metrics(self) -> dict[str, Any]:
        return {}

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    def set_state(self, state: Any) -> None:
        """Weights matter for what is learned, not for what it costs."""


def _rllibs_appo(plan: TrainingPlan) -> Any:
    fetch = ray.get
    ray.get = lambda value, **options: fetch(value, **options) if ray.is_initialized() else value
    specs = {
        name: RLModuleSpec(
            module_class=_TargetModule, observation_space=plan.spaces[spec.side][0],
            action_space=plan.spaces[spec.side][1], model_config={"spec": spec.model_dump(), "seed": 0},
        )
        for name, spec in plan.specs.items()
    }  # fmt: skip
    settings = plan.settings
    config = (
        APPOConfig()
        .environment(env_config={"plan": plan})
        .framework("torch")
        .multi_agent(policies=set(specs), policy_mapping_fn=lambda *_, **__: "")
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=specs))
        .env_runners(
            env_runner_cls=_EpisodeRunner, num_env_runners=0, num_envs_per_env_runner=settings.num_worlds,
            rollout_fragment_length=settings.rounds_per_iteration,
        )
        .learners(num_learners=0, num_aggregator_actors_per_learner=0)
        .training(
            train_batch_size_per_learner=settings.num_worlds * settings.rounds_per_iteration, minibatch_size=512,
            num_epochs=settings.epochs, use_kl_loss=False, lr=1e-3, use_circular_buffer=False,
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
        .debugging(log_level="ERROR")
    )  # fmt: skip
    with no_cluster(), quietly():
        return config.build_algo()


if __name__ == "__main__":
    main()
