"""What user buddies take for granted about the answers, told to the world by whoever plays them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import agents.gymnasium_door  # noqa: F401 (registers the ids)
from agents.evaluation import Arena, Cast, evaluate_user_buddies, make_user_baseline, scripted_cast
from agents.policy import Turn
from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[[VectorEnv, np.random.Generator], dict[str, NDArray[Any]]]


def played(env: VectorEnv, actions: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(assumed bait, provenance) [E, U, S] of the next round's slates."""
    env.step(actions)
    sent = env.world.state.under_way[-1]
    return env.arrays.to_numpy(sent.assumed_bait), env.arrays.to_numpy(sent.provenance)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("guess", [0.7, [0.0, 0.1, 0.2, 0.5], np.linspace(0, 1, 8).reshape(2, 4)])
def test_what_is_assumed_is_the_guess_times_provenance(
    backend: str, guess: Any, small_config: Callable[..., AmmoConfig], random_actions: RandomActions
) -> None:
    """One number, one per user buddy, or one per user buddy of every world; from the next impression on, until a reset
    brings back the configured guess."""
    env = VectorEnv(small_config({"beliefs.bait_guess": 0.3}), 2, backend)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    actions = random_actions(env, rng)
    assumed, provenance = played(env, actions)
    np.testing.assert_allclose(assumed, 0.3 * provenance, rtol=1e-6)
    env.assume(guess)
    assumed, provenance = played(env, actions)
    np.testing.assert_allclose(assumed, np.broadcast_to(guess, (2, 4))[..., None] * provenance, rtol=1e-6)
    env.reset(seed=0, options={"bait_guess": guess})
    assumed, provenance = played(env, actions)
    np.testing.assert_allclose(assumed, np.broadcast_to(guess, (2, 4))[..., None] * provenance, rtol=1e-6)
    env.reset(seed=0)
    assumed, provenance = played(env, actions)
    np.testing.assert_allclose(assumed, 0.3 * provenance, rtol=1e-6)


def test_a_guess_is_saved_with_the_world(small_env: MakeEnv, random_actions: RandomActions) -> None:
    env, twin, rng = small_env(2), small_env(2), np.random.default_rng(0)
    env.reset(seed=0, options={"bait_guess": [0.0, 0.1, 0.2, 0.3]})
    twin.reset(seed=5)
    twin.set_state(env.get_state())
    for _ in range(3):
        actions = random_actions(env, rng)
        env.step(actions)
        twin.step(actions)
    np.testing.assert_array_equal(twin.world.state.beliefs.mean, env.world.state.beliefs.mean)
    other = small_env(2)
    other.reset(seed=0)
    other.step(actions)
    assert (other.world.state.bait_guess == 0.0).all()


@pytest.mark.parametrize("guess", [np.nan, [0.1, 0.2], "much", np.zeros((3, 4)), [0.1, np.inf, 0.0, 0.0]])
def test_what_is_no_guess_is_refused_and_changes_nothing(guess: Any, small_env: MakeEnv) -> None:
    env = small_env(2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"(?s)bait_guess=.* expected a finite number, or one for each of the 4 user"):
        env.assume(guess)
    before = env.world.state
    with pytest.raises(ValueError, match="expected a finite number"):
        env.reset(seed=1, options={"bait_guess": guess})
    assert env.world.state is before
    assert (before.bait_guess == 0.0).all()


def test_a_misspelt_option_is_refused_by_every_door_and_somebody_else_s_let_pass() -> None:
    vec, single = metaspace_v0.vec_env(num_envs=2), metaspace_v0.parallel_env()
    learner = gymnasium.make("AMMO/UserBuddy-v0")
    for reset in (vec.reset, single.reset, learner.reset):
        with pytest.raises(ConfigError, match=r"no option 'baitguess'; the nearest is 'bait_guess'"):
            reset(seed=0, options={"baitguess": 1.0})
        reset(seed=0, options={"options": 1})


def test_the_pettingzoo_door_passes_it_on() -> None:
    env: Any = metaspace_v0.parallel_env()
    env.reset(seed=0, options={"bait_guess": 0.4})
    np.testing.assert_allclose(env.unwrapped.vector.world.state.bait_guess, 0.4, rtol=1e-6)


class Sceptic:
    """A greedy user buddy with a guess of its own."""

    side = "user_buddy"

    def __init__(self, bait_guess: float) -> None:
        self.bait_guess, self._greedy = bait_guess, make_user_baseline("greedy")

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return self._greedy.act(turn, rng)


def test_the_gymnasium_door_knows_who_sits_where() -> None:
    """The learner's guess is the option's, or the world's; the others bring theirs."""
    settings: dict[str, Any] = {"seat": 2, "user_buddies": Sceptic(0.6), "beliefs.bait_guess": 0.1}
    env: Any = gymnasium.make("AMMO/UserBuddy-v0", disable_env_checker=True, **settings).unwrapped
    expected = np.full((1, 8), 0.6)
    for options, own in ((None, 0.1), ({"bait_guess": 0.9}, 0.9)):
        env.reset(seed=0, options=options)
        expected[0, 2] = own
        np.testing.assert_allclose(env.vector.world.state.bait_guess, expected, rtol=1e-6)


def test_a_cast_brings_the_guesses_of_its_players(small_env: MakeEnv) -> None:
    env = small_env(2, {"beliefs.bait_guess": 0.2})
    cast = Cast("user_buddy", [Sceptic(0.5), make_user_baseline("greedy")])
    cast.holders = np.array([[0, 1, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_array_equal(cast.guesses(env), [[0.5, 0.2, 0.2, 0.5], [0.2, 0.2, 0.5, 0.5]])


def test_an_evaluation_plays_a_policy_with_its_own_guess(small_config: Callable[..., AmmoConfig]) -> None:
    """A sceptic in a credulous world does what a greedy policy does in a world that is sceptical, and not what it does
    in this one."""
    kinds = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}

    def regret(policy: Any, guess: float) -> float:
        arena = Arena(small_config({**kinds, "aipp.bait": 0.5, "beliefs.bait_guess": guess}), worlds=4)
        return evaluate_user_buddies({"one": policy}, scripted_cast(), arena)["one"].summary()["normalised_regret"]

    greedy = make_user_baseline("greedy")
    assert regret(Sceptic(0.5), 0.0) == regret(greedy, 0.5) != regret(greedy, 0.0)
