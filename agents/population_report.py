"""What a run says of its populations when it ends: who is who, how everybody scores, and the figures of how it came
about, beside the scores and in TensorBoard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.census import Resident, member_word
from agents.chronicle import read_events
from agents.evaluation import Arena, evaluate_goal_buddies, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.evolution.genome import TRAITS
from agents.genome_figures import genome_curves
from agents.learned_policy import policy_of
from agents.lineage_figures import lineage_tree
from agents.logbook import Logbook, read_progress
from agents.policy import Policy
from agents.population_folder import file_of
from agents.progress import Progress
from agents.report import MISSING, Cell, table
from agents.scoreboard import Ticker
from agents.training_settings import SIDES
from agents.trait_figures import read_surrogates, trait_figure, trait_map

LINEAGE_FIGURE = "lineage.png"
BIRTHS = ("founded", "inherited", "recombined")
Scores = dict[str, dict[str, float]]


def genome_figure(side: str) -> str:
    """The file of one side's curves: "genomes-user.png"."""
    return f"genomes-{member_word(side)}.png"


def score_members(
    everybody: Sequence[Resident], arena: Arena, raw: Mapping[str, Any], choosing: Policy | None
) -> Scores:
    """Scores of all living members by file (`file_of`), deterministic, on the worlds of the final table.

    Args:
        everybody: of the last checkpoint.
        arena: the table's.
        raw: its plain numbers: it has measured the champions and the scripts already.
        choosing: who filled the slates when it tested goal buddies.
    """
    alive = [resident for resident in everybody if not resident.frozen]
    policies: dict[str, dict[str, Policy]] = {
        side: {r.name: policy_of(r, True) for r in alive if r.side == side and not r.champion} for side in SIDES
    }
    regrets, rewards, goals = {}, {}, scripted_cast()
    if episodes := arena.episodes * sum(map(len, policies.values())):
        with Progress(episodes, "episodes with every member") as progress:
            tick, chooser = Ticker(progress), choosing or make_user_baseline("greedy")
            meters = evaluate_user_buddies(policies["user_buddy"], goals, arena, tick)
            seats = evaluate_goal_buddies(policies["goal_buddy"], goals, chooser, arena, tick)
        regrets = {name: meter.summary()["normalised_regret"] for name, meter in meters.items()}
        rewards = {name: float(reward.mean()) for name, reward in seats.items()}
    scripts = [float(raw["goal_buddies"][name]["reward"][0]) for name in goals]
    result: Scores = {}
    for resident in alive:
        done = raw[f"{member_word(resident.side)}_buddies"].get("trained, deterministic", {})
        if resident.side == "user_buddy":
            regret = done["normalised_regret"] if resident.champion else regrets[resident.name]
            result[file_of(resident)] = {"normalised_regret": float(regret)}
        else:
            reward = float(done["reward"][0]) if resident.champion else rewards[resident.name]
            advantage = reward - sum(scripts) / len(scripts)
            result[file_of(resident)] = {"reward": reward, "advantage_over_scripts": advantage}
    return result


def population_table(everybody: Sequence[Resident], scores: Scores) -> str:
    """Who lives in the end, with a heading; the champions are marked. Empty where every side is a single policy."""
    rows: list[list[Cell]] = []
    if not any(resident.member.id for resident in everybody):
        return ""
    for resident in everybody:
        if not resident.frozen:
            own, member = scores.get(file_of(resident), {}), resident.member
            parents = "+".join(str(parent) for parent in member.parents)
            shown = [own.get(name, MISSING) for name in ("normalised_regret", "advantage_over_scripts")]
            shown += [member.genome.get(trait, MISSING) for trait in TRAITS]
            mark = "champion" if resident.champion else ""
            rows.append(
                [resident.name, mark, str(member.niche), member.generation, parents, resident.fitness, *shown]
            )
    traits = [trait.replace("_", " ") for trait in TRAITS]
    headers = ["member", "", "niche", "generation", "parents", "fitness", "regret", "seat advantage", *traits]
    return "\n".join([
        "Members alive in the end: fitness against the mean of their side; regret, and advantage over the mean script",
        "in the same seat, as above (deterministic); a user buddy's traits",
        table(headers, rows),
    ])  # fmt: skip


def draw_populations(folder: Path, checkpoint: Path, everybody: Sequence[Resident]) -> list[Path]:
    """The lineage, the curves of every side with more than one member and the maps of its traits, into the run's folder
    and TensorBoard."""
    progress, events = read_progress(folder), read_events(folder)
    alive = [resident for resident in everybody if not resident.frozen]
    sides = [side for side in SIDES if sum(resident.side == side for resident in alive) > 1]
    best = {resident.side: resident.member for resident in alive if resident.champion}
    champions = {side: member.id for side, member in best.items()}
    if not sides or not progress or not events:
        return []
    iterations = int(progress[-1].get("iteration") or 0)
    shown = [event for event in events if event["side"] in sides]
    paths = [lineage_tree(folder / LINEAGE_FIGURE, shown, iterations, champions)]
    for side in sides:
        paths.append(genome_curves(folder / genome_figure(side), progress, events, side, champions.get(side)))
    for side, surrogate in read_surrogates(checkpoint).items():
        lived = [event["genome"] for event in shown if event["side"] == side and event["kind"] in BIRTHS]
        champion = best[side].genome if side in best else None
        paths.append(trait_map(folder / trait_figure(side), surrogate, side, lived, champion))
    with Logbook(folder) as logbook:
        for path in paths:
            logbook.picture(int(progress[-1]["step"] or 0), path.stem, path)
    return paths


def admissions(folder: Path, everybody: Sequence[Resident]) -> dict[str, dict[str, Any]]:
    """File of a frozen member → the day it was admitted to the hall of fame, and its fitness then."""
    days = {
        (event["side"], event["member"]): event for event in read_events(folder) if event["kind"] == "admitted"
    }
    result = {}
    for resident in everybody:
        day = days.get((resident.side, resident.member.id))
        if resident.frozen and day is not None:
            result[file_of(resident)] = {"admitted": day["iteration"], "fitness": day["fitness"]}
    return result
