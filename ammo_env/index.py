"""The index: how the candidates are found among all live creations.

`exact` scores every creation for every human. `subspaces` (`ammo_env.subspace_index`) scores those of a few subspaces
only. Both hand out the same shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ammo_env import attention
from ammo_env.arrays import Array, row_starts
from ammo_env.attention import Sought
from ammo_env.config import AmmoConfig
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.travel import Travel

RETRIEVAL_SIZE = 1 << 18  # scores that an exact scan looks at together: what fits into a core's cache

Found = tuple[Array, Array]  # candidates [E, U, K] and their belief scores q_hat . e


class Index(Protocol):
    """What retrieval asks."""

    def show(self, draws: Any, state: State, seats: Seats) -> Found:
        """The next candidates of everybody."""
        ...

    def wanted(self, state: State, seats: Seats) -> tuple[Array, int] | None:
        """What an exact scan goes by [E, U, C], and how many semantic candidates it takes; None where it is exact."""
        ...


INDEXES: dict[str, Callable[[Any, AmmoConfig, Travel | None], Index]] = {}


def index(name: str) -> Callable[[type[Any]], type[Any]]:
    """Register an index under the name that `attention.index` uses."""

    def add(made: type[Any]) -> type[Any]:
        INDEXES[name] = made
        return made

    return add


def make_index(arrays: Any, config: AmmoConfig, travel: Travel | None) -> Index:
    """The index that a configuration names."""
    return INDEXES[config.attention.index](arrays, config, travel)


@index("exact")
class Exact:
    """Every creation is scored for every human."""

    def __init__(self, arrays: Any, config: AmmoConfig, travel: Travel | None) -> None:
        self._arrays, self._config, self._travel, self._size = arrays, config.attention, travel, RETRIEVAL_SIZE

    def show(self, draws: Any, state: State, seats: Seats) -> Found:
        # For a few humans at a time where all of them would not fit into the cache.
        envs, live = state.corpus.born.shape
        return in_crowds(
            self._arrays, state, self._size // (envs * live), lambda people: self._crowd(draws, state, seats, people)
        )

    def wanted(self, state: State, seats: Seats) -> tuple[Array, int] | None:
        return None

    def _crowd(self, draws: Any, state: State, seats: Seats, people: slice) -> Found:
        arrays = self._arrays
        score, sought = seek(arrays, state, seats, people, self._travel)
        found = attention.retrieve(arrays, draws, sought, self._config)
        return found, arrays.take(score, found + arrays.constant[row_starts, score.shape])


def in_crowds(arrays: Any, state: State, size: int, retrieve: Callable[[slice], Found]) -> Found:
    """What `retrieve` finds for everybody, asked for `size` humans at a time."""
    people, crowd = state.q.shape[1], max(1, size)
    parts = [retrieve(slice(start, start + crowd)) for start in range(0, people, crowd)]
    if len(parts) == 1:
        return parts[0]
    found, score = (arrays.xp.concat(part, axis=1) for part in zip(*parts, strict=True))
    return found, score


def seek(
    arrays: Any, state: State, seats: Seats, people: slice, travel: Travel | None, score: Array | None = None
) -> tuple[Array, Sought]:
    """Belief scores [E, people, C] of all creations, unless given, and what retrieval goes by."""
    if score is None:
        score = arrays.xp.matmul(state.beliefs.mean[:, people], state.corpus.vectors.mT)
    endorsed, barred = (
        state.own[name][part][:, people] if name in state.own else None
        for name, part in (("endorsement", "endorsed"), ("pushback", "barred"))
    )
    narrowed = score
    if travel is not None:
        narrowed = travel.narrowed(score, state.own["travel"]["place"][:, people], seats)
    return score, Sought(narrowed, state.corpus.born, endorsed, barred)
