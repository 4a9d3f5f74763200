"""What is learned: both sides trained together in several scenarios and seeds, against tuned bandits and scripts.

    python benchmarks/learning.py [--scenarios default drift ...] [--seeds 0 1 2 3 4] [--jobs 2] [--out runs/learning]

Every scenario and seed is one run folder (a finished one is not repeated) and one `study.json` in it; the tables are
made from those. Evaluation is on people never trained on, with the evaluation seed equal to the training seed, and the
bandits are tuned per scenario on worlds of another random stream. Real data: AMMO_DATA names its folder.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from studies import STUDY, run_studies, study

from agents.evaluation import (
    TUNING,
    Arena,
    evaluate_goal_buddies,
    evaluate_user_buddies,
    make_user_baseline,
    scripted_cast,
    tune_bandits,
)
from agents.logbook import read_progress
from agents.report import table
from agents.scoreboard import held_out
from agents.statistics import Interval, mean_interval, paired_difference
from agents.training import Run, learned_policies, run_world

SCENARIOS = ("default", "drift", "noisy", "crowded", "clicks", "movielens-taste")
TRAINED, MODE = "trained", "trained, deterministic"
# Populations are compared in benchmarks/evolution.py.
ONE_POLICY_EACH = {"training.user_buddy.members": 1, "training.goal_buddy.members": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, help="instead of the scenario's own")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    parser.add_argument("--tables-only", action="store_true", help="print the tables of what is finished")
    arguments = parser.parse_args()
    if not arguments.tables_only:
        work = [(s, n, arguments.iterations, arguments.out) for n in arguments.seeds for s in arguments.scenarios]
        run_studies(one_study, work, arguments.jobs)
    print(tables(arguments.out, arguments.scenarios, arguments.seeds))


def one_study(work: tuple[str, int, int | None, Path]) -> str:
    """Train and evaluate one scenario and seed; returns a line about it."""
    scenario, seed, iterations, out = work
    folder = out / f"{scenario}-seed{seed}"
    overrides: dict[str, Any] = {"training.seed": seed, "training.checkpoint_every": 0, **ONE_POLICY_EACH}
    if iterations is not None:
        overrides["training.iterations"] = iterations
    return study(folder, scenario, overrides, {"scenario": scenario, "seed": seed}, evaluate)


def evaluate(run: Run) -> dict[str, Any]:
    """Both sides on held-out people: user policies against scripts and against learned goal buddies, goal seats."""
    users, goals = learned_policies(run)
    world, scripts = held_out(run_world(run)), scripted_cast()
    arena = Arena(world, worlds=64, episodes=2, seed=run.config.training.seed)
    tuned = _tuned(run, replace(arena, episodes=2, seed=0, stream=TUNING))
    bandits = {name: make_user_baseline(setting) for name, setting in tuned.items()}
    fixed = {name: make_user_baseline(name) for name in ("random", "greedy", "oracle")}
    against_scripts = evaluate_user_buddies({**users, **fixed, **bandits}, scripts, arena)
    mixed = {**scripts, **{f"learned {i}": goals[TRAINED] for i in range(len(scripts))}}  # half the seats are learned
    against_learned = evaluate_user_buddies({**users, **fixed, **bandits}, mixed, replace(arena, episodes=1))
    seat = replace(arena, episodes=8)
    seats = evaluate_goal_buddies({**goals, **scripts}, scripts, users[TRAINED], seat)
    curve = [row for row in read_progress(run.folder) if row.get("normalised_regret") is not None]
    return {
        "tuned": tuned,
        "against_scripts": {name: meter.summary() for name, meter in against_scripts.items()},
        "against_learned": {name: meter.summary() for name, meter in against_learned.items()},
        "seats": {name: float(values.mean()) for name, values in seats.items()},
        "agent_steps": curve[-1]["step"],
        "curve": [row["normalised_regret"] for row in curve],
        "goal_curve": [row.get("goal_0/advantage_over_scripts") for row in curve],
    }


def _tuned(run: Run, arena: Arena) -> dict[str, str]:
    """The best setting of every bandit in a scenario, found once and kept beside the runs."""
    path = run.folder.parent / f"tuned-{run.scenario}.json"
    if not path.exists():
        best = tune_bandits(arena, scripted_cast())
        path.write_text(json.dumps({name: tuned.name for name, tuned in best.items()}), encoding="utf-8")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tables(out: Path, scenarios: list[str], seeds: list[int]) -> str:
    """All tables of the finished studies, in Markdown's fixed-width blocks."""
    parts = []
    for scenario in scenarios:
        files = [out / f"{scenario}-seed{seed}" / STUDY for seed in seeds]
        studies = [json.loads(path.read_text(encoding="utf-8")) for path in files if path.exists()]
        if studies:
            parts += [f"\n## {scenario} ({len(studies)} seeds)\n", "```", *_scenario_tables(studies), "```"]
    return "\n".join(parts)


def _scenario_tables(studies: list[dict[str, Any]]) -> list[str]:
    names = list(studies[0]["against_scripts"])
    bandits = ["greedy", *studies[0]["tuned"]]
    best = min(bandits, key=lambda name: float(np.mean(_column(studies, "against_scripts", name, "normalised_regret"))))
    rows = []
    for name in names:
        cells = [
            mean_interval(_column(studies, where, name, metric))
            for where, metric in (
                ("against_scripts", "normalised_regret"),
                ("against_scripts", "normalised_regret_late"),
                ("against_learned", "normalised_regret"),
                ("against_learned", "normalised_regret_late"),
            )
        ]
        below = "–" if name == best else _difference(studies, name, best)
        rows.append([name + (" (best bandit)" if name == best else ""), *cells, below])
    heads = ["user buddies", "vs scripts", "second half", "vs learned goals", "second half", "minus best bandit"]
    seats = studies[0]["seats"]
    goal_rows = []
    for name in seats:
        cells = [_seat_difference(studies, name, other) for other in scripted_cast()]
        goal_rows.append([name, mean_interval([study["seats"][name] for study in studies]), *cells])
    goal_heads = ["goal buddies", "seat reward", *(f"over {name}" for name in scripted_cast())]
    seconds = [study["train_seconds"] for study in studies]
    curve = np.mean([_thirds(study["curve"]) for study in studies], axis=0)
    goal_curve = np.mean([_thirds(study["goal_curve"]) for study in studies], axis=0)
    return [
        table(heads, rows),
        "",
        table(goal_heads, goal_rows),
        "",
        f"training: {studies[0]['agent_steps']:,.0f} agent steps, {np.mean(seconds):.0f} s; "
        f"regret in training by thirds: {np.round(curve, 3).tolist()}, "
        f"goal advantage over scripts: {np.round(goal_curve, 3).tolist()}",
        "tuned: " + ", ".join(sorted({setting for study in studies for setting in study["tuned"].values()})),
    ]


def _column(studies: list[dict[str, Any]], where: str, name: str, metric: str) -> list[float]:
    return [study[where][name][metric] for study in studies]


def _difference(studies: list[dict[str, Any]], name: str, other: str) -> Interval:
    where, metric = "against_scripts", "normalised_regret"
    return paired_difference(_column(studies, where, name, metric), _column(studies, where, other, metric))


def _seat_difference(studies: list[dict[str, Any]], name: str, other: str) -> Interval | str:
    if name == other:
        return "–"
    ours, theirs = ([study["seats"][n] for study in studies] for n in (name, other))
    return paired_difference(ours, theirs)


def _thirds(values: list[float]) -> list[float]:
    return [float(np.mean(part)) for part in np.array_split(np.array(values, dtype=np.float64), 3)]


if __name__ == "__main__":
    main()
