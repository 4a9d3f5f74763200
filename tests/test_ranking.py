"""Alpha-Rank: cycles are ranked alike, what is dominated vanishes, and small chains agree with hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.ranking import SWEEP, alpha_rank, alpha_rank_of_roles, alpha_sweep

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0, 100.0])
def test_rock_paper_scissors(alpha: float) -> None:
    """A third each at every alpha, to 1e-9."""
    np.testing.assert_allclose(alpha_rank(ROCK_PAPER_SCISSORS, alpha), 1 / 3, atol=1e-9)


def test_a_biased_cycle_is_still_a_cycle() -> None:
    """Rock wins by less and paper by more: at a large alpha only who beats whom counts, and it is a third each again
    (the Nash equilibrium is 1/16, 10/16, 5/16); at a small one it is not."""
    biased = np.array([[0.0, -0.5, 1.0], [0.5, 0.0, -0.1], [-1.0, 0.1, 0.0]])
    np.testing.assert_allclose(alpha_rank(biased, 1e3), 1 / 3, atol=1e-6)
    assert np.ptp(alpha_rank(biased, 0.05)) > 0.1


def test_what_is_dominated_vanishes() -> None:
    """A fourth strategy that loses to all others has 1/4 at alpha 0 and less than 1e-9 in the end; along the sweep its
    rank only falls."""
    payoffs = np.pad(ROCK_PAPER_SCISSORS, ((0, 1), (0, 1)), constant_values=1.0)
    payoffs[3], payoffs[3, 3] = -1.0, 0.0
    ranks = alpha_sweep(payoffs)
    assert ranks.shape == (len(SWEEP), 4)
    np.testing.assert_allclose(ranks.sum(axis=1), 1.0, atol=1e-12)
    assert (np.diff(ranks[:, 3]) <= 1e-12).all()
    assert ranks[0, 3] == pytest.approx(0.25, abs=0.01)
    assert ranks[-1, 3] < 1e-9
    np.testing.assert_allclose(ranks[-1, :3], 1 / 3, atol=1e-6)


def test_two_strategies_by_hand() -> None:
    """Constant-sum pair, m = 2: fixation is 1 / (1 + e^-gain), and ranks are in the ratio e^(alpha gain)."""
    payoffs = np.array([[0.0, 1.0], [-1.0, 0.0]])
    ranks = alpha_rank(payoffs, 0.3, population=2)
    # one mutant r against one resident s: it earns M_rs, the resident M_sr
    assert ranks[0] / ranks[1] == pytest.approx(math.exp(0.3 * 2.0), rel=1e-9)


def test_ranks_are_those_of_the_chain() -> None:
    """Stationary for the transition matrix written out, for random payoffs: rank = rank C."""
    rng, m, alpha = np.random.default_rng(0), 6, 0.7
    payoffs = rng.normal(size=(5, 5))
    chain = np.zeros((5, 5))
    for s, r in ((s, r) for s in range(5) for r in range(5) if s != r):
        total = product = 1.0
        for p in range(1, m):
            mutant = ((p - 1) * payoffs[r, r] + (m - p) * payoffs[r, s]) / (m - 1)
            resident = (p * payoffs[s, r] + (m - p - 1) * payoffs[s, s]) / (m - 1)
            product *= math.exp(-alpha * (mutant - resident))
            total += product
        chain[s, r] = 1 / total / 4
    chain += np.diag(1 - chain.sum(axis=1))
    ranks = alpha_rank(payoffs, alpha, population=m)
    np.testing.assert_allclose(ranks @ chain, ranks, atol=1e-12)


def test_roles() -> None:
    """Prisoner's dilemma of two roles: everything on both defecting. Matching pennies: a quarter each."""
    cooperate = np.array([[3.0, 0.0], [5.0, 1.0]])
    ranks = alpha_rank_of_roles([cooperate, cooperate.T], 10.0)
    assert ranks[1, 1] == pytest.approx(1.0, abs=1e-6)
    pennies = np.array([[1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(alpha_rank_of_roles([pennies, -pennies], 5.0), 0.25, atol=1e-9)


def test_no_overflow_at_a_huge_alpha() -> None:
    """Chains of certain and impossible steps: the winner of everybody has it all, whatever the alpha."""
    ladder = np.sign(np.subtract.outer(np.arange(6), np.arange(6))).astype(float)
    ranks = alpha_rank(ladder, 1e6)
    assert ranks[5] == pytest.approx(1.0, abs=1e-9)
    assert np.isfinite(ranks).all()


@pytest.mark.parametrize(
    ("payoffs", "alpha", "population", "message"),
    [
        (np.zeros((2, 3)), 1.0, 50, "shape \\(2, 3\\)"),
        (np.full((2, 2), np.nan), 1.0, 50, "finite"),
        (np.zeros((2, 2)), -1.0, 50, "alpha >= 0"),
        (np.zeros((2, 2)), 1.0, 1, "at least 2"),
    ],
)
def test_what_is_not_a_game(payoffs: NDArray[np.float64], alpha: float, population: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        alpha_rank(payoffs, alpha, population)
    with pytest.raises(ValueError, match="all of one shape"):
        alpha_rank_of_roles([np.zeros((2, 2))], 1.0)
