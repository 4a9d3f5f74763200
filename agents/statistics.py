"""Statistics that a reviewer accepts, from few runs: the interquartile mean with stratified bootstrap
intervals, performance profiles and the probability of improvement (Agarwal et al. 2021, "Deep Reinforcement
Learning at the Edge of the Statistical Precipice"), and intervals of means and of paired differences over
seeds.

Scores are arrays [R, T]: one row per run (a training seed), one column per task (a scenario). Every function
is pure on its arrays; what draws takes a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray: TypeAlias = NDArray[np.float64]
# A statistic reduces the last two axes: scores [..., R, T] -> [...].
Statistic: TypeAlias = Callable[[FloatArray], FloatArray]
# Numbers held at once while resampling (8 MB): bounds the memory at any size of experiment.
BLOCK_CELLS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval, in the unit of the scores; of one run, low and high are NaN.
    """

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of high − low: the number behind ±."""
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside: a difference whose interval excludes 0 is a difference."""
        return value < self.low or value > self.high


def as_scores(values: ArrayLike) -> FloatArray:
    """Scores as float64 [R, T]; a vector [R] is one task. Raises ValueError on another shape, no run, NaN."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim == 1:
        scores = scores[:, np.newaxis]
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"scores must be [runs, tasks] with at least one of each, got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity: a failed run must be reported, not averaged away")
    return scores


def trimmed_mean(scores: FloatArray) -> FloatArray:
    """Mean of what is left of [..., R, T] without the lowest and the highest ⌊R·T/4⌋ scores -> [...]."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1), dtype=np.float64)


def plain_mean(scores: FloatArray) -> FloatArray:
    """Mean over runs and tasks, [..., R, T] -> [...]."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def interquartile_mean(values: ArrayLike) -> float:
    """IQM: the mean of the middle half of all scores [R, T], a robust mean that uses half of the data."""
    return float(trimmed_mean(as_scores(values)))


def stratified_bootstrap(
    values: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = trimmed_mean,
    confidence: float = 0.95,
    resamples: int = 5000,
) -> Interval:
    """Percentile bootstrap of a statistic, drawing runs with replacement within each task on its own.

    Args: values [R, T]; `statistic` reduces [..., R, T] to [...]. Below ten runs a percentile interval is too
    narrow: on 5 normal runs of one task a nominal 95 % covered 90 % for the IQM and 84 % for the mean (1000
    trials), where `mean_interval` covered 95 %.
    """
    scores = as_scores(values)
    draws = np.concatenate([statistic(drawn) for drawn in _resampled(scores, rng, resamples, scores.size)])
    return _percentiles(float(statistic(scores)), draws, confidence, enough=len(scores) > 1)


def probability_of_improvement(ours: ArrayLike, theirs: ArrayLike, lower_is_better: bool = False) -> float:
    """P(a run of ours beats a run of theirs), averaged over tasks: mean of 1[x > y] + ½·1[x = y], in [0, 1].

    Args: ours [R, T] and theirs [R', T]; R and R' may differ. It is the Mann–Whitney U over R·R', and it says
    how often, not how much. Raises ValueError when the numbers of tasks differ.
    """
    x, y = _same_tasks(ours, theirs)
    return float(_share_won(x, y, lower_is_better))


def improvement_interval(
    ours: ArrayLike,
    theirs: ArrayLike,
    rng: np.random.Generator,
    lower_is_better: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """`probability_of_improvement` with a stratified bootstrap interval; both sides are resampled."""
    x, y = _same_tasks(ours, theirs)
    cells = x.size * len(y)
    pairs = zip(_resampled(x, rng, resamples, cells), _resampled(y, rng, resamples, cells), strict=True)
    draws = np.concatenate([_share_won(a, b, lower_is_better) for a, b in pairs])
    estimate = float(_share_won(x, y, lower_is_better))
    return _percentiles(estimate, draws, confidence, enough=min(len(x), len(y)) > 1)


def performance_profile(
    values: ArrayLike, thresholds: ArrayLike, lower_is_better: bool = False
) -> FloatArray:
    """Share of runs beyond each threshold τ, averaged over tasks: [R, T], [X] -> [X] in [0, 1].

    Beyond is score > τ, or score < τ when lower is better (regret). One curve above another everywhere means
    stochastic dominance; its area is the mean.
    """
    return _profile(as_scores(values), np.asarray(thresholds, dtype=np.float64), lower_is_better)


def profile_band(
    values: ArrayLike,
    thresholds: ArrayLike,
    rng: np.random.Generator,
    lower_is_better: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> tuple[FloatArray, FloatArray]:
    """Pointwise stratified bootstrap band (low [X], high [X]) of a `performance_profile`."""
    scores, levels = as_scores(values), np.asarray(thresholds, dtype=np.float64)
    blocks = _resampled(scores, rng, resamples, scores.size * levels.size)
    draws = [_profile(drawn, levels, lower_is_better) for drawn in blocks]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(draws), [tail, 1 - tail], axis=0)
    return low, high


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds [R] with Student's t-interval, mean ± t(R−1)·s/√R: exact for normal scores, R ≥ 2."""
    sample = as_scores(values)
    if sample.shape[1] != 1:
        raise ValueError(f"mean_interval takes one score per seed, got shape {sample.shape}")
    runs, mean = len(sample), float(sample.mean())
    if runs < 2:
        return Interval(mean, np.nan, np.nan)
    error = float(sample.std(ddof=1)) / np.sqrt(runs)
    half = float(stats.t.ppf((1 + confidence) / 2, runs - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired_difference(ours: ArrayLike, theirs: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of ours − theirs, seed by seed, with the t-interval of the differences.

    Args: ours [R] and theirs [R], entry by entry the same seed. Pairing removes what a seed does to both. The
    t-interval and not a bootstrap, because five differences have only 126 distinct resamples, and a
    percentile interval from them covers 84 % where it says 95 %; the price is the assumption of roughly
    normal differences.
    """
    x, y = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"paired scores need one entry per seed on both sides, got {x.shape} and {y.shape}")
    return mean_interval(x - y, confidence)


def _resampled(
    scores: FloatArray, rng: np.random.Generator, resamples: int, cells: int
) -> Iterator[FloatArray]:
    """Blocks [B, R, T] of bootstrap samples of scores [R, T], `resamples` in all, each worth `cells` numbers.
    """
    runs, tasks = scores.shape
    block = max(1, BLOCK_CELLS // cells)
    for start in range(0, resamples, block):
        rows = rng.integers(runs, size=(min(block, resamples - start), runs, tasks))
        yield scores[rows, np.arange(tasks)]


def _percentiles(estimate: float, draws: FloatArray, confidence: float, enough: bool) -> Interval:
    if not enough:
        return Interval(estimate, np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def _same_tasks(ours: ArrayLike, theirs: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = as_scores(ours), as_scores(theirs)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"both sides need the same tasks, got {x.shape[1]} and {y.shape[1]}")
    return x, y


def _share_won(x: FloatArray, y: FloatArray, lower_is_better: bool) -> FloatArray:
    """[..., R, T] against [..., R', T] -> [...]."""
    margin = x[..., :, np.newaxis, :] - y[..., np.newaxis, :, :]
    won = (np.sign(-margin if lower_is_better else margin) + 1) / 2
    return np.asarray(won.mean(axis=(-3, -2, -1)))


def _profile(scores: FloatArray, levels: FloatArray, lower_is_better: bool) -> FloatArray:
    """Scores [..., R, T], levels [X] -> [..., X]."""
    gap = scores[..., np.newaxis] - levels
    return np.asarray(((-gap if lower_is_better else gap) > 0).mean(axis=(-3, -2)))


def ratio_interval(above: ArrayLike, below: ArrayLike, confidence: float = 0.95) -> Interval:
    """Ratio of sums Σa/Σb over runs [R], with the t-interval of its linearisation (delta method).

    The residuals (a − ρ·b)/mean(b) have mean 0 and their standard error is that of ρ to first order. A ratio of
    sums, and not a mean of ratios, because a run with a small b would otherwise weigh most.
    """
    x, y = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not y.sum() > 0:
        raise ValueError(f"a ratio needs paired runs and a positive denominator, got {x.shape} over {y.shape}")
    ratio = float(x.sum() / y.sum())
    around = mean_interval((x - ratio * y) / y.mean(), confidence)
    return Interval(ratio, ratio + around.low, ratio + around.high)
