"""Circles of friends: connected, all different, taken over links alike; and drawing on one's own as it ever was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyDraws, get_arrays
from ammo_env.arrays_torch import TorchArrays
from ammo_env.circles import Circles
from ammo_env.config import AmmoConfig
from ammo_env.knowledge import SOURCES, Knowledge
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.world import World

Ints = NDArray[np.int64]


def ring(size: int) -> Ints:
    """Everybody knows both neighbours on a ring."""
    people = np.arange(size)
    return np.stack([(people - 1) % size, (people + 1) % size], axis=1)


def drawn(friends: Ints, envs: int, humans: int, seed: int = 0) -> Ints:
    found = Circles(get_arrays("numpy"), friends).draw(NumpyDraws(seed), envs, humans)
    return np.asarray(found)


def test_a_circle_on_a_ring_is_an_arc() -> None:
    """Five of twenty on a ring, a thousand times: distinct, and next to each other."""
    circles = drawn(ring(20), 1000, 5)
    for circle in circles:
        # Turned so that the first stands in the middle of the ring, an arc has no wrap and spans 5.
        turned = np.sort((circle - circle[0] + 10) % 20)
        np.testing.assert_array_equal(np.diff(turned), 1)
    counts = np.bincount(circles[:, 0], minlength=20)
    assert counts.min() > 50 - 4 * np.sqrt(50 * 0.95)


def test_links_are_taken_alike() -> None:
    """Two friends of 0 who know each other (1, 2) and one who knows 0 alone (3): from 0 each joins with chance 1/3.
    After 1, the open links are 0-2, 0-3 and 1-2: 2 joins with 2/3, 3 with 1/3."""
    friends = np.array([[1, 2, 3], [0, 2, -1], [0, 1, -1], [0, -1, -1]])
    circles = drawn(friends, 60_000, 3)
    second = circles[circles[:, 0] == 0]
    share = np.bincount(second[:, 1], minlength=4)[1:] / len(second)
    assert np.abs(share - 1 / 3).max() < 4 * np.sqrt(2 / 9 / len(second))
    third = second[second[:, 1] == 1][:, 2]
    assert abs(np.mean(third == 2) - 2 / 3) < 4 * np.sqrt(2 / 9 / len(third))
    assert set(third.tolist()) == {2, 3}


def test_everybody_of_a_component_comes_before_anybody_else() -> None:
    """Pairs and a hermit: the friend comes second, whoever; a hermit is followed by anybody."""
    friends = np.array([[1], [0], [3], [2], [-1]])
    circles = drawn(friends, 4000, 3)
    paired = circles[circles[:, 0] < 4]
    np.testing.assert_array_equal(paired[:, 1], paired[:, 0] ^ 1)
    after = np.bincount(paired[:, 2], minlength=5) / len(paired)
    assert np.abs(after - 0.2).max() < 4 * np.sqrt(0.16 / len(paired))
    assert len(set(circles[circles[:, 0] == 4][:, 1].tolist())) == 5


def test_a_whole_component_is_used_up_without_repeats() -> None:
    circles = drawn(ring(6), 200, 6)
    np.testing.assert_array_equal(np.sort(circles, axis=1), np.tile(np.arange(6), (200, 1)))


def test_one_way_lists_are_followed_one_way() -> None:
    """A cut list may name somebody who does not name one back."""
    friends = np.array([[1], [2], [1]])
    circles = drawn(friends, 500, 2)
    np.testing.assert_array_equal(circles[:, 1], friends[circles[:, 0], 0])


def test_both_backends_draw_the_same_circles() -> None:
    class Same:
        """The NumPy stream's numbers as tensors."""

        def __init__(self) -> None:
            self._draws = NumpyDraws(5)

        def uniform(self, *shape: int) -> object:
            return TorchArrays("cpu").asarray(self._draws.uniform(*shape))

        def integers(self, high: int, *shape: int) -> object:
            return TorchArrays("cpu").asarray(self._draws.integers(high, *shape))

    found = Circles(TorchArrays("cpu"), ring(50)).draw(Same(), 64, 7)
    np.testing.assert_array_equal(found.numpy(), drawn(ring(50), 64, 7, seed=5))


@pytest.fixture
def friendly(small_config: Callable[..., AmmoConfig], monkeypatch: pytest.MonkeyPatch) -> Knowledge:
    """The small world's pool on a ring, as a source of its own."""
    plain = load_knowledge(small_config().knowledge)
    social = replace(plain, friends=ring(64), heldout_friends=ring(16))
    monkeypatch.setitem(SOURCES, "friendly", lambda config: social)
    return social


@pytest.mark.usefixtures("friendly")
def test_a_world_of_circles(small_config: Callable[..., AmmoConfig]) -> None:
    """Humans are an arc of the ring of the pool in force; the same seed draws the same circle."""
    for pool, size in (("train", 64), ("heldout", 16)):
        config = small_config({"knowledge.source": "friendly", "humans.draw": "circles", "humans.pool": pool})
        world = World(config, 3)
        world.reset(seed=4)
        humans = np.asarray(world.state.human)
        for row in humans:
            np.testing.assert_array_equal(np.diff(np.sort((row - row[0] + size // 2) % size)), 1)
        np.testing.assert_array_equal(world.state.q, world.space.preferences[humans])
        world.reset(seed=4)
        np.testing.assert_array_equal(world.state.human, humans)


def test_circles_without_friendships_are_refused(small_config: Callable[..., AmmoConfig]) -> None:
    with pytest.raises(ConfigError, match=r"humans\.draw 'circles' .* 'synthetic' has none: choose 'independent'"):
        World(small_config({"humans.draw": "circles"}))
