"""Graphs of friends: components, a split that keeps friends together, short lists; and clusters of one size."""

from __future__ import annotations

import numpy as np
import pytest

from ammo_env.datasets.clusters import balanced_clusters
from ammo_env.datasets.friendship import friend_lists, largest_component, split_neighbourhoods


def both_ways(pairs: list[tuple[int, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array([*pairs, *((b, a) for a, b in pairs)], dtype=np.int64)


def test_the_largest_component() -> None:
    """Two components of 3 and 2 people and somebody alone."""
    links = both_ways([(0, 3), (3, 5), (1, 4)])
    assert largest_component(links, 6).tolist() == [True, False, False, True, False, True]


def test_a_neighbourhood_stays_together() -> None:
    """Four cliques of five, joined in a ring by one link each: one region of five people is one whole clique."""
    cliques = [(5 * c + a, 5 * c + b) for c in range(4) for a in range(5) for b in range(a)]
    links = both_ways([*cliques, *((5 * c, (5 * c + 6) % 20) for c in range(4))])
    for seed in range(20):
        heldout = split_neighbourhoods(links, 20, 5, 1, np.random.default_rng(seed))
        assert len(set(np.flatnonzero(heldout) // 5)) == 1
        two = split_neighbourhoods(links, 20, 10, 2, np.random.default_rng(seed))
        assert two.sum() == 10
    once, again = (split_neighbourhoods(links, 20, 7, 2, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_neighbourhood_that_runs_out_goes_on_elsewhere() -> None:
    """Pairs of friends: seven people are three pairs and one half of a fourth, however many regions are asked for."""
    links = both_ways([(2 * p, 2 * p + 1) for p in range(10)])
    for regions in (1, 3, 50):
        assert split_neighbourhoods(links, 20, 7, regions, np.random.default_rng(0)).sum() == 7


def test_lists_hold_friends_of_the_pool_alone() -> None:
    """Rows of the pool, first the friends, then -1; who has too many gets a random choice, and loses nobody's list."""
    star = both_ways([(0, other) for other in range(1, 8)])  # 0 knows all, the others know 0
    pool = np.array([0, 2, 3, 5, 7])
    lists = friend_lists(star, pool, 3, np.random.default_rng(0))
    assert lists.shape == (5, 3)
    assert len(set(lists[0]) & {1, 2, 3, 4}) == 3
    np.testing.assert_array_equal(lists[1:], [[0, -1, -1]] * 4)
    choices = {tuple(sorted(friend_lists(star, pool, 3, np.random.default_rng(s))[0])) for s in range(40)}
    assert len(choices) == 4  # every one of the four ways to leave one out


def test_lists_of_people_without_friends() -> None:
    lists = friend_lists(both_ways([(0, 1)]), np.array([1, 2]), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(lists, [[-1], [-1]])


def test_clusters_are_even_and_find_what_is_there() -> None:
    """Three bundles of directions of ten each; then eleven items in three clusters: 4, 4 and 3."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 8), 10, axis=0) + 0.1 * rng.standard_normal((30, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    for seed in range(5):
        cluster = balanced_clusters(vectors, 3, np.random.default_rng(seed))
        assert [len(set(cluster[10 * m : 10 * m + 10])) for m in range(3)] == [1, 1, 1]
        assert len(set(cluster)) == 3
    assert sorted(np.bincount(balanced_clusters(vectors[:11], 3, rng)).tolist()) == [3, 4, 4]


def test_clusters_of_equal_items_and_of_too_few() -> None:
    same = np.tile(np.eye(1, 4, dtype=np.float32), (6, 1))
    assert np.bincount(balanced_clusters(same, 3, np.random.default_rng(0))).tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="7 clusters cannot be made of 6 items"):
        balanced_clusters(same, 7, np.random.default_rng(0))
