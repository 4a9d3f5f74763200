"""Statistics of few runs: known numbers, agreement with SciPy, coverage of the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agents.statistics import (
    Interval,
    improvement_interval,
    interquartile_mean,
    mean_interval,
    paired_difference,
    performance_profile,
    plain_mean,
    probability_of_improvement,
    profile_band,
    stratified_bootstrap,
)


def test_interquartile_mean_drops_a_quarter_on_each_side() -> None:
    """Of 1..8 the middle half is 3..6; two wild runs change nothing."""
    assert interquartile_mean([1, 2, 3, 4, 5, 6, 7, 8]) == 4.5
    assert interquartile_mean([1, 2, 3, 4, 5, 6, 100, 1e9]) == 4.5
    assert interquartile_mean([[1, 2], [3, 4], [5, 6], [7, 8]]) == 4.5


def test_interquartile_mean_of_one_run_is_that_run() -> None:
    """Nothing to trim."""
    assert interquartile_mean([0.3]) == 0.3


def test_mean_interval_known_numbers() -> None:
    """1..5: mean 3, s = √2.5, t(4) = 2.776445, half width 2.776445·√(2.5/5) = 1.963243."""
    interval = mean_interval([1, 2, 3, 4, 5])
    assert interval.estimate == 3
    assert interval.half_width == pytest.approx(1.963243, abs=1e-6)
    assert (interval.low, interval.high) == pytest.approx((1.036757, 4.963243), abs=1e-6)


def test_paired_difference_agrees_with_the_paired_t_test() -> None:
    """The same interval as scipy.stats.ttest_rel; it excludes 0 exactly when p < .05."""
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.4, 0.8, 1.6):
        seeds = rng.normal(size=5)
        ours, theirs = seeds + shift + 0.5 * rng.normal(size=5), seeds
        interval, test = paired_difference(ours, theirs), stats.ttest_rel(ours, theirs)
        expected = test.confidence_interval(0.95)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert interval.excludes(0) == (test.pvalue < 0.05)


def test_pairing_removes_what_a_seed_does_to_both() -> None:
    """A constant gain under noise a hundred times larger: the interval has no width."""
    seeds = np.array([0.0, 10.0, -10.0, 20.0, -20.0])
    interval = paired_difference(seeds + 0.125, seeds)
    assert interval == Interval(0.125, 0.125, 0.125)


def test_five_seeds_are_covered_by_t_and_not_by_the_percentile_bootstrap() -> None:
    """The documented choice: nominal 95 % over 1000 normal samples of 5, within 4 standard errors (.0276)."""
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(1000, 5))
    by_t = np.mean([not mean_interval(sample).excludes(0) for sample in samples])
    intervals = [stratified_bootstrap(sample, rng, plain_mean, resamples=500) for sample in samples]
    by_bootstrap = np.mean([not interval.excludes(0) for interval in intervals])
    assert abs(by_t - 0.95) < 0.0276
    assert 0.79 < by_bootstrap < 0.89


def test_bootstrap_agrees_with_scipy_on_one_task() -> None:
    """Percentile interval of the mean of ten runs: within Monte-Carlo error of SciPy's bootstrap."""
    sample = np.random.default_rng(2).normal(size=10)
    ours = stratified_bootstrap(sample, np.random.default_rng(3), plain_mean, resamples=20_000)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * sample.std())


def test_bootstrap_is_stratified() -> None:
    """Tasks on very different scales with equal runs: each task keeps its share, so the mean cannot move."""
    scores = np.array([[0.0, 1000.0]] * 5)
    assert stratified_bootstrap(scores, np.random.default_rng(0), plain_mean) == Interval(500, 500, 500)


def test_bootstrap_repeats_with_its_seed() -> None:
    """Randomness is the argument and nothing else; seed 0 is a seed."""
    scores = np.random.default_rng(5).normal(size=(10, 3))
    first = stratified_bootstrap(scores, np.random.default_rng(0))
    assert first == stratified_bootstrap(scores, np.random.default_rng(0))
    assert first != stratified_bootstrap(scores, np.random.default_rng(1))
    assert first.low < first.estimate < first.high


def test_one_run_has_no_interval() -> None:
    """One run gives an estimate and NaN ends, never an interval of width zero."""
    rng = np.random.default_rng(0)
    for interval in (
        mean_interval([2.0]),
        paired_difference([3.0], [1.0]),
        stratified_bootstrap([[1.0, 3.0]], rng),
    ):
        assert interval.estimate == 2
        assert np.isnan([interval.low, interval.high, interval.half_width]).all()
        assert not interval.excludes(0)
    assert np.isnan(improvement_interval([1.0], [2.0, 3.0], rng).low)


def test_performance_profile_counts_runs_beyond_each_threshold() -> None:
    """Scores .1 .2 .3 .4; a score equal to the threshold is not beyond it."""
    scores, thresholds = [0.1, 0.2, 0.3, 0.4], [0.0, 0.2, 0.35, 0.4]
    np.testing.assert_allclose(performance_profile(scores, thresholds), [1, 0.5, 0.25, 0])
    below = performance_profile(scores, thresholds, lower_is_better=True)
    np.testing.assert_allclose(below, [0, 0.25, 0.75, 0.75])


def test_area_under_the_profile_is_the_mean() -> None:
    """∫₀¹ P(score > τ) dτ = mean score, for scores in [0, 1]: within the grid's step."""
    scores = np.random.default_rng(6).uniform(size=(10, 4))
    midpoints = (np.arange(1000) + 0.5) / 1000
    assert performance_profile(scores, midpoints).mean() == pytest.approx(scores.mean(), abs=5e-4)


def test_profile_band_holds_the_profile() -> None:
    """The band brackets the curve, and closes where every run agrees."""
    scores = np.random.default_rng(7).uniform(size=(10, 4))
    thresholds = np.array([-1.0, 0.25, 0.5, 0.75, 2.0])
    low, high = profile_band(scores, thresholds, np.random.default_rng(0))
    curve = performance_profile(scores, thresholds)
    assert (low <= curve).all()
    assert (curve <= high).all()
    np.testing.assert_allclose((high - low)[[0, -1]], 0)
    assert (high - low)[2] > 0.1


def test_probability_of_improvement_is_mann_whitney() -> None:
    """U / (R·R') of SciPy, per task; ties count one half."""
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 5, size=(7, 3)), rng.integers(0, 5, size=(9, 3))
    expected = np.mean([stats.mannwhitneyu(x[:, task], y[:, task]).statistic / 63 for task in range(3)])
    assert probability_of_improvement(x, y) == pytest.approx(expected, abs=1e-12)
    assert probability_of_improvement(x, y, lower_is_better=True) == pytest.approx(1 - expected, abs=1e-12)


def test_probability_of_improvement_known_numbers() -> None:
    """(1, 3) against (2, 2): one of two wins; against itself one half; regret turned round."""
    assert probability_of_improvement([1, 3], [2, 2]) == 0.5
    assert probability_of_improvement([3, 4], [1, 3]) == 0.875
    assert probability_of_improvement([0.1, 0.2], [0.3, 0.4], lower_is_better=True) == 1


def test_improvement_interval_holds_the_estimate() -> None:
    """Ten runs shifted by one deviation: P = Φ(1/√2) = .760 lies in the interval, one half does not."""
    rng = np.random.default_rng(9)
    interval = improvement_interval(rng.normal(size=(10, 8)) + 1, rng.normal(size=(10, 8)), rng)
    assert interval.low < interval.estimate < interval.high
    assert not interval.excludes(0.760)
    assert interval.excludes(0.5)


@pytest.mark.parametrize("scores", [[], [[[1.0]]], [1.0, np.nan], [np.inf]])
def test_bad_scores_are_refused(scores: list[float]) -> None:
    """No runs, too many axes, and failed runs are errors, not numbers."""
    with pytest.raises(ValueError, match="scores"):
        interquartile_mean(scores)


def test_unpaired_shapes_are_refused() -> None:
    """A missing seed or task is an error that gives both shapes."""
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="same tasks, got 1 and 2"):
        probability_of_improvement([1, 2], [[1, 2]])
    with pytest.raises(ValueError, match="one score per seed"):
        mean_interval([[1, 2], [3, 4]])
