"""Remote runners: the same training with sampling in other processes, in a cluster of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
from pathlib import Path
import ray
import torch
from agents.rllib.algorithm import build_algorithm
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.plan import make_plan
from agents.training_settings import TrainingSettings
from ammo_env.scenarios import load_config

ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
side = {"update_every": 1, "minibatch": 64}
settings = TrainingSettings.model_validate({
    "num_env_runners": 2, "num_worlds": 1, "rounds_per_iteration": 6, "user_buddy": side, "goal_buddy": side
})
trainer = build_algorithm(make_plan(settings, load_config("default")))
first = trainer.train_iteration()
assert first["agent_steps"] == 2 * 6 * (8 + 8), first["agent_steps"]
learned = trainer.learner.network("user_0").state_dict()
for acting in trainer._on_runners(lambda runner: runner.module["user_0"].network.state_dict()):
    assert all(torch.equal(value, learned[name]) for name, value in acting.items())
save_training(trainer, Path("a.ckpt"))
straight = trainer.train_iteration()
trainer.stop()
resumed = resume_training(Path("a.ckpt")).train_iteration()
for name in straight:
    assert "second" in name or straight[name] == resumed[name], name
print("all equal")
"""


def test_remote_runners_sample_and_resume_exactly(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0",
                   "RAY_worker_niceness": "0"}  # by default workers give way to everything else on the machine
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, timeout=200, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all equal\n")
