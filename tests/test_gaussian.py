"""The filter with a full covariance: against the dense posterior in double precision, and where it is cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import metaspace_v0
from ammo_env.aipp import Aipp, Feedback
from ammo_env.arrays import NumpyArrays
from ammo_env.beliefs import Beliefs
from ammo_env.config import AmmoConfig
from ammo_env.gaussian import FullKalmanBelief, eliminate
from ammo_env.memory import Impression
from ammo_env.scenarios import load_config
from ammo_env.space import MetaSpace
from ammo_env.vector import VectorEnv

ARRAYS = NumpyArrays()
MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]


def filter_of(dim: int, rank: int = 64, overrides: dict[str, Any] | None = None) -> FullKalmanBelief:
    """A filter over people of mean (.3, 0, ..) and variances 1/4, 1/8, 1/12, ...; ratings of variance .25."""
    config = load_config("default", {"beliefs.rank": rank, "aipp.noise": 0.5, **(overrides or {})})
    rows = np.eye(dim, dtype=np.float32)
    space = MetaSpace(
        facts=rows[None], fact_mask=np.ones((1, dim), bool), steering=rows[None, :, :1], entities=rows[:1],
        entity_subspace=np.array([0]), preferences=rows, people=rows, mean=0.3 * rows[0],
        variance=(0.25 / np.arange(1, dim + 1)).astype(np.float32),
    )  # fmt: skip
    return FullKalmanBelief(ARRAYS, config, space, Aipp(ARRAYS, config.aipp, 1))


def slate(rng: np.random.Generator, dim: int, slots: int = 4) -> Impression:
    """A slate of random unit items, rated at random."""
    items = rng.standard_normal((1, 1, slots, dim))
    items /= np.linalg.norm(items, axis=-1, keepdims=True)
    there, nobody = np.ones((1, 1, slots), bool), np.zeros((1, 1, slots), np.int64)
    values = rng.standard_normal((1, 1, slots)).astype(np.float32)
    return Impression(
        vectors=items.astype(np.float32), creator=nobody, item=nobody, filled=there,
        provenance=np.zeros((1, 1, slots), np.float32), assumed_bait=np.zeros((1, 1, slots), np.float32),
        feedback=Feedback(values, there, nobody),
    )  # fmt: skip


def dense(mean: NDArray[Any], covariance: NDArray[Any], sent: Impression, noise: float = 0.25) -> tuple[Any, Any]:
    """The exact posterior, in information form."""
    items, values = sent.vectors[0, 0].astype(float), sent.feedback.value[0, 0].astype(float)
    before = np.linalg.inv(covariance)
    after = np.linalg.inv(before + items.T @ items / noise)
    return after @ (before @ mean + items.T @ values / noise), after


def moments(model: FullKalmanBelief) -> tuple[Beliefs, NDArray[np.float64], NDArray[np.float64]]:
    prior = model.prior(1, 1)
    return prior, prior.mean[0, 0].astype(float), np.diag(prior.variance[0, 0].astype(float))


@pytest.mark.parametrize("rho", [1.0, 0.9])
def test_it_is_the_exact_posterior(rho: float) -> None:
    """Twelve slates of four items in general position, with and without drift: mean, covariance and the deviation of
    q.e of the dense posterior, to 2e-5."""
    model, rng = filter_of(6, overrides={"humans.drift_rho": rho}), np.random.default_rng(0)
    beliefs, mean, covariance = moments(model)
    prior = covariance
    for _ in range(12):
        sent = slate(rng, 6)
        beliefs = model.forget(model.absorb(beliefs, sent, sent.filled))
        mean, covariance = dense(mean, covariance, sent)
        mean = 0.3 * np.eye(6)[0] + rho * (mean - 0.3 * np.eye(6)[0])
        covariance = rho**2 * covariance + (1 - rho**2) * prior
    np.testing.assert_allclose(beliefs.mean[0, 0], mean, atol=2e-5)
    np.testing.assert_allclose(beliefs.own["covariance"][0, 0], covariance, atol=2e-5)
    np.testing.assert_allclose(beliefs.variance[0, 0], np.diag(covariance), atol=2e-5)
    vectors = slate(rng, 6).vectors
    expected = np.sqrt(np.einsum("kd,de,ke->k", vectors[0, 0], covariance, vectors[0, 0]))
    np.testing.assert_allclose(model.spread(beliefs, vectors.copy())[0, 0], expected, atol=2e-5)


def test_beyond_its_rank_it_is_diagonal() -> None:
    """One slate from a diagonal prior at D = 7, R = 3: the dense posterior's mean, variances and leading block; from
    then on the covariance between the blocks and beyond the third coordinate is taken for 0."""
    model, rng = filter_of(7, rank=3), np.random.default_rng(1)
    beliefs, mean, covariance = moments(model)
    for _ in range(3):
        sent = slate(rng, 7)
        beliefs = model.absorb(beliefs, sent, sent.filled)
        mean, covariance = dense(mean, covariance, sent)
        kept = np.zeros((7, 7), bool)
        kept[:3, :3] = True
        covariance = np.where(kept | np.eye(7, dtype=bool), covariance, 0.0)
        np.testing.assert_allclose(beliefs.mean[0, 0], mean, atol=1e-5)
        np.testing.assert_allclose(beliefs.variance[0, 0], np.diag(covariance), atol=1e-5)
        np.testing.assert_allclose(beliefs.own["covariance"][0, 0], covariance[:3, :3], atol=1e-5)
    vectors = slate(rng, 7).vectors
    expected = np.sqrt(np.einsum("kd,de,ke->k", vectors[0, 0], covariance, vectors[0, 0]))
    np.testing.assert_allclose(model.spread(beliefs, vectors.copy())[0, 0], expected, atol=1e-5)


def test_draws_have_the_posterior_s_moments() -> None:
    """20,000 draws: mean and covariance within 4 standard errors."""
    model, rng, draws = filter_of(5, rank=3), np.random.default_rng(2), 20_000
    sent = slate(rng, 5)
    beliefs = model.absorb(model.prior(1, 1), sent, sent.filled)
    mean, variance, block = (np.repeat(x, draws, axis=0)
                             for x in (beliefs.mean, beliefs.variance, beliefs.own["covariance"]))  # fmt: skip
    many = Beliefs(mean, variance, {"covariance": block})
    drawn = model.draw(many, rng.standard_normal((draws, 1, 5)).astype(np.float32))[:, 0].astype(float)
    covariance = np.diag(beliefs.variance[0, 0].astype(float))
    covariance[:3, :3] = beliefs.own["covariance"][0, 0]
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(axis=0) - beliefs.mean[0, 0]) < 4 * spread / np.sqrt(draws)).all()
    error = np.sqrt((np.outer(spread**2, spread**2) + covariance**2) / draws)
    assert (np.abs(np.cov(drawn.T) - covariance) < 4 * error).all()


def test_elimination_is_a_factorisation() -> None:
    """L^-1 applied to a column c and pivots d: sum of (L^-1 c)^2 / d = c^T S^-1 c, and prod d = det S."""
    rng = np.random.default_rng(3)
    items, root = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 5, 5))
    covariance, noise = root @ root.swapaxes(-1, -2), rng.uniform(0.1, 1.0, (2, 3, 4))
    pulls, column = items @ covariance, rng.standard_normal((2, 3, 4, 1))
    told, pivots = eliminate(ARRAYS, pulls, items, noise, column)
    whole = pulls @ items.swapaxes(-1, -2) + noise[..., None] * np.eye(4)
    quadratic = (column.swapaxes(-1, -2) @ np.linalg.inv(whole) @ column)[..., 0, 0]
    np.testing.assert_allclose((told[..., 5] ** 2 / pivots).sum(axis=-1), quadratic, rtol=1e-9)
    np.testing.assert_allclose(pivots.prod(axis=-1), np.linalg.det(whole), rtol=1e-9)


def test_noiseless_answers_leave_a_covariance_that_can_be_drawn_from() -> None:
    """500 slates without noise at D = 32: finite, deviations at least 0, and a draw is close to the mean."""
    model, rng = filter_of(32, overrides={"aipp.noise": 0.0}), np.random.default_rng(4)
    beliefs = model.prior(1, 1)
    for _ in range(500):
        sent = slate(rng, 32)
        sent.feedback.value[...] = sent.vectors[..., 0]  # q is the first axis
        beliefs = model.absorb(beliefs, sent, sent.filled)
    np.testing.assert_allclose(beliefs.mean[0, 0], np.eye(32)[0], atol=0.01)
    drawn = model.draw(beliefs, rng.standard_normal((1, 1, 32)).astype(np.float32))
    assert np.linalg.norm(drawn - beliefs.mean) < 0.1
    assert (model.spread(beliefs, slate(rng, 32).vectors) >= 0.0).all()


def ucb_regret(env: VectorEnv, width: float = 1.5) -> NDArray[np.float64]:
    """Normalised regret [E] of one episode of LinUCB among goal buddies that publish as they are."""
    layout, slots = env.observation_layouts["user_buddy"], env.config.attention.num_slots
    names = layout.candidate_features
    regret, random = np.zeros(env.num_envs), np.zeros(env.num_envs)
    obs, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    while not env.is_over:
        table = layout.block(obs["user_buddy"], "candidates")
        score = table[..., names.index("score")] + width * table[..., names.index("uncertainty")]
        goals = rng.uniform(-1, 1, (env.num_envs, env.num_agents["goal_buddy"], 4)).astype(np.float32)
        obs, *_ = env.step({"user_buddy": np.argsort(-score, axis=-1)[..., :slots], "goal_buddy": goals})
        assert env.last_round is not None
        regret += env.last_round.judgement.regret.mean(axis=1)
        random += env.last_round.judgement.random_regret.mean(axis=1)
    return np.asarray(regret / random)


@pytest.mark.parametrize(("scenario", "gain"), [("default", 0.03), ("drift", 0.02)])
def test_what_the_covariance_is_worth(scenario: str, gain: float) -> None:
    """LinUCB for held-out people: normalised regret falls by at least `gain` against the diagonal filter, and by more
    than two standard errors over 24 worlds; the prototypes take it down further."""
    scores = [
        ucb_regret(metaspace_v0.vec_env(24, scenario, humans={"pool": "heldout"}, beliefs={"model": model},
                                        actions={"goal_buddy": "gains"}))
        for model in ("kalman", "full_kalman", "prototypes")
    ]  # fmt: skip
    fall = scores[0] - scores[1]
    assert fall.mean() > max(gain, 2 * fall.std(ddof=1) / np.sqrt(len(fall)))
    assert scores[2].mean() < scores[1].mean()
