"""Bad input to the environments: every error names the cause and the fix, and what is not an error is documented."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv
from ammo_env.settings import ConfigError
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
MISSING = object()


def raises(error: type[Exception], parts: list[str], call: Callable[[], Any]) -> None:
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"num_slotz": 2}, ["unknown setting 'num_slotz'", "nearest is 'attention.num_slots'"]),
        ({"num_slots": 17}, ["num_slots=17", "raise num_candidates or lower num_slots"]),
        ({"steering_dim": 33}, ["steering_dim=33", "lower steering_dim or raise dim"]),
        ({"num_slots": "4"}, ["attention.num_slots", "valid integer"]),
        ({"kind": "ratng"}, ["aipp.kind 'ratng'", "nearest is 'rating'", "there are: cascade, choice"]),
        ({"aipp.subspaces.2.kind": "clik"}, ["aipp.kind 'clik'", "nearest is 'click'", "there are: cascade, choice"]),
        ({"source": "movielenz"}, ["knowledge.source 'movielenz'", "there are: ", "movielens, synthetic"]),
        ({"scenario": "defualt"}, ["no scenario 'defualt'", "nearest is 'default'"]),
        ({"render_mode": "svg"}, ["render_mode 'svg'", "there are: ['ansi', 'rgb_array', 'human']"]),
        ({"continuous_actions": "yes"}, ["actions.continuous", "valid boolean", "'yes'"]),
        ({"cluster_strength": 0.0, "fact_noise": 0.0}, ["cluster_strength", "fact_noise", "no direction"]),
    ],
)
@pytest.mark.parametrize("door", ["parallel_env", "env", "raw_env"])
def test_what_cannot_be_made(door: str, settings: dict[str, Any], parts: list[str]) -> None:
    raises(ConfigError, parts, lambda: getattr(metaspace_v0, door)(**settings))


@pytest.mark.parametrize(
    ("settings", "error", "parts"),
    [
        ({"num_envs": 0}, ConfigError, ["num_envs=0", "at least one"]),
        ({"num_envs": 2.0}, ConfigError, ["num_envs=2.0", "whole number of worlds"]),
        ({"num_envs": "2"}, ConfigError, ["num_envs='2'", "whole number of worlds"]),
        ({"backend": "jax"}, ValueError, ["unknown backend 'jax'", "'numpy'", "'torch'"]),
        ({"device": "cuda"}, ValueError, ["'numpy' runs on the cpu", "backend 'torch'"]),
        ({"backend": "torch", "device": "bogus"}, ValueError, ["device 'bogus'", "choose 'cpu'"]),
        ({"num_slotz": 2}, ConfigError, ["nearest is 'attention.num_slots'"]),
    ],
)
def test_what_cannot_be_batched(settings: dict[str, Any], error: type[Exception], parts: list[str]) -> None:
    raises(error, parts, lambda: metaspace_v0.vec_env(**settings))


def test_movielens_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMMO_DATA", raising=False)
    raises(FileNotFoundError, ["knowledge.path", "AMMO_DATA"], lambda: metaspace_v0.parallel_env("movielens"))
    missing: dict[str, Any] = {"knowledge.path": "/nowhere/ml-100k"}
    raises(FileNotFoundError, ["/nowhere/ml-100k"], lambda: metaspace_v0.parallel_env("movielens", **missing))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, [1]])
def test_a_seed_that_is_none(seed: Any, small_config: MakeConfig) -> None:
    """Whole numbers from 0 on (NumPy's count too); everything else is refused before anything changes."""
    env = MetaSpaceEnv(small_config())
    raises(ValueError, [f"seed {seed!r}", "whole number, 0 or more"], lambda: env.reset(seed=seed))
    env.reset(seed=np.int64(3))  # type: ignore[arg-type]


def test_calls_out_of_order(small_config: MakeConfig) -> None:
    """Before reset and after the end every call says what to do; the next episode starts all the same."""
    env = MetaSpaceEnv(small_config({"episode.num_rounds": 1}))
    raises(RuntimeError, ["has not been started", "call reset() before step()"], lambda: env.step({}))
    raises(RuntimeError, ["has not been started", "call reset() before state()"], env.state)
    env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    env.step(actions)
    assert env.agents == []
    raises(RuntimeError, ["episode is over", "call reset() before step()"], lambda: env.step(actions))
    env.reset()
    assert env.agents == env.possible_agents


def test_batched_calls_out_of_order(small_env: MakeEnv, random_actions: Callable[..., Any]) -> None:
    env = small_env(2, {"episode.num_rounds": 1})
    actions = random_actions(env, np.random.default_rng(0))
    for call in (lambda: env.step(actions), env.action_masks, env.get_state):
        raises(RuntimeError, ["no state yet", "call reset() first"], call)
    env.reset(seed=0)
    env.step(actions)
    raises(RuntimeError, ["episode is over", "call reset()"], lambda: env.step(actions))


def one_wrong(env: MetaSpaceEnv, changes: dict[Any, Any]) -> Callable[[], Any]:
    """A step of a fresh episode in which some agents' actions are replaced, removed or added."""
    env.reset(seed=0)
    actions: dict[Any, Any] = {agent: env.action_space(agent).sample() for agent in env.agents} | changes
    actions = {agent: action for agent, action in actions.items() if action is not MISSING}
    return lambda: env.step(actions)


SLATE, SCORES = "MultiDiscrete([7 7])", "Box(-1.0, 1.0, (7,), float32)"
NAN = np.full(7, np.nan, np.float32)


@pytest.mark.parametrize(
    ("continuous", "agent", "action", "parts"),
    [
        (False, "user_buddy_1", MISSING, ["no action for user_buddy_1"]),
        (False, "user_buddy_9", 0, ["an action for user_buddy_9, not an agent of this round"]),
        (False, 1, 0, ["an action for 1, not an agent of this round"]),
        (False, "user_buddy_1", None, ["action None of user_buddy_1", SLATE]),
        (False, "user_buddy_1", "ab", ["action 'ab' of user_buddy_1", SLATE]),
        (False, "user_buddy_1", {"a": 1}, ["of user_buddy_1", SLATE]),
        (False, "user_buddy_1", [1, [2]], ["action [1, [2]] of user_buddy_1", SLATE]),
        (False, "user_buddy_1", [1, 2, 3], ["action [1, 2, 3] of user_buddy_1", SLATE]),
        (False, "user_buddy_1", [1.0, 2.0], ["action [1.0, 2.0] of user_buddy_1", SLATE]),
        (False, "user_buddy_1", [np.nan, 2], ["of user_buddy_1", SLATE]),
        (False, "user_buddy_1", [1j, 2], ["of user_buddy_1", SLATE]),
        (False, "user_buddy_1", np.array([0, 7]), ["action 7 of user_buddy_1 is out of range 0..6"]),
        (False, "user_buddy_1", np.array([-1, 0]), ["action -1 of user_buddy_1 is out of range 0..6"]),
        (False, "goal_buddy_2", 10, ["action 10 of goal_buddy_2 is out of range 0..9"]),
        (False, "goal_buddy_2", -1, ["action -1 of goal_buddy_2 is out of range 0..9"]),
        (False, "goal_buddy_2", 1.0, ["action 1.0 of goal_buddy_2", "Discrete(10)"]),
        (False, "goal_buddy_2", np.array([1]), ["of goal_buddy_2", "Discrete(10)"]),
        (True, "user_buddy_3", NAN, ["action nan of user_buddy_3 is not finite", "diverged"]),
        (True, "user_buddy_3", -np.inf * np.ones(7), ["action -inf of user_buddy_3 is not finite"]),
        (True, "user_buddy_3", NAN[:6], ["of user_buddy_3", SCORES]),
        (True, "user_buddy_3", NAN.astype(str), ["of user_buddy_3", SCORES]),
        (True, "goal_buddy_0", np.zeros(5), ["of goal_buddy_0", "Box(-1.0, 1.0, (4,), float32)"]),
        (True, "goal_buddy_0", MISSING, ["no action for goal_buddy_0"]),
    ],
)
def test_actions_that_cannot_be(
    continuous: bool, agent: Any, action: Any, parts: list[str], small_config: MakeConfig
) -> None:
    env = MetaSpaceEnv(small_config({"actions.continuous": continuous}))
    raises(ValueError, parts, one_wrong(env, {agent: action}))


def test_a_refused_action_changes_nothing(small_config: MakeConfig) -> None:
    """The round can be repeated with a good action, and goes as if nothing had happened."""
    env, twin = MetaSpaceEnv(small_config()), MetaSpaceEnv(small_config())
    env.reset(seed=5)
    twin.reset(seed=5)
    good: dict[str, Any] = {agent: env.action_space(agent).sample() for agent in env.agents}
    raises(ValueError, ["out of range"], lambda: env.step({**good, "goal_buddy_0": 99}))
    (obs, rewards, *_), (twin_obs, twin_rewards, *_) = env.step(good), twin.step(good)
    assert rewards == twin_rewards
    assert all(np.array_equal(obs[agent], twin_obs[agent]) for agent in obs)


@pytest.mark.parametrize("actions", [None, [1, 2], "ab", 3])
def test_actions_that_are_no_dict(actions: Any, small_config: MakeConfig, small_env: MakeEnv) -> None:
    env, batch = MetaSpaceEnv(small_config()), small_env(2)
    env.reset(seed=0)
    batch.reset(seed=0)
    raises(ValueError, ["needs a dict of actions by agent"], lambda: env.step(actions))
    raises(ValueError, ["needs a dict of actions by side ('user_buddy', 'goal_buddy')"], lambda: batch.step(actions))


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 1), [0, 1]), (np.array([0, 1], np.uint64), np.array([0, 1], np.int8)), ([0, 1], np.array([0, 1]))],
)
def test_integers_of_every_kind_are_the_same_action(first: Any, second: Any, small_config: MakeConfig) -> None:
    rewards = []
    for action in (first, second):
        env = MetaSpaceEnv(small_config())
        step = one_wrong(env, {agent: action for agent in env.possible_agents if agent.startswith("user")})
        rewards.append({agent: r for agent, r in step()[1].items() if agent.startswith("user")})
    assert rewards[0] == rewards[1]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("continuous", [False, True])
def test_batched_actions_that_cannot_be(backend: str, continuous: bool, small_env: MakeEnv) -> None:
    """Missing and unknown sides, wrong shapes and types, NaN and out of range, on both backends."""
    env = small_env(2, {"actions.continuous": continuous}, backend)
    env.reset(seed=0)
    good = {
        "user_buddy": np.zeros((2, 4, 7), np.float32) if continuous else np.zeros((2, 4, 2), np.int64),
        "goal_buddy": np.zeros((2, 5, 4), np.float32) if continuous else np.zeros((2, 5), np.int64),
    }
    sides = "('user_buddy', 'goal_buddy')"
    raises(ValueError, [sides], lambda: env.step({"user_buddy": good["user_buddy"]}))
    raises(ValueError, [sides], lambda: env.step({**good, "referee": good["goal_buddy"]}))
    for dtype in (object, str, bool, np.complex64):
        bad = good["user_buddy"].astype(dtype)
        raises(ValueError, ["actions of side 'user_buddy'"], lambda bad=bad: env.step({**good, "user_buddy": bad}))  # type: ignore[misc]
    short = good["goal_buddy"][:1]
    raises(ValueError, ["side 'goal_buddy' have shape (1,", "expected (2, 5"],
           lambda: env.step({**good, "goal_buddy": short}))  # fmt: skip
    wrong = good["goal_buddy"].copy()
    wrong[1, 3] = np.nan if continuous else 10
    reason = "action nan of goal_buddy_3 is not finite" if continuous else "action 10 of goal_buddy_3 is out of range"
    raises(ValueError, [reason], lambda: env.step({**good, "goal_buddy": wrong}))
    if not continuous:
        floats = good["goal_buddy"].astype(np.float32)
        raises(ValueError, ["float32, expected integers"], lambda: env.step({**good, "goal_buddy": floats}))
    env.step(good)


def test_box_actions_outside_the_box_are_clipped(small_env: MakeEnv, random_actions: Callable[..., Any]) -> None:
    """Finite values beyond [-1, 1] count as the bound, and double precision as single: documented, not an error."""
    overrides = {"actions.continuous": True, "actions.goal_buddy": "steer"}
    env, twin = small_env(2, overrides), small_env(2, overrides)
    env.reset(seed=1)
    twin.reset(seed=1)
    wild = {side: 3.0 * a for side, a in random_actions(env, np.random.default_rng(0)).items()}
    obs, rewards, *_ = env.step({side: a.astype(np.float64) for side, a in wild.items()})
    tame_obs, tame_rewards, *_ = twin.step({side: np.clip(a, -1.0, 1.0) for side, a in wild.items()})
    for side in obs:
        np.testing.assert_array_equal(obs[side], tame_obs[side])
        np.testing.assert_array_equal(rewards[side], tame_rewards[side])
        assert obs[side].dtype == np.float32
    assert env.world.state.corpus.steering.dtype == np.float32


def test_a_saved_state_of_another_world(small_env: MakeEnv) -> None:
    env, other = small_env(2), small_env(3)
    env.reset(seed=0)
    other.reset(seed=0)
    raises(ValueError, ["not a saved state", "get_state()"], lambda: env.set_state({}))
    raises(ValueError, ["another configuration", "(3, 4, 9)", "(2, 4, 9)"], lambda: env.set_state(other.get_state()))


def test_nothing_is_rendered_without_a_mode_and_one_line_with_ansi(small_config: MakeConfig) -> None:
    quiet, told = MetaSpaceEnv(small_config()), MetaSpaceEnv(small_config(), "ansi")
    for env in (quiet, told):
        env.reset(seed=0)
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    assert quiet.render() is None
    line = told.render()
    assert line is not None
    assert line.startswith("round 1/8: normalised regret ")
    assert "\n" not in line


@pytest.mark.parametrize("on", [{"events.rate": 0.5}, {"humans.interests": 2}, {"humans.drift_rho": 0.9}])
def test_a_saved_state_of_a_world_with_other_features(on: dict[str, Any], small_env: MakeEnv) -> None:
    """Either way round it is refused, and the world that refused it plays on."""
    plain, featured = small_env(2), small_env(2, on)
    plain.reset(seed=0)
    featured.reset(seed=0)
    name = {"events.rate": "events", "humans.interests": "interests", "humans.drift_rho": "drift"}[next(iter(on))]
    for env, other in ((plain, featured), (featured, plain)):
        before, saved = env.world.state, other.get_state()
        raises(ValueError, ["another configuration", f"['{name}']", "[]"], partial(env.set_state, saved))
        assert env.world.state is before
