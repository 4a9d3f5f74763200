"""Faults of the humans themselves: what makes an opinion depart from the truth in a way that noise does not.

An opinion starts as e.q + bait * grounding_error. The faults that are on change it one after the other, in the order of
`FAULTS`; the noise of the answer comes on top:

    human    opinion <- exp(human_scale * z) * opinion + human_bias * y,   y, z ~ N(0, 1) per human: some are harsh
    creator  opinion <- opinion + creator_bias * x,                        x ~ N(0, 1) per goal buddy: fame
    mood     opinion <- U(-1, 1) with probability inconsistency, anew for every item and round

y, z and x are drawn at reset and hidden. No belief knows of any fault here, as none knows of bait. A fault's parameters
may differ by subspace: whoever is harsh is so everywhere, in each subspace as much as its AiPP lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array, row_starts
from ammo_env.succession import forgets

Own = dict[str, Array]  # what the faults keep for an episode: name -> array [E, ...]
Table = float | Array


class Fault(Protocol):
    """One way to be wrong, for all humans of all worlds at once."""

    keeps: tuple[str, ...]  # names of what `begin` draws

    def begin(self, draws: Any, envs: int, humans: int, goals: int) -> Own:
        """What is drawn for an episode; {} if nothing is."""
        ...

    def distort(self, draws: Any, opinion: Array, subspace: Array, creator: Array, own: Own) -> Array:
        """Opinions [E, U, S] of items of a subspace by a creator (goal seat), each [E, U, S] -> opinions."""
        ...


FaultFactory = Callable[[Any, Sequence[AippFaults]], Fault | None]
FAULTS: dict[str, FaultFactory] = {}


def fault(name: str) -> Callable[[FaultFactory], FaultFactory]:
    """Register a fault, built as `factory(arrays, settings by subspace)`; None where it is off in all of them."""

    def register(factory: FaultFactory) -> FaultFactory:
        FAULTS[name] = factory
        return factory

    return register


def make_faults(arrays: Any, settings: Sequence[AippFaults]) -> list[Fault]:
    """The faults that are on somewhere, in the order in which they act."""
    made = [factory(arrays, settings) for factory in FAULTS.values()]
    return [one for one in made if one is not None]


def by_subspace(arrays: Any, values: Sequence[float]) -> Table:
    """A parameter by subspace [M]; a plain number where all subspaces agree, so that no look-up is paid."""
    return values[0] if len(set(values)) == 1 else arrays.asarray(values, arrays.float32)


def look_up(arrays: Any, table: Table, subspace: Array) -> Table:
    """The entries of a `by_subspace` table for items of these subspaces."""
    return table if isinstance(table, float) else arrays.take(table, subspace)


class HumanBias:
    """Some humans are harsh and some kind (an offset), some exaggerate and some shrug (a scale)."""

    keeps: tuple[str, ...] = ("kindness", "vigour")

    def __init__(self, arrays: Any, settings: Sequence[AippFaults]) -> None:
        self._arrays = arrays
        self._offset = by_subspace(arrays, [s.human_bias for s in settings])
        self._scale = by_subspace(arrays, [s.human_scale for s in settings])

    def begin(self, draws: Any, envs: int, humans: int, goals: int) -> Own:
        return {"kindness": draws.normal(envs, humans, 1), "vigour": draws.normal(envs, humans, 1)}

    def distort(self, draws: Any, opinion: Array, subspace: Array, creator: Array, own: Own) -> Array:
        offset, scale = (look_up(self._arrays, table, subspace) for table in (self._offset, self._scale))
        return self._arrays.xp.exp(scale * own["vigour"]) * opinion + offset * own["kindness"]


@fault("human")
def _human(arrays: Any, settings: Sequence[AippFaults]) -> HumanBias | None:
    return HumanBias(arrays, settings) if any(s.human_bias or s.human_scale for s in settings) else None


class Fame:
    """What some creators make is liked for who made it, as long as they hold their seats."""

    keeps: tuple[str, ...] = ("fame",)

    def __init__(self, arrays: Any, settings: Sequence[AippFaults]) -> None:
        self._arrays, self._spread = arrays, by_subspace(arrays, [s.creator_bias for s in settings])

    def begin(self, draws: Any, envs: int, humans: int, goals: int) -> Own:
        return {"fame": draws.normal(envs, goals)}

    def distort(self, draws: Any, opinion: Array, subspace: Array, creator: Array, own: Own) -> Array:
        fame = own["fame"]
        rows = self._arrays.constant[row_starts, tuple(fame.shape)][..., None]  # [E, 1, 1]
        return opinion + look_up(self._arrays, self._spread, subspace) * self._arrays.take(fame, creator + rows)


@forgets("aipp")
def _new_fame(arrays: Any, draws: Any, own: Own, retired: Array) -> Own:
    """A newborn has a fame of its own."""
    if "fame" not in own:
        return own
    return own | {"fame": arrays.xp.where(retired, draws.normal(*retired.shape), own["fame"])}


@fault("creator")
def _fame(arrays: Any, settings: Sequence[AippFaults]) -> Fame | None:
    return Fame(arrays, settings) if any(s.creator_bias for s in settings) else None


class Mood:
    """Inconsistency: asked again, the same human may say something else that has nothing to do with the item."""

    keeps: tuple[str, ...] = ()

    def __init__(self, arrays: Any, settings: Sequence[AippFaults]) -> None:
        self._arrays, self._share = arrays, by_subspace(arrays, [s.inconsistency for s in settings])

    def begin(self, draws: Any, envs: int, humans: int, goals: int) -> Own:
        return {}

    def distort(self, draws: Any, opinion: Array, subspace: Array, creator: Array, own: Own) -> Array:
        moody = draws.uniform(*opinion.shape) < look_up(self._arrays, self._share, subspace)
        return self._arrays.xp.where(moody, 2.0 * draws.uniform(*opinion.shape) - 1.0, opinion)


@fault("mood")
def _mood(arrays: Any, settings: Sequence[AippFaults]) -> Mood | None:
    return Mood(arrays, settings) if any(s.inconsistency for s in settings) else None
