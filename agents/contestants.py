"""Who is compared: trained runs, single members of them, and baselines, turned into policies of both sides."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.baselines import GOAL_BASELINES, USER_BASELINES
from agents.census import parse_name
from agents.evaluation import make_user_baseline
from agents.policy import Policy
from agents.runs import CONFIG_FILE
from agents.scoreboard import held_out
from agents.training import Run, learned_policies, member_policies, reopen_run, run_world
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError, apply_overrides, build

# What a world without a trained run uses; a trained run's own action kinds come with it.
DEFAULT_ACTIONS = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}


@dataclass(frozen=True)
class LineUp:
    """The contestants by name, and the world they meet in."""

    scenario: str
    world: AmmoConfig
    user_buddies: dict[str, Policy]
    goal_buddies: dict[str, Policy]


def line_up(names: Sequence[str], scenario: str | None, overrides: Mapping[str, Any]) -> LineUp:
    """Policies for all names. Humans come from the held-out people. Raises `ConfigError` for an unknown name."""
    runs = {name: found for name in names if (found := _run_of(name)) is not None}
    first = next((run for run, _ in runs.values()), None)
    users: dict[str, Policy] = {}
    goals: dict[str, Policy] = {}
    for name in names:
        if name in runs:
            for side, learned in zip((users, goals), _learned(*runs[name]), strict=True):
                side.update({label.replace("trained", name): policy for label, policy in learned.items()})
        elif name in GOAL_BASELINES:
            goals[name] = GOAL_BASELINES[name]()
        else:
            users[name] = _user_baseline(name)
    world = _world(first, scenario, overrides)
    return LineUp(scenario or (first.scenario if first else "default"), held_out(world), users, goals)


def _run_of(name: str) -> tuple[Run, str | None] | None:
    """RUN or RUN:MEMBER as (the run, the member's name or None); None where it is no run's folder."""
    if (Path(name) / CONFIG_FILE).is_file():
        return reopen_run(Path(name)), None
    folder, _, member = name.rpartition(":")
    return (reopen_run(Path(folder)), member) if folder and (Path(folder) / CONFIG_FILE).is_file() else None


def _learned(run: Run, name: str | None) -> tuple[dict[str, Policy], dict[str, Policy]]:
    """User buddies and goal buddies of a run: its champions, or the one member that is named."""
    if name is None:
        return learned_policies(run)
    member = parse_name(name)
    if member is None:
        raise ConfigError(f"'{name}' names no member of {run.folder}: members are called user-0, goal-7, ...")
    own = member_policies(run, *member)
    return (own, {}) if member[0] == "user_buddy" else ({}, own)


def _world(first: Run | None, scenario: str | None, overrides: Mapping[str, Any]) -> AmmoConfig:
    if scenario is None and first is not None:
        values = run_world(first).model_dump()
        return build(AmmoConfig, apply_overrides(AmmoConfig, values, overrides))
    actions = dict(DEFAULT_ACTIONS)
    if first is not None:
        trained = run_world(first).actions
        actions = {"actions.user_buddy": trained.user_mode, "actions.goal_buddy": trained.goal_mode}
    return load_config(scenario or "default", {**actions, **overrides})


def _user_baseline(name: str) -> Policy:
    try:
        return make_user_baseline(name)
    except ValueError as error:
        known = [*USER_BASELINES, *GOAL_BASELINES]
        nearest = difflib.get_close_matches(name.partition("=")[0], known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"'{name}' is neither the folder of a run nor a baseline ({error}); the nearest "
                          f"baseline is '{nearest}'") from None
