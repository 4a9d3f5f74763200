"""The PettingZoo door: its own conformance tests over every scenario and both action modes, and determinism.

Every warning is an error here, but for the ones named below, which PettingZoo raises about spaces and names that its
documentation allows.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo.test.api_test import api_test
from pettingzoo.test.parallel_test import parallel_api_test
from pettingzoo.test.seed_test import parallel_seed_test, seed_test
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv

HARMLESS = (
    # MultiDiscrete is a documented space of PettingZoo's; only its test would rather see Box or Discrete.
    "Action space for each agent probably should be",
    # "user_buddy_0" is of the form <descriptor>_<number>; the test's pattern knows no second underscore.
    "We recommend agents to be named in the format",
    # Two kinds of buddies see different things.
    "Observations are different shapes",
    "Agents have different observation space sizes",
    # Features are of order one but unbounded.
    "Agent's minimum observation space value is -infinity",
    "Agent's maximum observation space value is infinity",
    # Ids are declared for everybody who may be born in an episode; fewer are.
    "No agents present but not all possible_agents are terminated or truncated",
)
pytestmark = [
    pytest.mark.filterwarnings("error"),
    *(pytest.mark.filterwarnings(f"ignore:{text}:UserWarning:pettingzoo") for text in HARMLESS),
]

CYCLES = 6  # PettingZoo's tests play this many rounds; the episode is shortened so that they meet its end
ROUNDS = 4


@pytest.fixture(params=[False, True], ids=["discrete", "continuous"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"continuous_actions": request.param, "num_rounds": ROUNDS}


def test_parallel_api(scenario: str, settings: dict[str, Any]) -> None:
    parallel_api_test(metaspace_v0.parallel_env(scenario, **settings), num_cycles=CYCLES)


def test_parallel_seed(scenario: str, settings: dict[str, Any]) -> None:
    parallel_seed_test(lambda: metaspace_v0.parallel_env(scenario, **settings), num_cycles=CYCLES)  # type: ignore[no-untyped-call]


def test_api(scenario: str, settings: dict[str, Any]) -> None:
    api_test(metaspace_v0.env(scenario, **settings), num_cycles=CYCLES)  # type: ignore[no-untyped-call]


def test_seed(scenario: str, settings: dict[str, Any]) -> None:
    seed_test(lambda: metaspace_v0.env(scenario, **settings), num_cycles=CYCLES)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("continuous", [False, True])
def test_all_four_where_goal_buddies_die_and_are_born(
    continuous: bool, small_config: Callable[..., AmmoConfig]
) -> None:
    """Episodes of eight rounds, from the second of which on everybody who was seldom seen is replaced."""
    mortal = {"life.viability": 0.15, "life.grace": 2, "life.max_births": 30, "actions.continuous": continuous}

    def parallel() -> MetaSpaceEnv:
        return MetaSpaceEnv(small_config(mortal))

    def turns() -> Any:
        return OrderEnforcingWrapper(parallel_to_aec(parallel()))

    parallel_api_test(parallel(), num_cycles=3 * CYCLES)
    parallel_seed_test(parallel, num_cycles=3 * CYCLES)  # type: ignore[no-untyped-call]
    api_test(turns(), num_cycles=3 * CYCLES)  # type: ignore[no-untyped-call]
    seed_test(turns, num_cycles=3 * CYCLES)  # type: ignore[no-untyped-call]


@pytest.fixture
def small(small_config: Callable[..., AmmoConfig]) -> Callable[..., MetaSpaceEnv]:
    return lambda overrides=None: MetaSpaceEnv(small_config(overrides), "ansi")


def sampled(env: MetaSpaceEnv, rng: np.random.Generator) -> dict[str, Any]:
    """Random actions in each agent's space, from a generator of our own."""
    actions: dict[str, Any] = {}
    for agent in env.agents:
        space = env.action_space(agent)
        if isinstance(space, spaces.Box):
            actions[agent] = rng.uniform(-1, 1, space.shape).astype(np.float32)
        else:
            assert isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
            high = int(space.n) if isinstance(space, spaces.Discrete) else int(space.nvec[0])
            actions[agent] = rng.integers(high, size=space.shape)
    return actions


@pytest.mark.parametrize("continuous", [False, True])
def test_an_episode_from_first_to_last_round(continuous: bool, small: Callable[..., MetaSpaceEnv]) -> None:
    """Eight rounds, all agents alive until all are truncated together; every observation lies in its space; rewards
    are plain floats; the dictionaries keep the order of `possible_agents`."""
    env, rng = small({"actions.continuous": continuous}), np.random.default_rng(0)
    obs, infos = env.reset(seed=0)
    agents = [f"user_buddy_{n}" for n in range(4)] + [f"goal_buddy_{n}" for n in range(5)]
    assert env.possible_agents == env.agents == list(obs) == list(infos) == agents
    for number in range(1, 9):
        obs, rewards, terminations, truncations, infos = env.step(sampled(env, rng))
        assert list(obs) == list(rewards) == list(terminations) == list(truncations) == list(infos) == agents
        assert set(truncations.values()) == {number == 8}
        assert set(terminations.values()) == {False}
        assert all(type(reward) is float for reward in rewards.values())
        assert all(env.observation_space(agent).contains(obs[agent]) for agent in agents)
        assert env.state().shape == env.state_space.shape
        np.testing.assert_array_equal(env.state(), np.concatenate(list(obs.values())))
    assert env.agents == []


def test_masks_are_in_gymnasiums_format_and_tell_the_truth(small: Callable[..., MetaSpaceEnv]) -> None:
    """`sample(mask)` works for every agent; with energy spent only holding is allowed, and publishing has no effect."""
    env = small({"goal_buddies.energy_regrowth": 0.0, "goal_buddies.energy_cap": 2.0})
    _, infos = env.reset(seed=0)
    for number in range(4):
        for agent in env.agents:
            action = env.action_space(agent).sample(infos[agent]["action_mask"])
            assert env.action_space(agent).contains(action)
        for agent in env.agents:
            if agent.startswith("goal"):
                allowed = np.flatnonzero(infos[agent]["action_mask"]).tolist()
                assert allowed == (list(range(10)) if number < 2 else [0])
        publish = {agent: np.array([0, 1]) if agent.startswith("user") else 1 for agent in env.agents}
        _, _, _, _, infos = env.step(publish)
        assert env.vector.last_round is not None
        assert env.vector.last_round.published.all() == (number < 2)


def test_box_goal_actions_come_with_may_publish(small: Callable[..., MetaSpaceEnv]) -> None:
    overrides = {"actions.continuous": True, "goal_buddies.energy_regrowth": 0.0, "goal_buddies.energy_cap": 1.0}
    env = small(overrides)
    _, infos = env.reset(seed=0)
    assert infos["goal_buddy_0"] == {"may_publish": True}
    assert infos["user_buddy_0"] == {}
    _, _, _, _, infos = env.step({a: np.ones(env.action_space(a).shape or (), np.float32) for a in env.agents})
    assert infos["goal_buddy_0"] == {"may_publish": False}


def test_what_is_handed_out_stays_as_it_was(small: Callable[..., MetaSpaceEnv]) -> None:
    """Later rounds do not write into earlier observations, and a caller's scribbling does not reach the world."""
    env, twin, rng = small(), small(), np.random.default_rng(0)
    first, infos = env.reset(seed=0)
    twin.reset(seed=0)
    kept = {agent: row.copy() for agent, row in first.items()}
    actions = sampled(env, rng)
    before = {agent: np.array(action) for agent, action in actions.items()}
    second, *_ = env.step(actions)
    for agent in kept:
        np.testing.assert_array_equal(first[agent], kept[agent])
        np.testing.assert_array_equal(actions[agent], before[agent])
        second[agent][:] = np.nan
    infos["user_buddy_0"]["action_mask"] = None
    twin_second, *_ = twin.step(actions)
    (third, *_), (twin_third, *_) = env.step(actions), twin.step(actions)
    assert twin_second is not second
    for agent in third:
        np.testing.assert_array_equal(third[agent], twin_third[agent])


def test_every_agent_has_its_own_space_object(small: Callable[..., MetaSpaceEnv]) -> None:
    """Seeding one agent's action space leaves the others' samples alone."""
    env = small()
    spaces_ = [env.action_space(agent) for agent in env.possible_agents]
    assert len({id(space) for space in spaces_}) == 9
    assert all(env.action_space(agent) is space for agent, space in zip(env.possible_agents, spaces_, strict=True))


def test_one_slot_is_plain_discrete(small: Callable[..., MetaSpaceEnv]) -> None:
    env = small({"attention.num_slots": 1})
    assert env.action_space("user_buddy_0") == spaces.Discrete(7)
    _, infos = env.reset(seed=0)
    assert infos["user_buddy_0"]["action_mask"].shape == (7,)
    env.step(dict.fromkeys(env.agents, 3))


def test_the_doors_lead_to_the_same_world(random_actions: Callable[..., Any]) -> None:
    """ParallelEnv, AEC and batch of one: the same observations and rewards for the same seed and actions."""
    parallel, batch = metaspace_v0.parallel_env(num_rounds=3), metaspace_v0.vec_env(1, num_rounds=3)
    turns, rng = metaspace_v0.env(num_rounds=3), np.random.default_rng(0)
    obs, _ = parallel.reset(seed=4)
    rows, _ = batch.reset(seed=4)
    turns.reset(seed=4)
    for _ in range(3):
        drawn = random_actions(batch, rng)
        actions = {f"{side}_{n}": drawn[side][0, n] for side in drawn for n in range(drawn[side].shape[1])}
        for agent in turns.agents:
            np.testing.assert_array_equal(turns.observe(agent), obs[agent])
            turns.step(actions[agent])
        obs, rewards, *_ = parallel.step(actions)
        rows, scores, *_ = batch.step(drawn)
        assert turns.rewards == rewards
        for n in range(8):
            np.testing.assert_array_equal(obs[f"user_buddy_{n}"], rows["user_buddy"][0, n])
            assert rewards[f"user_buddy_{n}"] == float(scores["user_buddy"][0, n])


TRAJECTORY = """
import hashlib, sys
import numpy as np
from ammo_env import metaspace_v0
digest = hashlib.sha256()
for continuous in (False, True):
    env = metaspace_v0.parallel_env(continuous_actions=continuous, num_rounds=5, drift_rho=0.9)
    obs, infos = env.reset(seed=0)
    for agent in env.agents:
        env.action_space(agent).seed(0)
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        obs, rewards, *_ = env.step(actions)
        for agent in obs:
            digest.update(agent.encode() + obs[agent].tobytes() + np.float64(rewards[agent]).tobytes())
print(digest.hexdigest())
"""


def test_processes_and_hash_seeds_do_not_matter() -> None:
    """Seed 0, both action modes, in three processes with different PYTHONHASHSEED: one hash of all bytes."""
    root = Path(__file__).resolve().parent.parent
    digests = set()
    for hash_seed in ("0", "1", "271828"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", TRAJECTORY], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def global_states() -> tuple[Any, ...]:
    """The states of every global random generator, hashable."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (that nobody touches it is what is tested)
    legacy = hashlib.sha256(np.asarray(keys).tobytes()).hexdigest()
    return kind, legacy, *rest, random.getstate(), torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_no_global_random_state_is_touched(
    backend: str, seed: int | None, small_env: Callable[..., Any], random_actions: Callable[..., Any]
) -> None:
    """Python's, NumPy's and torch's global generators are bit for bit the same after making, reset and episode."""
    before = global_states()
    env, rng = small_env(2, {"drift_rho": 0.9, "kind": "click", "response": 0.5}, backend), np.random.default_rng(0)
    env.reset(seed=seed)
    for _ in range(8):
        env.step(random_actions(env, rng))
    env.reset()
    assert global_states() == before


def test_global_seeds_do_not_matter(small: Callable[..., MetaSpaceEnv]) -> None:
    """The same seed gives the same world whatever the global generators hold."""
    states: list[NDArray[np.float32]] = []
    for number in (1, 2):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002 (that it has no effect is what is tested)
        env = small()
        env.reset(seed=0)
        env.step(sampled(env, np.random.default_rng(0)))
        states.append(env.state())
    np.testing.assert_array_equal(states[0], states[1])


def test_the_environment_is_registered_as_petting_zoo_expects() -> None:
    """A name, render modes, and that it may be turned into the agent-by-agent form."""
    env = metaspace_v0.parallel_env()
    assert env.metadata["name"] == "metaspace_v0"
    assert env.metadata["render_modes"][:2] == ["ansi", "rgb_array"]
    assert env.metadata["is_parallelizable"] is True
    assert env.render_mode is None
    assert env.unwrapped is env
