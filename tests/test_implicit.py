"""Implicit-feedback least squares: each half is the optimum of the stated loss, and listeners find their music."""

from __future__ import annotations

import numpy as np
import pytest

from ammo_env.datasets.implicit import CONFIDENCE, PENALTY, fit_items, place_people


def loss(people: np.ndarray, items: np.ndarray, plays: np.ndarray) -> float:
    """Σ c (p − x·y)² + λ (Σ|x|² + Σ|y|²) over the dense matrix of plays [P, I]."""
    confidence = 1.0 + CONFIDENCE * np.log1p(plays)
    wrong = (plays > 0) - people @ items.T
    return float((confidence * wrong**2).sum() + PENALTY * ((people**2).sum() + (items**2).sum()))


def test_placing_people_is_the_optimum_of_the_loss() -> None:
    """No other x has a smaller loss, and the slope at x is 0 to 1e-9 of the loss."""
    rng = np.random.default_rng(0)
    plays = np.where(rng.random((7, 11)) < 0.4, rng.integers(1, 500, (7, 11)), 0).astype(np.float32)
    person, item = np.nonzero(plays)
    items = 3.0 * rng.standard_normal((11, 3))
    people = place_people(items, person, item, plays[person, item], 7)
    best = loss(people, items, plays)
    for _ in range(20):
        step = 1e-4 * rng.standard_normal(people.shape)
        up, down = loss(people + step, items, plays), loss(people - step, items, plays)
        assert min(up, down) > best
        assert abs(up - down) < 1e-9 * best


def test_every_pass_lowers_the_loss() -> None:
    rng = np.random.default_rng(1)
    plays = np.where(rng.random((30, 20)) < 0.3, rng.integers(1, 5000, (30, 20)), 0).astype(np.float32)
    person, item = np.nonzero(plays)
    triples = person, item, plays[person, item]
    losses = []
    for passes in (1, 2, 4, 8):
        items = fit_items(*triples, (30, 20), 4, np.random.default_rng(0), passes)
        losses.append(loss(place_people(items, *triples, 30), items, plays))
    assert losses == sorted(losses, reverse=True)


def test_nobody_and_nothing_without_plays() -> None:
    """A person who listened to nothing and an item that nobody listened to are 0."""
    triples = np.array([0, 0, 2]), np.array([0, 1, 1]), np.array([3, 4, 5], dtype=np.float32)
    items = fit_items(*triples, (3, 4), 2, np.random.default_rng(0))
    assert items.shape == (4, 2)
    assert not items[2:].any()
    assert not place_people(items, *triples, 3)[1].any()
    assert place_people(items, np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32), 2) == pytest.approx(0.0)
