"""Does evolution help? The same world trained with and without the cycle, and by one larger policy.

    python benchmarks/evolution.py [--scenarios default drift crowded] [--arms on off single] [--seeds 0 1 2 3 4]
                                   [--iterations 100] [--jobs 2] [--out runs/evolution]

Arms: `on` (6 goal and 4 user members), `off` (the same members without the cycle), `single` (one policy per side with
twice the width, which gets all the rows). All learn by the recipe of configs/population.yaml, where nobody has tuned
the traits: no optimism, and answers taken at their word. Who has no cycle has to find exploring by itself: `off` has a
softer start and a higher learning rate than that recipe, `single` a still softer one and a nearer horizon, with which
it does better. All arms make the same number of steps; the slower ones are also evaluated as they were when `on` had
ended (`SPEED`). What stands behind an arm's name changes it: `+tuned` begins with traits that were tuned by hand;
`+key=value` is another setting (`on+aipp.bait=0.6`, `off+beliefs.model=kalman`). The champion is chosen by a final
among the people of the training, then evaluated on people that nothing was trained on. Every run is a folder; a
finished one is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import yaml
from studies import STUDY, run_studies, study

from agents.census import find, take_census
from agents.checkpoints import read_checkpoint
from agents.evaluation import Arena, evaluate_goal_buddies, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.final import crowned, play_final
from agents.learned_policy import policy_of
from agents.logbook import read_progress
from agents.policy import Policy
from agents.report import table
from agents.scoreboard import held_out
from agents.statistics import mean_interval, paired_difference
from agents.training import Run, hold_final, learned_policies, run_world
from ammo_env.scenarios import read_scenario

# The recipe of the scenario `population`, on whichever world: its belief, its learner, its members.
RECIPE: dict[str, Any] = {name: part for name, part in read_scenario("population").items() if name != "description"}
ARMS: dict[str, dict[str, Any]] = {
    "on": {"training.evolution.enabled": True},
    "off": {
        "training.evolution.enabled": False, "training.user_buddy.initial_sharpness": 16.0,
        "training.user_buddy.learning_rate": 5e-4,
    },
    "single": {
        "training.user_buddy.members": 1, "training.user_buddy.hidden": (64, 64), "training.user_buddy.minibatch": 512,
        "training.goal_buddy.members": 1, "training.goal_buddy.hidden": (128, 128),
        "training.goal_buddy.minibatch": 1024, "training.user_buddy.initial_sharpness": 2.0,
        "training.user_buddy.learning_rate": 1e-3, "training.user_buddy.entropy": 3e-3,
        "training.user_buddy.gamma": 0.97, "training.user_buddy.gae_lambda": 0.95,
    },
}  # fmt: skip
# Iterations in the time in which `on` makes one, by benchmarks/evolution_speed.py.
SPEED = {"off": 0.99, "single": 0.82}

# Traits that were tuned by hand, as a bandit's width and guess.
TUNED: dict[str, Any] = {"beliefs.bait_guess": 0.3, "training.user_buddy.initial_optimism": 3.0}

# The best of these is chosen on the very worlds of the evaluation, once with answers taken at their word and once over
# all guesses: yardsticks that flatter the bandits.
BANDITS = ("greedy", "linucb=1.5", "linucb=2", *(f"fading_linucb={width}" for width in (2, 2.5, 3)))
GUESSING = tuple(f"{bandit},bait_guess={guess}" for guess in (0.2, 0.3, 0.4) for bandit in BANDITS[2:])
EARLY = "at equal time"
BANDIT_ARM = "single"  # the arm in whose worlds they play; those of all arms are the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift", "crowded"])
    parser.add_argument("--arms", nargs="+", default=["on", "off", "single"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, default=int(RECIPE["training"]["iterations"]))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/evolution"))
    parser.add_argument("--tables-only", action="store_true", help="print the tables of what is finished")
    arguments = parser.parse_args()
    if not arguments.tables_only:
        work = [
            (scenario, arm, seed, arguments.iterations, arguments.out)
            for seed in arguments.seeds for scenario in arguments.scenarios for arm in arguments.arms
        ]  # fmt: skip
        run_studies(one_study, work, arguments.jobs)
    print(tables(arguments.out, arguments.scenarios, arguments.arms, arguments.seeds))


def one_study(work: tuple[str, str, int, int, Path]) -> str:
    """Train and evaluate one run; returns a line about it."""
    scenario, arm, seed, iterations, out = work
    folder = out / f"{scenario}-{arm}-seed{seed}"
    name, *changes = arm.split("+")
    overrides = {**RECIPE, "training.seed": seed, **ARMS[name]}
    for change in changes:
        key, _, value = change.partition("=")
        overrides |= TUNED if change == "tuned" else {key: yaml.safe_load(value)}
    overrides["training.iterations"] = iterations
    overrides["training.checkpoint_every"] = round(iterations * SPEED[name]) if name in SPEED else 0
    found = partial(evaluate, bandits=arm == BANDIT_ARM)
    return study(folder, scenario, overrides, {"scenario": scenario, "arm": arm, "seed": seed}, found)


def evaluate(run: Run, bandits: bool = True) -> dict[str, Any]:
    """Champions, all user members and, if asked for, bandits on held-out people, and how unlike the members are."""
    hold_final(run)
    users, goals = learned_policies(run)
    arena = Arena(held_out(run_world(run)), worlds=128, episodes=1, seed=run.config.training.seed)
    scripts, living = scripted_cast(), [one for one in run.census() if not one.frozen]
    members = {one.name: policy_of(one, deterministic=True) for one in living if one.side == "user_buddy"}
    fixed = {name: make_user_baseline(name) for name in (*BANDITS, *GUESSING) if bandits}
    if len(run.checkpoints) == 3:  # the start, when `on` had ended, the end
        fixed[EARLY] = champion_of(run, run.checkpoints[1])
    meters = evaluate_user_buddies({**users, **members, **fixed}, scripts, arena)
    seats = evaluate_goal_buddies({**goals, **scripts}, scripts, users["trained"], arena)
    rewards = {name: float(values.mean()) for name, values in seats.items()}
    best = max(rewards[name] for name in scripts)
    return {
        "users": {name: meter.summary() for name, meter in meters.items()},
        "members": sorted(members),
        "fittest": [one.name for one in take_census(run.latest()) if one.champion],
        "traits": {one.name: {**one.member.genome, "champion": one.champion} for one in living},
        "seats": rewards,
        "advantage": {name: rewards[name] - best for name in goals},
        "diversity": {side: _weight_distance(run, side) for side in ("user", "goal")},
        "agent_steps": read_progress(run.folder)[-1]["step"],
    }


def champion_of(run: Run, checkpoint: Path) -> Policy:
    """The user buddies' champion of an earlier checkpoint, deterministic, by a final of its own."""
    everybody = [one for one in take_census(checkpoint) if one.side == "user_buddy"]
    arena = Arena(run_world(run), worlds=64, episodes=2, seed=run.config.training.seed)
    return policy_of(find(crowned(everybody, play_final(everybody, arena)), "user_buddy", None, checkpoint), True)


def _weight_distance(run: Run, side: str) -> float:
    """Mean distance between the weights (and traits) of two members, over their mean length; 0 with one member."""
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
            mode = "trained, deterministic"
            base = [_regret(found[arms[0]][seed], mode) for seed in common]
            own = [_regret(one, mode) for one in chosen]
            early = [_regret(one, EARLY if EARLY in one["users"] else mode) for one in chosen]
            champion = [next(m for n, m in s["traits"].items() if n in s["members"] and m["champion"]) for s in chosen]
            rows.append([
                arm, mean_interval([_regret(one, "trained") for one in chosen]), mean_interval(own),
                "–" if arm == arms[0] else paired_difference(own, base),
                "–" if arm == arms[0] else paired_difference(early, base),
                mean_interval([float(np.mean([_regret(one, name) for name in one["members"]])) for one in chosen]),
                mean_interval([member["bait_guess"] for member in champion]),
                mean_interval([member["optimism"] for member in champion]),
                mean_interval([one["advantage"][mode] for one in chosen]),
                mean_interval([one["diversity"]["user"] for one in chosen]),
                mean_interval([one["diversity"]["goal"] for one in chosen]),
            ])  # fmt: skip
        heads = ["arm", "regret, drawn", "deterministic", f"minus {arms[0]}", EARLY, "mean of members", "guess",
                 "optimism", "goal seat over best script", "user diversity", "goal diversity"]  # fmt: skip
        steps = found[arms[0]][common[0]]["agent_steps"]
        title = f"\n## {scenario} ({len(common)} seeds, {steps:,.0f} agent steps)\n"
        parts += [title, "```", table(heads, rows), "```", *_best_bandits(out, scenario, common)]
    return "\n".join(parts)


def _regret(found: Mapping[str, Any], name: str) -> float:
    return float(found["users"][name]["normalised_regret"])


def _best_bandits(out: Path, scenario: str, seeds: list[int]) -> list[str]:
    """A line on the best bandits, where they have played."""
    played = _studies(out, scenario, BANDIT_ARM, seeds)
    if sorted(played) != seeds:
        return []
    rows = []
    for words, names in (("at their word", BANDITS), ("with the best guess as well", (*BANDITS, *GUESSING))):
        rows.append([words, mean_interval([min(_regret(one, name) for name in names) for one in played.values()])])
    return ["```", table(["best bandit, answers taken", "regret"], rows), "```"]


def _studies(out: Path, scenario: str, arm: str, seeds: list[int]) -> dict[int, dict[str, Any]]:
    paths = {seed: out / f"{scenario}-{arm}-seed{seed}" / STUDY for seed in seeds}
    return {seed: json.loads(path.read_text(encoding="utf-8")) for seed, path in paths.items() if path.exists()}


if __name__ == "__main__":
    main()
