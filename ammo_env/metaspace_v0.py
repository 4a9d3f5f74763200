"""The PettingZoo door: `parallel_env`, `env` (AEC) and `raw_env`, and the batched `vec_env`.

    from ammo_env import metaspace_v0
    env = metaspace_v0.parallel_env(scenario="default", num_slots=2)

Overrides are settings by section (`attention={"num_slots": 2}`), by dotted key
(`**{"attention.num_slots": 2}`) or by a last part that is unique (`num_slots=2`). Unknown ones raise
`ConfigError` and name the nearest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils import wrappers
from pettingzoo.utils.conversions import parallel_to_aec

from ammo_env.env import MetaSpaceEnv
from ammo_env.scenarios import load_config
from ammo_env.space import MetaSpace
from ammo_env.vector import VectorEnv


def parallel_env(
    scenario: str | Path = "default",
    render_mode: str | None = None,
    continuous_actions: bool = False,
    **overrides: Any,
) -> MetaSpaceEnv:
    """One world as a PettingZoo `ParallelEnv`; all spaces discrete, or all Box with `continuous_actions`."""
    return MetaSpaceEnv(load_config(scenario, _overrides(continuous_actions, overrides)), render_mode)


def raw_env(scenario: str | Path = "default", **settings: Any) -> AECEnv[str, Any, Any]:
    """The same world in PettingZoo's agent-by-agent form, unwrapped; arguments as `parallel_env`."""
    return parallel_to_aec(parallel_env(scenario, **settings))


def env(scenario: str | Path = "default", **settings: Any) -> AECEnv[str, Any, Any]:
    """`raw_env` that also enforces the order of calls; arguments as `parallel_env`."""
    return wrappers.OrderEnforcingWrapper(raw_env(scenario, **settings))


def vec_env(
    num_envs: int = 64,
    scenario: str | Path = "default",
    backend: str = "numpy",
    device: str = "cpu",
    continuous_actions: bool = False,
    space: MetaSpace | None = None,
    **overrides: Any,
) -> VectorEnv:
    """`num_envs` worlds stepped as one, as arrays by side, on NumPy or torch (`device`: cpu, cuda).

    `space` is a MetaSpace of one's own in place of the one that the configuration names.
    """
    config = load_config(scenario, _overrides(continuous_actions, overrides))
    return VectorEnv(config, num_envs, backend, device, space)


def _overrides(continuous: bool, overrides: dict[str, Any]) -> dict[str, Any]:
    # Whatever is truthy goes to the config, which refuses what is not a bool.
    return {"actions.continuous": continuous, **overrides} if continuous else overrides
