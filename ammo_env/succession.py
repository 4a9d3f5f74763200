"""Succession: what features forget of a seat when another goal buddy is born into it.

A feature whose own arrays know goal buddies or their creations apart registers how they change, under the name by which
`State.own` keeps them; `Life` applies it. With every feature that registers nothing, a newborn inherits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ammo_env.arrays import Array

Own = dict[str, Array]
Forget = Callable[[Any, Any, Own, Array], Own]  # (arrays, draws, own, retired [E, G] bool) -> own
FORGETTERS: dict[str, Forget] = {}


def forgets(name: str) -> Callable[[Forget], Forget]:
    """Register what the feature `name` forgets of the seats `retired`; it is asked only when somebody retires."""

    def register(forget: Forget) -> Forget:
        FORGETTERS[name] = forget
        return forget

    return register


def forget_seats(arrays: Any, draws: Any, own: dict[str, Own], retired: Array) -> dict[str, Own]:
    """The arrays of all features, by feature and name, once others hold the seats `retired` [E, G]."""
    return {
        name: FORGETTERS[name](arrays, draws, kept, retired) if name in FORGETTERS else kept
        for name, kept in own.items()
    }


def staying_places(arrays: Any, retired: Array, places: int) -> Array:
    """[E, C] float: 0 on the shelves of the seats `retired` [E, G] with L = `places`, 1 on the others."""
    stays = arrays.as_float(~retired)
    return (stays[..., None] + arrays.zeros(places)).reshape(len(retired), -1)
