"""Forces: what moves hidden preferences from round to round, one object per cause, each off unless configured.

A world applies its forces one after the other, in the order of `ORDER`: what happens to each human alone, then what
they have just seen, then what others say, then what turns a whole group. A force is pure: it reads the state and
returns the preferences it makes of them, with the arrays of its own that it wants to see again next round; only
`World.step` writes either into the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ammo_env import humans
from ammo_env.arrays import Array
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace
from ammo_env.state import State

Own = dict[str, Array]  # what one feature keeps from round to round: name -> array [E, ...]


class Force(Protocol):
    """One cause of change, for all humans of all worlds at once."""

    def begin(self, draws: Any, q: Array) -> Own:
        """Its own arrays at the start of an episode in which the humans prefer q [E, U, D]; {} if it needs none."""
        ...

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        """(q' [E, U, D] unit, own') after a round in which the humans were shown `seen`."""
        ...


ForceFactory = Callable[[Any, AmmoConfig, MetaSpace], Force | None]
FORCES: dict[str, ForceFactory] = {}
ORDER = ("drift", "events", "mere_exposure", "degroot", "friedkin_johnsen", "bounded_confidence", "norm_shift")


def force(name: str) -> Callable[[ForceFactory], ForceFactory]:
    """Register a force, built as `factory(arrays, config, space)`; None where the configuration leaves it off."""

    def register(factory: ForceFactory) -> ForceFactory:
        FORCES[name] = factory
        return factory

    return register


def make_forces(arrays: Any, config: AmmoConfig, space: MetaSpace) -> dict[str, Force]:
    """The forces that are on, by name, in the order in which they act: one that `ORDER` does not name comes last."""
    order = [name for name in ORDER if name in FORCES] + [name for name in FORCES if name not in ORDER]
    made = {name: FORCES[name](arrays, config, space) for name in order}
    return {name: one for name, one in made.items() if one is not None}


class Drift:
    """Taste wanders on its own: `humans.drift`."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace) -> None:
        self._arrays, self._setting = arrays, config.humans
        self._mean, variance = map(arrays.asarray, (space.mean, space.variance))
        self._deviation = arrays.xp.sqrt(variance)

    def begin(self, draws: Any, q: Array) -> Own:
        return {}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        rho, mode = self._setting.drift_rho, self._setting.drift_mode
        return humans.drift(self._arrays, draws, state.q, rho, mode, self._mean, self._deviation), own


@force("drift")
def _drift(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Drift | None:
    return None if config.humans.drift_rho == 1.0 else Drift(arrays, config, space)
