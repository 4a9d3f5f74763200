"""Ratings as dot products of unit vectors: a factor model whose items and preferences live on the sphere.
 The rating of item i by person u is y = a_u + e_i·(m + v_u) with |e_i| = 1: an offset of the person, a mean
preference that all people share, and the person's own taste. There is no item bias. What everybody likes
becomes the direction of m, so unit vectors lose no quality: e_i·q_u with q_u = normalise(m + v_u) ranks as
well as a free factor model with biases (see benchmarks/preferences.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray, IntArray

CENTRE_LENGTH = 0.3  # |x̄|: see `fit_preferences`
START = 0.1  # standard deviation of the random start

Parameters = dict[str, FloatArray]


@dataclass(frozen=True)
class Penalties:
    """Weights of the squared lengths in the loss."""

    taste: float = 10.0  # on v_u
    item: float = 200.0  # on δ_i, what an item has beyond its features
    feature: float = 1.0  # on the rows of B


@dataclass(frozen=True)
class Fit:
    """Items and people in one space: rating ≈ offsets[u] + items[i]·tastes[u]."""

    items: FloatArray  # [I, D] unit: e_i
    mean: FloatArray  # [D] m
    offsets: FloatArray  # [P] a_u, rating units
    tastes: FloatArray  # [P, D] m + v_u, rating units

    @property
    def preferences(self) -> FloatArray:
        """q_u = normalise(m + v_u) [P, D]: the direction that a person likes."""
        return unit(self.tastes)

    def predict(self, person: IntArray, item: IntArray) -> FloatArray:
        """Expected ratings [R] of the pairs (person, item), not clipped to 1..5."""
        products: FloatArray = np.einsum("rd,rd->r", self.items[item], self.tastes[person])
        return self.offsets[person] + products

    def score(self, person: IntArray, item: IntArray) -> FloatArray:
        """Pure e_i·q_u [R] in [−1, 1]: what a world of unit vectors knows about the pairs."""
        products: FloatArray = np.einsum("rd,rd->r", self.items[item], self.preferences[person])
        return products


def unit(x: NDArray[np.floating]) -> FloatArray:
    """Rows scaled to length 1, float32; a zero row stays zero."""
    length = np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return np.asarray(x / length, dtype=np.float32)


def scale_quality(preferences: FloatArray, mean: FloatArray, quality_share: float) -> FloatArray:
    """normalise(q − (1 − s)·(q·μ)·μ) for preferences [P, D] and the unit mean direction μ [D]."""
    return unit(preferences - (1.0 - quality_share) * (preferences @ mean)[:, None] * mean)


def fit_preferences(
    person: IntArray,
    item: IntArray,
    rating: FloatArray,
    features: BoolArray,
    num_people: int,
    rng: np.random.Generator,
    dim: int = 32,
    penalties: Penalties | None = None,
    steps: int = 150,
    learning_rate: float = 0.03,
) -> Fit:
    """Fit y = a_u + e_i·(m + v_u), |e_i| = 1, to ratings [R] of `num_people` people and I items.

    e_i = normalise(x̄ + features_i·B + δ_i), features [I, J] (genres). Loss, a sum over the ratings:

        Σ (y − a_u − e_i·(m + v_u))² + 10·Σ|v_u|² + 200·Σ|δ_i|² + 1·Σ|B_j|²

    Adam (β = .9, .999) on the whole data from a random start, its step falling linearly from `learning_rate`
    to 0; then `solve_people` replaces a_u and v_u by their exact optimum given the items. |x̄| is held at .3:
    multiplying x̄, B and δ by one small number changes no e_i and evades the penalties, so that without this
    the result depends on the start and on where the steps stop. A person without ratings gets m; an item
    without ratings the mean of its features.

    Memory is about 20 bytes per (person, item) pair; at MovieLens 100K's size and D = 32 the fit takes about
    a second. The same `rng` state gives the same result, bit for bit with the same linear algebra library and
    number of threads. Raises ValueError where there are no ratings or they don't line up.
    """
    if not len(rating) or not len(rating) == len(person) == len(item):
        raise ValueError(
            f"a fit needs as many people and items as ratings: {len(person)}, {len(item)}, {len(rating)}"
        )
    penalties = penalties or Penalties()
    known = np.zeros((num_people, len(features)), dtype=np.float32)
    target = np.zeros_like(known)
    known[person, item], target[person, item] = 1.0, rating
    columns = features.astype(np.float32)
    parameters = _start(rng, num_people, columns.shape, dim, float(rating.mean()))
    adam = Adam(parameters)
    for step in range(steps):
        slope = gradients(parameters, columns, known, target, penalties)
        adam.update(parameters, slope, learning_rate * (1.0 - step / steps))
        parameters["centre"] *= CENTRE_LENGTH / np.linalg.norm(parameters["centre"])
    items, mean = unit(_raw_items(parameters, columns)), parameters["mean"]
    offsets, tastes = solve_people(items, mean, person, item, rating, num_people, penalties.taste)
    return Fit(items, mean, offsets, tastes)


def gradients(
    parameters: Parameters, features: FloatArray, known: FloatArray, target: FloatArray, penalties: Penalties
) -> Parameters:
    """Gradient of half the loss of `fit_preferences`, by hand.

    known, target [P, I]: 1 where there is a rating, and the rating there; 0 elsewhere.
    """
    raw = _raw_items(parameters, features)
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    items, tastes = raw / length, parameters["mean"] + parameters["taste"]
    error = known * (parameters["offset"][:, None] + tastes @ items.T - target)
    of_tastes, of_items = error @ items, error.T @ tastes
    of_raw = (of_items - np.sum(of_items * items, axis=1, keepdims=True) * items) / length
    return {
        "offset": error.sum(axis=1),
        "centre": of_raw.sum(axis=0),
        "feature": features.T @ of_raw + penalties.feature * parameters["feature"],
        "item": of_raw + penalties.item * parameters["item"],
        "mean": of_tastes.sum(axis=0),
        "taste": of_tastes + penalties.taste * parameters["taste"],
    }


class Adam:
    """Adam (Kingma & Ba 2015) with β = .9, .999, on a dict of arrays, in place."""

    def __init__(self, parameters: Parameters) -> None:
        self._first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._second = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._count = 0

    def update(self, parameters: Parameters, slope: Parameters, rate: float) -> None:
        """One step of length about `rate` per coordinate down `slope`."""
        self._count += 1
        for name, value in slope.items():
            first, second = self._first[name], self._second[name]
            first += 0.1 * (value - first)
            second += 0.001 * (value * value - second)
            scale = np.sqrt(second / (1.0 - 0.999**self._count)) + 1e-8
            parameters[name] -= rate / (1.0 - 0.9**self._count) * first / scale


def solve_people(
    items: FloatArray,
    mean: FloatArray,
    person: IntArray,
    item: IntArray,
    rating: FloatArray,
    num_people: int,
    penalty: float = Penalties.taste,
) -> tuple[FloatArray, FloatArray]:
    """Offsets a_u [P] and tastes m + v_u [P, D] that minimise Σ (y − a_u − e_i·(m + v_u))² + penalty·|v_u|².

    Exact given the items: a ridge regression per person with a free intercept, so that people whom the items
    were not fitted to are placed like everybody else. A person without ratings gets (mean rating, m).
    """
    offsets = np.full(num_people, rating.mean(), dtype=np.float32)
    tastes = np.tile(mean, (num_people, 1))
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(num_people + 1))
    for p in np.flatnonzero(np.diff(starts)):
        rows = order[starts[p] : starts[p + 1]]
        vectors = items[item[rows]].astype(np.float64)
        rest = rating[rows] - vectors @ mean
        own = _ridge(vectors - vectors.mean(axis=0), rest - rest.mean(), penalty)
        offsets[p] = rest.mean() - vectors.mean(axis=0) @ own
        tastes[p] += own.astype(np.float32)
    return offsets, tastes


def _start(
    rng: np.random.Generator, num_people: int, features: tuple[int, ...], dim: int, offset: float
) -> Parameters:
    def draw(*shape: int) -> FloatArray:
        return (START * rng.standard_normal(shape)).astype(np.float32)

    num_items, num_features = features
    return {
        "offset": np.full(num_people, offset, dtype=np.float32),
        "centre": CENTRE_LENGTH * unit(draw(dim)),
        "feature": draw(num_features, dim),
        "item": draw(num_items, dim),
        "mean": draw(dim),
        "taste": draw(num_people, dim),
    }


def _raw_items(parameters: Parameters, features: FloatArray) -> FloatArray:
    return parameters["centre"] + features @ parameters["feature"] + parameters["item"]


def _ridge(x: NDArray[np.float64], y: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """(xᵀx + penalty)⁻¹ xᵀy, through the smaller of the two Gram matrices."""
    rows, columns = x.shape
    if columns <= rows:
        return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(columns), x.T @ y))
    return x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(rows), y)
