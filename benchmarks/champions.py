"""How good are the champions, to the third digit? Those of finished runs of benchmarks/evolution.py, on more worlds.

    python benchmarks/champions.py [--scenarios default drift] [--arm on] [--seeds 0 1 2 3 4] [--worlds 192]
                                   [--out runs/evolution]

Two policies that are equally good differ by .003 on 128 worlds, because their worlds part ways with the first slate
that differs. Here champions (deterministic, held-out people, scripted creators) stand beside bandits of a width and a
guess near the best, which were chosen with hindsight. Intervals are 95 % over seeds; differences are paired by seed.
"""

from __future__ import annotations

import argparse
import os
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from agents.evaluation import Arena, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.report import Cell, table
from agents.scoreboard import held_out
from agents.statistics import mean_interval, paired_difference
from agents.training import learned_policies, reopen_run, run_world

CHAMPION = "trained, deterministic"
BANDITS = tuple(f"fading_linucb={width},bait_guess=0.3" for width in (2, 2.5, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift"])
    parser.add_argument("--arm", default="on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--worlds", type=int, default=192)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/evolution"))
    arguments = parser.parse_args()
    for scenario in arguments.scenarios:
        folders = [arguments.out / f"{scenario}-{arguments.arm}-seed{seed}" for seed in arguments.seeds]
        with get_context("spawn").Pool(arguments.jobs) as pool:
            found = pool.map(regrets, [(folder, arguments.worlds) for folder in folders])
        own = [one[CHAMPION] for one in found]
        rows: list[list[Cell]] = [["champion", mean_interval(own), "–"]]
        for name in BANDITS:
            theirs = [one[name] for one in found]
            rows.append([name, mean_interval(theirs), paired_difference(own, theirs)])
        print(f"\n{scenario} ({len(found)} seeds, {arguments.worlds} worlds each)\n")
        print(table(["policy", "regret", "champion minus this"], rows, 4), flush=True)


def regrets(work: tuple[Path, int]) -> dict[str, float]:
    """Normalised regret of the champion of a run, and of the bandits, on the same worlds."""
    folder, worlds = work
    run = reopen_run(folder)
    policies = {name: make_user_baseline(name) for name in BANDITS}
    policies[CHAMPION] = learned_policies(run)[0][CHAMPION]
    arena = Arena(held_out(run_world(run)), worlds=worlds, episodes=1, seed=run.config.training.seed)
    meters = evaluate_user_buddies(policies, scripted_cast(), arena)
    return {name: float(meter.summary()["normalised_regret"]) for name, meter in meters.items()}


if __name__ == "__main__":
    main()
