"""From what a goal buddy does to the steering it publishes with, for every action kind.

Targets (demand, nearest fact, supply) are expressed in the buddy's own steering coordinates: the s that would
move its anchor onto the target within its A directions, s = W^T (target - a) / kappa, shrunk to the box
[-1, 1]^A where it does not fit, direction kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ammo_env.arrays import Array, FloatArray

NUM_GAINS = 3  # towards demand, towards the nearest fact, keep the last
HOLD, PUBLISH, TO_DEMAND, TO_FACT, FIRST_AXIS_MOVE = range(5)


def num_nudges(steering_dim: int) -> int:
    """hold, publish as it is, towards demand, towards the fact, one step along + and - each axis."""
    return FIRST_AXIS_MOVE + 2 * steering_dim


def to_steering(arrays: Any, target: Array, anchored: Array, scale: float) -> Array:
    """Projected targets W^T t [E, G, A] and anchors W^T a [E, G, A] -> steering in [-1, 1]^A."""
    xp = arrays.xp
    s = (target - anchored) * (1.0 / scale if scale > 0 else 1.0)
    return s / xp.maximum(arrays.max(xp.abs(s)), 1.0)


def from_gains(arrays: Any, gains: Array, demand: Array, fact: Array, last: Array) -> tuple[Array, Array]:
    """Gains [E, G, 4] (to demand, to fact, keep last, publish) -> steering [E, G, A], willing [E, G]."""
    steering = gains[..., 0:1] * demand + gains[..., 1:2] * fact + gains[..., 2:3] * last
    return steering.clip(-1.0, 1.0), gains[..., NUM_GAINS] > 0


def from_steer(arrays: Any, actions: Array) -> tuple[Array, Array]:
    """Raw steering [E, G, A + 1] (last entry: publish if > 0) -> steering, willing."""
    return actions[..., :-1].clip(-1.0, 1.0), actions[..., -1] > 0


def from_nudges(
    arrays: Any, moves: Array, demand: Array, fact: Array, last: Array, step: float
) -> tuple[Array, Array]:
    """Moves [E, G] -> last + step * direction [E, G, A], willing [E, G]; directions are at most unit long.

    A step towards a target never overshoots one that is nearer than a step of length 1.
    """
    xp = arrays.xp
    target = xp.where((moves == TO_FACT)[..., None], fact, last)
    pull = xp.where((moves == TO_DEMAND)[..., None], demand, target) - last
    length = xp.sqrt(arrays.vecdot(pull, pull))[..., None]
    along = arrays.take_rows(arrays.constant[_axis_steps, last.shape[-1]], moves)
    direction = along + pull / xp.maximum(length, 1.0)
    return (last + step * direction).clip(-1.0, 1.0), moves != HOLD


def _axis_steps(axes: int) -> FloatArray:
    """[moves, A]: the unit step of every move, 0 where it is not along an axis."""
    steps = np.zeros((num_nudges(axes), axes), dtype=np.float32)
    steps[FIRST_AXIS_MOVE::2], steps[FIRST_AXIS_MOVE + 1 :: 2] = np.eye(axes), -np.eye(axes)
    return steps
