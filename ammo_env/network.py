"""The network among the humans of a world: who listens to whom, made at reset and kept for the episode.

Neighbours are an index [E, U, N] with its validity; the influence matrix W [E, U, U] has rows that sum to 1, or to 0
for a human without neighbours: W_uv is the weight that u gives to v, alike for all neighbours unless a matrix is
given. Networks register themselves under the name that `social.network` uses:

    similar   the N humans with the most similar hidden preferences (homophily)
    random    N others, drawn
    ring      the nearest N on a circle, left and right in turn
    data      friends in the knowledge source's own graph; N of them, drawn, where there are more
    given     the matrix of the configuration (closed forms, a network of one's own)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env.arrays import Array, FloatArray, identity, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace

Own = dict[str, Array]


@dataclass(frozen=True)
class Company:
    """Those among whom a network is made."""

    arrays: Any
    draws: Any
    q: Array  # [E, U, D] hidden preferences
    human: Array  # [E, U] rows of the pool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(E, U, U)."""
        envs, people = self.human.shape
        return envs, people, people


# How near others are [E, U, U], the largest first: 0 or less is no neighbour.
Nearness = Callable[[Company], Array]
NetworkFactory = Callable[[Any, AmmoConfig, MetaSpace], Nearness]
NETWORKS: dict[str, NetworkFactory] = {}


def network(name: str) -> Callable[[NetworkFactory], NetworkFactory]:
    """Register a network, built as `factory(arrays, config, space)` into a function that says who is near."""

    def register(factory: NetworkFactory) -> NetworkFactory:
        NETWORKS[name] = factory
        return factory

    return register


class Network:
    """Connects the humans of every world: `begin` gives the arrays that `State.own["network"]` keeps.

    neighbours [E, U, N] index 0..U-1, valid [E, U, N] bool (an invalid neighbour is some other human and counts for
    nothing), weights [E, U, U] the influence matrix W, friends [E, U, U] the same without a human's own weight.
    """

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace) -> None:
        social, people = config.social, config.humans.num_humans
        self._arrays = arrays
        self._near = NETWORKS[social.network](arrays, config, space)
        given = social.matrix is not None
        self._count = people - 1 if given else min(social.num_neighbours, people - 1)
        self._matrix = arrays.asarray(social.matrix, arrays.float32) if given else None

    def begin(self, draws: Any, q: Array, human: Array) -> Own:
        """The network of an episode among humans that prefer q [E, U, D] and are rows `human` [E, U] of the pool."""
        arrays, company = self._arrays, Company(self._arrays, draws, q, human)
        near = self._near(company) - 1e9 * arrays.constant[identity, human.shape[-1]]
        neighbours = arrays.top_k(near, self._count)
        cell = neighbours + arrays.constant[row_starts, company.shape]
        valid = arrays.take(near, cell) > 0
        friends = arrays.zeros(*company.shape)
        arrays.put(friends, cell.reshape(-1), arrays.as_float(valid).reshape(-1))
        if self._matrix is not None:
            friends = friends * self._matrix
        friends = row_shares(arrays, friends)
        weights = friends if self._matrix is None else arrays.zeros(*company.shape) + self._matrix
        return {"neighbours": neighbours, "valid": valid, "weights": weights, "friends": friends}


def make_network(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Network | None:
    """The network of a world, None where there is none. Raises `ConfigError` for an unknown one."""
    name = config.social.network
    if not config.social.connected:
        return None
    if name not in NETWORKS:
        raise ConfigError(f"social.network '{name}' is not known; there are: none, {', '.join(sorted(NETWORKS))}")
    return Network(arrays, config, space)


def row_shares(arrays: Any, weights: Array) -> Array:
    """Rows of weights [..., U, U] >= 0 divided by their sums; a row of zeros stays."""
    total = weights.sum(axis=-1)[..., None]
    return weights / arrays.xp.where(total > 0, total, arrays.xp.ones_like(total))


@network("similar")
def _similar(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Nearness:
    return lambda company: arrays.xp.matmul(company.q, company.q.mT) + 2.0


@network("random")
def _random(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Nearness:
    return lambda company: company.draws.uniform(*company.shape) + 1.0


@network("ring")
def _ring(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Nearness:
    return lambda company: arrays.zeros(*company.shape) + arrays.constant[_along_a_ring, company.shape[-1]]


def _along_a_ring(people: int) -> FloatArray:
    """[U, U]: 1 / distance on the circle, a little more to the right."""
    ahead = (np.arange(people) - np.arange(people)[:, None]) % people
    return np.asarray(1.0 / (np.minimum(ahead, people - ahead) + 0.5 * (ahead > people / 2) + 1e-9), dtype=np.float32)


@network("given")
def _given(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Nearness:
    matrix = arrays.asarray(config.social.matrix, arrays.float32)
    return lambda company: arrays.zeros(*company.shape) + matrix


@network("data")
def _data(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Nearness:
    if space.friends is None:
        raise ConfigError(
            f"social.network 'data' needs a knowledge source with friendships, and '{config.knowledge.source}' has "
            "none: choose similar, random or ring, or a source such as lastfm"
        )
    table = arrays.asarray(space.friends)

    def near(company: Company) -> Array:
        known = befriended(arrays, table, company.human)
        return known * (company.draws.uniform(*company.shape) + 1.0)

    return near


def befriended(arrays: Any, table: Array, human: Array) -> Array:
    """[E, U, U] 1 where one of two humans [E, U] is in the other's row of friends (table [P, N], -1 where there are
    fewer), else 0."""
    friends = arrays.take_rows(table, human)  # [E, U, N]
    known = (friends[:, :, None, :] == human[:, None, :, None]).any(axis=-1)
    return arrays.as_float(known | known.mT)
