"""Creator games, played in worlds and paid by the worlds' own rewards: the equilibria of the literature hold there.

A test publishes a profile of creations and reads the reward terms of the next round. Mixed strategies are played by
taking one evenly spaced quantile per world, so that means over worlds are expectations to about 1 / worlds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from agents.baselines import Greedy, Softmax
from agents.policy import take_turn
from ammo_env import equilibria
from ammo_env.arrays import Array, get_arrays
from ammo_env.games import best_exposure, game_space, softmax_exposure
from ammo_env.rewards import production_cost
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace
from ammo_env.vector import VectorEnv

Floats = NDArray[np.float64]
ARRAYS = get_arrays("numpy")
ORTHOGONAL = np.eye(2)


def tastes(angle: float) -> Floats:
    """Two unit vectors at an angle, [2, 2]."""
    half = angle / 2
    return np.array([[math.cos(half), math.sin(half)], [math.cos(half), -math.sin(half)]])


def stage(
    space: MetaSpace, envs: int, creators: int, overrides: dict[str, Any] | None = None, humans: int = 2
) -> VectorEnv:
    """Creators with one creation each, all of them shown to user buddies who know their human and fill one slot."""
    settings: dict[str, Any] = {
        "knowledge.num_subspaces": 1, "knowledge.dim": space.dim, "goal_buddies.num_goal_buddies": creators,
        "goal_buddies.shelf_size": 1, "goal_buddies.steering_dim": space.dim, "goal_buddies.steering_scale": 4.0,
        "goal_buddies.publish_cost": 0.0, "goal_buddies.norm": "free", "humans.num_humans": humans,
        "humans.draw": "listed", "attention.num_candidates": creators, "attention.num_slots": 1,
        "attention.fresh_share": 0.0, "beliefs.model": "truth", "actions.goal_buddy": "steer",
        "rewards.honesty_price": 0.0,
    }  # fmt: skip
    env = VectorEnv(load_config("default", settings | (overrides or {})), envs, space=space)
    env.reset(seed=0)
    return env


def publish(env: VectorEnv, profile: ArrayLike) -> dict[str, Array]:
    """Everybody publishes, [E, G, D] broadcast to the worlds; the observations that follow."""
    scale, anchors = env.config.goal_buddies.steering_scale, env.world.state.anchors
    steering = (np.broadcast_to(np.asarray(profile, np.float64), anchors.shape) - anchors) / scale
    willing = np.ones((*steering.shape[:2], 1))
    first = np.zeros((env.num_envs, env.num_agents["user_buddy"]), np.int64)
    return env.step({"user_buddy": first, "goal_buddy": np.concatenate([steering, willing], -1).astype(np.float32)})[0]


def terms(env: VectorEnv, chosen: NDArray[np.int64]) -> dict[str, Floats]:
    """The creators' reward terms [E, G] when the user buddies choose the candidates [E, U] and nobody publishes."""
    hold = np.zeros((*env.world.state.anchors.shape[:2], env.config.goal_buddies.steering_dim + 1), np.float32)
    env.step({"user_buddy": chosen, "goal_buddy": hold})
    assert env.last_round is not None
    return {name: np.asarray(t, np.float64) for name, t in env.last_round.reward_terms["goal_buddy"].items()}


def greedy(env: VectorEnv) -> NDArray[np.int64]:
    """The best candidate of each human: they come best first."""
    return np.zeros((env.num_envs, env.num_agents["user_buddy"]), np.int64)


def quantiles(count: int) -> Floats:
    return (np.arange(count) + 0.5) / count


def against(env: VectorEnv, deviations: Floats, rival: Floats) -> Floats:
    """Mean reward [N] of each of N deviations [N, D] in seat 0, against rivals [W, D] in seat 1; E = N * W worlds."""
    profile = np.stack([np.repeat(deviations, len(rival), 0), np.tile(rival, (len(deviations), 1))], axis=1)
    publish(env, profile)
    earned = terms(env, greedy(env))
    reward: Floats = np.sum(list(earned.values()), axis=0)[:, 0].reshape(len(deviations), -1).mean(axis=1)
    return reward


class TestFreeNorm:
    """A creation is a + kappa W s as it is, and its length is its quality."""

    def test_every_point_can_be_made(self) -> None:
        """Creators reach any p with |p| <= kappa - 1 to 1e-6; utility is p.q, regret that of the best p."""
        rng = np.random.default_rng(0)
        points = rng.uniform(-2, 2, size=(5, 3, 2))
        env = stage(game_space(ORTHOGONAL), 5, 3)
        publish(env, points)
        np.testing.assert_allclose(env.world.state.corpus.vectors, points, atol=1e-6)
        np.testing.assert_allclose(env.world.state.utility, np.swapaxes(points, 1, 2), atol=1e-6)
        env.step({"user_buddy": np.full((5, 2), 2), "goal_buddy": np.zeros((5, 3, 3), np.float32)})
        assert env.last_round is not None
        np.testing.assert_allclose(env.last_round.judgement.regret, np.ptp(points, axis=1), atol=1e-5)

    def test_truth_is_a_matter_of_direction(self) -> None:
        """Grounding error is the distance of the direction from the nearest fact; of a zero vector it is 1."""
        env = stage(game_space(ORTHOGONAL), 1, 4)
        publish(env, [[[3.0, 0.0], [0.2, 0.2], [0.0, 0.0], [0.0, -2.0]]])
        middle = 2 * math.sin(math.pi / 8)
        np.testing.assert_allclose(
            env.world.state.corpus.grounding_error[0], [0.0, middle, 1.0, math.sqrt(2)], atol=1e-3
        )

    def test_production_is_a_term_of_its_own(self) -> None:
        """-price * |p|^beta, for a shelf of one; the reward is the sum of the terms; without a price no such term."""
        env = stage(
            game_space(ORTHOGONAL), 1, 2, {"rewards.production_price": 0.5, "rewards.production_exponent": 3.0}
        )
        publish(env, [[[2.0, 0.0], [0.6, 0.8]]])
        earned = terms(env, greedy(env))
        np.testing.assert_allclose(earned["production"], [[-4.0, -0.5]], atol=1e-5)
        assert env.last_round is not None
        np.testing.assert_allclose(env.last_round.rewards["goal_buddy"], sum(earned.values()), atol=1e-6)
        assert "production" not in terms(stage(game_space(ORTHOGONAL), 1, 2), np.zeros((1, 2), np.int64))

    def test_the_cost_of_a_shelf_is_its_mean(self) -> None:
        vectors = np.array([[[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]], np.float32)
        np.testing.assert_allclose(production_cost(ARRAYS, vectors, 2.0, 2), [[13.0, 0.5]])

    def test_a_price_on_unit_vectors_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="norm to 'free'"):
            load_config("default", {"rewards.production_price": 1.0})

    @pytest.mark.parametrize("backend", ["numpy", "torch"])
    def test_other_features_hold_with_it(
        self, backend: str, random_actions: Callable[[VectorEnv, np.random.Generator], dict[str, Any]]
    ) -> None:
        """Events that add facts, a merger and retirement: regret >= 0, errors in [0, 2], and nothing is NaN."""
        settings = {
            "goal_buddies.norm": "free", "rewards.production_price": 0.1, "events.rate": 0.5, "events.fact_slots": 2,
            "subspaces.schedule": [{"round": 3, "merge": [0, 1]}, {"round": 6, "split": 0}], "life.viability": 0.05,
            "life.grace": 2, "episode.num_rounds": 10, "knowledge.dim": 8, "goal_buddies.steering_dim": 3,
            "actions.continuous": True,
        }  # fmt: skip
        env = VectorEnv(load_config("default", settings), 3, backend)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        while not env.is_over:
            env.step(random_actions(env, rng))
            error = env.arrays.to_numpy(env.world.state.corpus.grounding_error)
            assert (error >= 0).all()
            assert (error <= 2 + 1e-5).all()
            assert all(np.isfinite(values).all() for values in env.measure().values())
            assert env.measure()["regret"].min() >= 0


class TestTruth:
    def test_the_user_buddy_knows_its_human(self) -> None:
        """Beliefs are q in every round, in spite of drift; greedy has no regret, and humans are as listed."""
        drift = {"humans.drift_rho": 0.9, "humans.drift_mode": "isotropic"}
        env = stage(game_space(np.eye(3)), 20, 5, drift, humans=7)
        np.testing.assert_array_equal(env.world.state.human[0], [0, 1, 2, 0, 1, 2, 0])
        obs = publish(env, np.random.default_rng(0).normal(size=(20, 5, 3)) / 3)
        rng = np.random.default_rng(0)
        for _ in range(3):
            np.testing.assert_array_equal(env.world.state.beliefs.mean, env.world.state.q)
            chosen = Greedy().act(take_turn(env, obs, "user_buddy"), rng)
            obs = env.step({"user_buddy": chosen, "goal_buddy": np.zeros((20, 5, 4), np.float32)})[0]
            assert env.last_round is not None
            assert float(env.last_round.judgement.regret.max()) < 1e-6


class TestExposureGame:
    @staticmethod
    def curvature(env: VectorEnv, creators: int, angle: float, temperature: float) -> float:
        """Second derivative of a creator's exposure in the angle by which it leaves the middle, from the world's own
        utilities: worlds 0..4 hold deviations of 0, +-.05 and +-.1, extrapolated to 0."""
        exposure = softmax_exposure(ARRAYS, env.world.state.utility.astype(np.float64), temperature)[:, 0]
        assert exposure[0] == pytest.approx(1 / creators, abs=1e-6)
        near, far = (exposure[1:].reshape(2, 2).sum(axis=1) - 2 * exposure[0]) / np.array([0.05, 0.1]) ** 2
        return float((4 * near - far) / 3)

    @staticmethod
    def homogeneous(creators: int, angle: float) -> VectorEnv:
        """Everybody in the middle, at unit length, but the first creator a little off it."""
        env = stage(game_space(tastes(angle)), 5, creators, {"goal_buddies.norm": "unit"})
        off = np.array([0.0, 0.05, -0.05, 0.1, -0.1])
        profile = np.tile([1.0, 0.0], (5, creators, 1))
        profile[:, 0] = np.stack([np.cos(off), np.sin(off)], axis=-1)
        publish(env, profile)
        return env

    @pytest.mark.parametrize("creators", [3, 4, 10])
    @pytest.mark.parametrize("degrees", [60, 90, 120])
    def test_the_middle_is_an_equilibrium_above_the_threshold(self, creators: int, degrees: int) -> None:
        """No small deviation pays at 1.03 times the threshold, any pays at .97 times; the curvature is 0 within .2 % of
        it."""
        angle = math.radians(degrees)
        env, threshold = self.homogeneous(creators, angle), equilibria.exposure_threshold(creators, angle)
        assert self.curvature(env, creators, angle, 1.03 * threshold) < 0
        assert self.curvature(env, creators, angle, 0.97 * threshold) > 0
        root = optimize.brentq(
            lambda t: self.curvature(env, creators, angle, t), 0.8 * threshold, 1.2 * threshold, xtol=1e-6
        )
        assert root == pytest.approx(threshold, rel=2e-3)

    def test_the_threshold_in_numbers(self) -> None:
        assert equilibria.exposure_threshold(3) == pytest.approx(0.235702, abs=1e-6)
        assert equilibria.exposure_threshold(2) == 0.0
        with pytest.raises(ValueError, match="takes two"):
            equilibria.exposure_threshold(1)

    @pytest.mark.parametrize("temperature", [0.1, 0.3])
    def test_the_worlds_visibility_is_the_exposure(self, temperature: float) -> None:
        """3,000 worlds of 6 humans and 4 creators, a softmax user buddy: the visibility that is paid has the expected
        mean, within 4 standard errors."""
        angles = np.array([-0.7, 0.0, 0.4, 0.8])
        env = stage(game_space(ORTHOGONAL), 3000, 4, {"goal_buddies.norm": "unit"}, humans=6)
        obs = publish(env, np.stack([np.cos(angles), np.sin(angles)], axis=-1)[None])
        expected = softmax_exposure(ARRAYS, env.world.state.utility, temperature)[0]
        assert expected.sum() == pytest.approx(1.0, abs=1e-6)
        chosen = Softmax(temperature).act(take_turn(env, obs, "user_buddy"), np.random.default_rng(0))
        paid = terms(env, chosen)["visibility"]
        error = paid.std(axis=0, ddof=1) / math.sqrt(len(paid))
        assert (np.abs(paid.mean(axis=0) - expected) < 4 * error).all()

    def test_the_best_is_the_limit_of_a_cold_softmax(self) -> None:
        """Ties are split."""
        utility = np.array([[[0.5, 0.5, 0.1], [0.2, 0.1, 0.9]]], np.float32)
        np.testing.assert_allclose(best_exposure(ARRAYS, utility), [[0.25, 0.25, 0.5]])
        np.testing.assert_allclose(softmax_exposure(ARRAYS, utility, 1e-3), best_exposure(ARRAYS, utility), atol=1e-6)


class TestSupplySide:
    """Two creators, two humans who each take the creation with the largest p.q. With production_price 1/2 a world's
    reward is half the profit of the paper: its visibility is a share of the two humans, the paper counts them."""

    WORLDS = 400

    def arena(self, space: MetaSpace, deviations: int, beta: float) -> VectorEnv:
        prices = {"rewards.production_price": 0.5, "rewards.production_exponent": beta}
        return stage(space, deviations * self.WORLDS, 2, prices)

    @pytest.mark.parametrize("beta", [3.0, 4.0, 8.0])
    def test_specialised_creators_earn_a_profit(self, beta: float) -> None:
        """Against a rival of the equilibrium: 1 - 2/beta (.5 at beta = 4) all along the circle of radius
        (2/beta)^(1/beta) (.840896), and nowhere more; off it what the formula of the docstring says. All to .006."""
        radius, profit = equilibria.specialised_length(beta), equilibria.specialised_profit(beta)
        lengths, angles = radius * np.array([0.25, 0.6, 0.9, 1.0, 1.1, 1.5]), np.linspace(0, math.pi / 2, 7)
        grid = lengths[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        deviations = grid.reshape(-1, 2)
        env = self.arena(game_space(ORTHOGONAL), len(deviations), beta)
        rival = equilibria.specialised_creation(quantiles(self.WORLDS), beta)
        earned = 2 * against(env, deviations, rival)
        cost = np.linalg.norm(deviations, axis=1) ** beta
        expected = np.minimum(deviations**2 / radius**2, 1.0).sum(axis=1) - cost
        np.testing.assert_allclose(earned, expected, atol=6e-3)
        assert earned.max() <= profit + 6e-3
        np.testing.assert_allclose(earned.reshape(6, 7)[3], profit, atol=6e-3)
        assert earned.reshape(6, 7)[[0, 1, 2, 4, 5]].max() < profit - 0.005

    def test_the_equilibrium_in_numbers(self) -> None:
        assert equilibria.specialised_length(4.0) == pytest.approx(0.840896, abs=1e-6)
        assert equilibria.specialised_profit(4.0) == pytest.approx(0.5, abs=1e-12)
        assert equilibria.specialised_profit(2.0) == pytest.approx(0.0, abs=1e-12)
        with pytest.raises(ValueError, match="do not specialise"):
            equilibria.specialised_length(1.5)

    @pytest.mark.parametrize(("degrees", "threshold"), [(60, 4.0), (75, 2.698396), (90, 2.0)])
    def test_one_genre_lasts_up_to_the_threshold(self, degrees: int, threshold: float) -> None:
        """Both creators half-way between the tastes at the lengths of `single_genre_length`: nobody earns anything, and
        at .9 times 2/(1 - cos theta) leaving the middle loses; at 1.2 times it pays."""
        angle = math.radians(degrees)
        assert equilibria.specialisation_threshold(angle) == pytest.approx(threshold, abs=1e-6)
        off = np.linspace(0.0, angle / 2, 9)
        best = {}
        for factor in (0.9, 1.2):
            beta = factor * threshold
            # as long as is of use: there the nearer human is surely won
            length = 2 ** (1 / beta) * math.cos(angle / 2) / np.cos(angle / 2 - off)
            deviations = length[:, None] * np.stack([np.cos(off), np.sin(off)], axis=-1)
            env = self.arena(game_space(tastes(angle)), len(deviations), beta)
            rival = equilibria.single_genre_length(quantiles(self.WORLDS), beta)[:, None] * [1.0, 0.0]
            earned = 2 * against(env, deviations, rival)
            assert earned[0] == pytest.approx(0.0, abs=6e-3)
            best[factor] = earned[1:].max()
        assert best[0.9] < 0.0
        assert best[1.2] > 0.02

    def test_the_threshold_ends_at_a_right_angle(self) -> None:
        with pytest.raises(ValueError, match="0 < theta <= pi / 2"):
            equilibria.specialisation_threshold(2.0)

    def test_every_quality_of_the_one_genre_is_worth_the_same(self) -> None:
        """Nothing: 2 P(length <= r) = r^beta, at beta = 1.5 and right angles."""
        lengths = equilibria.single_genre_length(np.linspace(0.1, 1.0, 10), 1.5)[:, None] * [1.0, 0.0]
        env = self.arena(game_space(tastes(math.pi / 2)), 10, 1.5)
        rival = equilibria.single_genre_length(quantiles(self.WORLDS), 1.5)[:, None] * [1.0, 0.0]
        np.testing.assert_allclose(against(env, lengths, rival), 0.0, atol=3e-3)


class TestValuesAgainstEngagement:
    """In the world's words: quality is production (beta = 1), gaming is misinformation that costs the honesty price
    gamma, and with bait 1 engagement is e.q + grounding_error.

    The one fact is at 70 degrees from q. A creation of quality w = e.q is w / cos(70) long and turned around q, which
    leaves its quality as it is, by as much as gives the grounding error x.
    """

    TILT = math.radians(70)
    SHORTEST = 0.003  # gaming of no quality at all would be a vector without a direction

    def content(self, quality: ArrayLike, gaming: ArrayLike) -> Floats:
        """(quality, gaming) -> creations [..., 3]; q is the third axis."""
        w = np.maximum(np.asarray(quality, np.float64), self.SHORTEST)
        turn = 2 * np.arcsin(np.asarray(gaming) / (2 * math.sin(self.TILT)))
        sideways = w * math.tan(self.TILT)
        return np.stack([sideways * np.cos(turn), sideways * np.sin(turn), w], axis=-1)

    def engaged(self, env: VectorEnv) -> NDArray[np.int64]:
        """The more engaging candidate [E, 1] of those that are worth something: e.q - error + 1 >= 0."""
        utility, error = env.world.state.utility[:, 0], env.world.state.corpus.grounding_error
        engagement = utility + env.config.aipp.bait * error
        winner = np.where(utility - error + 1 >= -1e-3, engagement, -np.inf).argmax(axis=1)
        return np.asarray((env.world.state.candidates[:, 0] == winner[:, None]).argmax(axis=1)[:, None])

    @pytest.mark.parametrize("gamma", [0.25, 0.5])
    def test_what_engagement_makes_of_quality(self, gamma: float) -> None:
        """Quality of a creation: (1 - gamma)^2 / (2 (1 + gamma)), .225 at .25, to .003, measured as e.q. Every content
        of the equilibrium is worth 0 (to .01) against it, honest or less or more gamed content no more than that."""
        costs, worlds = np.linspace(0.05, 0.95, 10), 400
        assert equilibria.expected_quality(0.25) == pytest.approx(0.225, abs=1e-12)
        curve = equilibria.engaging_content(costs, gamma)
        honest = np.stack([costs, 0 * costs], axis=-1)
        timid = np.stack([curve[:, 0], 0.5 * curve[:, 1]], axis=-1)
        shameless = np.stack([0.5 * curve[:, 0], np.minimum(curve[:, 1] + 0.1, 1.8)], axis=-1)
        choices = np.concatenate([curve, honest, timid, shameless])
        fact = [math.sin(self.TILT), 0.0, math.cos(self.TILT)]
        env = stage(
            game_space([[0.0, 0.0, 1.0]], facts=[fact], anchor=[0.0, 0.0, 1.0]), len(choices) * worlds, 2,
            {"rewards.honesty_price": gamma, "rewards.production_price": math.cos(self.TILT),
               "rewards.production_exponent": 1.0, "aipp.bait": 1.0},
            humans=1,
        )  # fmt: skip
        rival = equilibria.engaging_content(quantiles(worlds), gamma)
        own = np.repeat(self.content(choices[:, 0], choices[:, 1]), worlds, axis=0)
        others = np.tile(self.content(rival[:, 0], rival[:, 1]), (len(choices), 1))
        publish(env, np.stack([own, others], axis=1))
        np.testing.assert_allclose(
            env.world.state.corpus.grounding_error[:worlds, 1], rival[:, 1], atol=2e-3
        )
        assert env.world.state.utility[:, 0, 1].mean() == pytest.approx(equilibria.expected_quality(gamma), abs=3e-3)
        earned = np.asarray(sum(terms(env, self.engaged(env)).values()))[:, 0].reshape(-1, worlds).mean(axis=1)
        np.testing.assert_allclose(earned[:10], 0.0, atol=0.01)
        assert earned.max() < 0.01
        assert earned[10:20].max() < -0.01, "honest content wins too little for what it costs"

    def test_dearer_gaming_makes_worse_content(self) -> None:
        values = [equilibria.expected_quality(gamma) for gamma in (0.0, 0.25, 0.5, 0.75)]
        assert values == sorted(values, reverse=True)
        costs = quantiles(100_000)
        quality, gaming = equilibria.engaging_content(costs, 0.25).T
        assert quality.mean() == pytest.approx(0.225, abs=1e-6)
        np.testing.assert_allclose(quality + 0.25 * gaming, costs, atol=1e-12)
        np.testing.assert_array_less(-1e-9, quality - gaming + 1)


@pytest.mark.parametrize("degrees", [10, 60, 90, 150])
def test_two_djs(degrees: int) -> None:
    """Tastes at theta: of all unit tracks the one half-way is best for both and gives each cos(theta/2); taking turns
    gives cos(theta/2)^2; to 1e-6, by the world's own utilities."""
    angle = math.radians(degrees)
    both = tastes(angle)
    directions = np.linspace(-math.pi, math.pi, 361)
    tracks = np.concatenate([both, np.stack([np.cos(directions), np.sin(directions)], axis=-1)])
    env = stage(game_space(both), 1, len(tracks), {"goal_buddies.norm": "unit", "goal_buddies.steering_scale": 2.0})
    publish(env, tracks[None])
    utility = np.asarray(env.world.state.utility[0], np.float64)  # [2, tracks]
    joint = utility.sum(axis=0).argmax()
    np.testing.assert_allclose(tracks[joint], [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(utility[:, joint], equilibria.joint_track(angle), atol=1e-6)
    np.testing.assert_allclose(utility[:, :2].mean(axis=1), equilibria.taking_turns(angle), atol=1e-6)
