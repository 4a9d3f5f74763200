"""Equilibria of creator games in closed form: what creators do to content when they compete to be seen.

Each is a statement about a small world (`games.game_space`) with the world's own rewards; `tests/test_games.py` plays
them. A user buddy knows its human, and fills one slot.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def exposure_threshold(creators: int, angle: float = math.pi / 2) -> float:
    """(1 - 2/n) sin^2(theta/2) / cos(theta/2), at a right angle (1 - 2/n) / sqrt(2): the exposure game's temperature
    above which n creators who all sit in the middle are a local equilibrium, and below which they are not.

    Two groups of humans of equal size with tastes at `angle` theta (0 < theta < pi), creations of unit length, one slot
    filled with probability proportional to exp(e.q / tau) (Hron et al. 2022). A creator that leaves the middle by an
    angle d changes its two utilities by +-sin(theta/2) d - cos(theta/2) d^2 / 2, and so its exposure f by
    f'' sin^2 d^2 / 2 - f' cos d^2 / 2 with f' = f (1 - f) / tau and f'' = f' (1 - 2 f) / tau at f = 1/n.
    Raises `ValueError` for fewer than two creators.
    """
    if creators < 2:
        raise ValueError(f"{creators} creators: it takes two to compete")
    return (1.0 - 2.0 / creators) * math.sin(angle / 2) ** 2 / math.cos(angle / 2)


def specialisation_threshold(angle: float) -> float:
    """2 / (1 - cos theta): the beta in the cost |p|^beta of quality from which on creators specialise.

    Two humans (or two equal groups) with tastes at `angle` theta, each of whom takes the creation with the largest p.q
    (Jagadeesan, Garg & Steinhardt 2022). Below, all creators make the same kind of content, half-way between the
    tastes, and differ in quality alone; above, that is not an equilibrium: against rivals of length r there with
    P(length <= r) = r^beta / 2 (two creators; `single_genre_length`) a creation at the angle d from the middle earns
    ((cos(theta/2 - d)^beta + cos(theta/2 + d)^beta) / (2 cos(theta/2)^beta) - 1) |p|^beta, which is positive for a
    small d if and only if (beta - 1) tan(theta/2)^2 > 1. Beyond a right angle (which the paper, with tastes and
    contents of no negative coordinate, has not) turning to one human alone pays before that: raises `ValueError`.
    """
    if not 0.0 < angle <= math.pi / 2 + 1e-9:
        raise ValueError(f"angle={angle}: the threshold is that of tastes at 0 < theta <= pi / 2")
    return 2.0 / (1.0 - math.cos(angle))


def single_genre_length(chance: ArrayLike, beta: float) -> NDArray[np.float64]:
    """(2 u)^(1/beta): quantile of the length of a creation where two creators compete for two humans in one genre.

    Whoever is longer has both humans, so that r is worth 2 P(length <= r) - r^beta = 0 for every r up to 2^(1/beta).
    """
    return np.asarray((2.0 * np.asarray(chance, np.float64)) ** (1.0 / beta), dtype=np.float64)


def specialised_length(beta: float) -> float:
    """(2 / beta)^(1/beta): the length of every creation of two creators who compete for two humans with orthogonal
    tastes at the cost |p|^beta, beta >= 2 (Jagadeesan, Garg & Steinhardt 2022); .840896 for beta = 4.

    In that symmetric mixed equilibrium a creation is r (cos phi, sin phi), with cos(phi)^2 uniform on [0, 1]
    (`specialised_creation`): p is then worth (p_1^2 + p_2^2) / r^2 - |p|^beta (both p_i <= r), which is largest on the
    circle of this radius, and all along it. Raises `ValueError` for beta < 2.
    """
    if beta < 2.0:
        raise ValueError(f"beta={beta}: up to 2, the threshold for orthogonal tastes, creators do not specialise")
    return math.pow(2.0 / beta, 1.0 / beta)


def specialised_profit(beta: float) -> float:
    """1 - 2 / beta: what each of the two creators of `specialised_length` earns, one of the two humans on average and
    r^beta = 2 / beta for the cost; .5 for beta = 4."""
    return 1.0 - math.pow(specialised_length(beta), beta)


def specialised_creation(chance: ArrayLike, beta: float) -> NDArray[np.float64]:
    """u [...] uniform on [0, 1] -> p [..., 2] of the equilibrium of `specialised_length`: r (sqrt(u), sqrt(1 - u))."""
    share = np.asarray(chance, np.float64)
    return specialised_length(beta) * np.sqrt(np.stack([share, 1.0 - share], axis=-1))


def engaging_content(cost: ArrayLike, gaming_cost: float) -> NDArray[np.float64]:
    """Cost c [...] in [0, 1] -> (quality, gaming) [..., 2]: the most engaging content that c buys.

    Values against engagement (Immorlica, Jagadeesan & Lucier 2024): engagement is quality w + gaming x, at the cost
    w + gamma x with `gaming_cost` gamma in [0, 1); a human takes the more engaging of two creations, if it gets some
    value out of it: w - x + 1 >= 0 (all humans alike, tolerance and outside value 1). So gaming, being cheaper, goes as
    far as it may: x = c / gamma while that is at most 1, then x = w + 1. Two creators who compete for the human are in
    equilibrium when the cost of each is uniform on [0, 1], where nothing is left of what they win.
    """
    spent = np.asarray(cost, np.float64)
    quality = np.maximum(spent - gaming_cost, 0.0) / (1.0 + gaming_cost)
    with np.errstate(divide="ignore", invalid="ignore"):
        gaming = np.where(spent < gaming_cost, spent / gaming_cost, quality + 1.0)
    return np.stack([quality, gaming], axis=-1)


def expected_quality(gaming_cost: float) -> float:
    """(1 - gamma)^2 / (2 (1 + gamma)): mean quality of a creation in the equilibrium of `engaging_content`; .225 for
    gamma = .25. It is the mean of max(c - gamma, 0) / (1 + gamma) over a uniform cost c, and falls as gaming becomes
    dearer. (What the human is shown, the better of two, is better than that.)"""
    return (1.0 - gaming_cost) ** 2 / (2.0 * (1.0 + gaming_cost))


def joint_track(angle: float) -> float:
    """cos(theta/2): what each of two humans with tastes at `angle` theta has of the best creation for both."""
    return math.cos(angle / 2)


def taking_turns(angle: float) -> float:
    """cos(theta/2)^2: the same when each in turn is given exactly its own taste, the mean of 1 and cos(theta)."""
    return math.cos(angle / 2) ** 2
