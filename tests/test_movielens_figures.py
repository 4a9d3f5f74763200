"""What the real MovieLens 100K must give; skipped where it is not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ammo_env.datasets.accuracy import accuracy
from ammo_env.datasets.genres import assign_films, genre_groups
from ammo_env.datasets.grouplens import Ratings, read_movielens
from ammo_env.datasets.movielens import find_folder, fit_ratings, place_people


@pytest.fixture(scope="module")
def real() -> Ratings:
    beside = Path(__file__).parents[2] / "shared" / "data" / "ml-100k"
    try:
        return read_movielens(find_folder(None if os.environ.get("AMMO_DATA") else str(beside)))
    except FileNotFoundError as error:
        pytest.skip(f"no MovieLens 100K: set AMMO_DATA to the folder ml-100k ({error})")


def test_real_counts(real: Ratings) -> None:
    """100,000 ratings of 1,682 films by 943 people; nobody has fewer than 20."""
    assert (len(real.rating), len(real.titles), real.num_people, len(real.genres)) == (100_000, 1682, 943, 19)
    assert np.bincount(real.person).min() == 20
    assert np.sum(np.bincount(real.film) >= 20) == 939


def test_real_subspaces_are_even(real: Ratings) -> None:
    """The 939 films with 20 ratings in six subspaces: 155 to 160 films each."""
    films = real.film_genres[np.bincount(real.film) >= 20]
    sizes = np.bincount(assign_films(films, genre_groups(films, 6)))
    assert (sizes.min(), sizes.max()) == (155, 160)


def test_real_figures_on_u1(real: Ratings) -> None:
    """u1 (first 20,000 lines): AUC .738, NDCG@10 .792, RMSE .921, each ± .005; films stay apart (> .6)."""
    test = np.arange(len(real.rating)) < 20_000
    fit = fit_ratings(real.where(~test), np.random.default_rng(0))
    asked = real.where(test)
    pairs = asked.person, asked.film
    measured = accuracy(asked.person, asked.rating, fit.score(*pairs), fit.predict(*pairs))
    assert measured.auc == pytest.approx(0.7375, abs=0.005)
    assert measured.ndcg == pytest.approx(0.792, abs=0.005)
    assert measured.rmse == pytest.approx(0.921, abs=0.005)
    items = fit.items[np.bincount(real.film) >= 20]
    similarity = items @ items.T - 2.0 * np.eye(len(items), dtype=np.float32)
    assert np.median(np.sqrt(2.0 - 2.0 * similarity.max(axis=1))) > 0.6


def test_placing_people_again_changes_nothing(real: Ratings) -> None:
    """People are placed by the same rule whether the films were fitted to them or not."""
    few = real.where(real.person < 100)
    few = replace(few, num_people=100)
    fit = fit_ratings(few, np.random.default_rng(0), dim=8)
    again = place_people(fit, few)
    np.testing.assert_array_equal(again.tastes, fit.tastes)
    np.testing.assert_array_equal(again.offsets, fit.offsets)
