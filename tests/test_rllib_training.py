"""Contracts with RLlib, on a world small enough for seconds: what a version of ray could silently change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from agents.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from agents.rllib.algorithm import BuddyTrainer
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.learner import minibatches
from agents.rllib.plan import make_plan
from agents.training_settings import GoalSideSettings, TrainingSettings
from ammo_env.config import AmmoConfig

MakeTrainer = Callable[..., BuddyTrainer]


def weights(trainer: BuddyTrainer) -> dict[str, torch.Tensor]:
    return {
        f"{member}.{name}": value
        for member in trainer.plan.specs
        for name, value in trainer.learner.network(member).state_dict().items()
    }


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def without_times(report: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if "second" not in name}


def test_an_iteration_reports_worlds_players_losses_and_speed(make_trainer: MakeTrainer) -> None:
    report = make_trainer().train_iteration()
    assert report["iteration"] == 1
    assert report["agent_steps"] == 8 * 3 * (4 + 3)  # 4 user buddies, 3 of 5 goal buddies: half, rounded to even, is 2
    assert 0 < report["normalised_regret"] < 1.5
    for name in ("user_0/reward", "goal_0/advantage_over_scripts", "script_truthful/reward", "user_0/policy_loss",
                 "goal_0/entropy", "user_0/kl", "engagement", "steps_per_second"):  # fmt: skip
        assert np.isfinite(report[name]), name


def test_no_cluster_is_started_and_nothing_is_printed(tmp_path: Path) -> None:
    """In a process of its own, because any other test may have started ray."""
    program = """
import ray
from pathlib import Path
from agents.rllib.algorithm import build_algorithm
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.plan import make_plan
from agents.training_settings import GoalSideSettings, TrainingSettings
from ammo_env.scenarios import load_config
settings = TrainingSettings(num_worlds=1, rounds_per_iteration=2)
put = ray.put
trainer = build_algorithm(make_plan(settings, load_config("default")))
trainer.train_iteration()
save_training(trainer, Path("a.ckpt"))
resume_training(Path("a.ckpt")).train_iteration()
assert not ray.is_initialized(), "a cluster came up"
assert ray.put is put, "ray.put was not given back"
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env={"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_the_runner_acts_with_the_learners_weights(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    before = {name: value.clone() for name, value in weights(trainer).items()}
    for _ in range(2):
        for member in trainer.plan.specs:
            learned = trainer.learner.network(member).state_dict()
            acting = trainer.env_runner.module[member].network.state_dict()
            assert equal(learned, acting)
            assert all(a.data_ptr() != learned[name].data_ptr() for name, a in acting.items())
        trainer.train_iteration()
    assert not equal(before, weights(trainer))


def test_every_row_is_trained_on_exactly_epochs_times(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(epochs=3, goal_buddy={"scripted_share": 0.8})
    batch = trainer.env_runner.sample()
    seen: dict[str, list[torch.Tensor]] = {member: [] for member in trainer.plan.specs}
    for member in trainer.plan.specs:
        module = trainer.learner.module[member]
        original = module.forward_train

        def spy(minibatch: Any, member: str = member, original: Any = original) -> Any:
            seen[member].append(minibatch["action_logp"])
            return original(minibatch)

        monkeypatch.setattr(module, "forward_train", spy)
    trainer.learner.update(batch=batch)
    assert len(batch.policy_batches["goal_0"]) < len(batch.policy_batches["user_0"]) / 3
    for member, rows in seen.items():
        expected = batch.policy_batches[member]["action_logp"].repeat(3).sort().values
        assert torch.equal(torch.cat(rows).sort().values, expected)


@pytest.mark.parametrize(("rows", "size"), [(100, 16), (10, 16), (33, 32), (47, 32), (1, 5)])
def test_minibatches_cover_every_row_and_are_equal(rows: int, size: int) -> None:
    parts = list(minibatches(rows, size, 2, torch.Generator().manual_seed(0)))
    assert torch.cat(parts).bincount().tolist() == [2] * rows
    lengths = {len(part) for part in parts}
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) < 2 * size


def test_scripted_seats_are_played_but_not_learned_from(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(goal_buddy={"members": 0}, user_buddy={"scripted_share": 0.5, "scripts": ("greedy",)})
    batch = trainer.env_runner.sample()
    assert {name: len(rows) for name, rows in batch.policy_batches.items()} == {"user_0": 8 * 3 * 2}
    report = trainer.train_iteration()
    assert "script_greedy/reward" in report
    assert "script_clickbait/reward" in report


def test_members_share_the_seats_and_learn_apart(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(user_buddy={"members": 2}, goal_buddy={"members": 2, "scripted_share": 0.2})
    batch = trainer.env_runner.sample()
    assert {name: len(rows) for name, rows in batch.policy_batches.items()} == {
        "user_0": 48, "user_1": 48, "goal_0": 48, "goal_1": 48
    }  # fmt: skip
    trainer.train_iteration()
    assert not equal(*(trainer.learner.network(name).state_dict() for name in ("user_0", "user_1")))


@pytest.mark.parametrize("kinds", [("slate", "gains"), ("scores", "steer"), ("slate", "nudge")])
def test_every_action_kind_learns(make_trainer: MakeTrainer, kinds: tuple[str, str]) -> None:
    user, goal = kinds
    trainer = make_trainer({"actions.user_buddy": user, "actions.goal_buddy": goal})
    before = {name: value.clone() for name, value in weights(trainer).items()}
    report = trainer.train_iteration()
    assert all(np.isfinite(value) for value in report.values())
    assert not equal(before, weights(trainer))


def test_a_slate_of_one_slot_learns_beside_scripts(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"num_slots": 1}, user_buddy={"scripted_share": 0.5, "scripts": ("random",)})
    assert np.isfinite(trainer.train_iteration()["user_0/policy_loss"])


# Whole episodes, and iterations that stop in the middle of one.
@pytest.mark.parametrize("rounds", [8, 5])
def test_a_resumed_run_is_bit_equal_to_one_that_never_stopped(
    make_trainer: MakeTrainer, tmp_path: Path, rounds: int
) -> None:
    straight = make_trainer(rounds_per_iteration=rounds)
    reports = [straight.train_iteration() for _ in range(4)]

    stopped = make_trainer(rounds_per_iteration=rounds)
    for _ in range(2):
        stopped.train_iteration()
    save_training(stopped, tmp_path / "a.ckpt")
    resumed = resume_training(tmp_path / "a.ckpt")
    again = [resumed.train_iteration() for _ in range(2)]

    assert [without_times(report) for report in again] == [without_times(report) for report in reports[2:]]
    assert equal(weights(straight), weights(resumed))
    for member in straight.plan.specs:
        left, right = (t.learner.get_optimizer(member).state_dict()["state"].values() for t in (straight, resumed))
        assert all(equal(one, other) for one, other in zip(left, right, strict=True))


def test_a_checkpoint_before_the_first_iteration_starts_the_same_run(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    fresh = make_trainer()
    save_training(fresh, tmp_path / "a.ckpt")
    resumed = resume_training(tmp_path / "a.ckpt")
    assert without_times(fresh.train_iteration()) == without_times(resumed.train_iteration())


def test_rllibs_own_save_and_restore_use_the_same_file(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.train_iteration()
    trainer.save_checkpoint(str(tmp_path))
    trainer.train_iteration()
    other = make_trainer()
    other.load_checkpoint(str(tmp_path))
    other.train_iteration()
    assert equal(weights(trainer), weights(other))


def test_seeds_make_runs(make_trainer: MakeTrainer) -> None:
    one, same, other = (without_times(make_trainer(seed=seed).train_iteration()) for seed in (0, 0, 1))
    assert one == same
    assert one["user_0/reward"] != other["user_0/reward"]


def test_training_leaves_the_global_random_streams_alone(make_trainer: MakeTrainer) -> None:
    torch_before, numpy_before = torch.random.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    make_trainer().train_iteration()
    assert torch.equal(torch_before, torch.random.get_rng_state())
    assert numpy_before == str(np.random.get_state())  # noqa: NPY002


def test_learning_rates_are_per_side_and_stay_in_force(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(user_buddy={"learning_rate": 1e-4}, goal_buddy={"learning_rate": 3e-3})
    learner = trainer.learner
    rates = [learner.hyperparameters(name).learning_rate for name in ("user_0", "goal_0")]
    assert rates == [1e-4, 3e-3]
    trainer.train_iteration()
    learner.set_hyperparameters("user_0", learning_rate=7e-4, entropy=0.01)
    trainer.train_iteration()
    save_training(trainer, tmp_path / "a.ckpt")
    resumed = resume_training(tmp_path / "a.ckpt")
    for _ in range(2):
        in_force = resumed.learner.hyperparameters("user_0")
        assert (in_force.learning_rate, in_force.entropy) == (7e-4, 0.01)
        assert resumed.learner.get_optimizer("user_0").param_groups[0]["lr"] == 7e-4
        assert resumed.learner.hyperparameters("goal_0").learning_rate == 3e-3
        resumed.train_iteration()
    with pytest.raises(TypeError, match="speed"):
        learner.set_hyperparameters("user_0", speed=1.0)


def test_a_learning_rate_of_nearly_zero_learns_nearly_nothing(make_trainer: MakeTrainer) -> None:
    """The rate that is read back is the one that is used."""
    trainer = make_trainer()
    trainer.learner.set_hyperparameters("user_0", learning_rate=1e-12)
    before = {name: value.clone() for name, value in weights(trainer).items()}
    trainer.train_iteration()
    moved = {name: (value - before[name]).abs().max().item() for name, value in weights(trainer).items()}
    assert max(change for name, change in moved.items() if name.startswith("user_0")) < 1e-9
    assert max(change for name, change in moved.items() if name.startswith("goal_0")) > 1e-3


def test_a_checkpoint_of_other_settings_is_refused_by_name(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    save_training(make_trainer(), path)
    tree = read_checkpoint(path)
    tree["settings"]["speed"] = 11
    write_checkpoint(path, tree)
    with pytest.raises(CheckpointError, match=r"a\.ckpt holds no run that this version can go on with"):
        resume_training(path)


def test_an_unknown_script_is_refused_by_name(small_config: Callable[..., AmmoConfig]) -> None:
    settings = TrainingSettings(goal_buddy=GoalSideSettings(scripts=("truthfull",)))
    with pytest.raises(ValueError, match=r"goal_buddy\.scripts names truthfull; known are .*truthful"):
        make_plan(settings, small_config())


def test_goal_buddies_learn(make_trainer: MakeTrainer) -> None:
    """Where honesty is dear they get honest. Visibility is zero-sum, so with no scripts only the error is left."""
    trainer = make_trainer(
        {"rewards.honesty_price": 10.0, "num_rounds": 16},
        num_worlds=16, rounds_per_iteration=16, minibatch=128,
        goal_buddy={"learning_rate": 5e-3, "scripted_share": 0.0},
    )  # fmt: skip
    rewards = [trainer.train_iteration()["goal_0/reward"] for _ in range(40)]
    assert np.mean(rewards[-10:]) > np.mean(rewards[:10]) + 0.2


def test_user_buddies_learn(make_trainer: MakeTrainer) -> None:
    """Answers without noise or bait: exploiting the belief more sharply than at the start pays, and is learned."""
    trainer = make_trainer(
        {"aipp.noise": 0.0, "aipp.bait": 0.0, "num_rounds": 16},
        num_worlds=16, rounds_per_iteration=16, minibatch=128, user_buddy={"learning_rate": 5e-3},
        goal_buddy={"members": 0},
    )  # fmt: skip
    regrets = [trainer.train_iteration()["normalised_regret"] for _ in range(30)]
    assert np.mean(regrets[-10:]) < 0.9 * np.mean(regrets[:5])


def test_ray_was_never_started_here() -> None:
    assert not ray.is_initialized()


def test_a_side_may_gather_rows_over_iterations(make_trainer: MakeTrainer) -> None:
    """The policy stands still while rows are gathered, and the rows of all gathered iterations are trained on."""
    trainer = make_trainer(goal_buddy={"update_every": 3})
    start = {name: value.clone() for name, value in weights(trainer).items()}
    trained: list[int] = []
    original = trainer.learner._train_member

    def spy(member: str, rows: Any) -> Any:
        trained.append(len(rows["obs"])) if member == "goal_0" else None
        return original(member, rows)

    trainer.learner._train_member = spy  # type: ignore[assignment, method-assign]
    for iteration in range(1, 4):
        trainer.train_iteration()
        moved = {name for name, value in weights(trainer).items() if not torch.equal(value, start[name])}
        assert any(name.startswith("user_0") for name in moved)
        assert any(name.startswith("goal_0") for name in moved) == (iteration == 3)
    one_iteration = trained[0] // 3
    assert trained == [3 * one_iteration]
    assert one_iteration > 0
