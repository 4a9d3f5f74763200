"""What a step costs: against a well-known environment, against the batch, the number of agents, D and the backend.

    python benchmarks/speed.py [--quick]

One run, one thread, CPU time. What is compared is measured in turns, block by block, and a ratio is the median of the
ratios of neighbouring blocks, so that a busy machine slows both sides alike. A block is an episode, without its reset,
of random actions that were drawn beforehand. The results are in speed.md.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from mpe2 import simple_spread_v3
from numpy.typing import NDArray
from one_thread import asked_for_quick
from tqdm import tqdm

from ammo_env import metaspace_v0
from ammo_env.vector import SIDES, VectorEnv

Block = Callable[[], float]  # plays a block; its cost in microseconds per agent and step
Table = dict[str, NDArray[np.float64]]  # case -> one cost per repeat

BATCHES = (1, 16, 64, 256)
AGENTS = (24, 100, 1_000, 10_000)
DIMENSIONS = (32, 128, 512, 1536)
MPE_CYCLES = 25
# What a feature costs where it is on: a row -> what differs from the default world.
FEATURES: dict[str, dict[str, Any]] = {
    "all off": {},
    "events": {"events.rate": 0.04},
    "events that become facts": {"events.rate": 0.04, "events.fact_slots": 4},
    "three interests": {"humans.interests": 3, "humans.latent_interests": 2},
    "a composed subspace": {"subspaces.composed": [[0, 1]]},
    "a merged subspace": {"subspaces.schedule": [{"round": 1, "merge": [0, 1]}]},
    "travel": {"attention.travel": True},
    "the full filter": {"beliefs.model": "full_kalman"},
    "remembered people, 128": {"beliefs.model": "prototypes", "beliefs.num_prototypes": 128},
    "remembered people, 512": {"beliefs.model": "prototypes"},
    **{f"answers by {kind}": {"aipp.kind": kind} for kind in ("click", "choice", "pairwise", "cascade")},
    "biased humans and creators": {"aipp.human_bias": 0.3, "aipp.human_scale": 0.2, "aipp.creator_bias": 0.3},
    "inconsistent humans": {"aipp.inconsistency": 0.2},
    "a network, endorsement": {"social.network": "similar"},
    "a network, social share": {"social.network": "similar", "attention.social_share": 0.25},
    "a network, DeGroot": {"social.network": "similar", "social.degroot.influence": 0.1},
    "a network, Friedkin-Johnsen": {"social.network": "similar", "social.friedkin_johnsen.neighbour_weight": 0.1},
    "a network, bounded confidence": {"social.network": "similar", "social.bounded_confidence.angle": 1.0},
    "mere exposure": {"social.exposure.seen_weight": 0.1},
    "norm shifts": {"social.norm_shift.shift_rate": 0.1},
    "push-back": {"social.pushback.rejection_below": 0.4},
    "life and death": {"life.viability": 0.02, "life.grace": 8, "life.max_births": 64},
}


def main() -> None:
    """Measure and print all tables."""
    quick = asked_for_quick(__doc__, "a quarter of the repeats, and at most 1,000 agents")
    repeats = 10 if quick else 40
    print_agents([n for n in AGENTS if n <= 1_000 or not quick])  # first, because memory never shrinks
    print_peer(repeats)
    print_batches(repeats)
    print_dimensions(max(repeats // 4, 3))
    print_compression(max(repeats // 4, 3))
    print_backends(max(repeats // 4, 3))
    print_features(repeats)


def print_agents(counts: list[int]) -> None:
    """One world: the default 16 goal and 8 user buddies, then half of each."""
    print("\n| agents | us per agent-step | peak memory, MB |\n|---|---|---|")
    for agents in counts:
        half = {"num_goal_buddies": agents // 2, "num_humans": agents // 2}
        sizes: dict[str, Any] = {} if agents == AGENTS[0] else half
        block = batch_block(metaspace_v0.vec_env(1, **sizes), 16 if agents <= 1_000 else 2)
        cost = np.median([block() for _ in range(9 if agents <= 1_000 else 3)])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {agents:,} | {cost:.1f} | {peak:,.0f} |", flush=True)


def print_peer(repeats: int) -> None:
    """One world through PettingZoo's dictionaries, against MPE2's simple_spread with three agents."""
    peer = simple_spread_v3.parallel_env(N=3, max_cycles=MPE_CYCLES)
    cases = {"MPE2 simple_spread": parallel_block(peer), "ParallelEnv": parallel_block(metaspace_v0.parallel_env())}
    print_table("environment, E = 1", measure(cases, repeats), "MPE2 simple_spread")


def print_batches(repeats: int) -> None:
    """E worlds as arrays, against one world through dictionaries."""
    cases = {"ParallelEnv": parallel_block(metaspace_v0.parallel_env())}
    cases |= {f"vec_env({envs})": batch_block(metaspace_v0.vec_env(envs)) for envs in BATCHES}
    print_table("default world", measure(cases, repeats), "ParallelEnv")


def print_dimensions(repeats: int) -> None:
    """The default world at several D, alone and in a batch."""
    for envs in (1, 16):
        cases = {f"D = {dim}": batch_block(metaspace_v0.vec_env(envs, dim=dim), 16) for dim in DIMENSIONS}
        print_table(f"vec_env({envs})", measure(cases, repeats), f"D = {DIMENSIONS[0]}")


def print_compression(repeats: int) -> None:
    """The paper scenario as it is, and in the rank of its content."""
    rank = 384  # 4 x 32 facts and 256 entities
    for envs in (1, 16):
        cases = {
            name: batch_block(metaspace_v0.vec_env(envs, "paper", **settings), 16)
            for name, settings in {"D = 1536": {}, f"compress = {rank}": {"compress": rank}}.items()
        }
        print_table(f"paper, vec_env({envs})", measure(cases, repeats), "D = 1536")


def print_backends(repeats: int) -> None:
    """torch on the CPU against NumPy, 64 worlds."""
    import torch

    torch.set_num_threads(1)
    cases = {name: batch_block(metaspace_v0.vec_env(64, backend=name), 16) for name in ("numpy", "torch")}
    print_table("vec_env(64), backend", measure(cases, repeats), "numpy")


def print_features(repeats: int) -> None:
    """Each feature on its own, against the world without any."""
    for envs in (1, 16):
        cases = {name: batch_block(metaspace_v0.vec_env(envs, **on), 16) for name, on in FEATURES.items()}
        print_table(f"vec_env({envs}), feature", measure(cases, repeats), "all off")


def measure(cases: dict[str, Block], repeats: int) -> Table:
    """Blocks of all cases in turns, after one that is not counted."""
    for block in cases.values():
        block()
    rows = [
        [block() for block in cases.values()] for _ in tqdm(range(repeats), desc="blocks", leave=False, mininterval=5)
    ]
    return dict(zip(cases, np.array(rows).T, strict=True))


def print_table(what: str, table: Table, base: str) -> None:
    """Medians, and the median ratio of each case to `base`."""
    print(f"\n| {what} | us per agent-step | agent-steps per second | cost, relative |\n|---|---|---|---|")
    for name, costs in table.items():
        cost, ratio = np.median(costs), np.median(costs / table[base])
        print(f"| {name} | {cost:.2f} | {1e6 / cost:,.0f} | {ratio:.3f} |", flush=True)


def parallel_block(env: Any) -> Block:
    """An episode of a PettingZoo `ParallelEnv`."""
    env.reset(seed=0)
    agents = env.possible_agents
    actions = [{agent: env.action_space(agent).sample() for agent in agents} for _ in range(64)]

    def play() -> float:
        env.reset()
        start, steps = time.process_time(), 0
        while env.agents:
            env.step(actions[steps])
            steps += 1
        return (time.process_time() - start) / (steps * len(agents)) * 1e6

    return play


def batch_block(env: VectorEnv, rounds: int | None = None) -> Block:
    """An episode, or its first rounds, of a batch of worlds."""
    rng = np.random.default_rng(0)
    rounds = rounds or env.config.episode.num_rounds
    actions = [{side: random_actions(env, side, rng) for side in SIDES} for _ in range(rounds)]
    agents = env.num_envs * sum(env.num_agents.values())

    def play() -> float:
        env.reset(0)
        start = time.process_time()
        for action in actions:
            env.step(action)
        return (time.process_time() - start) / (rounds * agents) * 1e6

    return play


def random_actions(env: VectorEnv, side: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Uniform slates and nudges [E, N, ...]."""
    space = env.action_spaces[side]
    assert isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    high = int(space.n if isinstance(space, spaces.Discrete) else space.nvec[0])
    actions = rng.integers(high, size=(env.num_envs, env.num_agents[side], *(space.shape or ())))
    if side == "user_buddy" and env.config.num_destinations:
        actions[..., -1] %= env.config.num_destinations
    return actions


if __name__ == "__main__":
    main()
