"""Subspaces that compose, merge and split: geometry of the spaces, and worlds that go through such changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import creations
from ammo_env.arrays import NumpyArrays
from ammo_env.composition import deal_parts, move_in
from ammo_env.config import AmmoConfig
from ammo_env.creator_settings import GoalBuddyConfig
from ammo_env.halving import two_means
from ammo_env.seats import Seats
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace, build_space, steering_basis
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
ARRAYS = NumpyArrays()
THREE = {"knowledge.num_subspaces": 3}
# Creations that are often nearer to a fact of another subspace.
LOOSE = {**THREE, "knowledge.cluster_strength": 0.0, "knowledge.anchor_noise": 2.0, "actions.goal_buddy": "gains"}
# Merges 0 and 1 in round 2, gives them back in 4 and divides 1 in 5.
SCHEDULE = [{"round": 2, "merge": [0, 1]}, {"round": 4, "split": 0}, {"round": 5, "split": 1}]


@pytest.fixture
def space(small_config: MakeConfig) -> MetaSpace:
    """Three subspaces of six facts and eight entities in nine dimensions, three to steer in."""
    return build_space(load_knowledge(small_config(THREE).knowledge), 3, heldout=False)


def rows(space: MetaSpace, subspace: int) -> NDArray[np.float32]:
    return np.asarray(space.facts[subspace][space.fact_mask[subspace]])


def same_rows(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """The same rows, in any order."""
    return len(one) == len(other) and {tuple(row) for row in one.tolist()} == {tuple(row) for row in other.tolist()}


def test_a_union_has_the_facts_of_all_its_parts_and_their_basis(space: MetaSpace) -> None:
    union = space.union(0, 2)
    assert same_rows(union.facts, np.concatenate([rows(space, 0), rows(space, 2)]))
    np.testing.assert_array_equal(union.steering, steering_basis(union.facts, 3))


def test_a_composed_subspace_is_there_beside_its_parts(space: MetaSpace) -> None:
    more = space.composed(0, 2)
    assert more.facts.shape == (4, 12, 9)
    for number in range(3):
        np.testing.assert_array_equal(rows(more, number), rows(space, number))
        np.testing.assert_array_equal(more.steering[number], space.steering[number])
    assert same_rows(rows(more, 3), space.union(0, 2).facts)
    np.testing.assert_array_equal(more.entity_subspace, space.entity_subspace)


def test_a_merged_subspace_takes_over_facts_and_entities(space: MetaSpace) -> None:
    """2 and 1 become 2: 1 has nothing left, 0 is as before, and people stay who they are."""
    merged = space.merged([0, 2, 2])
    assert [len(rows(merged, number)) for number in range(3)] == [6, 0, 12]
    assert same_rows(rows(merged, 2), space.union(1, 2).facts)
    np.testing.assert_array_equal(np.bincount(merged.entity_subspace), [8, 0, 16])
    np.testing.assert_array_equal(rows(merged, 0), rows(space, 0))
    np.testing.assert_array_equal(merged.people, space.people)


def test_halves_are_nearer_to_their_own_centre(space: MetaSpace) -> None:
    """Facts and entities of 1 are divided between 1 and 3, each with the nearer mean direction; a seed repeats it."""
    halved = space.halved(1, seed=0)
    assert len(halved.facts) == 4
    assert same_rows(np.concatenate([rows(halved, 1), rows(halved, 3)]), rows(space, 1))
    centres = [facts.mean(axis=0) / np.linalg.norm(facts.mean(axis=0)) for facts in (rows(halved, 1), rows(halved, 3))]
    for number, own, other in ((1, *centres), (3, *centres[::-1])):
        for vectors in (rows(halved, number), halved.entities[halved.entity_subspace == number]):
            assert len(vectors)
            assert (vectors @ own > vectors @ other - 1e-6).all()
        np.testing.assert_array_equal(halved.steering[number], steering_basis(rows(halved, number), 3))
    np.testing.assert_array_equal(halved.facts, space.halved(1, seed=0).facts)
    assert same_rows(rows(halved.merged([0, 1, 2, 1]), 1), rows(space, 1)), "merging the halves restores the whole"


def test_two_means_finds_two_clusters() -> None:
    """Twenty directions around each of two orthogonal ones are told apart, whatever the seed."""
    rng, truth = np.random.default_rng(0), np.arange(40) % 2 == 1
    vectors = np.where(truth[:, None], *np.eye(5)[:2]) + 0.1 * rng.standard_normal((40, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    for seed in range(5):
        second, centres = two_means(vectors, seed)
        assert (second == truth).all() or (second != truth).all()
        np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1.0, atol=1e-6)


def test_what_cannot_be_divided_is_refused(small_config: MakeConfig) -> None:
    single = build_space(load_knowledge(small_config({"knowledge.facts_per_subspace": 1}).knowledge), 3, heldout=False)
    with pytest.raises(ConfigError, match="subspace 0 cannot be split: there are not two different vectors"):
        single.halved(0, seed=0)
    lonely = build_space(load_knowledge(small_config({"entities_per_subspace": 1}).knowledge), 3, heldout=False)
    with pytest.raises(ConfigError, match="subspace 1 cannot be split: a half of it has no entity"):
        lonely.halved(1, seed=0)


def test_seats_wherever_they_are_use_their_own_tables(space: MetaSpace) -> None:
    """Seats at (2, 0, 2, 2, 1): lifting, projecting and the nearest fact are those of each seat's own subspace."""
    subspace = np.array([2, 0, 2, 2, 1])
    seats = Seats(ARRAYS, space, 5, 2, subspace)
    rng = np.random.default_rng(0)
    steering = rng.standard_normal((4, 5, 3)).astype(np.float32)
    vectors = rng.standard_normal((4, 5, 9)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    basis = space.steering[subspace]
    np.testing.assert_allclose(seats.lift(steering), np.einsum("ega,gda->egd", steering, basis), atol=1e-6)
    np.testing.assert_allclose(seats.project(vectors), np.einsum("egd,gda->ega", vectors, basis), atol=1e-6)
    _, error = seats.nearest_fact(vectors)
    distance = np.linalg.norm(vectors[:, :, None] - space.facts[subspace], axis=-1).min(axis=-1)
    np.testing.assert_allclose(error, distance, atol=1e-6)
    entity = seats.settle(ARRAYS.draws(0), 50)
    np.testing.assert_array_equal(space.entity_subspace[entity], np.broadcast_to(subspace, (50, 5)))
    assert all(len(set(world[subspace == 2])) == 3 for world in entity), "no entity twice while there are enough"


def test_every_other_seat_goes_to_the_second_half(small_config: MakeConfig) -> None:
    """Ten seats in three subspaces, the third the union of the others: its seats are entities of its parts in turn; of
    0, which is divided, the second and fourth seat are in the second half."""
    config = small_config({"subspaces": {"composed": [[1, 0]], "schedule": [{"round": 2, "split": 0}]}})
    assert config.plan is not None
    part, home = deal_parts(config.plan, 10, first=3)
    assert part.tolist() == [0, 1, 2, 3, 1, 2, 0, 1, 2, 3]
    assert home.tolist() == [0, 1, 1, 3, 1, 0, 0, 1, 1, 3]


def test_a_merger_takes_errors_anew_and_leaves_the_rest(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """At the beginning of round 2: every live creation's error is the distance to the nearest fact of its subspace as
    it is then, shelves' means follow, and vectors, energy, provenance, preferences and beliefs are as without it."""
    env = small_env(3, {**LOOSE, "subspaces.schedule": SCHEDULE})
    plain = small_env(3, {**LOOSE, "subspaces.schedule": SCHEDULE[-1:]})
    env.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(2):
        actions = random_actions(env, rng)
        env.step(actions)
        plain.step(actions)
    ours, theirs = env.world.state, plain.world.state
    facts = env.world.space.facts[env.world.space.fact_mask]
    part_of_fact = np.repeat(np.arange(4), env.world.space.fact_mask.sum(axis=1))
    now, before = np.array([0, 0, 2, 0])[part_of_fact], np.array([0, 1, 2, 1])[part_of_fact]
    for world, of_fact in ((env.world, now), (plain.world, before)):
        owner = world.arrays.to_numpy(world.seats.subspace_of_creation)
        distance = np.linalg.norm(world.state.corpus.vectors[:, :, None] - facts, axis=-1)
        allowed = np.where(owner[:, None] == of_fact, distance, np.inf)
        np.testing.assert_allclose(world.state.corpus.grounding_error, allowed.min(axis=-1), atol=1e-6)
        shelves = world.state.corpus.grounding_error.reshape(3, 5, 2).mean(axis=-1)
        np.testing.assert_allclose(world.state.corpus.shelf_error, shelves, atol=1e-6)
    assert (ours.corpus.grounding_error <= theirs.corpus.grounding_error + 1e-6).all(), "more facts, smaller errors"
    assert (ours.corpus.grounding_error < theirs.corpus.grounding_error - 1e-3).any()
    for name in ("vectors", "energy", "provenance", "born", "popularity"):
        np.testing.assert_array_equal(getattr(ours.corpus, name), getattr(theirs.corpus, name))
    np.testing.assert_array_equal(ours.q, theirs.q)
    np.testing.assert_array_equal(ours.beliefs.mean, theirs.beliefs.mean)
    np.testing.assert_array_equal(ours.memory.liked, theirs.memory.liked)


def test_demand_of_a_merged_subspace_is_the_sum_of_its_parts(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """What was liked in 0 and 1 (divided later, so in two parts) adds up while they are one, and is apart before."""
    env = small_env(2, {**THREE, "subspaces.schedule": SCHEDULE})
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    env.step(random_actions(env, rng))
    liked = env.world.state.memory.liked
    assert liked.shape == (2, 4, 9)
    assert np.abs(liked).sum() > 0
    before = env.world.seats.of_subspace(env.world.seats.by_subspace(liked))
    np.testing.assert_allclose(before[:, 0], liked[:, 0], atol=1e-6)
    np.testing.assert_allclose(before[:, 1], liked[:, 1] + liked[:, 3], atol=1e-6)
    env.step(random_actions(env, rng))
    liked = env.world.state.memory.liked
    together = env.world.seats.of_subspace(env.world.seats.by_subspace(liked))
    for seat in (0, 1, 3, 4):
        np.testing.assert_allclose(together[:, seat], liked[:, [0, 1, 3]].sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(together[:, 2], liked[:, 2], atol=1e-6)


def test_a_split_restores_what_was_merged(small_env: MakeEnv) -> None:
    """Errors and nearest facts of creations that nobody replaced are others in rounds 2 and 3, and come back in 4."""
    env = small_env(3, {**LOOSE, "subspaces.schedule": SCHEDULE[:2]})
    env.reset(seed=0)
    corpus = env.world.state.corpus
    before = {name: getattr(corpus, name).copy() for name in ("grounding_error", "nearest_fact")}
    hold = {"user_buddy": np.zeros((3, 4, 2), np.int64), "goal_buddy": np.full((3, 5, 4), -1, np.float32)}
    for now in range(1, 5):
        env.step(hold)
        changed = np.abs(corpus.grounding_error - before["grounding_error"]).max()
        assert (changed > 1e-3) == (now in (2, 3))
    for name in ("grounding_error", "nearest_fact"):
        np.testing.assert_allclose(getattr(corpus, name), before[name], atol=1e-6)


def test_steering_is_carried_over_into_the_new_basis(space: MetaSpace) -> None:
    """s' = W'^T W s, shrunk into the box where it does not fit; where the basis stays, s stays."""
    where = np.array([0, 0, 2, 0, 0])
    before, after = Seats(ARRAYS, space, 5, 2), Seats(ARRAYS, space.merged([0, 0, 2]), 5, 2, where)
    setting = GoalBuddyConfig(num_goal_buddies=5, shelf_size=2, steering_dim=3, initial_spread=1.0)
    draws = ARRAYS.draws(0)
    anchors = ARRAYS.take_rows(space.entities, before.settle(draws, 4))
    corpus = creations.first_shelf(ARRAYS, draws, anchors, before, setting, 0.3)
    steering = corpus.steering
    move_in(ARRAYS, corpus, before, after, None)
    np.testing.assert_allclose(corpus.steering[:, 2], steering[:, 2], atol=1e-6)
    raw = np.einsum("da,db,eb->ea", space.union(0, 1).steering, space.steering[1], steering[:, 1])
    expected = raw / np.maximum(np.abs(raw).max(axis=-1, keepdims=True), 1.0)
    np.testing.assert_allclose(corpus.steering[:, 1], expected, atol=1e-6)


def test_a_merged_subspace_answers_as_its_first_part(small_config: MakeConfig) -> None:
    """Settings by part: a composed one has those of the first it names, a half those of its whole."""
    config = small_config({**THREE, "aipp.subspaces": {1: {"noise": 0.125}, 2: {"kind": "click"}},
                           "subspaces": {"composed": [[2, 0]], "schedule": [{"round": 2, "split": 1}]}})  # fmt: skip
    env = VectorEnv(config, 1)
    assert env.world.composition is not None
    settings = env.world.composition.aipp(config.aipp)
    assert [settings.of_subspace(part).noise for part in range(5)] == [0.5, 0.125, 0.5, 0.5, 0.125]
    assert [settings.of_subspace(part).kind for part in range(5)] == ["rating", "rating", "click", "click", "rating"]


def test_a_compressed_world_merges_and_splits_like_the_whole_one(
    small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """D = 100, content of rank 3 x (6 + 8) = 42: the same errors and rewards through all phases, to 1e-4."""
    # Nobody steers: the axes of a new basis have a sign of their own in every rotation. So shelves hold one creation.
    setting = {**LOOSE, "knowledge.dim": 100, "subspaces.schedule": SCHEDULE, "attention.travel": True,
               "initial_spread": 0.0, "goal_buddies.shelf_size": 1, "num_candidates": 4}  # fmt: skip
    large, small = small_env(2, setting), small_env(2, {**setting, "knowledge.compress": 42})
    large.reset(seed=0)
    small.reset(seed=0)
    rng = np.random.default_rng(0)
    while not large.is_over:
        actions = random_actions(large, rng)
        actions["goal_buddy"][..., :3] = 0.0
        rewards, again = large.step(actions)[1], small.step(actions)[1]
        for side in rewards:
            np.testing.assert_allclose(rewards[side], again[side], atol=1e-4)
        whole, rotated = (env.world.state.corpus.grounding_error for env in (large, small))
        np.testing.assert_allclose(whole, rotated, atol=1e-4)


def test_events_of_a_merged_subspace_add_up(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """With facts that events add: no creation of a merged subspace is farther from the truth than from any fact added
    in one of its parts, and the running event that its seats see is the sum."""
    env = small_env(4, {**THREE, "subspaces.schedule": SCHEDULE, "events": {"rate": 1.0, "fact_slots": 3}})
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(3):
        env.step(random_actions(env, rng))
    state, seats = env.world.state, env.world.seats
    added, running = state.added_facts, state.running_events
    assert added is not None
    assert running is not None
    assert added.shape[1] == 4
    merged = added[:, [0, 1, 3]].reshape(4, -1, 9)
    own = np.isin(env.world.arrays.to_numpy(seats.subspace_of_creation), [0])
    distance = np.linalg.norm(state.corpus.vectors[:, own, None] - merged[:, None], axis=-1).min(axis=-1)
    assert (state.corpus.grounding_error[:, own] <= distance + 1e-5).all()
    seen = seats.of_subspace(seats.by_subspace(running))
    np.testing.assert_allclose(seen[:, 0], running[:, [0, 1, 3]].sum(axis=1), atol=1e-6)


def test_a_world_saved_between_changes_goes_on(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Saved in round 3, while 0 and 1 are one; restored elsewhere it plays the rest bit-equal."""
    env, twin = (small_env(2, {**THREE, "subspaces.schedule": SCHEDULE}) for _ in range(2))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(3):
        env.step(random_actions(env, rng))
    twin.set_state(env.get_state())
    for _ in range(5):
        actions = random_actions(env, rng)
        ours, theirs = env.step(actions), twin.step(actions)
        for side in ours[0]:
            np.testing.assert_array_equal(ours[0][side], theirs[0][side])
            np.testing.assert_array_equal(ours[1][side], theirs[1][side])


def test_episodes_begin_as_the_schedule_does(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """After an episode that ended in the last phase, a reset with the same seed gives the same first observation."""
    env = small_env(2, {**THREE, "subspaces.schedule": SCHEDULE})
    first = env.reset(seed=0)[0]
    rng = np.random.default_rng(0)
    while not env.is_over:
        env.step(random_actions(env, rng))
    again = env.reset(seed=0)[0]
    for side in first:
        np.testing.assert_array_equal(first[side], again[side])
