"""Who lives in a world: humans drawn from the pool on their own, as a circle of friends, or as they are listed.

Eight people drawn on their own from a thousand hardly ever know each other, so that a real friendship graph would have
nothing to carry. A circle grows from a random person: each next human is at the other end of a link, drawn uniformly
from all the links that lead out of the circle, so that whoever has several friends in it is the likelier to join.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ammo_env.arrays import Array, IntArray, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace


class Guests(Protocol):
    """How the humans of a world are chosen."""

    def draw(self, draws: Any, envs: int, humans: int) -> Array:
        """Rows of the pool [E, U]."""
        ...


def make_guests(arrays: Any, config: AmmoConfig, space: MetaSpace, remembered: IntArray) -> Guests:
    """As `humans.draw` says. Raises `ConfigError` for circles where nobody's friends are known.

    Training draws nobody on their own whom the belief remembers ([n] rows of the training people), as long as there
    are others: what is learned from people whom one knows by heart does not hold for strangers.
    """
    if config.humans.draw == "independent":
        known = remembered if config.humans.pool == "train" else remembered[:0]
        strangers = np.setdiff1d(np.arange(len(space.preferences)), known)
        return Independent(arrays, strangers if len(strangers) else np.arange(len(space.preferences)))
    if config.humans.draw == "listed":
        return Listed(arrays, len(space.preferences))
    if space.friends is None:
        raise ConfigError(
            f"humans.draw 'circles' needs a knowledge source with friendships, and '{config.knowledge.source}' has "
            "none: choose 'independent', or a source such as lastfm"
        )
    return Circles(arrays, space.friends)


class Independent:
    """Each human is drawn on their own, and the same person may live in a world twice."""

    def __init__(self, arrays: Any, rows: IntArray) -> None:
        """rows [n]: the rows of the pool that are drawn from."""
        self._arrays, self._rows = arrays, arrays.asarray(rows)

    def draw(self, draws: Any, envs: int, humans: int) -> Array:
        return self._arrays.take(self._rows, draws.integers(len(self._rows), envs, humans))


class Listed:
    """Human u is person u mod P of the pool, in every world: groups of exactly equal size, for games."""

    def __init__(self, arrays: Any, size: int) -> None:
        self._arrays, self._size = arrays, size

    def draw(self, draws: Any, envs: int, humans: int) -> Array:
        return self._arrays.asarray(np.tile(np.arange(humans) % self._size, (envs, 1)))


class Circles:
    """The humans of a world are connected by friendship and all different.

    Where no link leads out of a circle (a component smaller than U), the next human is anybody from the pool, and may
    be there already.
    """

    def __init__(self, arrays: Any, friends: Array) -> None:
        """friends [P, N]: rows of the pool, -1 where there are fewer."""
        self._arrays, self._friends = arrays, arrays.asarray(friends)

    def draw(self, draws: Any, envs: int, humans: int) -> Array:
        xp, anybody = self._arrays.xp, draws.integers(len(self._friends), envs, humans)
        chance = draws.uniform(envs, humans)
        circle = anybody[:, :1]
        links, open_ = self._links(circle)
        for place in range(1, humans):
            joins = _pick(self._arrays, links, open_, chance[:, place], anybody[:, place])
            circle = xp.concat([circle, joins], axis=1)
            more, more_open = self._links(circle)
            links = xp.concat([links, more], axis=1)
            open_ = xp.concat([open_ & (links[:, : open_.shape[1]] != joins), more_open], axis=1)
        return circle

    def _links(self, circle: Array) -> tuple[Array, Array]:
        """The friends [E, N] of whoever joined a circle [E, n] last, and which of them are outside."""
        friends = self._arrays.take_rows(self._friends, circle[:, -1])
        inside = (friends[:, :, None] == circle[:, None, :]).any(axis=-1)
        return friends, (friends >= 0) & ~inside


def _pick(arrays: Any, links: Array, open_: Array, chance: Array, anybody: Array) -> Array:
    """One of the open links of each row [E, n], by a number in [0, 1) [E]; `anybody` [E] where none is open: [E, 1]."""
    number = arrays.as_int(open_).cumsum(-1)  # the k-th open link has number k
    count = number[:, -1:]
    wanted = arrays.xp.minimum(arrays.as_int(chance[:, None] * count) + 1, count)  # a product may be rounded up
    place = arrays.as_int(number < wanted).sum(-1)[:, None]
    found = arrays.take(links, place + arrays.constant[row_starts, links.shape])
    return arrays.xp.where(count > 0, found, anybody[:, None])
