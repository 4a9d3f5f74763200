"""Acting from a checkpoint: exactly as in training, and only where it fits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.checkpoints import CheckpointError
from agents.learned_policy import load_policy
from agents.policy import Turn
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.checkpoint import save_training
from agents.rllib.plan import make_plan
from agents.training_settings import SIDES, TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
KINDS = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}


@pytest.fixture(scope="module")
def trained(small_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[BuddyTrainer, Path]:
    """A run of two iterations and its checkpoint."""
    settings = TrainingSettings(num_worlds=2, rounds_per_iteration=5)
    trainer = build_algorithm(make_plan(settings, small_config()))
    for _ in range(2):
        trainer.train_iteration()
    path = tmp_path_factory.mktemp("run") / "a.ckpt"
    save_training(trainer, path)
    return trainer, path


def turn_of(env: VectorEnv, obs: dict[str, Any], infos: dict[str, Any], side: str) -> Turn:
    return Turn(obs[side], infos["action_mask"][side], env)


@pytest.mark.parametrize(("side", "member"), [("user_buddy", "user_0"), ("goal_buddy", "goal_0")])
def test_it_acts_exactly_as_in_training(trained: tuple[BuddyTrainer, Path], side: str, member: str) -> None:
    """The runner's stored distribution inputs, observation by observation, come out of the loaded policy bit by bit."""
    trainer, path = trained
    network = load_policy(path, side).network
    batch = trainer.env_runner.sample().policy_batches[member]
    rows = len(batch["obs"]) // trainer.plan.settings.rounds_per_iteration
    with torch.no_grad():
        for start in range(0, len(batch["obs"]), rows):
            chunk = slice(start, start + rows)
            inputs, values = network(batch["obs"][chunk], batch["action_mask"][chunk])
            assert torch.equal(inputs, batch["action_dist_inputs"][chunk])
            assert torch.equal(values, batch["values"][chunk])


@pytest.mark.parametrize("side", SIDES)
def test_actions_are_legal_and_come_from_the_given_stream(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig, side: str
) -> None:
    env = VectorEnv(small_config(KINDS), 3)
    obs, infos = env.reset(0)
    policy, turn = load_policy(trained[1], side), turn_of(env, obs, infos, side)
    before = torch.random.get_rng_state()
    one, same, other = (policy.act(turn, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.shape[:2] == (3, env.num_agents[side])
    assert all(env.action_spaces[side].contains(action) for action in one.reshape(-1, one.shape[-1]))


def test_deterministic_is_the_mode_and_draws_nothing(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig
) -> None:
    env = VectorEnv(small_config(KINDS), 3)
    obs, infos = env.reset(0)
    turn, rng = turn_of(env, obs, infos, "user_buddy"), np.random.default_rng(0)
    policy = load_policy(trained[1], "user_buddy", deterministic=True)
    actions = policy.act(turn, rng)
    assert (actions.reshape(-1, 2) == policy.distribution(turn).mode().numpy()).all()
    assert rng.random() == np.random.default_rng(0).random()


def test_a_user_buddy_fits_more_candidates_and_other_slates(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig
) -> None:
    policy = load_policy(trained[1], "user_buddy")
    for slots, shape in ((3, (2, 4, 3)), (1, (2, 4))):
        env = VectorEnv(small_config({**KINDS, "num_candidates": 9, "num_slots": slots}), 2)
        obs, infos = env.reset(0)
        actions = policy.act(turn_of(env, obs, infos, "user_buddy"), np.random.default_rng(0))
        assert actions.shape == shape
        goals = load_policy(trained[1], "goal_buddy").act(
            turn_of(env, obs, infos, "goal_buddy"), np.random.default_rng(0)
        )
        env.step({"user_buddy": actions, "goal_buddy": goals})


@pytest.mark.parametrize(
    ("side", "changes", "message"),
    [
        ("goal_buddy", {"goal_buddies.steering_dim": 2}, r"length \d+, the environment gives \d+: use the goal_view"),
        ("goal_buddy", {"actions.goal_buddy": "nudge"}, "trained with 'gains' actions, the environment takes 'nudge'"),
        ("user_buddy", {"actions.user_buddy": "scores"}, "trained with 'slate' actions"),
    ],
)
def test_where_it_does_not_fit_it_says_so(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig, side: str, changes: dict[str, Any], message: str
) -> None:
    env = VectorEnv(small_config({**KINDS, **changes}), 1)
    obs, infos = env.reset(0)
    with pytest.raises(ValueError, match=message):
        load_policy(trained[1], side).act(turn_of(env, obs, infos, side), np.random.default_rng(0))


def test_a_missing_member_is_named(trained: tuple[BuddyTrainer, Path]) -> None:
    with pytest.raises(CheckpointError, match="holds no member goal_4: it has goal_0, user_0"):
        load_policy(trained[1], "goal_buddy", member=4)


def test_acting_needs_no_ray(trained: tuple[BuddyTrainer, Path]) -> None:
    program = (
        "import sys; from pathlib import Path; from agents.learned_policy import load_policy; "
        f"load_policy(Path({str(trained[1])!r}), 'user_buddy'); assert 'ray' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
