"""Listeners: what else hears the answers of a round beside beliefs and memory, one object per use, off by default.

A listener is pure, as a force is: it reads the state and the answers that have arrived, and returns the arrays of its
own that it wants to see again; only `World.step` writes them into the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ammo_env.arrays import Array
from ammo_env.config import AmmoConfig
from ammo_env.memory import Impression
from ammo_env.seats import Seats
from ammo_env.state import State

Own = dict[str, Array]


@dataclass(frozen=True)
class Arrival:
    """Answers that arrive now."""

    sent: Impression
    arrived: Array  # [E, U, S] bool: which of its answers
    age: int  # rounds since the impression was made

    @property
    def credited(self) -> Array:
        """[E, U, S] bool: those of them whose creator still holds its seat."""
        return self.arrived if self.sent.credited is None else self.arrived & self.sent.credited


class Listener(Protocol):
    """One use of answers, for all humans of all worlds at once."""

    def begin(self, state: State) -> Own:
        """Its own arrays at the start of an episode."""
        ...

    def hear(self, state: State, own: Own, arrivals: list[Arrival]) -> Own:
        """Its own arrays after the answers that arrived in a round, which may be none."""
        ...


ListenerFactory = Callable[[Any, AmmoConfig, Seats], Listener | None]
LISTENERS: dict[str, ListenerFactory] = {}


def listener(name: str) -> Callable[[ListenerFactory], ListenerFactory]:
    """Register a listener, built as `factory(arrays, config, seats)`; None where the configuration leaves it off."""

    def register(factory: ListenerFactory) -> ListenerFactory:
        LISTENERS[name] = factory
        return factory

    return register


def make_listeners(arrays: Any, config: AmmoConfig, seats: Seats) -> dict[str, Listener]:
    """The listeners that are on, by name."""
    made = {name: factory(arrays, config, seats) for name, factory in LISTENERS.items()}
    return {name: one for name, one in made.items() if one is not None}
