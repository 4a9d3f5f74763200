"""The stock path: our MultiAgentEnv around the ParallelEnv, and RLlib's own PPO on it."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.rllib.adapter import AmmoMultiAgentEnv
from agents.rllib.modules import BuddyModule
from agents.rllib.plan import make_plan
from agents.rllib.quiet import no_cluster, quietly
from agents.training_settings import TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv

MakeConfig = Callable[..., AmmoConfig]


@pytest.fixture
def env(small_config: MakeConfig) -> AmmoMultiAgentEnv:
    return AmmoMultiAgentEnv(MetaSpaceEnv(small_config(), render_mode="ansi"))


def sample(env: AmmoMultiAgentEnv) -> dict[str, Any]:
    return {agent: env.action_spaces[agent].sample() for agent in env.agents}


def test_all_agents_have_spaces_in_a_fixed_order_before_the_first_reset(env: AmmoMultiAgentEnv) -> None:
    assert env.possible_agents == env.env.possible_agents
    assert len(env.possible_agents) == 9
    assert list(env.observation_spaces) == list(env.action_spaces) == env.possible_agents
    observations, infos = env.reset(seed=0)
    assert list(observations) == list(infos) == env.possible_agents
    assert all(env.observation_spaces[agent].contains(row) for agent, row in observations.items())


def test_the_order_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from agents.rllib.adapter import AmmoMultiAgentEnv; from ammo_env import metaspace_v0; "
        "env = AmmoMultiAgentEnv(metaspace_v0.parallel_env()); print(env.possible_agents, list(env.reset(seed=0)[0]))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
            cwd=Path(__file__).resolve().parent.parent, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1


def test_it_gives_what_the_environment_gives(env: AmmoMultiAgentEnv, small_config: MakeConfig) -> None:
    other = MetaSpaceEnv(small_config())
    ours, theirs = env.reset(seed=3)[0], other.reset(seed=3)[0]
    for _ in range(8):
        assert all((ours[agent] == theirs[agent]).all() for agent in theirs)
        actions = sample(env)
        ours, rewards, terminations, truncations, _ = env.step(actions)
        theirs, their_rewards, _, their_truncations, _ = other.step(actions)
        assert rewards == their_rewards
        assert truncations == {**their_truncations, "__all__": all(their_truncations.values())}
        assert terminations["__all__"] is False
    assert truncations["__all__"] is True
    assert env.agents == []


def test_the_environments_own_dicts_are_left_alone(
    env: AmmoMultiAgentEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.reset(seed=0)
    given: list[Any] = []
    original = env.env.step

    def spy(actions: dict[str, Any]) -> Any:
        given.append(original(actions))
        return given[-1]

    monkeypatch.setattr(env.env, "step", spy)
    actions = sample(env)
    asked = copy.copy(actions)
    returned = env.step(actions)
    assert actions.keys() == asked.keys()
    assert all("__all__" not in part for part in given[0])
    for mine, its in zip(returned, given[0], strict=True):
        assert mine is not its


def test_rendering_passes_through(env: AmmoMultiAgentEnv) -> None:
    env.reset(seed=0)
    env.step(sample(env))
    assert env.render_mode == "ansi"
    assert env.render() == env.env.render()
    assert "round 1/8" in env.render()


MORTAL = {"life.viability": 0.15, "life.grace": 2, "life.max_births": 20}


def test_agents_end_and_appear(small_config: MakeConfig) -> None:
    """All ids have spaces from the start; whoever retires is terminated alone; the world ends by truncation."""
    env = AmmoMultiAgentEnv(MetaSpaceEnv(small_config(MORTAL)))
    assert env.observation_spaces.keys() == env.action_spaces.keys() == {*env.possible_agents}
    assert "goal_buddy_24" in env.possible_agents
    env.reset(seed=0)
    assert len(env.agents) == 9
    ended = 0
    for number in range(8):
        acted = set(env.agents)
        observations, rewards, terminations, truncations, infos = env.step(sample(env))
        gone = {agent for agent, flag in terminations.items() if flag}
        ended += len(gone)
        assert gone <= acted
        assert not gone & set(env.agents)
        assert observations.keys() == rewards.keys() == infos.keys() == acted | set(env.agents)
        assert truncations["__all__"] == (number == 7)
        assert terminations["__all__"] is False
    assert ended > 3
    assert env.agents == []


@pytest.mark.parametrize(("networks", "life"), [("stock", {}), ("ours", {}), ("stock", MORTAL)])
def test_stock_ppo_learns_on_it(small_config: MakeConfig, networks: str, life: dict[str, Any]) -> None:
    one = {"members": 1}  # the stock path maps agents to modules by itself
    plan = make_plan(TrainingSettings.model_validate({"user_buddy": one, "goal_buddy": one}), small_config(life))
    config = (
        PPOConfig()
        .environment(_SmallEnv, clip_actions=True, normalize_actions=False)
        .multi_agent(policies=set(plan.specs), policy_mapping_fn=lambda agent, *_, **__: f"{agent.split('_')[0]}_0")
        .env_runners(num_env_runners=0, rollout_fragment_length=8)
        .training(train_batch_size_per_learner=16, minibatch_size=16, num_epochs=1, use_kl_loss=False)
        .debugging(log_level="ERROR")
    )
    if networks == "ours":
        config.rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={
            name: RLModuleSpec(module_class=BuddyModule, model_config={"spec": spec.model_dump(), "seed": 0})
            for name, spec in plan.specs.items()
        }))  # fmt: skip
    _SmallEnv.world = plan.world
    with no_cluster(), quietly():
        algorithm = config.build_algo()
        result = algorithm.train()
        algorithm.stop()
    for member in plan.specs:
        assert math.isfinite(result["learners"][member]["policy_loss"])
        assert result["learners"][member]["num_module_steps_trained"] > 0
    assert np.isfinite(result["env_runners"]["episode_return_mean"])


class _SmallEnv(AmmoMultiAgentEnv):
    """RLlib makes environments from a class and a config dict."""

    world: AmmoConfig

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(MetaSpaceEnv(self.world))
