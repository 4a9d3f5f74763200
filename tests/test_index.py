"""Indexes: what the approximate one finds of what an exact scan would, and what holds whatever it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import metaspace_v0
from ammo_env.arrays import NumpyArrays
from ammo_env.config import AmmoConfig
from ammo_env.index import INDEXES, make_index
from ammo_env.metrics import retrieval_recall
from ammo_env.seats import Seats
from ammo_env.settings import ConfigError
from ammo_env.subspace_index import UNSEEN, lay_out
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
ARRAYS = NumpyArrays()

# Twelve goal buddies in five subspaces: three in two of them, two in the others.
FIVE: dict[str, Any] = {
    "knowledge.num_subspaces": 5, "goal_buddies.num_goal_buddies": 12, "goal_buddies.shelf_size": 3,
    "actions.goal_buddy": "gains", "attention.index": "subspaces",
}  # fmt: skip
SCHEDULE = [{"round": 2, "merge": [0, 1, 2]}, {"round": 4, "split": 0}, {"round": 5, "split": 3}]
# What changes which creations are wanted, or makes other shares look at all of them.
SHARES: dict[str, dict[str, Any]] = {
    "random": {},
    "nothing fresh": {"attention.fresh_share": 0.0},
    "newest": {"attention.fresh": "newest"},
    "social": {"attention.social_share": 0.3, "social.network": "ring"},
    "push-back": {"social.pushback": {"rejection_below": 0.3, "answers_needed": 2.0}},
    "travel": {"attention.travel": True},
    "travel, newest": {"attention.travel": True, "attention.fresh": "newest"},
    "merging": {"subspaces.schedule": SCHEDULE, "subspaces.composed": [[0, 3]]},
    "merging, newest": {"subspaces.schedule": SCHEDULE, "attention.fresh": "newest"},
    "dying": {"life.viability": 0.2, "life.grace": 1},
}


@pytest.mark.parametrize("case", SHARES)
def test_scanning_every_subspace_is_exact(small_env: MakeEnv, random_actions: RandomActions, case: str) -> None:
    """The semantic share candidate for candidate, scores included; and all candidates where the other shares rank
    everything (alone random ones are drawn by index rather than by rank)."""
    env = small_env(3, {**FIVE, **SHARES[case], "attention.probes": 9})
    exact, rng = make_index(ARRAYS, env.config.model_copy(update={"attention": env.config.attention.model_copy(
        update={"index": "exact"})}), env.world.travel), np.random.default_rng(0)  # fmt: skip
    semantic = 5 if case != "nothing fresh" else 7
    if case == "social":
        semantic = 3
    whole = case not in {"random", "travel", "merging", "dying"}
    env.reset(0)
    for _ in range(6):
        world = env.world
        draws = ARRAYS.draws(1)
        found, score = exact.show(draws, world.state, world.seats)
        other, same = world.index.show(ARRAYS.draws(1), world.state, world.seats)
        count = found.shape[-1] if whole else semantic
        np.testing.assert_array_equal(found[..., :count], other[..., :count])
        np.testing.assert_allclose(score[..., :count], same[..., :count], atol=1e-6)
        env.step(random_actions(env, rng))
        np.testing.assert_array_equal(env.measure()["retrieval_recall"], 1.0)


@pytest.mark.parametrize("case", SHARES)
def test_few_probes_still_fill_every_place_once(
    small_env: MakeEnv, random_actions: RandomActions, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """One probe, and the semantic share may be larger than a subspace: K creations, none twice, with their scores."""
    env = small_env(3, {**FIVE, **SHARES[case], "attention.probes": 1, "attention.num_candidates": 20})
    rng = np.random.default_rng(0)
    env.reset(0)
    for number in range(6):
        state = env.world.state
        found = np.sort(state.candidates, axis=-1)
        assert found.shape[-1] == 20
        assert found.min() >= 0
        assert found.max() < 36
        assert (np.diff(found, axis=-1) > 0).all()
        scores = state.beliefs.mean @ state.corpus.vectors.swapaxes(1, 2)
        np.testing.assert_allclose(state.score, np.take_along_axis(scores, state.candidates, -1), atol=1e-6)
        monkeypatch.setattr("ammo_env.subspace_index.PROBED_SIZE", (1, 300)[number % 2])  # a few humans at a time
        env.step(random_actions(env, rng))
        recall = env.measure()["retrieval_recall"]
        assert ((recall > 0) & (recall <= 1)).all()


@pytest.mark.parametrize("case", ["random", "newest"])
def test_what_is_scanned_is_the_best_subspaces_and_the_best_in_them(small_env: MakeEnv, case: str) -> None:
    """Recomputed human by human, worlds that differ in how many probe a subspace, subspaces of six and nine."""
    env = small_env(4, {**FIVE, **SHARES[case], "attention.probes": 2})
    env.reset(3)
    state, rng = env.world.state, np.random.default_rng(0)
    state.beliefs.mean = rng.standard_normal(state.q.shape).astype(np.float32)
    found, _ = env.world.index.show(ARRAYS.draws(0), state, env.world.seats)
    where = np.repeat(np.arange(12) % 5, 3)
    for e in range(4):
        for u in range(4):
            belief, vectors = state.beliefs.mean[e, u], state.corpus.vectors[e]
            liking = [belief @ vectors[where == m].mean(axis=0) for m in range(5)]
            scores = np.where(np.isin(where, np.argsort(liking)[-2:]), vectors @ belief, UNSEEN)
            np.testing.assert_array_equal(found[e, u, :5], np.argsort(-scores)[:5])


def test_a_traveller_sees_the_subspace_visited(small_env: MakeEnv) -> None:
    """One probe goes where the human is, however little it likes it there."""
    env = small_env(3, {**FIVE, "attention.travel": True, "attention.probes": 1, "attention.num_candidates": 8})
    env.reset(0)
    where = np.repeat(np.arange(12) % 5, 3)
    place = env.world.state.own["travel"]["place"]
    assert (where[env.world.state.candidates[..., :6]] == place[..., None]).all()


def test_random_others_are_uniform(small_env: MakeEnv) -> None:
    """Over 2,000 draws every creation that is not among the best is as likely: within 4 standard deviations."""
    env = small_env(1, {**FIVE, "humans.num_humans": 1, "attention.num_candidates": 8})
    env.reset(0)
    draws, counts, rounds = ARRAYS.draws(1), np.zeros(36), 2000
    for _ in range(rounds):
        found, _ = env.world.index.show(draws, env.world.state, env.world.seats)
        counts += np.bincount(found[0, 0, 6:], minlength=36)
    best = np.isin(np.arange(36), found[0, 0, :6])
    assert counts[best].sum() == 0
    chance = 2 / 30
    assert np.abs(counts[~best] - rounds * chance).max() < 4 * np.sqrt(rounds * chance * (1 - chance))


def test_few_probes_find_nearly_everything_near_the_centres() -> None:
    """Sixteen clusters of 64 creations and humans whose beliefs are right: four probes find .95 of the semantic share.
    Creations that stray farther than the centres are apart are found less often."""
    recall = {}
    far: dict[str, Any] = {"cluster_strength": 0.3, "steering_scale": 2.0, "initial_spread": 1.0}
    settings: dict[str, dict[str, Any]] = {"near": {}, "far": far}
    for name, apart in settings.items():
        env = metaspace_v0.vec_env(
            2, num_subspaces=16, dim=64, num_goal_buddies=256, num_humans=32, index="subspaces", **apart
        )
        env.reset(0)
        state = env.world.state
        state.beliefs.mean = state.q
        state.candidates, _ = env.world.index.show(ARRAYS.draws(0), state, env.world.seats)
        wanted = env.world.index.wanted(state, env.world.seats)
        assert wanted is not None
        recall[name] = retrieval_recall(wanted[0], state.candidates, wanted[1]).mean()
    assert recall["near"] >= 0.95
    assert recall["far"] < 0.9


def test_recall_by_hand() -> None:
    """The best two of four are 3 and 1: both shown 1, one of them 1/2, none 0; of three equals any two will do."""
    keys = np.array([[[0.1, 0.8, 0.3, 0.9]] * 3, [[0.5, 0.5, 0.5, 0.1]] * 3])
    shown = np.array([[[3, 1], [0, 3], [2, 0]], [[1, 2], [0, 2], [3, 1]]])
    np.testing.assert_allclose(retrieval_recall(keys, shown, 2), [1.5 / 3, 2.5 / 3])
    np.testing.assert_array_equal(retrieval_recall(keys, shown, 0), [1.0, 1.0])


def test_recall_is_measured_where_it_may_be_less_than_one(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Recomputed from the state that the round ended with."""
    plain, env = small_env(2, {**FIVE, "attention.index": "exact"}), small_env(2, {**FIVE, "attention.probes": 1})
    for each in (plain, env):
        each.reset(0)
        each.step(random_actions(each, np.random.default_rng(0)))
    assert env.measure().keys() - plain.measure().keys() == {"retrieval_recall"}
    state = env.world.state
    best = np.argsort(-(state.beliefs.mean @ state.corpus.vectors.swapaxes(1, 2)), axis=-1)[..., :5]
    shown = (best[..., None] == state.candidates[..., None, :]).any(axis=-1)
    np.testing.assert_allclose(env.measure()["retrieval_recall"], shown.mean(axis=(1, 2)), atol=1e-6)
    assert shown.mean() < 1


def test_more_subspaces_are_scanned_where_the_smallest_hold_too_little(small_config: MakeConfig) -> None:
    """Subspaces of 9, 9, 6, 6, 6 creations: two of the smallest hold 12, all five 36; closed ones count nothing."""
    env = VectorEnv(small_config(FIVE), 1)
    needs = {6: 1, 7: 2, 12: 2, 13: 3, 36: 5}
    assert {needed: lay_out(ARRAYS, env.world.seats, 1, needed).probes for needed in needs} == needs
    assert lay_out(ARRAYS, env.world.seats, 4, 6).probes == 4
    assert lay_out(ARRAYS, env.world.seats, 9, 6).probes == 5
    merged: NDArray[np.int64] = np.array([1] * 10 + [3] * 2)
    seats = Seats(ARRAYS, env.world.space, 12, 3, merged, np.arange(12) % 5)
    layout = lay_out(ARRAYS, seats, 1, 7)
    assert (layout.probes, layout.bounds, layout.number.tolist()) == (2, [(0, 30), (30, 36)], [1, 3])


def test_indexes_are_chosen_by_name(small_config: MakeConfig) -> None:
    assert sorted(INDEXES) == ["exact", "subspaces"]
    with pytest.raises(ConfigError, match=r"attention.index: .*'exact' or 'subspaces'"):
        small_config({"attention.index": "faiss"})
    with pytest.raises(ConfigError, match=r"attention\.probes"):
        small_config({"attention.probes": 0})
