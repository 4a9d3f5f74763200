"""How a population came to be: the scenario, what was changed in it, and the command that trains the same again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.run_config import RunConfig, load_run_config
from ammo_env.scenarios import parse_scalar, scenario_names


@dataclass(frozen=True)
class Provenance:
    """A finished training: where, with what, for how long."""

    scenario: str
    config: RunConfig
    actions: Mapping[str, str]
    """Side → action kind that it was trained with."""
    iterations: int
    agent_steps: int

    @property
    def reference(self) -> str:
        """The scenario that comes with the project and that the differences are told from."""
        return self.scenario if self.scenario in scenario_names() else "default"

    @property
    def differences(self) -> dict[str, Any]:
        """Dotted key → value of what the run changed in the scenario; the seed is told apart."""
        usual = _flat(load_run_config(self.reference).model_dump(mode="json"))
        own = _flat(self.config.model_dump(mode="json"))
        told_apart = {"description", "training.seed"}
        return {key: own[key] for key in own if key not in told_apart and own[key] != usual.get(key, _Missing)}

    @property
    def command(self) -> str:
        """The command that trains the same."""
        words = ["python", "scripts/train.py", self.reference, "--seed", str(self.config.training.seed)]
        for key, value in self.differences.items():
            words += ["--set", f"{key}={plain(value)}"]
        return shlex.join(words)

    @property
    def about(self) -> dict[str, Any]:
        """For the index, as plain data."""
        return {
            "scenario": self.scenario,
            "description": self.config.description,
            "actions": dict(self.actions),
            "iterations": self.iterations,
            "agent_steps": self.agent_steps,
            "seed": self.config.training.seed,
            "differences": self.differences,
            "command": self.command,
        }


def plain(value: Any) -> str:
    """A value as `--set` reads it."""
    return value if isinstance(value, str) and parse_scalar(value) == value else json.dumps(value)


class _Missing:
    """Equal to nothing."""


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            result.update(_flat(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result
