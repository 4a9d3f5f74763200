"""What an approximate index saves and what it misses: time of the retrieval and of the whole round, and recall.

    python benchmarks/retrieval.py [--quick]

One run, one thread, CPU time. Exact scan and index take turns on worlds of the same configuration and seed, and a
ratio is the median of the ratios of neighbouring turns, so that a busy machine slows both sides alike. Every human's
belief is its preference with noise, as after some learning. The results are in retrieval.md.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from one_thread import asked_for_quick

from ammo_env import metaspace_v0
from ammo_env.metrics import retrieval_recall
from ammo_env.vector import VectorEnv

GOALS, HUMANS, DIM = 1024, 128, 64
# Live creations, subspaces, subspaces scanned.
SIZES = ((1_024, 16, 4), (4_096, 16, 4), (16_384, 16, 4), (16_384, 32, 4), (65_536, 16, 4), (65_536, 32, 4),
         (65_536, 64, 4), (262_144, 64, 4))  # fmt: skip
PROBES = (1, 2, 4, 8, 16)
# How far creations are from the centre of their subspace.
WORLDS: dict[str, dict[str, Any]] = {
    "near their centres (default)": {},
    "half as clustered": {"cluster_strength": 0.5},
    "wide steering": {"steering_scale": 2.0, "initial_spread": 1.0},
    "wide steering, half as clustered": {"cluster_strength": 0.5, "steering_scale": 2.0, "initial_spread": 1.0},
}
BELIEF_NOISE = 0.5  # length of the noise in q_hat = q + noise


def main() -> None:
    """Measure and print both tables."""
    quick = asked_for_quick(__doc__, "a third of the turns, and at most 65,536 creations")
    print_costs(3 if quick else 9, [size for size in SIZES if size[0] <= 65_536 or not quick])
    print_recall()


def print_costs(turns: int, sizes: list[tuple[int, int, int]]) -> None:
    """Retrieval alone, and the round that it is part of."""
    print("\n| C | M | scanned | exact, us per human | index, us per human | exact / index | whole round | recall |")
    print("|---|---|---|---|---|---|---|---|")
    for live, subspaces, probes in sizes:
        both = [make(live, subspaces, probes, kind) for kind in ("exact", "subspaces")]
        found = recall(both[1])
        shown = np.array([[retrieval_time(env) for env in both] for _ in range(turns + 1)])[1:]
        rounds = np.array([[round_time(env) for env in both] for _ in range(turns + 1)])[1:]
        (one, other), ratio = np.median(shown, axis=0), np.median(shown[:, 0] / shown[:, 1])
        whole = np.median(rounds[:, 0] / rounds[:, 1])
        costs = f"{one:.1f} | {other:.1f} | {ratio:.2f} | {whole:.2f}"
        print(f"| {live:,} | {subspaces} | {probes} | {costs} | {found:.3f} |", flush=True)


def print_recall() -> None:
    """Recall by the number of subspaces scanned, from creations near their centres to such as stray far."""
    print("\n| 16,384 creations in 32 subspaces | " + " | ".join(f"{n} scanned" for n in PROBES) + " |")
    print("|---|" + "---|" * len(PROBES))
    for name, settings in WORLDS.items():
        row = [recall(make(16_384, 32, probes, "subspaces", **settings)) for probes in PROBES]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)


def make(live: int, subspaces: int, probes: int, kind: str, **settings: Any) -> VectorEnv:
    """One world of so many creations, whose user buddies know their humans fairly well."""
    env = metaspace_v0.vec_env(
        1, dim=DIM, num_goal_buddies=GOALS, shelf_size=live // GOALS, num_humans=HUMANS, num_subspaces=subspaces,
        index=kind, probes=probes, **settings,
    )  # fmt: skip
    env.reset(0)
    state = env.world.state
    noise = np.random.default_rng(1).standard_normal(state.q.shape).astype(np.float32)
    state.beliefs.mean = state.q + BELIEF_NOISE * noise / np.sqrt(np.float32(DIM))
    return env


def retrieval_time(env: VectorEnv) -> float:
    """Microseconds per human of the retrieval alone."""
    world, draws = env.world, env.arrays.draws(0)
    start = time.process_time()
    world.index.show(draws, world.state, world.seats)
    return (time.process_time() - start) / HUMANS * 1e6


def round_time(env: VectorEnv) -> float:
    """Microseconds per human of a whole round: the first slots, and nobody publishes."""
    slates = np.broadcast_to(np.arange(4), (1, HUMANS, 4))
    start = time.process_time()
    env.step({"user_buddy": slates, "goal_buddy": np.zeros((1, GOALS), dtype=np.int64)})
    return (time.process_time() - start) / HUMANS * 1e6


def recall(env: VectorEnv) -> float:
    """Of the first retrieval by these beliefs, mean over humans."""
    world = env.world
    found, _ = world.index.show(env.arrays.draws(0), world.state, world.seats)
    wanted = world.index.wanted(world.state, world.seats)
    assert wanted is not None
    return float(retrieval_recall(wanted[0], found, wanted[1]).mean())


if __name__ == "__main__":
    main()
