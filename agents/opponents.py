"""Who fills the seats of a side: policies, or the names of baselines, dealt to the seats anew in every episode."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from agents.baselines import DEFAULT_CAST, GOAL_BASELINES, USER_BASELINES
from agents.evaluation import Cast, make_user_baseline
from agents.matchmaking import assign_seats
from agents.policy import Policy
from ammo_env.settings import ConfigError

EVERYBODY = "default cast"  # the four goal-side scripts that trained policies are compared with
Opponents = str | Policy | Sequence[str | Policy]


def make_cast(side: str, opponents: Opponents) -> tuple[Cast, int]:
    """The cast of one side, and how many different players it has. Raises `ConfigError` for what is no policy of it."""
    named: Sequence[str | Policy]
    if isinstance(opponents, Sequence) and not isinstance(opponents, str):
        named = opponents
    else:
        named = DEFAULT_CAST if opponents == EVERYBODY and side == "goal_buddy" else (opponents,)
    if not named:
        raise ConfigError(f"nobody is named for the other seats of side '{side}': name at least one baseline")
    players = [_policy(side, one) for one in named]
    return Cast(side, players), len(players)


def deal(cast: Cast, players: int, seats: int, rng: np.random.Generator) -> None:
    """New seats for the cast, in one world."""
    cast.holders = assign_seats(rng, 1, seats, players)


def _policy(side: str, one: str | Policy) -> Policy:
    if not isinstance(one, str):
        if getattr(one, "side", None) != side or not hasattr(one, "act"):
            raise ConfigError(f"{one!r} is no policy of side '{side}': it needs side = '{side}' and act(turn, rng)")
        return one
    known = GOAL_BASELINES if side == "goal_buddy" else USER_BASELINES
    name = one.partition("=")[0]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise ConfigError(
            f"no baseline '{name}' for the side '{side}'; the nearest is '{near[0]}' (there are: {', '.join(known)})"
        )
    if side == "user_buddy":
        try:
            return make_user_baseline(one)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    if name != one:
        raise ConfigError(f"baseline '{name}' takes no argument, but got '{one}'")
    return GOAL_BASELINES[name]()
