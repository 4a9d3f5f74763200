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
    event: Array | None  # [E, G, A] the event that runs in its subspace; None where events are off
    event_strength: Array | None  # [E, G] its strength, 0 without one


def look_around(arrays: Any, seats: Seats, state: State, anchored: Array, config: AmmoConfig) -> GoalView:
    """`anchored` [E, G, A] is W^T a of every seat."""
    market, (envs, goals, axes) = config.observations.goal_view == "market", anchored.shape
    liked = state.memory.liked
    seen = [normalise(arrays, seats.by_subspace(liked) if market else liked)]
    if market:
        rivals = seats.mean_of_rivals(state.corpus.vectors)
        seen = [seats.of_subspace(seen[0]), rivals]
    running = state.running_events
    if running is not None:
        running = seats.of_subspace(seats.by_subspace(running))
        seen.append(normalise(arrays, running))
    demand = seen[0]
    targets = arrays.empty(1 + len(seen), envs, goals, axes)
    together = arrays.xp.concat(seen) if len(seen) > 1 else demand
    targets[1:] = seats.project(together).reshape(-1, envs, goals, axes)
    targets[0] = seats.fact_coords(state.corpus.nearest_fact, state.added_facts)
    fact, towards, *others = to_steering(arrays, targets, anchored, config.goal_buddies.steering_scale)
    towards = towards * (arrays.vecdot(demand, demand)[..., None] > 0)  # nothing liked yet: no direction
    view = GoalView(towards, fact, None, arrays.vecdot(state.anchors, demand), None, None, None)
    if market:
        view.supply, view.rivalry = others[0], arrays.vecdot(normalise(arrays, rivals), demand)
    if running is not None:
        view.event_strength = arrays.xp.sqrt(arrays.vecdot(running, running))
        view.event = others[-1] * (view.event_strength[..., None] > 0)
    return view
