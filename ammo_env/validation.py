"""Actions, seeds and options as they come from outside, checked before they touch a world.

Discrete actions out of range are errors. Box actions must be finite; finite values outside the box are
clipped. An action that a mask forbids (publishing without energy) has no effect.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from ammo_env.arrays import Array
from ammo_env.settings import ConfigError

OPTION = "bait_guess"  # of a reset


def check_actions(
    arrays: Any, side: str, actions: Array, space: spaces.Space[Any], batch: tuple[int, int]
) -> Array:
    """Actions [E, N, ...] of a side as the backend's array, in range. Raises `ValueError` with the agent."""
    xp = arrays.xp
    try:
        values = arrays.asarray(actions)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"actions of side '{side}' are not an array of numbers: {error}") from None
    continuous, kind = isinstance(space, spaces.Box), arrays.kind(values)
    if kind not in ("if" if continuous else "i"):
        wanted = "numbers" if continuous else "integers"
        raise ValueError(f"actions of side '{side}' are {values.dtype}, expected {wanted} for {space}")
    expected = (*batch, *(space.shape or ()))
    if tuple(values.shape) != expected:
        raise ValueError(
            f"actions of side '{side}' have shape {tuple(values.shape)}, expected {expected} for {space}"
        )
    if isinstance(space, spaces.Box):
        if kind == "i":
            values = xp.astype(values, arrays.float32)
        finite = xp.isfinite(values)
        if not finite.all():
            _refuse(arrays, side, ~finite, values, "is not finite; a policy that returns NaN has diverged")
        values = values.clip(float(space.low.flat[0]), float(space.high.flat[0]))
        return xp.astype(values, arrays.float32, copy=False)
    if values.dtype != arrays.int64:
        values = xp.astype(values, arrays.int64)
    wrong = _out_of_range(arrays, values, space)
    if wrong is not None:
        why = f"is out of range: {space} holds 0..n-1 in every entry"
        if isinstance(space, spaces.Discrete) or len(set(space.nvec.flat)) == 1:  # type: ignore[attr-defined]
            why = f"is out of range 0..{_highest(space)}"
        _refuse(arrays, side, wrong, values, why)
    return values


def _highest(space: Any) -> int:
    return int(space.n if isinstance(space, spaces.Discrete) else space.nvec.max()) - 1


def _out_of_range(arrays: Any, values: Array, space: Any) -> Array | None:
    """Which entries a discrete space does not hold; None where it holds all."""
    if values.min() >= 0 and values.max() <= _highest(space):
        if isinstance(space, spaces.Discrete) or space.nvec.min() == space.nvec.max():
            return None
        wrong = values >= arrays.asarray(space.nvec)  # entries of different sizes, column by column
        return wrong if wrong.any() else None
    high = arrays.asarray(space.nvec) if isinstance(space, spaces.MultiDiscrete) else int(space.n)
    return (values < 0) | (values >= high)


def bait_guess_of(options: Mapping[str, Any] | None) -> Any:
    """What the options of a reset say of the bait guess, None where nothing.

    Other options are somebody else's and are let pass, as PettingZoo's own tests ask; raises `ConfigError` for one that
    is nearly ours.
    """
    for name in options or {}:
        if name != OPTION and difflib.get_close_matches(name, [OPTION], cutoff=0.5):
            raise ConfigError(f"reset() knows no option '{name}'; the nearest is '{OPTION}'")
    return None if options is None else options.get(OPTION)


def checked_guess(arrays: Any, guess: Any, shape: tuple[int, int]) -> Array:
    """A bait guess as [E, U]. Raises `ValueError` for what does not fit there or is not finite."""
    try:
        full: Array = arrays.zeros(*shape) + arrays.as_float(arrays.asarray(guess))
    except (TypeError, ValueError, RuntimeError):
        full = arrays.zeros(0)
    if tuple(full.shape) != shape or not arrays.xp.isfinite(full).all():
        raise ValueError(
            f"bait_guess={guess!r}: expected a finite number, or one for each of the {shape[1]} user buddies "
            f"[{shape[1]}], or of all worlds {list(shape)}"
        )
    return full


def check_seed(seed: Any) -> None:
    """Raises `ValueError` unless `seed` is None or a whole number, at least 0."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and seed >= 0):
        raise ValueError(f"seed {seed!r}: a seed is a whole number, 0 or more, or None to go on without one")


def _refuse(arrays: Any, side: str, wrong: Array, values: Array, why: str) -> None:
    place = [int(part[0]) for part in arrays.to_numpy(wrong).nonzero()]
    value = arrays.to_numpy(values)[tuple(place)]
    raise ValueError(f"action {value} of {side}_{place[1]} {why}")
