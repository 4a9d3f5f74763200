"""The gymnasium door: gymnasium's checker, seeds, seats, opponents by name, retirement, vectors, a fresh process."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agents.baselines import USER_BASELINES
from agents.gymnasium_door import BuddyEnv
from agents.policy import take_turn
from ammo_env import metaspace_v0
from ammo_env.settings import ConfigError

USER, GOAL = "AMMO/UserBuddy-v0", "AMMO/GoalBuddy-v0"
SMALL: dict[str, Any] = {"num_rounds": 4, "num_goal_buddies": 6, "num_humans": 4}
KINDS: list[tuple[str, dict[str, Any], str]] = [
    (USER, {}, "MultiDiscrete([16 16 16 16])"),
    (USER, {"num_slots": 1}, "Discrete(16)"),
    (USER, {"continuous_actions": True}, "Box(-1.0, 1.0, (16,), float32)"),
    (GOAL, {}, "Discrete(20)"),
    (GOAL, {"continuous_actions": True}, "Box(-1.0, 1.0, (4,), float32)"),
    (GOAL, {"actions": {"goal_buddy": "steer"}}, "Box(-1.0, 1.0, (9,), float32)"),
]


def make(name: str, **settings: Any) -> BuddyEnv:
    env = gymnasium.make(name, **{**SMALL, **settings}).unwrapped
    assert isinstance(env, BuddyEnv)
    return env


def play(env: BuddyEnv, seed: int, rounds: int = 4) -> tuple[list[Any], list[float]]:
    """Observations and rewards of an episode with the learner's first action throughout."""
    env.action_space.seed(0)
    seen, rewards = [env.reset(seed=seed)[0]], []
    for _ in range(rounds):
        obs, reward, *_ = env.step(env.action_space.sample())
        seen.append(obs)
        rewards.append(float(reward))
    return seen, rewards


@pytest.mark.parametrize(("name", "settings", "space"), KINDS)
def test_gymnasium_s_checker_passes(name: str, settings: dict[str, Any], space: str) -> None:
    """Every action kind; the checker only remarks that features are unbounded."""
    env = make(name, **settings)
    assert str(env.action_space) == space
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(env)
    assert [str(w.message) for w in said if "observation space m" not in str(w.message)] == []


@pytest.mark.parametrize(("name", "settings"), [(name, settings) for name, settings, _ in KINDS])
def test_the_same_seed_gives_the_same_numbers(name: str, settings: dict[str, Any]) -> None:
    once, again, other = (play(make(name, **settings), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once[0], again[0])
    assert once[1] == again[1] != other[1]


def test_without_a_seed_the_streams_go_on() -> None:
    """Two episodes of one seed differ, and the pair of them comes again."""
    pairs = []
    for _ in range(2):
        env = make(USER)
        first = play(env, 0)[1]
        env.reset()
        pairs.append((first, [float(env.step(np.arange(4))[1]) for _ in range(4)]))
    assert pairs[0] == pairs[1]
    assert pairs[0][0] != pairs[0][1]


@pytest.mark.parametrize(("name", "side"), [(USER, "user_buddy"), (GOAL, "goal_buddy")])
def test_it_begins_as_the_same_seat_of_the_pettingzoo_door(name: str, side: str) -> None:
    seen, _ = metaspace_v0.parallel_env(**SMALL).reset(seed=5)
    for seat in (0, 3):
        np.testing.assert_array_equal(make(name, seat=seat).reset(seed=5)[0], seen[f"{side}_{seat}"])


@pytest.mark.parametrize(("name", "side"), [(USER, "user_buddy"), (GOAL, "goal_buddy")])
def test_the_learner_s_action_reaches_its_own_seat_alone(name: str, side: str) -> None:
    """Rewards of the round by seat, with two different actions of seat 2: the user buddies' differ there only."""
    rewards = []
    for action in ([0, 1, 2, 3], [12, 13, 14, 15]) if side == "user_buddy" else (0, 1):
        env = make(name, seat=2)
        env.reset(seed=0)
        _, reward, *_ = env.step(np.array(action))
        assert env.vector.last_round is not None
        rewards.append(env.vector.last_round.rewards["user_buddy"][0])
        assert reward == env.vector.last_round.rewards[side][0, 2]
        own = env.vector.last_round.published[0, 2]
        assert side == "user_buddy" or own == bool(action)
    assert np.flatnonzero(rewards[0] != rewards[1]).tolist() == ([2] if side == "user_buddy" else [])


def test_a_user_buddy_that_acts_like_the_oracle_earns_more_than_a_random_one() -> None:
    """Mean reward per round over twenty episodes: the gap is many standard errors."""
    means = []
    for name in ("oracle", "random"):
        env, policy = make(USER, num_rounds=8), USER_BASELINES[name]()
        rewards = []
        for seed in range(20):
            env.reset(seed=seed)
            rng = np.random.default_rng(seed)
            for _ in range(8):
                row = policy.act(take_turn(env.vector, env._obs, "user_buddy"), rng)[0, 0]
                rewards.append(float(env.step(row)[1]))
        means.append(np.mean(rewards))
    assert means[0] > means[1] + 0.1


def test_opponents_by_name() -> None:
    """One, several, with an argument, or policies; the seats are dealt equally."""
    env = make(GOAL, goal_buddies=("truthful", "chaser"), user_buddies="softmax=0.25")
    env.reset(seed=0)
    goals, users = (env._casts[side][0] for side in ("goal_buddy", "user_buddy"))
    assert np.bincount(goals.holders[0]).tolist() == [3, 3]
    assert getattr(users._players[0], "temperature", None) == 0.25
    own = make(USER, user_buddies=USER_BASELINES["greedy"]())
    own.reset(seed=0)
    assert type(own._casts["user_buddy"][0]._players[0]).__name__ == "Greedy"
    assert make(USER)._casts["goal_buddy"][1] == 4


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"goal_buddies": "truthfull"}, "the nearest is 'truthful'"),
        ({"user_buddies": "truthful"}, "no baseline 'truthful' for the side 'user_buddy'"),
        ({"user_buddies": "softmax=warm"}, "'warm' in 'softmax=warm' is not a number"),
        ({"goal_buddies": "truthful=1"}, "takes no argument"),
        ({"goal_buddies": ()}, "name at least one baseline"),
        ({"goal_buddies": USER_BASELINES["greedy"]()}, "no policy of side 'goal_buddy'"),
        ({"seat": 4}, "seats 0..3"),
        ({"seat": True}, "seats 0..3"),
        ({"num_slotz": 2}, "nearest is 'attention.num_slots'"),
    ],
)
def test_what_cannot_be_made(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=part.replace("(", r"\(")):
        make(USER, **settings)


@pytest.mark.parametrize("action", [None, [0, 1], np.zeros(4), np.array([0, 1, 2, 16])])
def test_a_bad_action_is_a_value_error(action: Any) -> None:
    env = make(USER)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"does not fit the action space|out of range"):
        env.step(action)


def test_steps_outside_an_episode() -> None:
    env = make(USER)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.arange(4))
    play(env, 0)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.arange(4))


def test_a_goal_buddy_that_retires_is_terminated() -> None:
    """More exposure than there is is asked of everybody two rounds old. In the next episode the learner lives again,
    and a user buddy of that world is never terminated."""
    life: dict[str, Any] = {"life": {"viability": 6.0, "grace": 2}, "num_rounds": 6}
    env = make(GOAL, **life)
    env.reset(seed=0)
    for _ in range(2):
        flags = [env.step(1)[2:4] for _ in range(2)]
        assert flags == [(False, False), (True, False)]
        with pytest.raises(RuntimeError, match="call reset"):
            env.step(1)
        env.reset()
    user = make(USER, **life)
    user.reset(seed=0)
    assert [user.step(np.arange(4))[2:4] for _ in range(6)] == [(False, False)] * 5 + [(False, True)]


def test_masks() -> None:
    """In gymnasium's format, so that spaces sample by them; flat for maskable policies; none for boxes."""
    user, goal, box = make(USER), make(GOAL, publish_cost=8.0, energy_cap=8.0), make(GOAL, continuous_actions=True)
    (_, told), (_, can), (_, may) = (env.reset(seed=0) for env in (user, goal, box))
    assert user.action_space.contains(user.action_space.sample(told["action_mask"]))
    assert user.action_masks().shape == (64,)
    assert can["action_mask"].sum() == 20
    assert goal.step(1)[4]["action_mask"].tolist() == [1] + [0] * 19  # energy is spent: only to hold is left
    assert may == {"may_publish": True}
    with pytest.raises(ConfigError, match="no masks"):
        box.action_masks()


@pytest.mark.parametrize("name", [USER, GOAL])
def test_vectors_of_worlds(name: str) -> None:
    """Gymnasium's vector API, which is how trainers of one learner see it; world 1 is that of the next seed."""
    env = gymnasium.make_vec(name, num_envs=2, **SMALL)
    obs, _ = env.reset(seed=7)
    np.testing.assert_array_equal(obs[1], make(name).reset(seed=8)[0])
    ends = [env.step(env.action_space.sample())[3].tolist() for _ in range(5)]
    assert ends == [[False] * 2] * 3 + [[True] * 2] + [[False] * 2]
    env.close()


@pytest.mark.parametrize(
    "text", ["import ammo_env; m = ''", "import agents; m = ''", "m = 'ammo_env:'"], ids=["world", "school", "by name"]
)
def test_a_fresh_process_knows_the_ids(text: str) -> None:
    """And neither ray, torch nor matplotlib is loaded for it."""
    code = (
        f"import sys, gymnasium; {text}; print(gymnasium.make(m + 'AMMO/UserBuddy-v0').reset(seed=0)[0].shape,"
        " {'ray', 'torch', 'matplotlib'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(148,) set()"
