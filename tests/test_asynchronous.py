"""APPO: what an older policy played, corrected for the one that learns; and runners that play meanwhile."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.rllib.algorithm import BuddyTrainer
from agents.rllib.asynchronous import AsynchronousRunner
from agents.rllib.fragments import Fragment, Trajectory, corrected
from agents.rllib.rollout import generalised_advantages
from agents.run_config import load_run_config
from agents.verdicts import Tally
from ammo_env.settings import ConfigError

GAMMA, LAMBDA = 0.9, 0.8


def v_trace(rewards: list[float], values: list[float], after: float, ratios: list[float]) -> list[float]:
    """v_s − V(s) as equation 1 of Espeholt et al. 2018 has it: Σ_t γ^{t−s} (Π_{s≤i<t} c_i) ρ_t (r_t + γ V' − V)."""
    following, rho = [*values[1:], after], [min(1.0, ratio) for ratio in ratios]
    deltas = [w * (r + GAMMA * n - v) for w, r, n, v in zip(rho, rewards, following, values, strict=True)]
    return [
        sum(GAMMA ** (t - s) * math.prod(LAMBDA * c for c in rho[s:t]) * deltas[t] for t in range(s, len(deltas)))
        for s in range(len(deltas))
    ]


def test_ratios_make_advantages_those_of_v_trace() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    ratios = torch.randn(5, 3, generator=generator, dtype=torch.float64).exp()
    cut, end = torch.tensor([0.7, -0.3, 0.1]).double(), torch.tensor([0.0, 0.4, 2.0]).double()
    found = generalised_advantages(rewards, values, {1: cut, 4: end}, GAMMA, LAMBDA, ratios)
    assert (ratios > 1).any()
    assert (ratios < 1).any()
    for row in range(3):
        r, v, w = (column[:, row].tolist() for column in (rewards, values, ratios))
        expected = v_trace(r[:2], v[:2], cut[row].item(), w[:2]) + v_trace(r[2:], v[2:], end[row].item(), w[2:])
        assert found[:, row].tolist() == pytest.approx(expected, abs=1e-12)


def trajectories_of(trainer: BuddyTrainer) -> dict[str, list[Trajectory]]:
    """What the runner of `trainer` played last, as an asynchronous one would hand it over."""
    with torch.no_grad():
        return AsynchronousRunner._batch(trainer.env_runner)


MORTAL = {"life.viability": 0.15, "life.grace": 2, "life.max_births": 40}


# Whole episodes; iterations that stop in the middle of one; two dealings in one iteration; and lives that end.
@pytest.mark.parametrize(("rounds", "life"), [(8, {}), (5, {}), (12, {}), (12, MORTAL)])
def test_with_nothing_to_correct_the_rows_are_those_of_ppo(
    make_trainer: Callable[..., BuddyTrainer], rounds: int, life: dict[str, float]
) -> None:
    trainer = make_trainer(life, rounds_per_iteration=rounds, user_buddy={"members": 2})
    batch = trainer.env_runner.sample()
    for name, parts in trajectories_of(trainer).items():
        learner = trainer.learner
        rows, weight = corrected(parts, learner.network(name), learner.hyperparameters(name), chunk=7)
        assert weight == pytest.approx(1.0, abs=1e-5)
        for column, values in rows.items():
            torch.testing.assert_close(values, batch.policy_batches[name][column], rtol=1e-4, atol=1e-4)


def test_rows_of_an_older_policy_are_weighted_down(make_trainer: Callable[..., BuddyTrainer]) -> None:
    trainer = make_trainer(user_buddy={"learning_rate": 0.02})
    trainer.env_runner.sample()
    played = trajectories_of(trainer)["user_0"]
    for _ in range(3):
        trainer.train_iteration()
    own = trainer.learner.hyperparameters("user_0")
    rows, weight = corrected(played, trainer.learner.network("user_0"), own, chunk=64)
    assert 0.2 < weight < 0.99
    behaviour = torch.cat([part["action_logp"].flatten() for part in played])
    assert not torch.allclose(rows["action_logp"], behaviour, atol=1e-2)


def test_what_the_gone_played_is_nobodys() -> None:
    tally = Tally({"user_buddy": 3, "goal_buddy": 1})
    holders = {"user_buddy": np.array([[0, 1, 2]]), "goal_buddy": np.array([[0, 0]])}
    tally.add(holders, {side: {"satisfaction": np.ones_like(held, dtype=float)} for side, held in holders.items()})
    part: Trajectory = {"rewards": torch.zeros(4, 2)}
    fragment = Fragment(
        {"user_0": [part], "user_1": [part], "goal_0": [part]}, {"user_0/reward": 1.0, "user_1/reward": 2.0}, tally,
        {"user_0": (0.0,), "user_1": (1.0,)}, 0, {"user_buddy": (0, 1, 5), "goal_buddy": (0,)}, 4, (0.0, 1.0),
    )  # fmt: skip
    # Member 1 was replaced by 7, and another member of the hall has taken the place of 5.
    fragment.forget_the_gone(
        {"user_buddy": (0, 7, 6), "goal_buddy": (0,)}, {"user_buddy": ["user_0", "user_1"], "goal_buddy": ["goal_0"]}
    )
    assert fragment.trajectories.keys() == {"user_0", "goal_0"}
    assert fragment.agent_steps == 16
    assert fragment.report == {"user_0/reward": 1.0}
    assert fragment.behaviour == {"user_0": (0.0,)}
    assert tally.seats["user_buddy"].tolist() == [1, 0, 0]
    assert tally.means("user_buddy", 1) == {}
    assert tally.means("goal_buddy", 0) == {"satisfaction": 1.0}
    assert tally.outcomes["user_buddy"][1].tolist() == [[1], [0], [0]]
    assert tally.outcomes["goal_buddy"][1].tolist() == [[pytest.approx(2 / 3), 0, 0]]


def test_without_other_processes_there_is_no_appo() -> None:
    with pytest.raises(ConfigError, match=r"algorithm=appo samples in other processes: set training\.num_env_runners"):
        load_run_config("default", {"training.algorithm": "appo"})
    config = load_run_config("default", {"training.algorithm": "appo", "training.num_env_runners": 1})
    assert config.training.samples_ahead == 2


PROGRAM = """
import gc, logging, os, signal, time
from dataclasses import asdict
from pathlib import Path
import ray
import torch
from agents.checkpoints import read_checkpoint
from agents.logbook import read_progress
from agents.rllib.checkpoint import resume_training
from agents.run_config import load_run_config
from agents.training import start_run, train
import agents.training

ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
side = {"update_every": 1, "minibatch": 64, "members": 2}
config = load_run_config("default", {"training": {
    "algorithm": "appo", "num_env_runners": 2, "num_worlds": 1, "rounds_per_iteration": 6, "iterations": 1000,
    "user_buddy": side, "goal_buddy": side,
    "evolution": {"every": 2, "ready_after": 2, "margin": 0.0, "niche_minimum": 1},
}})

# A run that is interrupted.
run, original = start_run(config, "default", Path("run")), agents.training.append_events
def interrupting(folder, iteration, *rest):
    original(folder, iteration, *rest)
    if iteration == 3:
        os.kill(os.getpid(), signal.SIGINT)
agents.training.append_events = interrupting
try:
    train(run)
    raise SystemExit("Ctrl-C did nothing")
except KeyboardInterrupt:
    rows = read_progress(run.folder)
assert [row["iteration"] for row in rows] == [1, 2, 3], rows
assert [row["policy_lag"] for row in rows] == [0, 1, 2], rows
assert all(0 < row["runners_busy"] <= 1 and row["lost_runners"] == 0 for row in rows)
print("interrupted", flush=True)

# What is resumed is what was saved, and it goes on from there.
gc.collect()
trainer, saved = resume_training(run.latest()), read_checkpoint(run.latest())
assert trainer.iteration == saved["iteration"] == 3
for name in trainer.plan.specs:
    learned, kept = trainer.learner.network(name).state_dict(), saved["members"][name]
    assert all(torch.equal(learned[key], kept["weights"][key]) for key in learned)
    assert asdict(trainer.learner.hyperparameters(name)) == kept["hyperparameters"]
assert trainer.evolution.state()["populations"] == saved["evolution"]["populations"]
for index, generator in trainer._on_runners(lambda runner: (runner.worker_index, runner._generator.get_state())):
    assert torch.equal(generator, saved["runners"][index]["generator"])
report = trainer.train_iteration()
assert (report["iteration"], report["policy_lag"]) == (4, 0)
print("resumed", flush=True)

# Sampling goes on while the learner learns: the learner stands still until a runner finishes what it had not begun.
update, ahead = trainer.learner.update, trainer._ahead
def standing_still(*args, **kwargs):
    pending = list(ahead._group._worker_manager._in_flight_req_to_actor_id)
    ready, _ = ray.wait(pending, num_returns=len(pending), timeout=60)
    assert len(ready) == len(pending) == 4, (ready, pending)
    return update(*args, **kwargs)
trainer.learner.update = standing_still
trainer.train_iteration()
del trainer.learner.update
print("went on sampling", flush=True)

# A runner is killed: the other goes on, and the one that Ray starts in its place is used.
victim = trainer._on_runners(lambda runner: os.getpid())[0]
os.kill(victim, signal.SIGKILL)
lost = 0
for _ in range(300):
    report = trainer.train_iteration()
    lost = max(lost, report["lost_runners"])
    if lost and not report["lost_runners"]:
        break
    time.sleep(0.05)
assert lost == 1, "nothing was lost"
assert report["lost_runners"] == 0, "nothing came back"
assert len(set(trainer._on_runners(lambda runner: os.getpid()))) == 2
report = [trainer.train_iteration() for _ in range(4)][-1]
assert report["policy_lag"] <= 3, report["policy_lag"]
assert max(max(ids) for ids in trainer.evolution.tenants().values()) > 1, "nobody was born"
trainer.stop()
print("went on", flush=True)
"""


def test_runners_play_while_the_learner_learns(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0",
                   "RAY_worker_niceness": "0"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, timeout=280, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    said = [line for line in done.stdout.splitlines() if line in MILESTONES]
    assert said == MILESTONES


MILESTONES = ["interrupted", "resumed", "went on sampling", "went on"]
