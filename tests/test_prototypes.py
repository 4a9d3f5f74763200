"""Prototypes: posteriors small enough to compute by hand, whom the belief may know, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.aipp import Aipp, Feedback
from ammo_env.arrays import NumpyArrays
from ammo_env.beliefs import Beliefs
from ammo_env.config import AmmoConfig
from ammo_env.knowledge import Knowledge
from ammo_env.memory import Impression
from ammo_env.prototypes import PrototypeBelief, likeness, spread_out
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace, build_space
from ammo_env.vector import VectorEnv
from ammo_env.world import World

ARRAYS = NumpyArrays()
Values = NDArray[np.float64]
MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]

HAND = {"knowledge.num_subspaces": 1, "aipp.noise": 0.5, "beliefs.model": "prototypes"}
PEOPLE = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float64)


def belief_of(people: Values, **overrides: Any) -> PrototypeBelief:
    """A belief over people [N, D], whose moments are theirs; ratings of variance .25, bait guess .5."""
    config = load_config("default", {**HAND, **overrides})
    rows = np.asarray(people, np.float32)
    space = MetaSpace(
        facts=rows[None, :2], fact_mask=np.ones((1, 2), bool), steering=rows[None, :1].swapaxes(1, 2),
        entities=rows[:1], entity_subspace=np.array([0]),
        preferences=rows[:1], people=rows, mean=rows.mean(axis=0), variance=rows.var(axis=0),
    )  # fmt: skip
    return PrototypeBelief(ARRAYS, config, space, Aipp(ARRAYS, config.aipp, 1))


def answers(items: Any, values: Any, assumed_bait: Any) -> Impression:
    """One human of one world was shown `items` [S, D] and answers every one."""
    vectors = np.asarray(items, np.float32)[None, None]
    there = np.ones(vectors.shape[:3], bool)
    return Impression(
        item=np.zeros(there.shape, np.int64), vectors=vectors, creator=np.zeros(there.shape, np.int64), filled=there,
        provenance=np.zeros(there.shape, np.float32), assumed_bait=np.asarray(assumed_bait, np.float32)[None, None],
        feedback=Feedback(np.asarray(values, np.float32)[None, None], there, np.zeros(there.shape, np.int64)),
    )  # fmt: skip


def taught(model: PrototypeBelief, *impressions: Impression) -> Beliefs:
    beliefs = model.prior(1, 1)
    for impression in impressions:
        beliefs = model.absorb(beliefs, impression, impression.filled)
    return beliefs


def test_the_exact_posterior_over_three_people_by_hand() -> None:
    """Everybody has a double (so likeness 1 and nothing is left to the rest): two answers on one slate and one on the
    next are Bayes' rule over three people, w_p proportional to exp(-sum (y - e.q_p - assumed bait)^2 / .5)."""
    model = belief_of(np.repeat(PEOPLE, 2, axis=0))
    first = answers([[1, 0], [0, 1]], [0.9, 0.5], [0.1, 0.3])
    second = answers([[0.8, 0.6]], [0.7], [0.0])
    # The gaps are (-.2, .2, -.1), (.8, -.8, .1) and (.2, -.6, -.26), their squares sum to .09, 1.29 and .4676.
    weights = np.exp(-np.array([0.09, 1.29, 0.4676]) / 0.5)
    weights /= weights.sum()
    np.testing.assert_allclose(weights, [0.640765, 0.058129, 0.301106], atol=1e-6)
    mean = weights @ PEOPLE
    beliefs = taught(model, first, second)
    np.testing.assert_allclose(beliefs.mean[0, 0], mean, atol=1e-5)
    np.testing.assert_allclose(beliefs.variance[0, 0], weights @ PEOPLE**2 - mean**2, atol=1e-5)
    shares = np.exp(beliefs.own["log_weight"][0, 0])
    np.testing.assert_allclose(shares / shares.sum(), np.repeat(weights, 2) / 2, atol=1e-5)


def gaussian_sum(
    people: Values, likeness: float, sent: list[Impression], rho: float
) -> tuple[Values, Values, Values]:
    """Weights, mean and covariance of the exact posterior: one dense filter per prototype, in double precision."""
    mean, variance = people.mean(axis=0), np.diag(people.var(axis=0))
    means = mean + likeness * (people - mean)
    logs, covariance = np.zeros(len(people)), (1 - likeness**2) * variance
    for impression in sent:
        items, values = impression.vectors[0, 0].astype(float), impression.feedback.value[0, 0].astype(float)
        whole = items @ covariance @ items.T + 0.25 * np.eye(len(items))
        gain, gaps = covariance @ items.T @ np.linalg.inv(whole), values - means @ items.T
        logs -= 0.5 * np.einsum("ps,st,pt->p", gaps, np.linalg.inv(whole), gaps)
        means, covariance = means + gaps @ gain.T, covariance - gain @ items @ covariance
        means, covariance = mean + rho * (means - mean), rho**2 * covariance + (1 - rho**2) * variance
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    centre = weights @ means
    among = (weights[:, None] * (means - centre)).T @ (means - centre)
    return weights, centre, covariance + among


@pytest.mark.parametrize("rho", [1.0, 0.9])
def test_it_is_the_exact_gaussian_sum(rho: float) -> None:
    """Four people in the plane, five slates of three items, with and without drift: weights, mean, covariance and the
    deviation of q.e of one dense filter per prototype, to 2e-5. The first two people and the last two are each
    other's nearest: from the mean (.56, .56) the likeness is .1848 / .207 = .892704."""
    people, rng = np.array([[1, 0], [0.96, 0.28], [0, 1], [0.28, 0.96]]), np.random.default_rng(0)
    model = belief_of(people, **{"humans.drift_rho": rho})
    beliefs, sent = model.prior(1, 1), []
    np.testing.assert_allclose(beliefs.mean[0, 0], people.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(beliefs.variance[0, 0], people.var(axis=0), atol=3e-6)
    for _ in range(5):
        items = rng.standard_normal((3, 2))
        items /= np.linalg.norm(items, axis=1, keepdims=True)
        sent.append(answers(items, items @ people[1] + 0.5 * rng.standard_normal(3), np.zeros(3)))
        beliefs = model.forget(model.absorb(beliefs, sent[-1], sent[-1].filled))
    weights, mean, covariance = gaussian_sum(people, 0.892704, sent, rho)
    shares = np.exp(beliefs.own["log_weight"][0, 0].astype(float))
    np.testing.assert_allclose(shares / shares.sum(), weights, atol=2e-5)
    np.testing.assert_allclose(beliefs.mean[0, 0], mean, atol=2e-5)
    np.testing.assert_allclose(beliefs.own["covariance"][0, 0], covariance, atol=2e-5)
    np.testing.assert_allclose(beliefs.variance[0, 0], np.diag(covariance), atol=2e-5)
    item = sent[0].vectors[0, 0, 0]
    spread = model.spread(beliefs, sent[0].vectors.copy())[0, 0, 0]
    assert spread == pytest.approx(np.sqrt(item @ covariance @ item), abs=2e-5)


@pytest.mark.parametrize("settings", [{}, {"aipp.kind": "click"}, {"humans.drift_rho": 0.9, "aipp.latency": 1}])
def test_where_people_are_like_nobody_it_is_the_kalman_filter(
    settings: dict[str, Any], small_env: MakeEnv, random_actions: RandomActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likeness 0: mean and variance of the filter with a full covariance, to 2e-5."""
    monkeypatch.setattr("ammo_env.prototypes.likeness", lambda *_: 0.0)
    known = small_env(2, {**settings, "beliefs.model": "prototypes"})
    plain, rng = small_env(2, {**settings, "beliefs.model": "full_kalman"}), np.random.default_rng(0)
    known.reset(seed=0)
    plain.reset(seed=0)
    for _ in range(6):
        actions = random_actions(plain, rng)
        known.step(actions)
        plain.step(actions)
        ours, theirs = known.world.state.beliefs, plain.world.state.beliefs
        np.testing.assert_allclose(ours.mean, theirs.mean, atol=2e-5)
        np.testing.assert_allclose(ours.variance, theirs.variance, atol=2e-5)


def everybody(config: AmmoConfig) -> tuple[Knowledge, MetaSpace]:
    knowledge = load_knowledge(config.knowledge)
    return knowledge, build_space(knowledge, config.goal_buddies.steering_dim, config.humans.pool == "heldout")


@pytest.mark.parametrize("pool", ["train", "heldout"])
def test_nobody_held_out_is_among_the_prototypes(pool: str, small_config: MakeConfig) -> None:
    """Whoever is drawn: the 20 prototypes are training people (told by their dot products, which no rotation changes),
    and none of them is within .1 of a held-out person (uniform on the sphere: nobody is there twice)."""
    known = {"beliefs.model": "prototypes", "beliefs.num_prototypes": 20, "knowledge.preference": "uniform"}
    world = World(small_config({**known, "humans.pool": pool}), 1)
    knowledge, space = everybody(world.config)
    assert isinstance(world.belief, PrototypeBelief)
    chosen = spread_out(len(space.people), 20)
    prototypes, training = space.people[chosen], knowledge.preferences[chosen]
    np.testing.assert_allclose(world.belief._columns[:-1].T, prototypes - prototypes.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(prototypes @ prototypes.T, training @ training.T, atol=1e-5)
    strangers = build_space(knowledge, 3, heldout=True).preferences
    assert np.linalg.norm(prototypes[:, None] - strangers, axis=-1).min() > 0.1


@pytest.mark.parametrize(("people", "number"), [(5, 9), (9, 9), (10, 9), (2048, 512), (754, 512), (3, 2)])
def test_prototypes_are_spread_out(people: int, number: int) -> None:
    """As many as there are, at most `number`, each once, from the first person to the last."""
    chosen = spread_out(people, number)
    assert len(chosen) == len(np.unique(chosen)) == min(people, number)
    assert (chosen[0], chosen[-1]) == (0, people - 1)


def test_likeness_by_hand() -> None:
    """Around (0, 0): of (1, 0), (.8, .6) and (0, -1) the first two are each other's nearest, at .8; nearest to (0, -1)
    is (1, 0), at 0. So (.8 + .8 + 0) / 3; with doubles 1; of two opposites 0."""
    people = np.array([[1, 0], [0.8, 0.6], [0, -1]], np.float32)
    origin = np.zeros(2, np.float32)
    assert likeness(people, np.arange(3), origin) == pytest.approx(1.6 / 3, abs=1e-6)
    assert likeness(np.repeat(people, 2, axis=0), np.arange(6), origin) == pytest.approx(1.0, abs=1e-6)
    assert likeness(np.array([[1, 0], [-1, 0]], np.float32), np.arange(2), origin) == 0.0


def test_likeness_tells_how_far_strangers_are_like_prototypes() -> None:
    """Default world, 512 prototypes: as measured among training people so of the held-out ones, .90 within .03."""
    knowledge, space = everybody(load_config("default"))
    chosen = spread_out(len(space.people), 512)
    strangers = build_space(knowledge, 8, heldout=True).preferences
    nearest = space.people[chosen][(strangers @ space.people[chosen].T).argmax(axis=1)] - space.mean
    of_strangers = np.sum((strangers - space.mean) * nearest) / np.sum(nearest**2)
    measured = likeness(space.people, chosen, space.mean)
    assert measured == pytest.approx(0.9, abs=0.03)
    assert measured == pytest.approx(of_strangers, abs=0.03)


def test_prototypes_know_the_population(small_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"beliefs\.prior='zero' cannot be"):
        World(small_config({"beliefs.model": "prototypes", "beliefs.prior": "zero"}))


def test_many_dimensions_and_many_answers_stay_finite() -> None:
    """D = 1536 and 300 people with their doubles, who differ in the 60 leading coordinates; one of them rates 200
    slates without noise: float32, doubt everywhere, no weight overflows, and the person is found (q_hat . q > .8)."""
    rng = np.random.default_rng(0)
    people = np.zeros((300, 1536))
    people[:, :60] = rng.standard_normal((300, 60))
    people = people.repeat(2, axis=0)
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    model = belief_of(people, **{"knowledge.dim": 1536, "aipp.noise": 0.0})
    beliefs = model.prior(1, 1)
    for _ in range(200):
        items = people[rng.integers(2, 600, 4)]
        sent = answers(items, items @ people[0], np.zeros(4))
        beliefs = model.absorb(beliefs, sent, sent.filled)
    for array in (beliefs.mean, beliefs.variance, *beliefs.own.values()):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert (beliefs.variance > 0).all()
    assert beliefs.mean[0, 0] @ people[0] > 0.8
