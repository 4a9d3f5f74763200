"""What else turns preferences: liking what one sees, and norms that shift for a whole group at once."""

from __future__ import annotations

import math
from typing import Any

from ammo_env.arrays import Array, normalise
from ammo_env.config import AmmoConfig
from ammo_env.forces import Own, force
from ammo_env.groups import like_minded
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace
from ammo_env.state import State


class MereExposure:
    """q' = unit(q + w * (sum of the slate's items) / S), w the configured weight. Source: Zajonc 1968."""

    def __init__(self, arrays: Any, weight: float) -> None:
        self._arrays, self._weight = arrays, weight

    def begin(self, draws: Any, q: Array) -> Own:
        return {}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        arrays = self._arrays
        weight = arrays.as_float(seen.filled) * (self._weight / seen.filled.shape[-1])
        return normalise(arrays, state.q + arrays.xp.matmul(weight[..., None, :], seen.vectors)[..., 0, :]), own


class NormShift:
    """Now and then one group of a world turns by an angle towards the preference of some person of the population.

    At most one shift per world and round, with probability 1 - exp(-shift_rate), surely in the listed rounds. Its own
    array is `group` [E, U].
    """

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace) -> None:
        self._arrays, self._setting = arrays, config.social.norm_shift
        self._groups, self._people = config.social.num_groups, arrays.asarray(space.people)

    def begin(self, draws: Any, q: Array) -> Own:
        return {"group": like_minded(self._arrays, q, self._groups)}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        arrays, setting, envs = self._arrays, self._setting, len(state.q)
        chance = 1.0 if state.now in setting.shift_rounds else -math.expm1(-setting.shift_rate)
        if chance == 0.0:
            return state.q, own
        happens = draws.uniform(envs, 1) < chance
        group = draws.integers(self._groups, envs, 1)
        towards = arrays.take_rows(self._people, draws.integers(len(self._people), envs, 1))
        turns = happens & (own["group"] == group)
        turned = turn_towards(arrays, state.q, towards, setting.shift_angle)
        return arrays.xp.where(turns[..., None], turned, state.q), own


def turn_towards(arrays: Any, q: Array, target: Array, angle: float) -> Array:
    """Unit vectors q [..., D] turned by `angle` (radians) towards unit vectors, at most onto them."""
    xp = arrays.xp
    cosine = xp.clip(arrays.vecdot(q, target), -1.0, 1.0)[..., None]
    aside = normalise(arrays, target - cosine * q)
    turn = xp.clip(xp.acos(cosine), 0.0, angle)
    return normalise(arrays, xp.cos(turn) * q + xp.sin(turn) * aside)


@force("mere_exposure")
def _mere_exposure(arrays: Any, config: AmmoConfig, space: MetaSpace) -> MereExposure | None:
    weight = config.social.exposure.seen_weight
    return MereExposure(arrays, weight) if weight else None


@force("norm_shift")
def _norm_shift(arrays: Any, config: AmmoConfig, space: MetaSpace) -> NormShift | None:
    setting = config.social.norm_shift
    return NormShift(arrays, config, space) if setting.shift_rate or setting.shift_rounds else None
