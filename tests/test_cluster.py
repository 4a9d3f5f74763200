"""Two nodes, one of which dies in mid-run: the training goes on with what is left, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
import ray
from ray.cluster_utils import Cluster
from agents.rllib.algorithm import build_algorithm
from agents.rllib.plan import make_plan
from agents.training_settings import TrainingSettings
from ammo_env.scenarios import load_config

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
side = {"update_every": 1, "minibatch": 64, "members": 2}
settings = TrainingSettings.model_validate({
    "num_env_runners": 2, "num_worlds": 1, "rounds_per_iteration": 6, "user_buddy": side, "goal_buddy": side,
    "matchmaking": {"hall_size": 0},
})
trainer = build_algorithm(make_plan(settings, load_config("default")))
nodes = trainer._on_runners(lambda runner: ray.get_runtime_context().get_node_id())
assert len(set(nodes)) == 2, nodes
first = trainer.train_iteration()
assert first["lost_runners"] == 0
cluster.remove_node(second, allow_graceful=False)
lost = [trainer.train_iteration() for _ in range(3)]
assert [report["iteration"] for report in lost] == [2, 3, 4]
assert lost[-1]["lost_runners"] == 1, [report["lost_runners"] for report in lost]
assert lost[-1]["agent_steps"] == first["agent_steps"] / 2
state = trainer.training_state()
assert len(state["runners"]) == 1
cluster.add_node(num_cpus=1)
for _ in range(60):
    back = trainer.train_iteration()
    if back["lost_runners"] == 0:
        break
assert back["lost_runners"] == 0, "a new node was not used"
assert back["agent_steps"] == first["agent_steps"]
print("went on", flush=True)
trainer.stop()
ray.shutdown()
cluster.shutdown()
"""


def test_a_node_may_die_in_mid_run(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0",
                   "RAY_worker_niceness": "0", "RAY_health_check_period_ms": "500",
                   "RAY_health_check_failure_threshold": "3"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, timeout=280, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "went on" in done.stdout
