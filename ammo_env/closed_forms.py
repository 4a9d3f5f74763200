"""What a world must score in closed form: the yardsticks of regret, drift, honesty, influence and preference learning.

Those of regret hold for N slots filled from a corpus of M creations that are independent and uniform on the unit
sphere of R^D, judged by a human q that is independent of them, and say how large a raw regret is: dot products shrink
like 1/sqrt(D), so a regret means something only beside `random_slate_regret`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, special


def random_slate_regret(dim: int, creations: int, slots: int) -> float:
    """T(D, M, N): expected regret of a slate drawn at random, which is the expected value of a best one.

    T = sum_{k<N} int_0^1 (2 B^-1(u; a, a) - 1) Beta(u; M - k, k + 1) du with a = (D - 1) / 2, since (1 + e.q) / 2 is
    Beta(a, a) and the k-th largest of M uniforms is Beta(M - k, k + 1). At D = 3 it is N (M - N) / (M + 1).
    Args: dim D >= 2, creations M >= slots N >= 1. Accuracy 1e-9. Raises `ValueError` for other sizes.
    """
    if dim < 2 or not 1 <= slots <= creations:
        raise ValueError(f"D={dim}, M={creations}, N={slots}: needs D >= 2 and 1 <= N <= M")
    return sum(_order_statistic(dim, creations, k) for k in range(slots))


def _order_statistic(dim: int, creations: int, k: int) -> float:
    """Expected value of the k-th largest (k = 0 is the largest) of M dot products with a random direction."""
    shape, above, below = (dim - 1) / 2, creations - k, k + 1
    scale = -special.betaln(above, below)

    def weighted(u: float) -> float:
        density = math.exp(scale + (above - 1) * math.log(u) + (below - 1) * math.log1p(-u))
        return float(2.0 * special.betaincinv(shape, shape, u) - 1.0) * density

    peak = above / (above + below)
    width = math.sqrt(peak * (1.0 - peak) / (above + below + 1))
    cuts = [min(max(peak + step * width, 0.0), 1.0) for step in (-8, -3, 0, 3, 8)]
    edges = sorted({0.0, *cuts, 1.0})
    parts = (
        integrate.quad(weighted, low, high, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
        for low, high in itertools.pairwise(edges)
    )
    return float(sum(parts))


def misaligned_regret(angle: float, dim: int, creations: int, slots: int) -> float:
    """(1 - cos phi) T: expected regret of a greedy slate on a belief at `angle` phi (radians) from the truth."""
    return (1.0 - math.cos(angle)) * random_slate_regret(dim, creations, slots)


def stale_regret(rho: float, rounds: int, dim: int, creations: int, slots: int) -> float:
    """(1 - rho^l) T: expected regret of a greedy slate on what was true l `rounds` ago, under isotropic drift."""
    return (1.0 - rho**rounds) * random_slate_regret(dim, creations, slots)


def population_correlation(rho: float, mean_length: float) -> float:
    """About rho + (1 - rho) |mu|^2: E[q_t . q_{t+1}] under population drift with a mean of that length."""
    return rho + (1.0 - rho) * mean_length**2


def honesty_threshold(angle: float) -> float:
    """sin(theta), or 1 beyond a right angle: the least honesty price at which truth is a best response.

    A creator maximises e.q - lambda |e - g| over the unit sphere, with `angle` theta (radians, 0..pi) between the
    demand q and its fact g: e = g is best if and only if lambda is at least this.
    """
    return math.sin(angle) if angle <= math.pi / 2 else 1.0


def friedkin_johnsen_equilibrium(
    weights: ArrayLike, initial: ArrayLike, susceptibility: ArrayLike | None = None
) -> NDArray[np.float64]:
    """(I - A W)^-1 (I - A) y_0: where opinions settle that move by y' = A W y + (I - A) y_0.

    Args:
        weights: W [U, U], rows that sum to 1.
        initial: y_0 [U] or [U, D].
        susceptibility: the diagonal of A [U]; None is 1 - W_uu, as in Friedkin and Johnsen (1999).
    Raises `numpy.linalg.LinAlgError` where the equilibrium depends on more than that (nobody is stubborn).
    """
    matrix, start = np.asarray(weights, np.float64), np.asarray(initial, np.float64)
    open_to = 1.0 - np.diag(matrix) if susceptibility is None else np.asarray(susceptibility, np.float64)
    held = (1.0 - open_to)[:, None] * start.reshape(len(matrix), -1)
    settled = np.linalg.solve(np.eye(len(matrix)) - open_to[:, None] * matrix, held)
    return np.asarray(settled.reshape(start.shape), dtype=np.float64)


def dpo_optimum(reward: ArrayLike, beta: float, reference: ArrayLike | None = None) -> NDArray[np.float64]:
    """pi(y) = pi_ref(y) exp(r(y) / beta) / Z: the policy with the largest E r - beta KL(pi | pi_ref).

    It is where the DPO loss is least when pairs are preferred by Bradley-Terry with rewards r (Rafailov et al. 2023).
    Args: reward [..., N]; reference [..., N] probabilities, uniform where None.
    """
    tilt = np.asarray(reward, np.float64) / beta
    if reference is not None:
        tilt = tilt + np.log(np.asarray(reference, np.float64))
    return np.asarray(special.softmax(tilt, axis=-1), dtype=np.float64)


def dpo_loss(chosen: ArrayLike, rejected: ArrayLike, beta: float) -> NDArray[np.float64]:
    """-log sigmoid(beta (chosen - rejected)), [...]: the loss of a pair (Rafailov et al. 2023); ln 2 at the reference.

    `chosen` and `rejected` are log(pi(y) / pi_ref(y)) of the answer that was preferred and of the other.
    """
    margin = np.asarray(chosen, np.float64) - np.asarray(rejected, np.float64)
    return np.asarray(np.logaddexp(0.0, -beta * margin), dtype=np.float64)
