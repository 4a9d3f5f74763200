"""Does evolution help? The same world trained with and without the cycle, and by one larger policy.

    python benchmarks/evolution.py [--scenarios default drift crowded] [--arms on off single] [--seeds 0 1 2 3 4]
                                   [--iterations N] [--jobs 2] [--out runs/evolution]
    python benchmarks/evolution.py --speed      # forward passes both ways, and iterations with 6+4 members and with 1+1

Arms, all on the same number of environment steps: `on` (6 goal and 4 user members), `off` (the same members without the
cycle), `single` (one policy per side with twice the width, which gets all the rows). All learn by the recipe of
configs/memory.yaml; `+kalman` or `+full_kalman` behind an arm gives the user buddies another belief than its
prototypes. The champion is chosen by its fitness in training, then evaluated on people that nothing was trained on.
Every run is a folder; a finished one is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from studies import STUDY, run_studies, study

from agents.checkpoints import read_checkpoint
from agents.evaluation import Arena, evaluate_goal_buddies, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.logbook import read_progress
from agents.networks import build_network
from agents.report import table
from agents.rllib.algorithm import build_algorithm
from agents.rllib.plan import make_plan
from agents.rllib.team import Team
from agents.run_config import load_run_config
from agents.scoreboard import held_out
from agents.statistics import mean_interval, paired_difference
from agents.training import Run, learned_policies, run_world
from agents.training_settings import TrainingSettings
from ammo_env.scenarios import load_config, read_scenario

# The recipe of the scenario `memory`, on whichever world: its belief, its learner, its members.
RECIPE: dict[str, Any] = {name: part for name, part in read_scenario("memory").items() if name != "description"}
ARMS: dict[str, dict[str, Any]] = {
    "on": {"training.evolution.enabled": True},
    "off": {"training.evolution.enabled": False},
    "single": {
        "training.user_buddy.members": 1, "training.user_buddy.hidden": (64, 64), "training.user_buddy.minibatch": 512,
        "training.goal_buddy.members": 1, "training.goal_buddy.hidden": (128, 128),
        "training.goal_buddy.minibatch": 1024,
    },
}  # fmt: skip

# The best of these is chosen on the very worlds of the evaluation: a yardstick that flatters the bandits.
BANDITS = ("greedy", "thompson=0.75", "linucb=1.5", "linucb=2", "linucb=3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift", "crowded"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, help="instead of the scenario's own")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/evolution"))
    parser.add_argument("--tables-only", action="store_true", help="print the tables of what is finished")
    parser.add_argument("--speed", action="store_true", help="only measure speed")
    arguments = parser.parse_args()
    if arguments.speed:
        print(forward_passes(), throughput(), sep="\n\n")
        return
    if not arguments.tables_only:
        work = [
            (scenario, arm, seed, arguments.iterations, arguments.out)
            for seed in arguments.seeds for scenario in arguments.scenarios for arm in arguments.arms
        ]  # fmt: skip
        run_studies(one_study, work, arguments.jobs)
    print(tables(arguments.out, arguments.scenarios, arguments.arms, arguments.seeds))


def one_study(work: tuple[str, str, int, int | None, Path]) -> str:
    """Train and evaluate one run; returns a line about it."""
    scenario, arm, seed, iterations, out = work
    folder = out / f"{scenario}-{arm}-seed{seed}"
    name, _, belief = arm.partition("+")
    overrides = {**RECIPE, "training.seed": seed, "training.checkpoint_every": 0, **ARMS[name]}
    if belief:
        overrides["beliefs.model"] = belief
    if iterations is not None:
        overrides["training.iterations"] = iterations
    return study(folder, scenario, overrides, {"scenario": scenario, "arm": arm, "seed": seed}, evaluate)


def evaluate(run: Run) -> dict[str, Any]:
    """The champions of both sides on held-out people, and how unlike the members are."""
    users, goals = learned_policies(run)
    arena = Arena(held_out(run_world(run)), worlds=64, episodes=1, seed=run.config.training.seed)
    scripts = scripted_cast()
    fixed = {name: make_user_baseline(name) for name in BANDITS}
    meters = evaluate_user_buddies({**users, **fixed}, scripts, arena)
    seats = evaluate_goal_buddies({**goals, **scripts}, scripts, users["trained"], arena)
    rewards = {name: float(values.mean()) for name, values in seats.items()}
    best = max(rewards[name] for name in scripts)
    rows = read_progress(run.folder)
    return {
        "users": {name: meter.summary() for name, meter in meters.items()},
        "seats": rewards,
        "advantage": {name: rewards[name] - best for name in goals},
        "advantage_curve": [_best(row, "goal", "advantage_over_scripts") for row in rows],
        "satisfaction_curve": [_best(row, "user", "satisfaction") for row in rows],
        "diversity": {side: _weight_distance(run, side) for side in ("user", "goal")},
        "agent_steps": rows[-1]["step"],
    }


def _best(row: dict[str, float | None], side: str, name: str) -> float:
    return max(value for key, value in row.items() if key.startswith(side + "_") and key.endswith("/" + name) and value)


def _weight_distance(run: Run, side: str) -> float:
    """Mean distance between the weights of two members, over their mean length; 0 with one member."""
    members = [m for name, m in read_checkpoint(run.latest())["members"].items() if name.startswith(side)]
    vectors = [torch.cat([value.flatten() for value in member["weights"].values()]) for member in members]
    if len(vectors) < 2:
        return 0.0
    length = float(torch.stack([v.norm() for v in vectors]).mean())
    return float(np.mean([float((a - b).norm()) for a, b in combinations(vectors, 2)])) / length


def tables(out: Path, scenarios: list[str], arms: list[str], seeds: list[int]) -> str:
    """One table per scenario, arms as rows; intervals over the seeds that all arms have."""
    parts = []
    for scenario in scenarios:
        found = {arm: _studies(out, scenario, arm, seeds) for arm in arms}
        common = sorted(set.intersection(*(set(studies) for studies in found.values())))
        if not common:
            continue
        rows = []
        for arm, studies in found.items():
            chosen = [studies[seed] for seed in common]
            regret = {m: [s["users"][m]["normalised_regret"] for s in chosen] for m in chosen[0]["users"]}
            base = [found[arms[0]][seed]["users"]["trained, deterministic"]["normalised_regret"] for seed in common]
            mode = "trained, deterministic"
            rows.append([
                arm, mean_interval(regret["trained"]), mean_interval(regret[mode]),
                "–" if arm == arms[0] else paired_difference(regret[mode], base),
                mean_interval(np.min([regret[name] for name in BANDITS], axis=0)),
                mean_interval([s["advantage"][mode] for s in chosen]),
                mean_interval([s["diversity"]["user"] for s in chosen]),
                mean_interval([s["diversity"]["goal"] for s in chosen]),
                float(np.mean([s["train_seconds"] for s in chosen])),
            ])  # fmt: skip
        heads = ["arm", "regret, drawn", "deterministic", f"minus {arms[0]}", "best bandit",
                 "goal seat over best script", "user diversity", "goal diversity", "seconds"]  # fmt: skip
        steps = found[arms[0]][common[0]]["agent_steps"]
        title = f"\n## {scenario} ({len(common)} seeds, {steps:,.0f} agent steps)\n"
        parts += [title, "```", table(heads, rows), "```"]
    return "\n".join(parts)


def _studies(out: Path, scenario: str, arm: str, seeds: list[int]) -> dict[int, dict[str, Any]]:
    paths = {seed: out / f"{scenario}-{arm}-seed{seed}" / STUDY for seed in seeds}
    return {seed: json.loads(path.read_text(encoding="utf-8")) for seed, path in paths.items() if path.exists()}


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


def throughput(iterations: int = 8) -> str:
    """Seconds per iteration of whole training, interleaved, medians; evolution on, so that cycles are in it."""
    trainers = {}
    for name, users in (("1 + 1 members", 1), ("4 + 6 members", 4)):
        alone = {} if users > 1 else {name: value for name, value in ARMS["single"].items() if "hidden" not in name}
        run = load_run_config("default", {**RECIPE, **alone})
        trainers[name] = build_algorithm(make_plan(run.training, run.world))
        trainers[name].train_iteration()
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(iterations):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.train_iteration()
            seconds[name].append(time.perf_counter() - began)
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    usual = median["1 + 1 members"]
    return table(["training", "seconds per iteration", "throughput"], [[n, s, usual / s] for n, s in median.items()], 2)


if __name__ == "__main__":
    main()
