"""Gymnasium spaces of one agent of a side, from the configuration; made once, then shared."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from ammo_env.config import AmmoConfig
from ammo_env.observations import Layout
from ammo_env.steering import NUM_GAINS, num_nudges


def observation_space(layout: Layout) -> spaces.Box:
    """A flat unbounded float32 box by the layout."""
    return spaces.Box(-np.inf, np.inf, (layout.size,), np.float32)


def action_space(config: AmmoConfig, side: str) -> spaces.Space[Any]:
    """slate: MultiDiscrete([K] * S), Discrete(K) when S = 1; nudge: Discrete; scores, gains, steer: Box.

    A user buddy that travels has one entry more for its destination, one of P; in scores P more, the largest of which
    is the destination.
    """
    shown, slots = config.attention.num_candidates, config.attention.num_slots
    if side == "user_buddy":
        places = config.num_destinations
        if config.actions.user_mode == "scores":
            return spaces.Box(-1.0, 1.0, (shown + places,), np.float32)
        if places:
            return spaces.MultiDiscrete([shown] * slots + [places])
        return spaces.Discrete(shown) if slots == 1 else spaces.MultiDiscrete([shown] * slots)
    axes = config.goal_buddies.steering_dim
    if config.actions.goal_mode == "nudge":
        return spaces.Discrete(num_nudges(axes))
    return spaces.Box(
        -1.0, 1.0, (NUM_GAINS + 1 if config.actions.goal_mode == "gains" else axes + 1,), np.float32
    )
