"""Creations: where they come to lie, what grounding error they have, whose shelf and whose energy they use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.creations import Corpus, create, first_shelf, publish
from ammo_env.creator_settings import GoalBuddyConfig
from ammo_env.seats import Seats
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace, build_space

ARRAYS = NumpyArrays()
MakeConfig = Callable[..., AmmoConfig]


@pytest.fixture
def space(small_config: MakeConfig) -> MetaSpace:
    return build_space(load_knowledge(small_config().knowledge), 3, heldout=False)


def steer(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.uniform(-1.0, 1.0, shape).astype(np.float32)


def test_a_creation_is_its_anchor_moved_along_the_basis(space: MetaSpace) -> None:
    """e = normalise(a + kappa W s), for every seat with its own subspace's W; s = 0 gives the anchor."""
    seats, rng = Seats(ARRAYS, space, 5, 2), np.random.default_rng(0)
    anchors, steering = space.entities[rng.integers(16, size=(4, 5))], steer(rng, 4, 5, 3)
    made = create(ARRAYS, anchors, seats, steering, 0.7)
    for g in range(5):
        moved = anchors[:, g] + 0.7 * steering[:, g] @ space.steering[g % 2].T
        np.testing.assert_allclose(made[:, g], moved / np.linalg.norm(moved, axis=-1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(create(ARRAYS, anchors, seats, 0 * steering, 0.7), anchors, atol=1e-6)
    np.testing.assert_array_equal(create(ARRAYS, anchors, seats, steering, 0.0), create(
        ARRAYS, anchors, seats, 0 * steering, 0.7))  # fmt: skip


def test_grounding_error_is_the_distance_to_the_nearest_own_fact(space: MetaSpace) -> None:
    """Against the definition, fact by fact; a fact itself has error below 1e-6, the opposite of all is near 2."""
    seats, rng = Seats(ARRAYS, space, 5, 2), np.random.default_rng(1)
    made = create(ARRAYS, space.entities[rng.integers(16, size=(6, 5))], seats, steer(rng, 6, 5, 3), 2.0)
    nearest, error = seats.nearest_fact(made)
    for g in range(5):
        distance = np.linalg.norm(made[:, g, None] - space.facts[g % 2], axis=-1)
        np.testing.assert_allclose(error[:, g], distance.min(axis=-1), atol=1e-6)
        np.testing.assert_array_equal(nearest[:, g], distance.argmin(axis=-1) + 6 * (g % 2))
    facts = np.stack([space.facts[g % 2, g] for g in range(5)])[None]
    assert seats.nearest_fact(facts)[1].max() < 1e-6
    one = replace(space, facts=space.facts[:1, :1], fact_mask=space.fact_mask[:1, :1], steering=space.steering[:1])
    assert Seats(ARRAYS, one, 1, 1).nearest_fact(-one.facts)[1][0, 0] == pytest.approx(2.0, abs=1e-6)


def test_masked_facts_ground_nothing(space: MetaSpace) -> None:
    """A padded fact is never the nearest, even for a creation that lies right on it."""
    mask = space.fact_mask.copy()
    mask[0, 0] = False
    seats = Seats(ARRAYS, replace(space, fact_mask=mask), 1, 1)
    nearest, error = seats.nearest_fact(space.facts[None, :1, 0])
    assert nearest[0, 0] != 0
    assert error[0, 0] > 0.1


def test_seats_settle_in_their_own_subspace_without_repetition(space: MetaSpace) -> None:
    """Seat g sits in subspace g mod M; 8 places for 3 seats of a subspace are never shared, and all are used."""
    seats = Seats(ARRAYS, space, 5, 2)
    entity = seats.settle(NumpyDraws(0), 400)
    np.testing.assert_array_equal(space.entity_subspace[entity], np.broadcast_to(np.arange(5) % 2, (400, 5)))
    for m in range(2):
        mine = np.sort(entity[:, m::2], axis=1)
        assert (np.diff(mine, axis=1) > 0).all()
        counts = np.bincount(mine.reshape(-1) - 8 * m, minlength=8)
        expected = mine.size / 8
        assert np.abs(counts - expected).max() < 4 * np.sqrt(expected * 7 / 8)


def test_more_seats_than_places_share_evenly(space: MetaSpace) -> None:
    """20 seats in one subspace of 8 entities: every entity 2 or 3 times."""
    one = replace(space, facts=space.facts[:1], fact_mask=space.fact_mask[:1], steering=space.steering[:1])
    entity = Seats(ARRAYS, one, 20, 1).settle(NumpyDraws(0), 3)
    for row in entity:
        assert set(np.bincount(row, minlength=8)[:8]) == {2, 3}


def shelf(space: MetaSpace, **settings: Any) -> tuple[Seats, Corpus, GoalBuddyConfig]:
    """Two worlds of five goal buddies with two places each."""
    config = GoalBuddyConfig.model_validate(
        {"num_goal_buddies": 5, "shelf_size": 2, "steering_dim": 3, **settings})  # fmt: skip
    seats = Seats(ARRAYS, space, 5, 2)
    anchors = space.entities[seats.settle(NumpyDraws(0), 2)]
    return seats, first_shelf(ARRAYS, NumpyDraws(1), anchors, seats, config, 0.3), config


def test_the_first_shelf_is_full(space: MetaSpace) -> None:
    """Energy at its cap, errors in [0, 2], unit vectors, place l of buddy g at index g L + l; no spread, no motion."""
    seats, corpus, _ = shelf(space)
    np.testing.assert_allclose(np.linalg.norm(corpus.vectors, axis=-1), 1.0, atol=1e-6)
    assert corpus.grounding_error.min() >= 0
    assert corpus.grounding_error.max() <= 2
    np.testing.assert_array_equal(corpus.energy, np.full((2, 5), 4.0))
    np.testing.assert_array_equal(seats.owner, np.repeat(np.arange(5), 2))
    np.testing.assert_allclose(
        corpus.grounding_error.reshape(2, 5, 2)[:, :, 1],
        seats.nearest_fact(corpus.vectors.reshape(2, 5, 2, -1)[:, :, 1])[1],
        atol=1e-6,
    )
    still = shelf(space, initial_spread=0.0)[1].vectors.reshape(2, 5, 2, -1)
    np.testing.assert_array_equal(still[:, :, 0], still[:, :, 1])


def test_provenance_is_the_grounding_error_seen_through_noise(space: MetaSpace) -> None:
    """Mean 0 and standard deviation .3 around the truth, over 4000 creations."""
    seats = Seats(ARRAYS, space, 5, 2)
    config = GoalBuddyConfig(num_goal_buddies=5, shelf_size=2, steering_dim=3)
    corpus = first_shelf(ARRAYS, NumpyDraws(1), space.entities[seats.settle(NumpyDraws(0), 400)], seats, config, 0.3)
    gap = corpus.provenance - corpus.grounding_error
    assert abs(gap.mean()) < 4 * 0.3 / np.sqrt(gap.size)
    assert gap.std() == pytest.approx(0.3, abs=4 * 0.3 / np.sqrt(2 * gap.size))


def test_publishing_overwrites_the_oldest_place_and_nothing_else(space: MetaSpace) -> None:
    """Three rounds: places 0, 1, 0 of the willing; the others' shelves do not change by a bit."""
    seats, corpus, config = shelf(space)
    rng = np.random.default_rng(3)
    willing = np.zeros((2, 5), bool)
    willing[0, 1] = willing[1, 4] = True
    anchors = space.entities[rng.integers(16, size=(2, 5))]
    for now in (1, 2, 3):
        before = corpus.vectors.copy(), corpus.grounding_error.copy(), corpus.provenance.copy(), corpus.born.copy()
        steering = steer(rng, 2, 5, 3)
        made = create(ARRAYS, anchors, seats, steering, 0.5)
        nearest, error = seats.nearest_fact(made)
        publish(ARRAYS, NumpyDraws(now), corpus, (steering, made, nearest, error), willing, config, 0.3, now)
        changed = np.zeros((2, 5, 2), bool)
        changed[willing, (now - 1) % 2] = True
        after = corpus.vectors, corpus.grounding_error, corpus.provenance, corpus.born
        for old, new in zip(before, after, strict=True):
            different = (old != new).reshape(2, 5, 2, -1).any(axis=-1)
            np.testing.assert_array_equal(different, changed)
        np.testing.assert_array_equal(corpus.vectors.reshape(2, 5, 2, -1)[changed], made[willing])
        np.testing.assert_array_equal(corpus.grounding_error.reshape(2, 5, 2)[changed], error[willing])
        np.testing.assert_array_equal(corpus.born.reshape(2, 5, 2)[changed], [now, now])
        np.testing.assert_array_equal(corpus.steering[willing], steering[willing])
        np.testing.assert_array_equal(corpus.oldest[willing], [now % 2, now % 2])
    assert (corpus.oldest[~willing] == 0).all()


@pytest.mark.parametrize("goals", [4, 5])
def test_what_is_published_is_on_the_shelf(space: MetaSpace, goals: int) -> None:
    """Three worlds, seats that fill two subspaces evenly (4) and unevenly (5): every publication arrives."""
    seats = Seats(ARRAYS, space, goals, 2)
    anchors, draws = space.entities[seats.settle(NumpyDraws(0), 3)], NumpyDraws(1)
    config = GoalBuddyConfig(num_goal_buddies=goals, shelf_size=2, steering_dim=3)
    corpus = first_shelf(ARRAYS, draws, anchors, seats, config, 0.3)
    steering = steer(np.random.default_rng(0), 3, goals, 3)
    made = create(ARRAYS, anchors, seats, steering, 0.5)
    nearest, error = seats.nearest_fact(made)
    publish(ARRAYS, draws, corpus, (steering, made, nearest, error), np.ones((3, goals), bool), config, 0.3, 1)
    np.testing.assert_array_equal(corpus.vectors.reshape(3, goals, 2, -1)[:, :, 0], made)
    np.testing.assert_array_equal(corpus.grounding_error.reshape(3, goals, 2)[:, :, 0], error)


def test_energy_is_spent_regrows_and_is_capped(space: MetaSpace) -> None:
    """Cap 2, cost 1.5, regrowth .5, always willing: 2, 1, then 1.5 unpublished, 1.5 -> .5, 1, 1.5, .5, ..."""
    seats, corpus, config = shelf(space, energy_cap=2.0, publish_cost=1.5, energy_regrowth=0.5)
    steering = np.zeros((2, 5, 3), np.float32)
    made = create(ARRAYS, space.entities[np.zeros((2, 5), int)], seats, steering, 0.5)
    parts = (steering, made, *seats.nearest_fact(made))
    willing = np.ones((2, 5), bool)
    willing[:, 4] = False
    seen, done = [], []
    for now in range(1, 8):
        published = publish(ARRAYS, NumpyDraws(now), corpus, parts, willing, config, 0.3, now)
        done.append(bool(published[0, 0]))
        seen.append(float(corpus.energy[0, 0]))
        assert not published[:, 4].any()
        np.testing.assert_array_equal(corpus.energy[:, 4], [2.0, 2.0])
    assert seen == [1.0, 1.5, 0.5, 1.0, 1.5, 0.5, 1.0]
    assert done == [True, False, True, False, False, True, False]


def test_a_new_creation_is_unpopular(space: MetaSpace) -> None:
    seats, corpus, config = shelf(space)
    corpus.popularity += 0.5
    steering = np.zeros((2, 5, 3), np.float32)
    made = create(ARRAYS, space.entities[np.zeros((2, 5), int)], seats, steering, 0.5)
    publish(ARRAYS, NumpyDraws(0), corpus, (steering, made, *seats.nearest_fact(made)), np.ones((2, 5), bool),
            config, 0.3, 1)  # fmt: skip
    np.testing.assert_array_equal(corpus.popularity.reshape(2, 5, 2)[0], [[0.0, 0.5]] * 5)


def test_rivals_are_the_other_creations_of_the_subspace(space: MetaSpace) -> None:
    """Seats 0, 2, 4 share subspace 0 with two places each: the mean of four rivals; a seat alone has none (zero)."""
    vectors = np.random.default_rng(0).standard_normal((3, 10, 9)).astype(np.float32)
    rivals = Seats(ARRAYS, space, 5, 2).mean_of_rivals(vectors)
    np.testing.assert_allclose(rivals[:, 0], vectors[:, [4, 5, 8, 9]].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(rivals[:, 1], vectors[:, [6, 7]].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(rivals[:, 4], vectors[:, [0, 1, 4, 5]].mean(axis=1), atol=1e-6)
    alone = Seats(ARRAYS, space, 1, 2).mean_of_rivals(vectors[:, :2])
    np.testing.assert_allclose(alone, 0.0, atol=1e-6)


def test_projection_is_the_adjoint_of_lifting(space: MetaSpace) -> None:
    """W^T (W s) = s and (W s) . x = s . (W^T x), seat by seat, for a number of seats that M does not divide."""
    seats, rng = Seats(ARRAYS, space, 5, 2), np.random.default_rng(0)
    steering, vectors = steer(rng, 4, 5, 3), steer(rng, 4, 5, 9)
    np.testing.assert_allclose(seats.project(seats.lift(steering)), steering, atol=1e-5)
    np.testing.assert_allclose(
        np.vecdot(seats.lift(steering), vectors), np.vecdot(steering, seats.project(vectors)), atol=1e-5
    )
    for g in range(5):
        np.testing.assert_allclose(seats.project(vectors)[:, g], vectors[:, g] @ space.steering[g % 2], atol=1e-5)
