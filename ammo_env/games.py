"""Creator games of the literature as worlds of this one: their stage, and exposure in expectation.

The world pays creators by the visibility that a round's slates gave them, a sample. For one slot the expectation over
the choices of a user buddy that knows its human (`beliefs.model: truth`) is a function of the utilities alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ammo_env.arrays import Array
from ammo_env.space import MetaSpace


def game_space(tastes: ArrayLike, facts: ArrayLike | None = None, anchor: ArrayLike | None = None) -> MetaSpace:
    """One subspace in which every direction can be steered, W = I, in the coordinates of `tastes`.

    Args:
        tastes: [P, D] unit, the pool of humans; `humans.draw: listed` takes them in order.
        facts: [F, D] unit; the tastes themselves where None.
        anchor: [D] unit, where every creator sits; the direction of the tastes' sum where None.
    With A = D, kappa >= 1 + r and a free norm a creator reaches every p with |p| <= r by s = (p - anchor) / kappa.
    Coordinates are not principal axes, as a space's usually are: for games without drift.
    """
    people = np.array(tastes, dtype=np.float32)
    known = people if facts is None else np.array(facts, dtype=np.float32)
    middle = people.sum(axis=0) if anchor is None else np.array(anchor, dtype=np.float32)
    dim = people.shape[1]
    return MetaSpace(
        facts=known[None],
        fact_mask=np.ones((1, len(known)), dtype=np.bool_),
        steering=np.eye(dim, dtype=np.float32)[None],
        entities=(middle / np.linalg.norm(middle)).astype(np.float32)[None],
        entity_subspace=np.zeros(1, dtype=np.int64),
        preferences=people,
        people=people,
        mean=people.mean(axis=0),
        variance=people.var(axis=0),
    )


def softmax_exposure(arrays: Any, utility: Array, temperature: float) -> Array:
    """Expected visibility of every creation, one slot, each chosen with probability proportional to exp(e.q / tau).

    utility [E, U, C] -> [E, C] in [0, 1], sum 1 over C: the mean over humans of a softmax. Hron et al. 2022.
    """
    xp = arrays.xp
    weight = xp.exp((utility - arrays.max(utility)) * (1.0 / temperature))
    return xp.mean(weight / weight.sum(axis=-1)[..., None], axis=1)


def best_exposure(arrays: Any, utility: Array) -> Array:
    """The same where every human is shown one of its best creations, each of them as likely: [E, U, C] -> [E, C]."""
    best = arrays.as_float(utility == arrays.max(utility))
    return arrays.xp.mean(best / best.sum(axis=-1)[..., None], axis=1)
