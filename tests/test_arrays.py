"""The array door: every operation against its definition, the same on NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ammo_env.arrays import get_arrays, normalise


@pytest.fixture(params=["numpy", "torch"])
def arrays(request: pytest.FixtureRequest) -> Any:
    return get_arrays(request.param)


@pytest.mark.parametrize(("length", "k"), [(1, 1), (7, 0), (7, 3), (7, 7), (64, 12), (1500, 16), (5000, 5000)])
def test_the_largest_come_first_and_ties_keep_their_order(arrays: Any, length: int, k: int) -> None:
    """Positions and sums of the k largest against a stable sort, with many ties, both zeros and negative numbers."""
    x = np.random.default_rng(length).integers(-5, 6, (3, 4, length)).astype(np.float32)
    x[x == 1] = -0.0
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    found = arrays.to_numpy(arrays.top_k(arrays.asarray(x), k))
    np.testing.assert_array_equal(found, order)
    if k:
        total, least = (arrays.to_numpy(y) for y in arrays.extremes(arrays.asarray(x), k))
        np.testing.assert_allclose(total, np.take_along_axis(x, order, -1).sum(axis=-1), rtol=1e-6)
        np.testing.assert_array_equal(least, x.min(axis=-1))


def test_the_largest_of_close_numbers(arrays: Any) -> None:
    """Neighbouring float32 numbers are told apart, at every magnitude and sign."""
    for scale in (1e-30, 1.0, 1e30):
        for sign in (1.0, -1.0):
            x = np.array([sign * scale], np.float32)
            pair = np.array([x[0], np.nextafter(x[0], np.float32(np.inf))], np.float32)
            assert arrays.to_numpy(arrays.top_k(arrays.asarray(pair[None]), 2)).tolist() == [[1, 0]]


def test_gathering_and_scattering(arrays: Any) -> None:
    """Flat indices read and write the entry, or the row, that they name; counts add up."""
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    flat = np.array([[5, 0], [23, 5]])
    np.testing.assert_array_equal(arrays.to_numpy(arrays.take(arrays.asarray(x), arrays.asarray(flat))), flat)
    rows = arrays.to_numpy(arrays.take_rows(arrays.asarray(x), arrays.asarray(flat % 6)))
    np.testing.assert_array_equal(rows, x.reshape(6, 4)[flat % 6])
    written = arrays.asarray(x.copy())
    arrays.put(written, arrays.asarray(np.array([1, 22])), arrays.asarray(np.array([-1, -2], np.float32)))
    arrays.put_rows(written, arrays.asarray(np.array([3])), arrays.asarray(np.full((1, 4), 9, np.float32)))
    expected = x.copy()
    expected[0, 0, 1], expected[1, 2, 2], expected[1, 0] = -1, -2, 9
    np.testing.assert_array_equal(arrays.to_numpy(written), expected)
    weights = arrays.asarray(np.array([[1, 0.5], [2, 4]], np.float32))
    counted = arrays.to_numpy(arrays.count(arrays.asarray(np.array([[0, 2], [2, 4]])), weights, 6))
    np.testing.assert_array_equal(counted, [1, 0, 2.5, 0, 4, 0])
    assert counted.dtype == np.float32


def test_dot_products_and_directions(arrays: Any) -> None:
    """vecdot broadcasts; a zero vector has no direction and stays zero."""
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    y = x[:, :1]
    found = arrays.to_numpy(arrays.vecdot(arrays.asarray(x), arrays.asarray(y)))
    np.testing.assert_allclose(found, (x * y).sum(axis=-1), atol=1e-5)
    x[0, 0] = 0.0
    unit = arrays.to_numpy(normalise(arrays, arrays.asarray(x)))
    np.testing.assert_array_equal(unit[0, 0], np.zeros(5))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=-1).reshape(-1)[1:], 1.0, atol=1e-6)


def test_draws_are_what_they_say(arrays: Any) -> None:
    """float32 normals and uniforms, integers below their bound: first two moments within 4 standard errors."""
    draws, n = arrays.draws(0), 40_000
    normal, uniform, whole = (
        arrays.to_numpy(drawn) for drawn in (draws.normal(n), draws.uniform(n), draws.integers(6, n))
    )
    assert normal.dtype == uniform.dtype == np.float32
    assert abs(normal.mean()) < 4 / np.sqrt(n)
    assert abs((normal**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
    assert whole.dtype == np.int64
    assert np.abs(np.bincount(whole, minlength=6) - n / 6).max() < 4 * np.sqrt(n * 5 / 36)
    assert len(np.bincount(whole)) == 6


def test_a_stream_is_fixed_by_its_seed_and_continues_from_its_state(arrays: Any) -> None:
    """Seed 0 is a seed; None is fresh entropy; a restored stream draws the same numbers."""
    def first(seed: int | None) -> Any:
        return arrays.to_numpy(arrays.draws(seed).normal(8))

    np.testing.assert_array_equal(first(0), first(0))
    assert not np.array_equal(first(0), first(1))
    assert not np.array_equal(first(None), first(None))
    draws = arrays.draws(5)
    draws.normal(3)
    state = draws.get_state()
    expected = arrays.to_numpy(draws.uniform(9))
    draws.normal(100)
    draws.set_state(state)
    np.testing.assert_array_equal(arrays.to_numpy(draws.uniform(9)), expected)
