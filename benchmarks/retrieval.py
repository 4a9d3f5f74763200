"""Retrieval exact and by subspaces, side by side: time, recall, and what is left of the gain in a whole step.

    python benchmarks/retrieval.py [--creations 1024 4096 16384 65536] [--humans 32] [--repeats 7]

One world at D = 64 with 32 subspaces, goal buddies near their facts ("near") or steering as far as they can ("far"), four
probes. Retrieval alone and whole steps are measured in turns, CPU time of one thread; a ratio is a median over turns.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from agents.report import table
from ammo_env import metaspace_v0
from ammo_env.vector import VectorEnv

FAR: dict[str, Any] = {"cluster_strength": 0.3, "steering_scale": 2.0, "initial_spread": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--creations", nargs="+", type=int, default=[1024, 4096, 16384, 65536])
    parser.add_argument("--humans", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for name, apart in (("near", {}), ("far", FAR)):
        for creations in arguments.creations:
            rows.append([name, f"{creations:,}", *compared(creations, arguments.humans, arguments.repeats, apart)])
            print(*rows[-1], flush=True)
    heads = ["creations", "C", "recall", "exact, ms", "subspaces, ms", "retrieval faster by", "step faster by"]
    print(table(heads, rows, 2))


def compared(creations: int, humans: int, repeats: int, apart: dict[str, Any]) -> list[float]:
    """Recall; milliseconds of retrieval, exact and by subspaces; the ratios of retrieval and of whole steps."""
    exact, probing = (_world(creations, humans, index, apart) for index in ("exact", "subspaces"))
    retrieval = [[_seconds(_retrieval(env)) for env in (exact, probing)] for _ in range(repeats)]
    steps = [[_seconds(_step(env)) for env in (exact, probing)] for _ in range(repeats)]
    one, other = np.median(retrieval, axis=0) * 1e3
    recall = float(probing.measure()["retrieval_recall"].mean())
    return [recall, one, other, *(float(np.median([a / b for a, b in pairs])) for pairs in (retrieval, steps))]


def _world(creations: int, humans: int, index: str, apart: dict[str, Any]) -> VectorEnv:
    env = metaspace_v0.vec_env(
        1, dim=64, num_subspaces=32, num_goal_buddies=creations // 4, num_humans=humans,
        **{"attention.index": index, **apart},
    )  # fmt: skip
    env.reset(seed=0)
    _step(env)()
    return env


def _retrieval(env: VectorEnv) -> Callable[[], object]:
    world = env.world
    draws = world.arrays.draws(0)
    return lambda: world.index.show(draws, world.state, world.seats)


def _step(env: VectorEnv) -> Callable[[], object]:
    slots = np.broadcast_to(np.arange(4), (1, env.num_agents["user_buddy"], 4))
    holds = np.ones((1, env.num_agents["goal_buddy"]), dtype=np.int64)  # everybody publishes as it is
    return lambda: env.step({"user_buddy": slots, "goal_buddy": holds})


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
