"""Killing a run with SIGKILL at random moments and resuming it, against a run that was never touched.

    python benchmarks/durability.py [--kills 20] [--iterations 80] [--seed 0] [--out runs/durability]

Both runs train the same populations in a small world with a checkpoint after every iteration. The killed one is
started, killed a random time after a random number of further iterations (while it starts, samples, learns or writes a
checkpoint), and resumed, until it has been killed so often; then it is left to finish. At the end the two last
checkpoints are compared: weights, optimisers, hyper-parameters, fitness, lineage, hall of fame, random streams and
worlds, number by number.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.checkpoints import read_checkpoint
from agents.chronicle import read_events
from agents.logbook import read_progress

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "knowledge.dim=8", "knowledge.pool_size=64", "knowledge.heldout_size=16", "goal_buddies.num_goal_buddies=6",
    "goal_buddies.shelf_size=3", "goal_buddies.steering_dim=3", "humans.num_humans=4", "num_rounds=8",
    "num_candidates=8", "num_slots=2", "training.num_worlds=4", "training.rounds_per_iteration=8",
    "training.checkpoint_every=1",
    "training.user_buddy.members=3", "training.goal_buddy.members=3", "training.user_buddy.minibatch=64",
    "training.goal_buddy.minibatch=64", "training.evolution.every=4", "training.evolution.ready_after=4",
)  # fmt: skip
STARTING, NEXT = 5.0, 0.2  # seconds until a first checkpoint, and of an iteration, at most
PROGRAM = """
import sys
from pathlib import Path
from agents.run_config import load_run_config, parse_settings
from agents.training import reopen_run, start_run, train
folder, settings = Path(sys.argv[1]), sys.argv[2:]
if (folder / "config.yaml").exists():
    train(reopen_run(folder), resume=True)
else:
    train(start_run(load_run_config("default", parse_settings(settings)), "default", folder))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--out", type=Path, default=Path("runs/durability"))
    arguments = parser.parse_args()
    print(kill_and_compare(arguments.out, arguments.kills, arguments.iterations, arguments.seed))


def kill_and_compare(out: Path, kills: int, iterations: int, seed: int) -> str:
    """Run both, compare, and say what happened in a line. Raises `AssertionError` with the place of a difference."""
    rng, settings = random.Random(seed), [*SMALL, f"training.iterations={iterations}"]
    straight, killed = out / "straight", out / "killed"
    assert _start(straight, settings).wait() == 0, "the undisturbed run failed"
    for _ in range(kills):
        process = _start(killed, settings)
        _live(process, killed, rng)
        assert process.poll() is None, "it ended before it could be killed: give it more iterations"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert _start(killed, settings).wait() == 0, "the resumed run failed by itself"
    last, resumed = (read_checkpoint(_checkpoints(folder)[-1]) for folder in (straight, killed))
    difference = first_difference(last, resumed)
    assert difference is None, difference
    for read in (read_progress, read_events):
        one, other = ([_timeless(row) for row in read(folder)] for folder in (straight, killed))
        assert one == other, f"{read.__name__} differs"
    return f"killed {kills} times in {iterations} iterations; last checkpoint, progress and events are equal"


def _live(process: subprocess.Popen[bytes], folder: Path, rng: random.Random) -> None:
    """Let it get a few iterations farther (or not even to its first), and then some way into what comes next."""
    farther = _iteration(folder) + rng.randint(0, 3)
    while process.poll() is None and _iteration(folder) < farther:
        time.sleep(0.002)
    time.sleep(rng.uniform(0.0, NEXT if farther > 0 else STARTING))


def _iteration(folder: Path) -> int:
    return max((int(path.stem.split("-")[-1]) for path in _checkpoints(folder)), default=-1)


def first_difference(one: Any, other: Any, place: str = "") -> str | None:
    """Where two checkpoint trees differ, or None."""
    if type(one) is not type(other):
        return f"{place}: {type(one).__name__} and {type(other).__name__}"
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{place}: keys differ"
        return next((d for k in one if (d := first_difference(one[k], other[k], f"{place}/{k}"))), None)
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return f"{place}: lengths differ"
        return next((d for i, (a, b) in enumerate(zip(one, other, strict=True))
                     if (d := first_difference(a, b, f"{place}/{i}"))), None)  # fmt: skip
    if isinstance(one, torch.Tensor):
        return None if torch.equal(one, other) else f"{place}: tensors differ"
    if isinstance(one, np.ndarray):
        return None if np.array_equal(one, other) else f"{place}: arrays differ"
    same = one == other or (one != one and other != other)
    return None if same else f"{place}: {one} and {other}"


def _start(folder: Path, settings: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), *settings], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("*.ckpt"))


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "second" not in name}


if __name__ == "__main__":
    main()
