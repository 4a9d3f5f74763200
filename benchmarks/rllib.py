"""RLlib's stock path against the batched one: same environment, network, loss and amount of data, in one run.

    python benchmarks/rllib.py [--iterations 3] [--worlds 64]

The stock path is PPO with RLlib's own runners over `AmmoMultiAgentEnv`, with 1 and with 16 environments per runner; the
batched path is what `make train` uses. Both run in this process on one thread, iterations alternate between them, and
seconds are CPU seconds, so that a busy machine slows both alike. The first iteration of each warms up.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from agents.report import table
from agents.rllib.adapter import AmmoMultiAgentEnv
from agents.rllib.algorithm import build_algorithm
from agents.rllib.modules import BuddyModule
from agents.rllib.plan import TrainingPlan, make_plan
from agents.rllib.quiet import no_cluster, quietly
from agents.training_settings import TrainingSettings
from ammo_env.env import MetaSpaceEnv
from ammo_env.scenarios import load_config

STOCK_WORLDS = 8  # worlds per stock iteration: enough for a rate, and RLlib refuses a minibatch of 512 below
Seconds = tuple[float, float]  # per agent step: sampling, whole iteration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--worlds", type=int, default=64, help="worlds of the batched path")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    side = {"members": 1, "minibatch": 512, "update_every": 1}
    settings = TrainingSettings.model_validate(
        {"num_worlds": arguments.worlds, "user_buddy": side, "goal_buddy": {**side, "scripted_share": 0.0}}
    )
    plan = make_plan(settings, load_config("default"))
    runs: dict[str, Callable[[], Seconds]] = {
        "stock, 1 environment": _stock(plan, 1),
        "stock, 16 environments": _stock(plan, 16),
        f"batched, {arguments.worlds} worlds": _batched(plan),
    }
    rows: dict[str, list[Seconds]] = {name: [] for name in runs}
    for iteration in range(arguments.iterations + 1):
        for name, run in runs.items():
            seconds = run()
            print(f"iteration {iteration}, {name}: {1 / seconds[1]:,.0f} agent steps/s", flush=True)
            if iteration:
                rows[name].append(seconds)
    print("\n" + _table({name: np.median(values, axis=0) for name, values in rows.items()}))


def _table(medians: dict[str, Any]) -> str:
    fastest = list(medians.values())[-1]
    return table(
        ["path", "sampling, agent steps/s", "end to end, agent steps/s", "batched is × faster: sampling", "end to end"],
        [
            [name, f"{1 / s[0]:,.0f}", f"{1 / s[1]:,.0f}", f"{s[0] / fastest[0]:.1f}", f"{s[1] / fastest[1]:.1f}"]
            for name, s in medians.items()
        ],
    )


def _batched(plan: TrainingPlan) -> Callable[[], Seconds]:
    trainer = build_algorithm(plan)

    def run() -> Seconds:
        began = time.process_time()
        report = trainer.train_iteration()
        whole = time.process_time() - began
        share = report["sampling_seconds"] / (report["sampling_seconds"] + report["learning_seconds"])
        return whole * share / report["agent_steps"], whole / report["agent_steps"]

    return run


def _stock(plan: TrainingPlan, environments: int) -> Callable[[], Seconds]:
    register_env("ammo", lambda _: AmmoMultiAgentEnv(MetaSpaceEnv(plan.world)))
    settings, rounds = plan.settings, plan.world.episode.num_rounds
    worlds = max(STOCK_WORLDS, environments)
    specs = {
        name: RLModuleSpec(
            module_class=BuddyModule,
            observation_space=plan.spaces[spec.side][0],
            action_space=plan.spaces[spec.side][1],
            model_config={"spec": spec.model_dump(), "seed": 0},
        )
        for name, spec in plan.specs.items()
    }
    config = (
        PPOConfig()
        .environment("ammo", clip_actions=True, normalize_actions=False)
        .multi_agent(policies=set(specs), policy_mapping_fn=lambda agent, episode, **_: f"{agent[:4]}_0")
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=specs))
        .env_runners(num_env_runners=0, num_envs_per_env_runner=environments, rollout_fragment_length=rounds)
        .training(
            train_batch_size_per_learner=worlds * rounds, minibatch_size=512, num_epochs=settings.epochs,
            use_kl_loss=False, gamma=settings.gamma, lr=1e-3, entropy_coeff=0.003, grad_clip=settings.grad_clip,
        )
        .debugging(log_level="ERROR")
    )  # fmt: skip
    steps = worlds * rounds * (plan.world.goal_buddies.num_goal_buddies + plan.world.humans.num_humans)
    with no_cluster(), quietly():
        algorithm = config.build_algo()

    def run() -> Seconds:
        with no_cluster(), quietly():
            began = time.process_time()
            timers = algorithm.train()["timers"]
            whole = time.process_time() - began
        sampling, learning = timers["env_runner_sampling_timer"], timers["learner_update_timer"]
        return whole * sampling / (sampling + learning) / steps, whole / steps

    return run


if __name__ == "__main__":
    main()
