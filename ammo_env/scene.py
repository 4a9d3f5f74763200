"""What a picture of a world shows, as numbers: an `Atlas` places vectors of the MetaSpace on a page; a `Scene` is a
round.

The page is a linear map of the MetaSpace, the same for all rounds of a world: the ridge regression of its facts on the
corners of a regular polygon, one corner per subspace (those with similar facts side by side). So subspaces lie apart,
and what mixes them lies between their corners. Distances on the page are only a hint: grounding errors are those of the
whole space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammo_env.metrics import MISINFORMATION
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace
from ammo_env.vector import VectorEnv
from ammo_env.world import World

Floats = NDArray[Any]
RIDGE = 0.02  # of the variance of the facts: large enough that facts which a map has seen lie like those it has not


@dataclass(frozen=True)
class Atlas:
    """The map of a MetaSpace and what is drawn on it in every round."""

    axes: Floats  # [D, 2]
    names: tuple[str, ...]  # of the subspaces drawn, P
    facts: Floats  # [n, 2]
    subspace: NDArray[np.int64]  # [n] of each fact, 0..P-1

    def place(self, vectors: Any) -> Floats:
        """[..., D] -> [..., 2]"""
        return np.asarray(np.asarray(vectors, np.float64) @ self.axes)


@dataclass(frozen=True)
class Scene:
    """World 0 of a batch after a round, hidden quantities included; places are on the page."""

    now: int
    rounds: int
    creations: Floats  # [G, L, 2]
    doubtful: NDArray[np.bool_]  # [G, L] farther from its nearest fact than counts as grounded
    newest: NDArray[np.int64]  # [G] shelf place of the last publication
    names: tuple[int, ...]  # [G] the goal buddies' numbers
    subspace: NDArray[np.int64]  # [G] where each was born
    preferences: Floats  # [U, 2] hidden
    beliefs: Floats  # [U, 2]
    slates: Floats  # [U, S, 2] what was shown; NaN for an empty slot, and before the first round
    events: Floats  # [n, 2] directions of running events
    added: Floats  # [n, 2] facts that events added
    published: tuple[int, ...]  # goal buddies
    retired: int
    regret: float | None  # normalised, of the round; None before the first
    misinformation: float | None  # share of what was shown that is farther from a fact than counts as grounded


def make_atlas(world: World) -> Atlas:
    """The atlas of a world. Unions of other subspaces have no place of their own."""
    known = load_knowledge(world.config.knowledge).subspace_names
    first, unions = world.config.knowledge.num_subspaces, len(world.config.subspaces.composed)
    parts = [p for p in range(len(world.space.facts)) if not first <= p < first + unions]
    names = tuple(known[p] if p < len(known) else f"part {p}" for p in parts)
    facts = [world.space.facts[p][world.space.fact_mask[p]].astype(np.float64) for p in parts]
    axes = page_axes(facts)
    subspace = np.repeat(np.arange(len(parts)), [len(own) for own in facts])
    return Atlas(axes, names, np.concatenate(facts) @ axes, subspace)


def page_axes(facts: list[Floats]) -> Floats:
    """The map [D, 2] that separates groups of facts [n_m, D], as the module says. With less than three groups the
    second axis, and with one the first too, is where facts differ most."""
    rows = np.concatenate(facts)
    weight = np.concatenate([np.full(len(own), 1.0 / (len(facts) * len(own))) for own in facts])[:, None]
    centre = (weight * rows).sum(axis=0)
    spread = ((rows - centre) * weight).T @ (rows - centre)
    if len(facts) < 3:
        first = facts[0].mean(axis=0) - facts[-1].mean(axis=0) if len(facts) == 2 else _leading(spread)
        first = first / np.linalg.norm(first)
        beside = np.eye(len(first)) - np.outer(first, first)
        return np.stack([first, _leading(beside @ spread @ beside)], axis=1)
    corners = _corners(np.stack([own.mean(axis=0) for own in facts]))
    aims = np.repeat(corners, [len(own) for own in facts], axis=0)
    ridge = RIDGE * np.trace(spread) * np.eye(len(centre))
    return np.asarray(np.linalg.solve(spread + ridge, (rows - centre).T @ (weight * aims)))


def _leading(spread: Floats) -> Floats:
    axis = np.linalg.eigh(spread)[1][:, -1]
    return np.asarray(axis * np.sign(axis[np.abs(axis).argmax()]))


def _corners(centres: Floats) -> Floats:
    """A corner of the regular polygon for every centre [M, D] -> [M, 2], in the order of their principal angles."""
    centred = centres - centres.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    flat = left[:, :2] * size[:2]
    turn = np.argsort(np.argsort(np.arctan2(flat[:, 1], flat[:, 0]), kind="stable"), kind="stable")
    angle = 2.0 * np.pi * (turn + 0.5) / len(centres)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def make_scene(atlas: Atlas, env: VectorEnv) -> Scene:
    """The scene of world 0. Raises `RuntimeError` before the first reset."""
    world, state, happened, to_numpy = env.world, env.world.state, env.last_round, env.arrays.to_numpy
    goals, humans, slots = world.num_goals, world.num_humans, env.config.attention.num_slots
    corpus, own = state.corpus, state.own
    errors = to_numpy(corpus.grounding_error)[0].reshape(goals, -1)
    numbers = to_numpy(own["life"]["id"])[0].tolist() if "life" in own else list(range(goals))
    slates, regret, wrong = np.full((humans, slots, 2), np.nan), None, None
    if happened is not None:
        shown, judged = to_numpy(happened.impression.filled)[0], happened.judgement
        slates = np.where(shown[..., None], atlas.place(to_numpy(happened.impression.vectors)[0]), np.nan)
        regret = float(judged.regret[0].sum() / max(float(judged.random_regret[0].sum()), 1e-9))
        false = to_numpy(judged.grounding_error)[0] > MISINFORMATION
        wrong = float((false & shown).sum() / max(int(shown.sum()), 1))
    return Scene(
        now=state.now,
        rounds=env.config.episode.num_rounds,
        creations=atlas.place(to_numpy(corpus.vectors)[0]).reshape(goals, -1, 2),
        doubtful=errors > MISINFORMATION,
        newest=(to_numpy(corpus.oldest)[0] - 1) % errors.shape[1],
        names=tuple(numbers),
        subspace=_drawn(world.space, atlas, to_numpy(state.entity)[0]),
        preferences=atlas.place(to_numpy(state.q)[0]),
        beliefs=atlas.place(to_numpy(state.beliefs.mean)[0]),
        slates=slates,
        events=_directions(atlas, state.running_events, to_numpy),
        added=_added(atlas, own.get("events", {}), to_numpy),
        published=() if happened is None else tuple(np.flatnonzero(to_numpy(happened.published)[0]).tolist()),
        retired=0 if happened is None or happened.retired is None else int(happened.retired[0].sum()),
        regret=regret,
        misinformation=wrong,
    )


def _drawn(space: MetaSpace, atlas: Atlas, entity: NDArray[Any]) -> NDArray[np.int64]:
    """Which of the subspaces drawn each entity [G] is of: unions, which have no entities, are not among them."""
    part = space.entity_subspace[entity]
    passed = len(space.facts) - len(atlas.names)  # unions come after the first ones and before halves
    inhabited = np.unique(space.entity_subspace)
    return np.asarray(part if passed == 0 else np.searchsorted(inhabited, part))


def _directions(atlas: Atlas, running: Any, to_numpy: Any) -> Floats:
    if running is None:
        return np.zeros((0, 2))
    vectors = to_numpy(running)[0]
    length = np.linalg.norm(vectors, axis=-1)
    return atlas.place(vectors[length > 0] / length[length > 0][:, None])


def _added(atlas: Atlas, own: dict[str, Any], to_numpy: Any) -> Floats:
    if "facts" not in own:
        return np.zeros((0, 2))
    facts, known = to_numpy(own["facts"])[0], to_numpy(own["known"])[0]
    return atlas.place(facts[np.arange(facts.shape[1]) < known[:, None]])
