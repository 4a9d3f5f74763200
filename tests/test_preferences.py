"""The fit on the sphere: its gradient, the planted preferences that it finds, the measures that judge it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.datasets.accuracy import accuracy
from ammo_env.datasets.preferences import Fit, Penalties, fit_preferences, gradients, solve_people, unit

PEOPLE, ITEMS, DIM = 150, 60, 4


class Planted:
    """Ratings y = a_u + 2 e_i·q_u + noise of half the pairs; a fifth of them is held out."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.features: BoolArray = rng.random((ITEMS, 3)) < 0.4
        items = unit(rng.standard_normal((ITEMS, DIM)))
        taste = unit(np.eye(DIM)[0] + rng.standard_normal((PEOPLE, DIM)))
        offset = rng.normal(3.0, 0.5, PEOPLE)
        known = rng.random((PEOPLE, ITEMS)) < 0.5
        self.person, self.item = np.nonzero(known)
        exact = offset[:, None] + 2.0 * taste @ items.T + rng.normal(0.0, 0.2, known.shape)
        self.rating: FloatArray = exact[known].astype(np.float32)
        self.test: BoolArray = rng.random(len(self.rating)) < 0.2

    def triples(self, rows: BoolArray) -> tuple[IntArray, IntArray, FloatArray]:
        return self.person[rows], self.item[rows], self.rating[rows]

    def fit(self, seed: int = 0) -> Fit:
        rng = np.random.default_rng(seed)
        weak = Penalties(taste=0.5, item=0.5, feature=0.5)
        return fit_preferences(*self.triples(~self.test), self.features, PEOPLE, rng, DIM, weak)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def fit(planted: Planted) -> Fit:
    return planted.fit()


def test_gradient_is_that_of_half_the_loss() -> None:
    """Central differences agree to 1e-6 in every coordinate of every parameter."""
    rng = np.random.default_rng(1)
    people, items, features, dim = 4, 5, 2, 3
    shapes = {"offset": (people,), "centre": (dim,), "feature": (features, dim), "item": (items, dim)}
    shapes |= {"mean": (dim,), "taste": (people, dim)}
    parameters: dict[str, NDArray[np.float64]] = {
        name: rng.normal(size=shape) for name, shape in shapes.items()
    }
    columns = rng.integers(2, size=(items, features)).astype(np.float64)
    known = (rng.random((people, items)) < 0.7).astype(np.float64)
    target = known * rng.normal(size=known.shape)
    penalties = Penalties(taste=1.5, item=2.5, feature=0.5)

    def half_loss() -> float:
        raw = parameters["centre"] + columns @ parameters["feature"] + parameters["item"]
        vectors = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        predicted = parameters["offset"][:, None] + (parameters["mean"] + parameters["taste"]) @ vectors.T
        penalty = 1.5 * np.sum(parameters["taste"] ** 2) + 2.5 * np.sum(parameters["item"] ** 2)
        penalty += 0.5 * np.sum(parameters["feature"] ** 2)
        return float(np.sum(known * (predicted - target) ** 2) + penalty) / 2.0

    slope = gradients(parameters, columns, known, target, penalties)  # type: ignore[arg-type]
    for name, value in parameters.items():
        for where in np.ndindex(value.shape):
            middle, step = value[where], 1e-5
            value[where] = middle + step
            above = half_loss()
            value[where] = middle - step
            below = half_loss()
            value[where] = middle
            assert slope[name][where] == pytest.approx((above - below) / (2 * step), abs=1e-6), name


def test_the_fit_finds_planted_preferences(planted: Planted, fit: Fit) -> None:
    """Noise .2: held-out RMSE below .35, where item bias alone leaves more than .8, and AUC far above it."""
    person, item, rating = planted.triples(planted.test)
    seen_person, seen_item, seen = planted.triples(~planted.test)
    of_person = np.bincount(seen_person, seen) / np.bincount(seen_person)
    of_item = np.bincount(seen_item, seen - of_person[seen_person]) / np.bincount(seen_item)
    bias = of_item[item].astype(np.float32)
    baseline = accuracy(person, rating, bias, (of_person[person] + bias).astype(np.float32))
    ours = accuracy(person, rating, fit.score(person, item), fit.predict(person, item))
    assert ours.rmse < 0.35
    assert baseline.rmse > 0.8
    assert ours.auc > baseline.auc + 0.1
    assert ours.ndcg > baseline.ndcg + 0.05


def test_items_and_preferences_are_unit_vectors(fit: Fit) -> None:
    """|e_i| = |q_u| = 1, float32, and q_u is the direction of the taste."""
    for vectors in (fit.items, fit.preferences):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    along = np.sum(fit.preferences * fit.tastes, axis=1)
    np.testing.assert_allclose(along, np.linalg.norm(fit.tastes, axis=1), rtol=1e-5)


def test_the_same_seed_gives_the_same_fit(planted: Planted, fit: Fit) -> None:
    """Bit for bit; another seed gives another."""
    again, other = planted.fit(), planted.fit(seed=1)
    np.testing.assert_array_equal(fit.items, again.items)
    np.testing.assert_array_equal(fit.tastes, again.tastes)
    assert np.abs(fit.items - other.items).max() > 0.1


def test_an_item_without_ratings_sits_with_its_features() -> None:
    """Its δ is pulled to 0, so two unrated items with the same features coincide, and differ from others'."""
    data = Planted()
    data.features[:3] = [[True, False, True], [True, False, True], [False, True, False]]
    rated = data.item >= 3
    weak = Penalties(taste=0.5, item=200.0, feature=0.5)
    rng = np.random.default_rng(0)
    items = fit_preferences(*data.triples(rated), data.features, PEOPLE, rng, DIM, weak).items
    assert np.linalg.norm(items[0] - items[1]) < 0.02
    assert np.linalg.norm(items[0] - items[2]) > 0.1


@pytest.mark.parametrize("dim", [3, 20], ids=["more ratings than dimensions", "fewer"])
def test_people_are_solved_exactly(dim: int) -> None:
    """The gradient in a_u and v_u is 0: residuals sum to 0, and Eᵀ residual = penalty·v."""
    rng = np.random.default_rng(2)
    items, mean = unit(rng.normal(size=(30, dim))), rng.normal(size=dim).astype(np.float32)
    item = np.concatenate([rng.permutation(30)[:10] for _ in range(2)])
    person = np.repeat([0, 1], 10)
    rating = rng.integers(1, 6, 20).astype(np.float32)
    offsets, tastes = solve_people(items, mean, person, item, rating, num_people=3, penalty=2.0)
    for p in (0, 1):
        vectors = items[item[person == p]]
        residual = rating[person == p] - offsets[p] - vectors @ tastes[p]
        assert residual.sum() == pytest.approx(0.0, abs=1e-4)
        np.testing.assert_allclose(vectors.T @ residual, 2.0 * (tastes[p] - mean), atol=1e-4)


def test_a_person_without_ratings_is_the_mean_person() -> None:
    """Taste m, offset the mean rating."""
    items = np.eye(2, dtype=np.float32)
    mean = np.array([0.6, 0.8], dtype=np.float32)
    ratings = np.array([2.0, 5.0], dtype=np.float32)
    offsets, tastes = solve_people(items, mean, np.array([0, 0]), np.array([0, 1]), ratings, num_people=2)
    np.testing.assert_array_equal(tastes[1], mean)
    assert offsets[1] == pytest.approx(3.5)


def test_solving_by_hand() -> None:
    """Items ±1 in one dimension, m = 0, ratings 5 and 1, penalty 2: v = 4/(2 + 2) = 1, a = 3."""
    items = np.array([[1.0], [-1.0]], dtype=np.float32)
    zero = np.zeros(1, dtype=np.float32)
    ratings = np.array([5.0, 1.0], dtype=np.float32)
    offsets, tastes = solve_people(items, zero, np.array([0, 0]), np.array([0, 1]), ratings, 1, penalty=2.0)
    assert (offsets[0], tastes[0, 0]) == pytest.approx((3.0, 1.0))


def test_accuracy_by_hand() -> None:
    """Liked 5 and 4, not 2 and 1; scores put 2 above 4 and tie 4 with 1: AUC = (1 + 1 + 0 + ½)/4 = .625."""
    rating = np.array([5, 4, 2, 1], dtype=np.float32)
    score = np.array([0.9, 0.2, 0.5, 0.2], dtype=np.float32)
    measured = accuracy(np.zeros(4, dtype=np.int64), rating, score, rating + 0.5)
    gain, discount = np.array([31.0, 3.0, 15.0, 1.0]), 1.0 / np.log2([2, 3, 4, 5])
    assert measured.auc == pytest.approx(0.625)
    assert measured.ndcg == pytest.approx(gain @ discount / (np.array([31.0, 15.0, 3.0, 1.0]) @ discount))
    assert measured.rmse == pytest.approx(0.5)


def test_accuracy_leaves_out_people_with_one_kind_of_film() -> None:
    """Person 1 liked everything: person 0 alone counts for the ranking, both for RMSE; nobody gives NaN."""
    person = np.array([0, 1, 0, 1])
    rating = np.array([5, 5, 1, 4], dtype=np.float32)
    score = np.array([0.9, 0.1, 0.2, 0.8], dtype=np.float32)
    prediction = rating + np.array([0, 2, 0, 2], dtype=np.float32)
    measured = accuracy(person, rating, score, prediction)
    assert (measured.auc, measured.ndcg) == (1.0, 1.0)
    assert measured.rmse == pytest.approx(np.sqrt(2.0))
    lone = accuracy(person[1::2], rating[1::2], score[1::2], prediction[1::2])
    assert np.isnan([lone.auc, lone.ndcg]).all()


def test_a_fit_without_ratings_is_refused() -> None:
    """Empty, or arrays that don't line up."""
    none, two = np.zeros(0, dtype=np.int64), np.zeros(2, dtype=np.int64)
    features, rng = np.ones((3, 1), dtype=np.bool_), np.random.default_rng(0)
    with pytest.raises(ValueError, match="0, 0, 0"):
        fit_preferences(none, none, none.astype(np.float32), features, 2, rng)
    with pytest.raises(ValueError, match="2, 2, 0"):
        fit_preferences(two, two, none.astype(np.float32), features, 2, rng)
