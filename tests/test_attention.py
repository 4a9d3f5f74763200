"""Attention: what is shown, in which shares, and how choices become slates that hold nothing twice."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.attention import Sought, form_slates, retrieve
from ammo_env.config import AttentionConfig

ARRAYS = NumpyArrays()
E, U, C = 3, 4, 20


def shown(seed: int = 0, **settings: object) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Candidates [E, U, K] of random scores, the scores and the publication rounds."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((E, U, C)).astype(np.float32)
    born = rng.integers(10, size=(E, C)).astype(np.float32)
    config = AttentionConfig.model_validate({"num_candidates": 8, **settings})
    return retrieve(ARRAYS, NumpyDraws(seed), Sought(scores, born), config), scores, born


@pytest.mark.parametrize("fresh", ["random", "newest"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 8, C])
def test_candidates_are_the_best_then_fresh_ones_and_nobody_twice(fresh: str, share: float, count: int) -> None:
    """K - round(K share) best by score, best first; then creations that these do not hold."""
    found, scores, _ = shown(fresh=fresh, fresh_share=share, num_candidates=count, num_slots=1)
    assert found.shape == (E, U, count)
    assert found.min() >= 0
    assert found.max() < C
    assert (np.diff(np.sort(found, axis=-1), axis=-1) > 0).all()
    semantic = count - round(count * share)
    best = np.argsort(-scores, axis=-1)[..., :semantic]
    np.testing.assert_array_equal(found[..., :semantic], best)


def test_the_newest_are_shown_first() -> None:
    """With the whole share fresh, the K creations with the latest publication rounds, in some order of ties."""
    found, _, born = shown(fresh="newest", fresh_share=1.0)
    for e in range(E):
        for u in range(U):
            rounds = born[e, found[e, u]]
            np.testing.assert_array_equal(rounds, np.sort(born[e])[::-1][:8])


def test_random_fresh_candidates_are_uniform() -> None:
    """Over 500 batches every creation outside the semantic share is as likely: within 4 standard deviations."""
    scores = np.zeros((E, U, C), np.float32)
    scores[..., :6] = np.arange(6, 0, -1)
    config = AttentionConfig(num_candidates=8, fresh_share=0.25)
    draws, counts, rounds = NumpyDraws(1), np.zeros(C), 500
    for _ in range(rounds):
        fresh = retrieve(ARRAYS, draws, Sought(scores, np.zeros((E, C), np.float32)), config)[..., 6:]
        counts += np.bincount(fresh.reshape(-1), minlength=C)
    assert counts[:6].sum() == 0
    # Worlds are independent, the humans of a world share an order: count worlds, not humans.
    chance = 2 / 14
    spread = np.sqrt(rounds * E * chance * (1 - chance)) * U
    assert np.abs(counts[6:] - rounds * E * U * chance).max() < 4 * spread


def test_two_humans_of_a_world_see_different_fresh_candidates() -> None:
    found, _, _ = shown(fresh_share=1.0)
    assert (found[0, 0] != found[0, 1]).any()


def test_a_slate_by_hand() -> None:
    """Candidates (7, 3, 5), positions (2, 0, 2, 0): items (5, 7, 5, 7), the second pair left empty."""
    candidates = np.array([[[7, 3, 5]]])
    slates = form_slates(ARRAYS, candidates, np.array([[[2, 0, 2, 0]]]))
    np.testing.assert_array_equal(slates.items, [[[5, 7, 5, 7]]])
    np.testing.assert_array_equal(slates.filled, [[[True, True, False, False]]])


def test_slates_read_their_own_human() -> None:
    """The same positions over different candidates give each human its own items; one slot is never empty."""
    found, _, _ = shown()
    positions = np.random.default_rng(0).integers(8, size=(E, U, 4))
    slates = form_slates(ARRAYS, found, positions)
    for e in range(E):
        for u in range(U):
            items = found[e, u, positions[e, u]]
            np.testing.assert_array_equal(slates.items[e, u], items)
            first = [list(items).index(item) == place for place, item in enumerate(items)]
            np.testing.assert_array_equal(slates.filled[e, u], first)
    assert form_slates(ARRAYS, found, positions[..., :1]).filled.all()
