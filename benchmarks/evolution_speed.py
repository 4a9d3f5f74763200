"""What a population costs: forward passes member by member or stacked, and seconds per iteration of whole trainings.

    python benchmarks/evolution_speed.py

Everything is interleaved in one run; leave the machine idle. The trainings are the arms of benchmarks/evolution.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from evolution import ARMS, RECIPE

from agents.networks import build_network
from agents.report import table
from agents.rllib.algorithm import build_algorithm
from agents.rllib.plan import make_plan
from agents.rllib.team import Team
from agents.run_config import load_run_config
from agents.training_settings import TrainingSettings
from ammo_env.scenarios import load_config


def main() -> None:
    print(forward_passes(), throughput(), sep="\n\n")


def forward_passes(repeats: int = 200) -> str:
    """Microseconds of a forward pass over the seats of 16 default worlds, all ways interleaved; the best of 5."""
    rows = []
    with torch.inference_mode():
        for side, seats in (("user_buddy", 128), ("goal_buddy", 126)):
            calls = _passes(side, seats)
            times = dict.fromkeys(calls, float("inf"))
            for _ in range(5):
                for name, call in calls.items():
                    began = time.perf_counter()
                    for _ in range(repeats):
                        call()
                    times[name] = min(times[name], (time.perf_counter() - began) / repeats * 1e6)
            rows.append([side, *times.values(), times["one pass per member"] / times["stacked"]])
    return table(["side", *times, "stacked is faster by"], rows, 1)


def _passes(side: str, seats: int) -> dict[str, Callable[[], Any]]:
    settings = TrainingSettings.model_validate({"user_buddy": {"members": 4}, "goal_buddy": {"members": 6}})
    specs = [spec for spec in make_plan(settings, load_config("default")).specs.values() if spec.side == side]
    networks = [build_network(spec, seed) for seed, spec in enumerate(specs)]
    share = seats // len(networks)
    obs = torch.randn(seats, specs[0].obs_size, generator=torch.Generator().manual_seed(0))
    mask = torch.ones((seats, 16) if side == "user_buddy" else (seats,), dtype=torch.bool)
    team = Team(networks)
    team.seat([share] * len(networks))
    parts = [slice(i * share, (i + 1) * share) for i in range(len(networks))]
    return {
        "one network, all rows": lambda: networks[0](obs, mask),
        "one pass per member": lambda: [n(obs[p], mask[p]) for n, p in zip(networks, parts, strict=True)],
        "stacked": lambda: team.forward(obs, mask),
    }


def throughput(iterations: int = 12) -> str:
    """Seconds per iteration of whole training, interleaved; means, because only every second iteration trains goal
    buddies and every third has a cycle."""
    trainers, narrow = {}, {name: value for name, value in ARMS["single"].items() if "hidden" not in name}
    for name, changes in (("1 + 1 members", narrow), ("4 + 6 members (on)", {}), ("off", ARMS["off"]),
                          ("1 + 1 members of twice the width (single)", ARMS["single"])):  # fmt: skip
        run = load_run_config("default", {**RECIPE, **changes})
        trainers[name] = build_algorithm(make_plan(run.training, run.world))
        trainers[name].train_iteration()
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(iterations):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.train_iteration()
            seconds[name].append(time.perf_counter() - began)
    mean = {name: float(np.mean(values)) for name, values in seconds.items()}
    usual = mean["1 + 1 members"]
    return table(["training", "seconds per iteration", "throughput"], [[n, s, usual / s] for n, s in mean.items()], 2)


if __name__ == "__main__":
    main()
