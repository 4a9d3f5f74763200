"""Who sits where: the members of a population and the scripted policies are dealt to the seats of every world.

A *seat* is one buddy's place in one world for one episode. Within a world the dealt shares are exact and only the
places are random, so every world has the same mix of players and no member's fitness hangs on its luck with seats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def assign_seats(
    rng: np.random.Generator,
    num_worlds: int,
    num_seats: int,
    members: int,
    scripts: int = 0,
    share: float = 0.0,
    weights: NDArray[np.float64] | None = None,
    first_row: int = 0,
) -> IntArray:
    """Deal the seats of one side in every world.

    Args:
        rng: the source of the dealing.
        num_worlds: E.
        num_seats: N, seats of this side in one world.
        members: number of members, indices 0..members-1.
        scripts: number of scripted policies; script j is written as −1 − j.
        share: share of the N seats of a world that is scripted, rounded to seats; 0 without scripts, 1 without members.
        weights: [R, P] by which the learned seats are dealt to P players (members first, then frozen ones), world e by
            row (first_row + e) mod R; None deals them equally to the members.
        first_row: the row of the first world.

    Returns:
        [E, N] seat holders. Within a side, members (and scripts) are dealt equally often, the remainder rotating
        from world to world; with weights as often as these say, to within one seat per world and per row, and
        exactly so on average over dealings.

    Raises:
        ValueError: nobody to deal, or weights that are no shares.
    """
    if members + scripts == 0:
        raise ValueError("no member and no scripted policy: there is nobody to fill the seats with")
    num_scripted = num_seats if members == 0 else (round(share * num_seats) if scripts else 0)
    first, learned = np.arange(num_worlds)[:, None], num_seats - num_scripted
    if weights is None:
        start = rng.integers(members) if members > 1 else 0  # else the same few would always get the remainder
        players = (start + first * learned + np.arange(learned)) % max(members, 1)
    else:
        players = _systematic(rng, weights, num_worlds, learned, first_row)
    scripted = -1 - (first * num_scripted + np.arange(num_scripted)) % max(scripts, 1)
    return rng.permuted(np.concatenate([scripted, players], axis=1), axis=1)


def _systematic(
    rng: np.random.Generator, weights: NDArray[np.float64], num_worlds: int, seats: int, first_row: int
) -> IntArray:
    """[E, seats] players: the worlds of a row share an even grid over the cumulated weights, each a comb of it.

    Where the grid of a row begins is random, so that a player with less than a seat is seated as often as it should.
    """
    total = weights.sum(axis=1, keepdims=True)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (total > 0).all()):
        raise ValueError("weights of players must be finite and not negative, with a positive one in every row")
    rows, world = len(weights), np.arange(num_worlds)
    row, order = (first_row + world) % rows, world // rows
    worlds_of_row = np.bincount(row, minlength=rows)[row]
    begin = (order + rng.random(rows)[row]) / worlds_of_row
    points = (np.arange(seats) + begin[:, None]) / max(seats, 1)
    cumulated = np.cumsum(weights / total, axis=1)
    found: IntArray = (points[:, :, None] >= cumulated[row][:, None, :-1]).sum(axis=-1)
    return found


_PREFIXES = {"user_buddy": "user", "goal_buddy": "goal"}


def member_id(side: str, index: int) -> str:
    """The stable name of a member's slot, legal as an RLlib module id: "user_0", "goal_1", ..."""
    if side not in _PREFIXES:
        raise ValueError(f"unknown side '{side}'; the sides are {', '.join(_PREFIXES)}")
    return f"{_PREFIXES[side]}_{index}"
