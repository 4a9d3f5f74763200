"""What a command line says of an outer search, as a study: `--search KEY=LOW:HIGH[:log|:horizon]` and how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.evolution.genome import GENES
from agents.run_config import RunConfig
from agents.tuning_settings import Range, Study, current
from ammo_env.scenarios import parse_scalar
from ammo_env.settings import ConfigError, apply_overrides, build

# What the weights, the worlds or the comparison of trials depend on cannot change in the middle of a run.
FIXED = frozenset({
    "seed", "iterations", "num_worlds", "rounds_per_iteration", "measure_every", "num_env_runners", "checkpoint_every",
    "members", "hidden", "initial_std", "initial_publish", "initial_optimism", "initial_sharpness", "update_every",
    "scripted_share", "hall_size", "spread", "algorithm", "samples_ahead",
})  # fmt: skip

DEFAULT_SEARCH = (
    "training.user_buddy.learning_rate=3e-4:5e-3:log",
    "training.goal_buddy.learning_rate=3e-4:5e-3:log",
    "training.user_buddy.entropy=5e-4:2e-2:log",
    "training.gamma=0.8:0.98:horizon",
    "training.evolution.perturb=1.1:1.6",
)


def make_study(scenario: str, config: RunConfig, search: Sequence[str], given: Mapping[str, Any]) -> Study:
    """A study from the command line; what is None there has its default. Raises `ConfigError`."""
    training = config.training
    values = {"iterations": training.iterations, "seed": training.seed}
    values |= {name: value for name, value in given.items() if value is not None}
    return build(Study, {"scenario": scenario, "config": config, "search": parse_search(search, config), **values})


def parse_search(texts: Sequence[str], config: RunConfig) -> dict[str, Range]:
    """`["key=low:high[:log|horizon]", ...]` → ranges by full key; the default ones for []. Raises `ConfigError`."""
    if not texts:
        enabled = config.training.evolution.enabled
        texts = [text for text in DEFAULT_SEARCH if enabled or not text.startswith("training.evolution.")]
    return dict(_parsed(text, config) for text in texts)


def _parsed(text: str, config: RunConfig) -> tuple[str, Range]:
    short, _, limits = text.partition("=")
    low, high, scale = (*limits.split(":"), "", "")[:3]
    numbers = [parse_scalar(number) for number in (low, high)]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise ConfigError(f"--search takes KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=LOW:HIGH:horizon, got '{text}'")
    values = {"low": float(numbers[0]), "high": float(numbers[1]), "scale": scale or "linear"}
    key = _full_key(short.strip())
    for number in numbers:  # unknown keys and impossible values are explained as everywhere
        build(RunConfig, apply_overrides(RunConfig, config.model_dump(), {key: number}))
    if not key.startswith("training."):
        raise ConfigError(f"{key} is part of the world: trials in different worlds cannot be compared")
    now = current(key, config)
    if isinstance(now, bool) or not isinstance(now, int | float) or key.split(".")[-1] in FIXED:
        raise ConfigError(f"{key} cannot change in the middle of a run, so it cannot be searched")
    found = build(Range, {**values, "whole": isinstance(now, int)}, prefix=f"--search {key}: ")
    gene = GENES.get(key.split(".")[-1])
    if gene and (found.low < gene.low or found.high > gene.high):
        raise ConfigError(f"{key} is a gene that lives in {gene.low:g}:{gene.high:g}; {low}:{high} is not within it")
    return key, found


def _full_key(key: str) -> str:
    """The dotted key that a command line means by `key`. Raises `ConfigError`."""
    tree, parts = apply_overrides(RunConfig, {}, {key: 0.0}), []
    while isinstance(tree, dict):
        ((part, tree),) = tree.items()
        parts.append(str(part))
    return ".".join(parts)
