"""Closed forms, as statements about the environment itself: Monte Carlo at 4 standard errors, algebra at 1e-9."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from ammo_env import closed_forms
from ammo_env.arrays import NumpyArrays
from ammo_env.beliefs import Beliefs
from ammo_env.creations import create
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.metaspace_v0 import vec_env
from ammo_env.seats import Seats
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace
from ammo_env.vector import VectorEnv

Values = NDArray[np.float64]


def uniform_world(dim: int, creations: int, slots: int, envs: int, seed: int, **overrides: Any) -> VectorEnv:
    """A corpus of M independent uniform creations, one per goal buddy, all of them shown; uniform humans who never
    answer. Entities are exactly the facts, and those are uniform (cluster_strength 0)."""
    settings: dict[str, Any] = {
        "knowledge.dim": dim, "knowledge.num_subspaces": 1, "knowledge.cluster_strength": 0.0,
        "knowledge.anchor_noise": 0.0, "knowledge.facts_per_subspace": 400,
        "knowledge.entities_per_subspace": 400, "knowledge.preference": "uniform", "knowledge.seed": seed,
        "goal_buddies.num_goal_buddies": creations, "goal_buddies.shelf_size": 1,
        "goal_buddies.steering_dim": 1, "goal_buddies.steering_scale": 0.0,
        "attention.num_candidates": creations, "attention.num_slots": slots, "attention.fresh_share": 0.0,
        "aipp.response": 0.0, "humans.num_humans": 4, "actions.goal_buddy": "gains", "humans.drift_mode": "isotropic",
    }  # fmt: skip
    return vec_env(envs, "default", **{**settings, **overrides})


def play(env: VectorEnv, positions: NDArray[np.int64]) -> Values:
    """One round in which nobody publishes; the regret of every world, averaged over its humans, [E]."""
    hold = np.zeros((env.num_envs, env.num_agents["goal_buddy"], 4), np.float32)
    one = env.config.attention.num_slots == 1
    env.step({"user_buddy": positions[..., 0] if one else positions, "goal_buddy": hold})
    assert env.last_round is not None
    regret: Values = env.last_round.judgement.regret.mean(axis=1, dtype=np.float64)
    return regret


def random_positions(env: VectorEnv, rng: np.random.Generator) -> NDArray[np.int64]:
    shown, slots = env.config.attention.num_candidates, env.config.attention.num_slots
    order = rng.permuted(np.tile(np.arange(shown), (env.num_envs, env.num_agents["user_buddy"], 1)), axis=-1)
    return order[..., :slots]


def greedy_positions(env: VectorEnv) -> NDArray[np.int64]:
    """The S largest q_hat . e: the semantic candidates come best first."""
    slots = env.config.attention.num_slots
    return np.broadcast_to(np.arange(slots), (env.num_envs, env.num_agents["user_buddy"], slots))


def believe(env: VectorEnv, mean: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Every user buddy believes `mean` [E, U, D]; a random round passes, so that it is what they act on next."""
    env.world.state.beliefs = Beliefs(mean, np.full_like(mean, 0.01))
    play(env, random_positions(env, rng))


def agrees(means: list[float] | Values, expected: float) -> None:
    """The mean of independent values is within 4 standard errors of what it should be."""
    values = np.asarray(means)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - expected) < 4 * error, f"{values.mean():.5f} +- {error:.5f}, expected {expected:.5f}"
    assert error < 0.03 * max(expected, 0.1), "too few worlds to tell"


@pytest.mark.parametrize(("creations", "slots"), [(9, 3), (2, 1), (64, 4), (12, 12), (1000, 10), (1, 1)])
def test_t_at_three_dimensions_is_a_fraction(creations: int, slots: int) -> None:
    """T(3, M, N) = N (M - N) / (M + 1), to 1e-9; (9, 3) gives 1.8."""
    expected = slots * (creations - slots) / (creations + 1)
    assert closed_forms.random_slate_regret(3, creations, slots) == pytest.approx(expected, abs=1e-9)


def test_t_at_any_dimension() -> None:
    """T(1536, 100, 5) = .257409; on the circle the best of two is 4 / pi^2 (E max of two cosines); it falls with D."""
    assert closed_forms.random_slate_regret(1536, 100, 5) == pytest.approx(0.257409, abs=1e-6)
    assert closed_forms.random_slate_regret(2, 2, 1) == pytest.approx(4 / math.pi**2, abs=1e-9)
    by_dim = [closed_forms.random_slate_regret(dim, 64, 4) for dim in (2, 3, 4, 8, 32, 128, 1536)]
    assert by_dim == sorted(by_dim, reverse=True)


def test_t_scales_like_one_over_root_d() -> None:
    """In high dimension sqrt(D) T tends to the order statistics of a normal: best of two, 1/sqrt(pi)."""
    scaled = math.sqrt(1e6) * closed_forms.random_slate_regret(10**6, 2, 1)
    assert scaled == pytest.approx(1 / math.sqrt(math.pi), abs=1e-6)


@pytest.mark.parametrize(("dim", "creations", "slots"), [(1, 5, 2), (3, 2, 3), (3, 5, 0)])
def test_t_of_sizes_that_cannot_be(dim: int, creations: int, slots: int) -> None:
    with pytest.raises(ValueError, match=f"D={dim}, M={creations}, N={slots}"):
        closed_forms.random_slate_regret(dim, creations, slots)


def test_the_uniform_world_is_uniform() -> None:
    """Its creations are distinct facts; facts and humans have mean 0 and covariance I/D within 4 standard errors."""
    env = uniform_world(3, 9, 3, 200, seed=0)
    env.reset(seed=0)
    vectors = env.world.state.corpus.vectors
    gram = np.matmul(vectors, np.swapaxes(vectors, -1, -2)) - 2 * np.eye(9)
    assert gram.max() < 1 - 1e-6, "no entity sits twice"
    np.testing.assert_allclose((vectors @ env.world.space.facts[0].T).max(axis=-1), 1.0, atol=1e-5)
    settings = {"dim": 3, "num_subspaces": 1, "cluster_strength": 0.0, "preference": "uniform"}
    knowledge = load_knowledge(
        KnowledgeConfig.model_validate({**settings, "facts_per_subspace": 4000, "pool_size": 4000})
    )
    for sample in (knowledge.facts[0], knowledge.preferences):
        assert np.abs(sample.mean(axis=0)).max() < 4 * math.sqrt(1 / 3 / 4000)
        # Var(x_i^2) = 4/45 and Var(x_i x_j) = 1/15 on the sphere.
        assert np.abs(sample.T @ sample / 4000 - np.eye(3) / 3).max() < 4 * math.sqrt(4 / 45 / 4000)


@pytest.mark.parametrize(
    ("dim", "creations", "slots", "expected"), [(3, 9, 3, 1.8), (3, 5, 1, 4 / 6), (16, 12, 4, None)]
)
def test_the_regret_of_a_random_slate(dim: int, creations: int, slots: int, expected: float | None) -> None:
    """30 spaces of 60 worlds, two rounds each: N (M - N) / (M + 1) at D = 3, T at any D."""
    expected = expected or closed_forms.random_slate_regret(dim, creations, slots)
    means, baselines = [], []
    for seed in range(30):
        env, rng = uniform_world(dim, creations, slots, 60, seed), np.random.default_rng(seed)
        env.reset(seed=seed)
        means.append(float(np.mean([play(env, random_positions(env, rng)) for _ in range(2)])))
        assert env.last_round is not None
        baselines.append(float(env.last_round.judgement.random_regret.mean()))
    agrees(means, expected)
    agrees(baselines, expected)


def test_the_regret_of_a_random_slate_at_1536_dimensions() -> None:
    """T(1536, 100, 5) = .257409, from 40 worlds of 100 creations."""
    overrides = {"anchor_noise": 1e6, "facts_per_subspace": 8, "entities_per_subspace": 2000}
    overrides = {f"knowledge.{name}": value for name, value in overrides.items()}
    env, rng = uniform_world(1536, 100, 5, 40, seed=0, **overrides), np.random.default_rng(0)
    env.reset(seed=0)
    agrees(play(env, random_positions(env, rng)), 0.257409)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, math.pi / 2])
@pytest.mark.parametrize("dim", [3, 16])
def test_a_misaligned_belief_costs_one_minus_cos(dim: int, angle: float) -> None:
    """Greedy on a belief at angle phi from q: E R = (1 - cos phi) T; 0 for the truth itself."""
    regrets = []
    for seed in range(20):
        env, rng = uniform_world(dim, 9, 3, 60, seed), np.random.default_rng(seed)
        env.reset(seed=seed)
        q = env.world.state.q
        aside = rng.standard_normal(q.shape).astype(np.float32)
        aside -= np.vecdot(aside, q)[..., None] * q
        aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
        believe(env, (math.cos(angle) * q + math.sin(angle) * aside).astype(np.float32), rng)
        regrets.append(float(play(env, greedy_positions(env)).mean()))
    if angle == 0.0:
        assert max(regrets) < 1e-6
    else:
        agrees(regrets, closed_forms.misaligned_regret(angle, dim, 9, 3))


@pytest.mark.parametrize("dim", [3, 16])
def test_a_stale_belief_costs_one_minus_rho_to_the_lag(dim: int) -> None:
    """A belief that was the truth l rounds ago, greedy: E R = (1 - rho^l) T for l = 1..5 at rho = .9."""
    rho, regrets = 0.9, []
    for seed in range(20):
        env, rng = uniform_world(dim, 9, 3, 60, seed, **{"humans.drift_rho": rho}), np.random.default_rng(seed)
        env.reset(seed=seed)
        believe(env, env.world.state.q, rng)
        regrets.append([float(play(env, greedy_positions(env)).mean()) for _ in range(5)])
    for lag, column in enumerate(np.array(regrets).T, start=1):
        agrees(column, closed_forms.stale_regret(rho, lag, dim, 9, 3))


@pytest.mark.parametrize("dim", [3, 64, 1536])
def test_isotropic_drift_has_correlation_rho(dim: int) -> None:
    """E[q_t . q_{t+1}] = rho exactly, and E[q_t . q_{t+l}] = rho^l within 4 standard errors, at every D."""
    envs = 400 if dim < 1000 else 50
    overrides = {"humans.drift_rho": 0.9, "knowledge.facts_per_subspace": 10, "knowledge.entities_per_subspace": 10}
    env, rng = uniform_world(dim, 4, 1, envs, seed=0, **overrides), np.random.default_rng(0)
    env.reset(seed=0)
    path = [env.world.state.q]
    for _ in range(4):
        play(env, random_positions(env, rng))
        path.append(env.world.state.q)
    np.testing.assert_allclose(np.vecdot(path[0], path[1]), 0.9, atol=1e-5)
    for lag in (2, 3, 4):
        products = np.vecdot(path[0], path[lag]).reshape(-1).astype(np.float64)
        error = products.std() / math.sqrt(products.size)
        assert abs(products.mean() - 0.9**lag) < 4 * error + 1e-6


@pytest.mark.parametrize(("dim", "tolerance"), [(3, 0.03), (64, 0.01), (1536, 0.01)])
@pytest.mark.parametrize("rho", [0.9, 0.98])
def test_population_drift_has_about_the_correlation_of_the_formula(dim: int, rho: float, tolerance: float) -> None:
    """E[q . q'] = rho + (1 - rho) |mu|^2, an approximation: within .01 from D = 64 on, within .03 at D = 3."""
    env = vec_env(
        100, "default", dim=dim, drift_rho=rho, steering_dim=2, num_goal_buddies=4, facts_per_subspace=16, pool_size=512
    )
    env.reset(seed=0)
    before = env.world.state.q
    hold = {"user_buddy": np.zeros((100, 8, 4), np.int64), "goal_buddy": np.zeros((100, 4), np.int64)}
    env.step(hold)
    measured = float(np.vecdot(before, env.world.state.q).mean())
    expected = closed_forms.population_correlation(rho, float(np.linalg.norm(env.world.space.mean)))
    assert measured == pytest.approx(expected, abs=tolerance)
    assert measured > rho


def best_angle(theta: float, price: float) -> float:
    """The angle from its fact at which a creator does best: e . q - price * |e - g| over all creations within 63
    degrees of g, made and grounded by the world's own functions (g = (1, 0), q at angle theta, W = (0, 1))."""
    space = MetaSpace(
        facts=np.array([[[1, 0]]], np.float32), fact_mask=np.ones((1, 1), bool),
        steering=np.array([[[0], [1]]], np.float32), entities=np.array([[1, 0]], np.float32),
        entity_subspace=np.array([0]), preferences=np.array([[1, 0]], np.float32),
        people=np.array([[1, 0]], np.float32),
        mean=np.zeros(2, np.float32), variance=np.ones(2, np.float32),
    )  # fmt: skip
    arrays = NumpyArrays()
    seats = Seats(arrays, space, 1, 1)
    angles = np.linspace(0.0, math.radians(63.0), 6301)
    steering = (np.tan(angles) / 2).astype(np.float32)[:, None, None]
    anchors = np.tile(np.array([[[1, 0]]], np.float32), (len(angles), 1, 1))
    made = create(arrays, anchors, seats, steering, 2.0)
    _, error = seats.nearest_fact(made)
    q = np.array([math.cos(theta), math.sin(theta)])
    payoff = made[:, 0].astype(np.float64) @ q - price * error[:, 0]
    return float(angles[payoff.argmax()])


@pytest.mark.parametrize("degrees", [10, 30, 60, 89, 105, 120])
def test_truth_pays_from_the_honesty_threshold_on(degrees: int) -> None:
    """Exactly at the fact (to 1e-3) at lambda = sin theta + .01 (1.01 beyond 90 degrees), well off it at .03 less."""
    theta = math.radians(degrees)
    threshold = closed_forms.honesty_threshold(theta)
    assert threshold == pytest.approx(math.sin(theta) if degrees <= 90 else 1.0, abs=1e-12)
    assert best_angle(theta, threshold + 0.01) < 1e-3
    assert best_angle(theta, threshold - 0.03) > 0.02


def test_dpo_at_the_reference_and_at_its_optimum() -> None:
    """The loss at the reference is ln 2. For r = (1, 0, -1), beta = .5 and a uniform reference the optimum is (.866813,
    .117310, .015876), and it is where the expected loss over Bradley-Terry pairs is least."""
    assert closed_forms.dpo_loss(0.0, 0.0, 0.5) == pytest.approx(math.log(2), abs=1e-12)
    reward, beta = np.array([1.0, 0.0, -1.0]), 0.5
    optimum = closed_forms.dpo_optimum(reward, beta)
    np.testing.assert_allclose(optimum, [0.866813, 0.117310, 0.015876], atol=1e-6)
    prefers = 1.0 / (1.0 + np.exp(reward - reward[:, None]))  # [y, y']: probability that y is preferred to y'

    def expected_loss(logits: Values) -> float:
        ratio = logits - np.log(np.exp(logits).sum()) + math.log(3)
        return float((prefers * closed_forms.dpo_loss(ratio[:, None], ratio, beta)).sum())

    found = optimize.minimize(expected_loss, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(np.exp(found) / np.exp(found).sum(), optimum, atol=1e-5)


def test_dpo_tilts_whatever_the_reference_is() -> None:
    """Equal rewards leave the reference; log(pi / ref) differs by r / beta."""
    reference = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(closed_forms.dpo_optimum([2.0, 2.0, 2.0], 0.1, reference), reference, atol=1e-12)
    tilted = np.log(closed_forms.dpo_optimum([1.0, 0.0, -1.0], 2.0, reference) / reference)
    np.testing.assert_allclose(np.diff(tilted), -0.5, atol=1e-12)
