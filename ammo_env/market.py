"""What lies around a goal buddy: demand, supply and the nearest fact, seen from its own seat.

Demand is the direction of what was liked lately in the buddy's subspace, or, in the own-feedback view, of its own
creations; supply is the mean of its rivals' creations there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ammo_env.arrays import Array, normalise
from ammo_env.config import AmmoConfig
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.steering import to_steering


@dataclass
class GoalView:
    """The surroundings of each goal buddy; vectors in its steering coordinates."""

    demand: Array  # [E, G, A]
    fact: Array  # [E, G, A] nearest to its last publication
    supply: Array | None  # [E, G, A] mean of the rivals' creations in its subspace; None without a market view
    demand_near: Array  # [E, G] cosine of anchor and demand; 0 while nothing was liked
    rivalry: Array | None  # [E, G] cosine of demand and supply


def look_around(arrays: Any, seats: Seats, state: State, anchored: Array, config: AmmoConfig) -> GoalView:
    """`anchored` [E, G, A] is W^T a of every seat."""
    market, (envs, goals, axes) = config.observations.goal_view == "market", anchored.shape
    seen = normalise(arrays, state.memory.liked)
    if market:
        rivals = seats.mean_of_rivals(state.corpus.vectors)
        seen = arrays.xp.concat([seats.of_subspace(seen), rivals])
    demand = seen[:envs]
    targets = arrays.empty(3 if market else 2, envs, goals, axes)
    targets[1:] = seats.project(seen).reshape(-1, envs, goals, axes)
    targets[0] = seats.fact_coords(state.corpus.nearest_fact)
    fact, towards, *supply = to_steering(arrays, targets, anchored, config.goal_buddies.steering_scale)
    towards = towards * (arrays.vecdot(demand, demand)[..., None] > 0)  # nothing liked yet: no direction
    near = arrays.vecdot(state.anchors, demand)
    if not market:
        return GoalView(towards, fact, None, near, None)
    return GoalView(towards, fact, supply[0], near, arrays.vecdot(normalise(arrays, rivals), demand))
