"""The final: when a run ends, whoever is alive plays once more, and the best of a side is its champion.

Fitness in training is a mean over the few seats of the last iterations, and its error is larger than what sets good
members apart. In the final all of a side are deterministic, in the same worlds, among the scripts, with the people
that they were trained on: who is held out chooses nobody. User buddies are compared by normalised regret, goal buddies
by the reward of one seat of worlds whose slates the new champion of the other side fills.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agents.census import Resident
from agents.evaluation import Arena, evaluate_goal_buddies, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.json_lines import open_to_append, read_lines
from agents.learned_policy import policy_of
from agents.progress import Progress
from agents.scoreboard import Ticker
from agents.training_settings import SIDES

FINAL = 3  # stream of random numbers: neither the evaluation's nor that of the bandits' tuning
FINALS_FILE = "finals.jsonl"
Results = dict[str, dict[str, float]]  # side -> member -> score, the higher the better


def play_final(everybody: Sequence[Resident], arena: Arena) -> Results:
    """The scores of all living members of every side that has several: −normalised regret, or reward per round.

    Args:
        everybody: a census. A side with a single member plays no final; its member still fills the slates of the other.
        arena: in the world of the training; its stream is replaced.
    """
    arena, results = replace(arena, stream=FINAL), {}
    rivals = {side: [one for one in everybody if one.side == side and not one.frozen] for side in SIDES}
    entered = {side: {one.name: policy_of(one, True) for one in own} for side, own in rivals.items() if len(own) > 1}
    if not entered:
        return {}
    goals = scripted_cast()
    with Progress(arena.episodes * sum(map(len, entered.values())), "episodes of the final") as progress:
        tick = Ticker(progress)
        if users := entered.get("user_buddy"):
            meters = evaluate_user_buddies(users, goals, arena, tick)
            results["user_buddy"] = {n: -float(meter.summary()["normalised_regret"]) for n, meter in meters.items()}
        if creators := entered.get("goal_buddy"):
            everybody = crowned(everybody, results)
            first = next((one for one in everybody if one.side == "user_buddy" and one.champion), None)
            chooser = make_user_baseline("greedy") if first is None else policy_of(first, True)
            rewards = evaluate_goal_buddies(creators, goals, chooser, arena, tick)
            results["goal_buddy"] = {name: float(reward.mean()) for name, reward in rewards.items()}
    return results


def crowned(everybody: Sequence[Resident], results: Mapping[str, Mapping[str, float]]) -> list[Resident]:
    """The census, with the best of every side in the final as its champion."""
    best = {side: max(scores, key=lambda name: scores[name]) for side, scores in results.items()}
    return [
        replace(one, champion=not one.frozen and one.name == best[one.side]) if one.side in best else one
        for one in everybody
    ]


def write_results(folder: Path, checkpoint: Path, results: Results) -> None:
    """Add the results to the run's record, with the checkpoint whose members played."""
    with open_to_append(folder / FINALS_FILE) as file:
        file.write(json.dumps({"checkpoint": checkpoint.name, **results}) + "\n")


def read_results(folder: Path, checkpoint: Path) -> Results:
    """The results of the members of that checkpoint; nothing where they have not played a final."""
    path = folder / FINALS_FILE
    for line in read_lines(path) if path.is_file() else ():
        if line.pop("checkpoint", None) == checkpoint.name:
            return line
    return {}
