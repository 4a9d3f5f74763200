"""Who sits where: the members of a population and the scripted policies are dealt to the seats of every world.

A *seat* is one buddy's place in one world for one episode. Within a world the dealt shares are exact and only the
places are random, so every world has the same mix of players and no member's fitness hangs on its luck with seats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def assign_seats(
    rng: np.random.Generator, num_worlds: int, num_seats: int, members: int, scripts: int = 0, share: float = 0.0
) -> IntArray:
    """Deal the seats of one side in every world.

    Args:
        rng: the source of the dealing.
        num_worlds: E.
        num_seats: N, seats of this side in one world.
        members: number of members, indices 0..members-1.
        scripts: number of scripted policies; script j is written as −1 − j.
        share: share of the N seats of a world that is scripted, rounded to seats; 0 without scripts, 1 without members.

    Returns:
        [E, N] seat holders. Within a side, members (and scripts) are dealt equally often, the remainder rotating
        from world to world.

    Raises:
        ValueError: nobody to deal.
    """
    if members + scripts == 0:
        raise ValueError("no member and no scripted policy: there is nobody to fill the seats with")
    num_scripted = num_seats if members == 0 else (round(share * num_seats) if scripts else 0)
    first = np.arange(num_worlds)[:, None]
    dealt = np.concatenate(
        [
            -1 - (first * num_scripted + np.arange(num_scripted)) % max(scripts, 1),
            (first * (num_seats - num_scripted) + np.arange(num_seats - num_scripted)) % max(members, 1),
        ],
        axis=1,
    )
    return rng.permuted(dealt, axis=1)


_PREFIXES = {"user_buddy": "user", "goal_buddy": "goal"}


def member_id(side: str, index: int) -> str:
    """The stable name of a member's slot, legal as an RLlib module id: "user_0", "goal_1", ..."""
    if side not in _PREFIXES:
        raise ValueError(f"unknown side '{side}'; the sides are {', '.join(_PREFIXES)}")
    return f"{_PREFIXES[side]}_{index}"
