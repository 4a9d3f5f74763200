"""What the tests share: a small world, random play, the scenarios, and the real data where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config, scenario_names
from ammo_env.vector import SIDES, VectorEnv

Actions = dict[str, NDArray[Any]]

# A world that a test can afford, with every size different from the others.
SMALL: dict[str, Any] = {
    "knowledge.dim": 9,
    "knowledge.num_subspaces": 2,
    "knowledge.facts_per_subspace": 6,
    "knowledge.entities_per_subspace": 8,
    "knowledge.pool_size": 64,
    "knowledge.heldout_size": 16,
    "goal_buddies.num_goal_buddies": 5,
    "goal_buddies.shelf_size": 2,
    "goal_buddies.steering_dim": 3,
    "humans.num_humans": 4,
    "attention.num_candidates": 7,
    "attention.num_slots": 2,
    "episode.num_rounds": 8,
}


def pytest_configure(config: pytest.Config) -> None:
    # PettingZoo's conformance tests announce their own future on import.
    config.addinivalue_line("filterwarnings", "ignore:The old environment creation API:DeprecationWarning")


@pytest.fixture(scope="session")
def small_config() -> Callable[..., AmmoConfig]:
    """`small_config({"section.key": value})`: the small world, with overrides."""

    def make(overrides: dict[str, Any] | None = None) -> AmmoConfig:
        return load_config("default", {**SMALL, **(overrides or {})})

    return make


@pytest.fixture(scope="session")
def small_env(small_config: Callable[..., AmmoConfig]) -> Callable[..., VectorEnv]:
    """`small_env(num_envs, overrides, backend)`: a batch of small worlds, not yet reset."""

    def make(num_envs: int = 3, overrides: dict[str, Any] | None = None, backend: str = "numpy") -> VectorEnv:
        return VectorEnv(small_config(overrides), num_envs, backend)

    return make


@pytest.fixture(scope="session")
def random_actions() -> Callable[[VectorEnv, np.random.Generator], Actions]:
    """`random_actions(env, rng)`: actions [E, N, ...] of both sides, uniform in their spaces."""

    def draw(env: VectorEnv, rng: np.random.Generator) -> Actions:
        actions: Actions = {}
        for side in SIDES:
            space, batch = env.action_spaces[side], (env.num_envs, env.num_agents[side])
            if isinstance(space, spaces.Box):
                actions[side] = rng.uniform(-1.0, 1.0, (*batch, *space.shape)).astype(np.float32)
            else:
                assert isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
                high = int(space.n) if isinstance(space, spaces.Discrete) else int(space.nvec[0])
                actions[side] = rng.integers(high, size=(*batch, *(space.shape or ())))
        return actions

    return draw


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    """MovieLens 100K: AMMO_DATA, or ../shared/data beside the repository; skipped where there is neither."""
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    for folder in (Path(os.environ["AMMO_DATA"]) if "AMMO_DATA" in os.environ else beside, beside):
        for place in (folder, folder / "ml-100k"):
            if (place / "u.data").is_file():
                return place
    pytest.skip("MovieLens 100K is not here: set AMMO_DATA to the folder that holds u.data")


@pytest.fixture(params=scenario_names())
def scenario(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every scenario by name; those on real data are skipped where the data is missing."""
    name: str = request.param
    if name.startswith("movielens"):
        monkeypatch.setenv("AMMO_DATA", str(request.getfixturevalue("movielens_folder")))
    return name
