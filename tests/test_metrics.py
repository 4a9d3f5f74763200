"""Metrics: every formula on numbers small enough to check by hand, its range and its empty case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ammo_env import metaspace_v0
from ammo_env.metrics import (
    MISINFORMATION,
    Meter,
    consensus,
    gini,
    intra_slate_diversity,
    mean_where,
    neighbour_similarity,
    polarisation,
    serendipity,
)


def test_gini_of_equal_single_and_no_exposure() -> None:
    shares = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(gini(shares), [0.0, 0.75, 0.0, 0.25], atol=1e-7)


def test_diversity_counts_pairs_of_filled_slots() -> None:
    """Slate (x, y, x): pairs have 1 - cos = 1, 1, 0, mean 2/3; without the last item 1; one item or none 0."""
    x, y = [1.0, 0.0], [0.0, 1.0]
    vectors = np.array([[x, y, x]] * 4)
    filled = np.array([[True] * 3, [True, True, False], [True, False, False], [False] * 3])
    np.testing.assert_allclose(intra_slate_diversity(vectors, filled), [2 / 3, 1.0, 0.0, 0.0], atol=1e-7)


def test_polarisation_from_agreement_to_opposition() -> None:
    x, y = [1.0, 0.0], [0.0, 1.0]
    q = np.array([[x, x], [x, y], [x, [-1.0, 0.0]]])
    np.testing.assert_allclose(polarisation(q), [0.0, 0.5, 1.0], atol=1e-7)
    np.testing.assert_array_equal(polarisation(q[:, :1]), 0.0)


def test_consensus_is_the_largest_circle_of_the_like_minded() -> None:
    """Four humans: of one mind 1, two camps 1/2, scattered 1/4; the middle of a chain speaks for it."""
    angles = np.deg2rad([[0, 10, 20, 30], [0, 5, 180, 185], [0, 90, 180, 270], [0, 50, 100, 240]])
    q = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    np.testing.assert_allclose(consensus(q), [1.0, 0.5, 0.25, 0.75], atol=1e-7)
    np.testing.assert_array_equal(consensus(q[:, :1]), 1.0)


def test_neighbour_similarity_by_hand() -> None:
    """x listens to y and to -x (weights 1/4, 3/4), y to x, -x to nobody: (-3/4 + 0) / 2; without a network 0."""
    q = np.array([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    friends = np.array([[[0.0, 0.25, 0.75], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(neighbour_similarity(q, friends), [-0.375])
    np.testing.assert_allclose(neighbour_similarity(q, 0.0 * friends), [0.0])


def test_what_a_network_and_push_back_add_to_the_metrics() -> None:
    settings: dict[str, Any] = {"social.network": "similar", "social.pushback.rejection_below": 2.0}
    env, plain = metaspace_v0.vec_env(2, **settings), metaspace_v0.vec_env(2)
    for each in (env, plain):
        each.reset(0)
        for _ in range(2):
            each.step({"user_buddy": np.broadcast_to(np.arange(4), (2, 8, 4)), "goal_buddy": np.zeros((2, 16), int)})
    added = env.measure()
    assert added.keys() - plain.measure().keys() == {"neighbour_similarity", "rejected"}
    # Everybody is answered worse than 2, so who was asked about often enough is out; the similar are alike.
    assert (added["rejected"] > 0).all()
    assert (added["neighbour_similarity"] > 1.0 - 2.0 * added["polarisation"]).all()


def test_mean_where_ignores_what_is_absent() -> None:
    values = np.array([[[2.0, 4.0]], [[8.0, 1.0]], [[1.0, 1.0]]])
    present = np.array([[[True, True]], [[True, False]], [[False, False]]])
    np.testing.assert_allclose(mean_where(values, present), [3.0, 8.0, 0.0])


def test_serendipity_by_hand() -> None:
    """Consumption points along x. Items x, y, y: e.c = 1, 0, 0; u = .9, .7, -.2; believed .1, .3, -.5: gains 0 (just
    like what was seen), .4 and 0 (irrelevant). Before any consumption the first gains .8; empty slots and slates count
    nothing."""
    x, y = [1.0, 0.0], [0.0, 1.0]
    utility, believed = np.array([[[0.9, 0.7, -0.2]]]), np.array([[[0.1, 0.3, -0.5]]])
    vectors, all_three = np.array([[[x, y, y]]]), np.ones((1, 1, 3), bool)
    consumed, nothing = np.array([[[0.2, 0.0]]]), np.zeros((1, 1, 2))
    assert serendipity(utility, believed, vectors, consumed, all_three)[0] == pytest.approx(0.4 / 3)
    assert serendipity(utility, believed, vectors, nothing, all_three)[0] == pytest.approx((0.8 + 0.4) / 3)
    first = np.array([[[True, False, False]]])
    assert serendipity(utility, believed, vectors, nothing, first)[0] == pytest.approx(0.8)
    assert serendipity(utility, believed, vectors, nothing, ~all_three)[0] == 0.0
    # Whoever already believes the truth is not surprised.
    assert serendipity(utility, utility, vectors, nothing, all_three)[0] == 0.0


def test_serendipity_expects_what_was_believed_before_the_answers() -> None:
    """In the first round nothing was consumed and q_hat is the prior: recomputed from the world as it was shown."""
    env = metaspace_v0.vec_env(2)
    env.reset(0)
    state = env.world.state
    believed, utility = (x @ state.corpus.vectors.swapaxes(1, 2) for x in (state.beliefs.mean, state.q))
    shown = state.candidates[..., :4]
    gain = utility - np.maximum(believed, 0.0)
    expected = np.maximum(np.take_along_axis(gain, shown, -1), 0.0).mean(axis=(1, 2))
    env.step({"user_buddy": np.broadcast_to(np.arange(4), (2, 8, 4)), "goal_buddy": np.zeros((2, 16), int)})
    np.testing.assert_allclose(env.measure()["serendipity"], expected, atol=1e-5)
    assert expected.min() > 0.01


def test_a_meter_divides_sums_and_splits_the_episode() -> None:
    """Two rounds, two worlds: R = 1, 3 | 2, 0 and R_bar = 2, 4 | 2, 2; a ratio of sums is not a mean of ratios."""
    meter = Meter()
    for regret, random_regret in (([1.0, 3.0], [2.0, 4.0]), ([2.0, 0.0], [2.0, 2.0])):
        meter.add({
            "regret": np.array(regret, np.float32), "random_regret": np.array(random_regret, np.float32),
            "retrieval_regret": np.array([0.5, 0.5], np.float32),
        })  # fmt: skip
    summary = meter.summary()
    assert summary["normalised_regret"] == pytest.approx(6 / 10)
    assert summary["normalised_regret_late"] == pytest.approx(2 / 4)
    assert summary["normalised_retrieval_regret"] == pytest.approx(2 / 10)
    assert summary["cumulative_regret"] == pytest.approx(3.0)
    np.testing.assert_allclose(meter.by_world()["regret"], [1.5, 1.5])
    both = Meter.joined([meter, meter])
    assert both.by_world()["regret"].shape == (4,)
    assert both.summary()["normalised_regret"] == pytest.approx(6 / 10)


def test_an_empty_meter_and_unequal_meters_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Meter().summary()
    with pytest.raises(ValueError, match="same number of rounds"):
        Meter.joined([])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_a_world_measures_is_in_range(backend: str) -> None:
    env = metaspace_v0.vec_env(3, backend=backend)
    env.reset(0)
    with pytest.raises(RuntimeError, match=r"step\(\) first"):
        env.measure()
    rng = np.random.default_rng(0)
    for _ in range(5):
        env.step({"user_buddy": rng.integers(16, size=(3, 8, 4)), "goal_buddy": rng.integers(20, size=(3, 16))})
        metrics = env.measure()
        assert all(values.shape == (3,) and np.isfinite(values).all() for values in metrics.values())
        assert (metrics["retrieval_regret"] >= 0).all()
        assert (metrics["retrieval_regret"] <= metrics["regret"] + 1e-5).all()
        for name in ("misinformation_rate", "exposure_gini", "coverage", "serendipity", "polarisation", "consensus",
                     "published"):  # fmt: skip
            assert ((metrics[name] >= 0) & (metrics[name] <= 1)).all(), name
        assert ((metrics["preference_gap"] > 0) & (metrics["preference_gap"] < 2)).all()
        happened = env.last_round
        assert happened is not None
        error = env.arrays.to_numpy(happened.judgement.grounding_error)
        filled = env.arrays.to_numpy(happened.impression.filled)
        rate = [(error[e][filled[e]] > MISINFORMATION).mean() for e in range(3)]
        np.testing.assert_allclose(metrics["misinformation_rate"], rate, atol=1e-6)


def test_novelty_is_measured_before_the_slate_is_consumed() -> None:
    """In the first round nothing was seen: novelty is exactly 1."""
    env = metaspace_v0.vec_env(2)
    env.reset(0)
    slate = np.broadcast_to(np.arange(4), (2, 8, 4))
    env.step({"user_buddy": slate, "goal_buddy": np.zeros((2, 16), int)})
    np.testing.assert_allclose(env.measure()["novelty"], 1.0, atol=1e-6)
    env.step({"user_buddy": slate, "goal_buddy": np.zeros((2, 16), int)})
    assert (env.measure()["novelty"] < 1.0).all()
