"""A training run as one configuration: a world, and how both sides learn in it (the scenario's section `training`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.training_settings import TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import parse_scalar, read_scenario
from ammo_env.settings import ConfigError, apply_overrides, build


class RunConfig(AmmoConfig):
    """A world and its training."""

    training: TrainingSettings = TrainingSettings()

    @property
    def world(self) -> AmmoConfig:
        """The world alone."""
        return AmmoConfig.model_validate(self.model_dump(exclude={"training"}))


def load_run_config(scenario: str | Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """The run of a scenario (name or YAML path) with `overrides` on top. Raises `ConfigError`."""
    return build(RunConfig, apply_overrides(RunConfig, read_scenario(scenario), overrides or {}))


def parse_settings(assignments: list[str]) -> dict[str, Any]:
    """`["a.b=c", ...]` from a command line -> overrides. Raises `ConfigError` for one without "="."""
    overrides: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes KEY=VALUE, got '{text}'")
        overrides[key.strip()] = parse_scalar(value)
    return overrides
