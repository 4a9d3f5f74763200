"""Social influence: preferences that move towards those of neighbours, in the three classical ways.

`social_step` and `near_weights` are the models themselves, on opinions of any number of dimensions and on any scale
(a number on [0, 1] is D = 1); the forces below apply them to preferences and put the result back on the sphere, as
their last and separate step. W is the influence matrix of the network (`ammo_env.network`), whose rows sum to 1.

    DeGroot (1974)                    y' = W y
    Friedkin and Johnsen (1999)       y' = A W y + (I - A) y_0,   A = diag(a), susceptibilities a in [0, 1]
    Hegselmann and Krause (2002)      y_u' = mean of y_v over v = u and the neighbours v with |y_u - y_v| <= epsilon

On the sphere |q - q'| = 2 sin(angle / 2), so that a largest angle is a largest distance.
"""

from __future__ import annotations

import math
from typing import Any

from ammo_env.arrays import Array, identity, normalise
from ammo_env.config import AmmoConfig
from ammo_env.forces import Own, force
from ammo_env.memory import Impression
from ammo_env.network import row_shares
from ammo_env.space import MetaSpace
from ammo_env.state import State


def social_step(
    arrays: Any, opinions: Array, weights: Array, initial: Array | None = None, susceptibility: Any = 1.0
) -> Array:
    """One round of influence: A W y + (I - A) y_0, not normalised.

    Args:
        opinions: y [..., U, D], any scale, float32 or float64.
        weights: W [..., U, U] of the same type, rows that sum to 1.
        initial: y_0 [..., U, D]; needed where somebody's susceptibility is below 1.
        susceptibility: a, one number or [..., U]; 1 is DeGroot.
    """
    heard = arrays.xp.matmul(weights, opinions)
    if initial is None:
        return heard
    open_to = susceptibility if isinstance(susceptibility, float) else susceptibility[..., None]
    return open_to * heard + (1.0 - open_to) * initial


def near_weights(arrays: Any, opinions: Array, listens: Array, epsilon: float) -> Array:
    """Bounded confidence: W [..., U, U] with equal weights on oneself and on those listened to within a distance.

    Args:
        opinions: y [..., U, D], any scale.
        listens: [..., U, U], above 0 where the row's human listens to the column's; oneself is always heard.
        epsilon: the largest Euclidean distance; a distance that equals it up to rounding counts as within.
    """
    xp = arrays.xp
    square = arrays.vecdot(opinions, opinions)
    sizes = square[..., :, None] + square[..., None, :]
    apart = sizes - 2.0 * xp.matmul(opinions, opinions.mT)
    rounding = 8.0 * float(xp.finfo(opinions.dtype).eps)
    oneself = arrays.constant[identity, opinions.shape[-2]] > 0
    near = (apart <= epsilon**2 + rounding * sizes) & (listens > 0) | oneself
    return row_shares(arrays, xp.astype(near, opinions.dtype))


def with_own_weight(arrays: Any, weights: Array, influence: float) -> Array:
    """(1 - influence) I + influence W; who listens to nobody (a row of zeros) keeps to their own opinion."""
    own = arrays.constant[identity, weights.shape[-1]]
    alone = arrays.as_float(weights.sum(axis=-1) == 0)[..., None]
    return (1.0 - influence) * own + influence * (weights + alone * own)


class DeGroot:
    """q' = unit(W q) with the configured weight of the neighbours."""

    def __init__(self, arrays: Any, influence: float) -> None:
        self._arrays, self._influence = arrays, influence

    def begin(self, draws: Any, q: Array) -> Own:
        return {}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        weights = with_own_weight(self._arrays, state.own["network"]["weights"], self._influence)
        return normalise(self._arrays, social_step(self._arrays, state.q, weights)), own


class FriedkinJohnsen:
    """q' = unit(A W q + (I - A) q_0); without a stubbornness of its own a human is as stubborn as it weighs itself."""

    def __init__(self, arrays: Any, influence: float, stubbornness: float | None) -> None:
        self._arrays, self._influence, self._stubbornness = arrays, influence, stubbornness

    def begin(self, draws: Any, q: Array) -> Own:
        return {"initial": q}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        arrays = self._arrays
        weights = with_own_weight(arrays, state.own["network"]["weights"], self._influence)
        if self._stubbornness is None:
            susceptibility = 1.0 - (weights * arrays.constant[identity, weights.shape[-1]]).sum(axis=-1)
        else:
            susceptibility = 1.0 - self._stubbornness
        return normalise(arrays, social_step(arrays, state.q, weights, own["initial"], susceptibility)), own


class BoundedConfidence:
    """q' = unit((1 - o) q + o W(q) q): Hegselmann and Krause over the network, o the openness."""

    def __init__(self, arrays: Any, angle: float, openness: float) -> None:
        self._arrays, self._openness = arrays, openness
        self._distance = 2.0 * math.sin(min(angle, math.pi) / 2.0)

    def begin(self, draws: Any, q: Array) -> Own:
        return {}

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        arrays, q = self._arrays, state.q
        weights = near_weights(arrays, q, state.own["network"]["weights"], self._distance)
        heard = social_step(arrays, q, with_own_weight(arrays, weights, self._openness))
        return normalise(arrays, heard), own


@force("degroot")
def _degroot(arrays: Any, config: AmmoConfig, space: MetaSpace) -> DeGroot | None:
    influence = config.social.degroot.influence
    return DeGroot(arrays, influence) if influence else None


@force("friedkin_johnsen")
def _friedkin_johnsen(arrays: Any, config: AmmoConfig, space: MetaSpace) -> FriedkinJohnsen | None:
    setting = config.social.friedkin_johnsen
    if not setting.neighbour_weight:
        return None
    return FriedkinJohnsen(arrays, setting.neighbour_weight, setting.stubbornness)


@force("bounded_confidence")
def _bounded_confidence(arrays: Any, config: AmmoConfig, space: MetaSpace) -> BoundedConfidence | None:
    setting = config.social.bounded_confidence
    return BoundedConfidence(arrays, setting.angle, setting.openness) if setting.angle else None
