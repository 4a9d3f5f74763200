"""The state of a batch of worlds (batch axis E first), what is done to it, and what comes of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ammo_env.aipp import Feedback
from ammo_env.arrays import Array
from ammo_env.beliefs import Beliefs
from ammo_env.creations import Corpus
from ammo_env.memory import Impression, Memory
from ammo_env.rewards import random_regret


@dataclass
class State:
    """Everything that changes. `q` and whatever is computed from it are hidden from the buddies."""

    now: int  # round, 0..T
    entity: Array  # [E, G] entity index of each goal buddy's seat
    anchors: Array  # [E, G, D]
    human: Array  # [E, U] index in the pool
    q: Array  # [E, U, D] hidden preferences, unit; with several interests (interests.py) the main one
    corpus: Corpus
    beliefs: Beliefs
    bait_guess: Array  # [E, U] utility that a user buddy takes one unit of provenance to add to an answer
    memory: Memory
    under_way: list[Impression]  # impressions whose answers may still arrive, newest last
    own: dict[str, dict[str, Array]]  # what features that are on keep from round to round, by feature and name
    utility: Array  # [E, U, C] e.q of the live corpus (the best interest's), hidden
    candidates: Array  # [E, U, K] creation indices shown in the last observation
    score: Array  # [E, U, K] q_hat . e of the candidates

    @property
    def added_facts(self) -> Array | None:
        """[E, M, B, D] facts that events added in this episode; an empty slot repeats a fact of the space. None
        where events add none."""
        return self.own.get("events", {}).get("facts")

    @property
    def running_events(self) -> Array | None:
        """[E, M, D] strength times direction of the event that runs in each subspace; None where events are off."""
        return self.own.get("events", {}).get("running")


@dataclass(frozen=True)
class Actions:
    """What both sides do in one round, whatever their action kinds were."""

    positions: Array  # [E, U, S] candidate positions 0..K-1
    steering: Array  # [E, G, A] in [-1, 1]
    willing: Array  # [E, G] bool: wants to publish
    destination: Array | None = None  # [E, U] subspace to visit next; None where nobody travels


@dataclass(frozen=True)
class Judgement:
    """A round's slates against the hidden preferences and the live corpus they were chosen from."""

    utility: Array  # [E, U, C] e.q of the live corpus of that round
    shown_utility: Array  # [E, U, S] e.q of the slates' items
    grounding_error: Array  # [E, U, S] of the slates' items
    best: Array  # [E, U] value of a best slate of the live corpus
    regret: Array  # [E, U]
    visibility: Array  # [E, C] share of slates that hold the creation
    shelf_error: Array  # [E, G] mean grounding error of each shelf
    production: Array | None = None  # [E, G] mean cost of each shelf's quality; None where it costs nothing

    @property
    def random_regret(self) -> Array:
        """[E, U] expected regret of a slate drawn uniformly from the live corpus."""
        return random_regret(self.best, self.utility, self.shown_utility.shape[-1])


@dataclass(frozen=True)
class Round:
    """What happened in one round, for rewards, metrics and pictures; hidden quantities included."""

    now: int
    candidates: Array  # [E, U, K] what was shown to the user buddies
    score: Array  # [E, U, K] q_hat . e of the candidates when they were shown
    items: Array  # [E, U, S] creation indices of the slates
    impression: Impression
    judgement: Judgement
    published: Array  # [E, G] bool
    reward_terms: dict[str, dict[str, Array]]  # side -> term -> [E, N], weighted; the reward is their sum
    rewards: dict[str, Array]  # side -> [E, N]
    retired: Array | None = None  # [E, G] bool: whose life ended with this round; None where nobody dies
    last_seen: Array | None = None  # [E, G, F] what goal buddies saw before the newborn came, if anybody retired


def snapshot(tree: Any) -> Any:
    """A deep copy of a state as plain dicts, lists, numbers and arrays."""
    if is_dataclass(tree):
        return {f.name: snapshot(getattr(tree, f.name)) for f in fields(tree)}
    if isinstance(tree, list):
        return [snapshot(item) for item in tree]
    return copy.deepcopy(tree)


def restore(tree: dict[str, Any]) -> State:
    """The inverse of `snapshot` for a `State`."""
    parts = copy.deepcopy(tree)
    parts["corpus"] = Corpus(**parts["corpus"])
    parts["beliefs"] = Beliefs(**parts["beliefs"])
    parts["memory"] = Memory(**parts["memory"])
    parts["under_way"] = [
        Impression(**{**item, "feedback": Feedback(**item["feedback"])}) for item in parts["under_way"]
    ]
    return State(**parts)
