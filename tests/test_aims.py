"""Goal-side baselines with an aim: where it lies, that every action kind gets there, and what best response earns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.baselines import GOAL_BASELINES, BestResponse, Copycat, Script, Stubborn
from agents.baselines.aims import Aimed, scalar, seen
from agents.baselines.best_response import BelievedMarket
from agents.evaluation import Arena, evaluate_goal_buddies, make_user_baseline, scripted_cast
from agents.policy import Policy, Turn, take_turn
from ammo_env import steering
from ammo_env.arrays import NumpyArrays
from ammo_env.scenarios import load_config
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]
Floats = NDArray[np.float64]


def play(env: VectorEnv, goal: Policy, rounds: int) -> Turn:
    """The goal side's turn after some rounds of a greedy user side."""
    user, rng = make_user_baseline("greedy"), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    for _ in range(rounds):
        obs = env.step({p.side: p.act(take_turn(env, obs, p.side), rng) for p in (user, goal)})[0]
    return take_turn(env, obs, "goal_buddy")


# Three publications in twelve rounds would be too few to walk anywhere.
RICH = {"goal_buddies.energy_regrowth": 1.0, "num_rounds": 40, "goal_buddies.nudge_step": 0.1}


@pytest.mark.parametrize("mode", ["gains", "steer", "nudge"])
def test_the_stubborn_stay_at_their_anchor(mode: str, small_env: MakeEnv) -> None:
    """After 40 rounds every creation is its maker's anchor: to 1e-5 by gains and raw steering, within half a nudge per
    axis by nudges."""
    env = small_env(3, {**RICH, "actions.goal_buddy": mode})
    play(env, Stubborn(), 40)
    state = env.world.state
    assert np.abs(state.corpus.steering).max() <= (0.05 + 1e-5 if mode == "nudge" else 1e-5)
    if mode != "nudge":
        anchors = np.repeat(state.anchors, 2, axis=1)
        np.testing.assert_allclose(state.corpus.vectors, anchors, atol=1e-5)


class AimedAt(Aimed):
    """An aim for the test."""

    def __init__(self, weights: tuple[float, float, float]) -> None:
        self.weights = weights

    def aim(self, turn: Turn) -> NDArray[Any]:
        parts = (seen(turn, name) for name in ("demand", "fact", "last"))
        mixed = sum(weight * part for weight, part in zip(self.weights, parts, strict=True))
        return np.asarray(mixed).clip(-1.0, 1.0)


def test_gains_reach_what_they_can(small_env: MakeEnv) -> None:
    """An aim of .3 demand + .5 fact - .2 last is fitted by steering equal to it, to 1e-4."""
    env = small_env(4, {"actions.goal_buddy": "gains"})
    turn = play(env, Script(1.0, 0.5), 4)
    policy = AimedAt((0.3, 0.5, -0.2))
    gains = policy.act(turn, np.random.default_rng(0))
    assert (gains[..., -1] > 0).all()
    steered = sum(gains[..., i, None] * seen(turn, name) for i, name in enumerate(("demand", "fact", "last")))
    np.testing.assert_allclose(steered, policy.aim(turn), atol=1e-4)


def test_nudges_end_nearest_to_the_aim(small_env: MakeEnv) -> None:
    """At the aim already it publishes as it is; with the fact as its aim, none of the ten moves ends nearer to it."""
    turn = play(small_env(4), Script(1.0, 0.0), 3)
    able = Turn(turn.obs, np.ones((4, 5, 10), bool), turn.env)
    assert (AimedAt((0.0, 0.0, 1.0)).act(able, np.random.default_rng(0)) == 1).all()
    policy, config = AimedAt((0.0, 1.0, 0.0)), turn.env.config.goal_buddies
    demand, fact, last = (seen(turn, name) for name in ("demand", "fact", "last"))

    def left(moves: NDArray[Any]) -> NDArray[Any]:
        ends, _ = steering.from_nudges(NumpyArrays(), moves, demand, fact, last, config.nudge_step)
        return np.asarray(np.linalg.norm(ends - fact, axis=-1))

    chosen = left(policy.act(able, np.random.default_rng(0)))
    for move in range(1, 10):
        assert (chosen <= left(np.full((4, 5), move)) + 1e-6).all()


def test_a_copycat_goes_half_way_from_supply_to_demand(small_env: MakeEnv) -> None:
    env = small_env(4, {"actions.goal_buddy": "steer"})
    turn = play(env, Script(1.0, 0.0), 4)
    known = scalar(turn, "demand_near") != 0.0
    assert known.any()
    half = 0.5 * (seen(turn, "demand") + seen(turn, "supply"))
    np.testing.assert_allclose(Copycat().aim(turn)[known], half[known], atol=1e-6)
    start = play(env, Script(1.0, 0.0), 0)
    np.testing.assert_array_equal(Copycat().aim(start), seen(start, "supply"))
    blind = play(small_env(4, {"observations.goal_view": "own_feedback"}), Script(1.0, 0.0), 4)
    np.testing.assert_array_equal(Copycat().aim(blind), seen(blind, "demand"))


def some_market(**changes: Any) -> BelievedMarket:
    rng = np.random.default_rng(0)
    draws: dict[str, Any] = {name: rng.uniform(-1, 1, (2, 3, 4)) for name in ("demand", "fact", "supply")}
    rest = rng.uniform(0.1, 0.5, (2, 3))
    numbers = {"weight": 1.0, "rivals": 3, "price": 1.0, "scale": 0.5, "temperature": 0.1}
    return BelievedMarket(**{**draws, "liked": np.ones((2, 3, 1)), "rest": rest, **numbers, **changes})


def test_the_gradient_is_that_of_the_believed_reward() -> None:
    """Central differences, step 1e-5, in double: to 1e-7."""
    market, s = some_market(), np.random.default_rng(1).uniform(-1, 1, (2, 3, 4))
    for axis in range(4):
        step = 1e-5 * np.eye(4)[axis]
        difference = (market.reward(s + step) - market.reward(s - step)) / 2e-5
        np.testing.assert_allclose(market.gradient(s)[..., axis], difference, atol=1e-7)


def test_the_share_by_hand() -> None:
    """As near to demand as three rivals are: a quarter. Where nothing was liked yet only truth counts."""
    market = some_market()
    error = np.sqrt(0.25 * np.square(market.supply - market.fact).sum(axis=-1) + market.rest**2)
    np.testing.assert_allclose(market.reward(market.supply), 0.25 - error, atol=1e-9)
    nothing = some_market(liked=np.zeros((2, 3, 1)))
    np.testing.assert_allclose(nothing.reward(nothing.supply), -error, atol=1e-9)


@pytest.mark.parametrize(("price", "target"), [(50.0, "fact"), (0.0, "demand")])
def test_best_response_at_the_extremes(price: float, target: str, small_env: MakeEnv) -> None:
    """A high price of honesty leads to the fact, none to demand: within a tenth of the way of a longer ascent."""
    env = small_env(4, {"rewards.honesty_price": price, "actions.goal_buddy": "steer"})
    turn = play(env, Script(0.5, 0.5), 4)
    known = scalar(turn, "demand_near") != 0.0
    rate = 0.1 if price == 0.0 else 0.002
    aim = BestResponse(temperature=1.0, steps=4000, rate=rate).aim(turn)
    way = np.linalg.norm(seen(turn, "last") - seen(turn, target), axis=-1)
    left = np.linalg.norm(aim - seen(turn, target), axis=-1)
    assert (left <= 0.1 * way + 0.02)[known].all()


def test_best_response_improves_on_staying(small_env: MakeEnv) -> None:
    """Its aim is believed to earn at least what its last publication did, everywhere, and more in most seats."""
    turn = play(small_env(6, {"actions.goal_buddy": "steer"}), Script(1.0, -1.0), 5)
    policy = BestResponse()
    market = policy.believe(turn)
    gain = market.reward(policy.aim(turn)) - market.reward(seen(turn, "last"))
    assert gain.min() > -1e-3
    assert (gain > 1e-3).mean() > 0.5


def test_best_response_earns_more_than_scripts() -> None:
    """Default scenario, one seat in each of 64 worlds for 24 rounds among the four scripts, slates by softmax: above
    random_script, chaser and clickbait by 4 standard errors of the paired difference."""
    config = load_config("default", {"actions.goal_buddy": "gains", "num_rounds": 24})
    names = ("best_response", "random_script", "chaser", "clickbait")
    policies = {name: GOAL_BASELINES[name]() for name in names}
    seats = evaluate_goal_buddies(policies, scripted_cast(), make_user_baseline("softmax=0.1"), Arena(config, 64))
    for name in names[1:]:
        gap = seats["best_response"] - seats[name]
        assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(gap.size), name
