"""Alpha-Rank: how strong strategies are by how often evolution comes back to them (Omidshafiei et al. 2019).

Everybody in a population of m plays the same strategy until a single mutant arises; it takes over with the fixation
probability of a Moran process at selection intensity alpha, or dies out. Between these monomorphic states there is a
Markov chain, and the share of time that it spends in each is the rank. Unlike an Elo rating it is of use where
strategies beat each other in a circle; unlike a Nash equilibrium it is unique.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
LEAST = -300.0  # log of the least fixation probability: the chain stays irreducible at any alpha
SWEEP = tuple(float(alpha) for alpha in np.logspace(-4, 2, 25))


def alpha_rank(payoffs: ArrayLike, alpha: float, population: int = 50) -> Floats:
    """Ranks [N], sum 1, of the N strategies of a symmetric two-player game in one population.

    Args:
        payoffs: [N, N], what the row's strategy earns against the column's.
        alpha: selection intensity, >= 0, per unit of payoff; 0 ranks all alike.
        population: m >= 2.
    Of p mutants r among residents s, a mutant earns ((p - 1) M_rr + (m - p) M_rs) / (m - 1), and a resident
    (p M_sr + (m - p - 1) M_ss) / (m - 1). Raises `ValueError` for payoffs that are not a square of finite numbers.
    """
    table = _finite(payoffs)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ValueError(f"payoffs of shape {table.shape}: a symmetric game has a square of them")
    _check(alpha, population)
    p = np.arange(1, population)
    own, others = np.diag(table), (population - p)[:, None, None]
    # [m - 1, s, r]: resident s, mutant r
    mutant = ((p - 1)[:, None, None] * own[None, None, :] + others * table.T[None]) / (population - 1)
    resident = (p[:, None, None] * table[None] + (others - 1) * own[None, :, None]) / (population - 1)
    return _stationary(_fixation(alpha * (mutant - resident)))


def alpha_rank_of_roles(payoffs: Sequence[ArrayLike], alpha: float, population: int = 50) -> Floats:
    """Ranks [N_1, ..., N_K], sum 1, of the joint strategies of a game of K roles, one population for each role.

    payoffs[k] [N_1, ..., N_K] is what role k earns. A mutant of one role plays against residents of all the others, so
    that its advantage is the same however many there are. Raises `ValueError` for payoffs of unequal shapes.
    """
    tables = [_finite(table) for table in payoffs]
    shape = tables[0].shape
    if any(table.shape != shape for table in tables) or len(shape) != len(tables):
        raise ValueError(f"{len(tables)} roles need as many payoff tables of as many axes, all of one shape")
    _check(alpha, population)
    states = list(itertools.product(*map(range, shape)))
    rates = np.zeros((len(states), len(states)))
    place = {state: number for number, state in enumerate(states)}
    for state, (role, size) in itertools.product(states, enumerate(shape)):
        for other in range(size):
            to = (*state[:role], other, *state[role + 1 :])
            if to != state:
                gain = np.full((population - 1, 1, 1), tables[role][to] - tables[role][state])
                rates[place[state], place[to]] = _fixation(alpha * gain)[0, 0]
    return _stationary(rates).reshape(shape)


def alpha_sweep(payoffs: ArrayLike, alphas: Sequence[float] = SWEEP, population: int = 50) -> Floats:
    """Ranks [alphas, N] over a sweep: read where they no longer change with alpha, and report that alpha."""
    return np.stack([alpha_rank(payoffs, alpha, population) for alpha in alphas])


def _fixation(gain: Floats) -> Floats:
    """alpha times a mutant's advantage [m - 1, ...] by the number of mutants -> its fixation probability [...].

    1 / (1 + sum_l prod_{p <= l} exp(-gain_p)); for a constant gain (1 - e^-gain) / (1 - e^(-m gain)).
    """
    steps = np.concatenate([np.zeros_like(gain[:1]), -np.cumsum(gain, axis=0)])
    return np.asarray(np.exp(np.maximum(-logsumexp(steps, axis=0), LEAST)), dtype=np.float64)


def _stationary(rates: Floats) -> Floats:
    """Stationary distribution [n] of a chain with the rates [n, n] (row to column; the diagonal does not count).

    By the elimination of Grassmann, Taksar and Heyman (1985), which subtracts nothing: tiny rates keep their digits.
    """
    rates = rates.copy()
    n = len(rates)
    for last in range(n - 1, 0, -1):
        rates[:last, last] /= rates[last, :last].sum()
        rates[:last, :last] += np.outer(rates[:last, last], rates[last, :last])
    weights = np.ones(n)
    for state in range(1, n):
        weights[state] = weights[:state] @ rates[:state, state]
        weights[: state + 1] /= weights[: state + 1].sum()
    return weights


def _finite(payoffs: ArrayLike) -> Floats:
    table = np.asarray(payoffs, np.float64)
    if not np.isfinite(table).all():
        raise ValueError("payoffs must be finite numbers")
    return table


def _check(alpha: float, population: int) -> None:
    if alpha < 0 or population < 2:
        raise ValueError(f"alpha={alpha}, population={population}: needs alpha >= 0 and a population of at least 2")
