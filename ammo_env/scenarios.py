"""Scenarios: a world as data with one sentence, a YAML file that says only what differs from the defaults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError, apply_overrides, build

# The world does not know how it is trained: this section of a scenario file is read by the agents' side.
TRAINING_SECTION = "training"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-3 as a string, and of a key given twice the last; here they are a number and an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def parse_scalar(text: str) -> Any:
    """One value as a scenario file would read it: `8` is an int, `1e-3` a float, `a: 1` a mapping."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"'{text}' is not a YAML value: {error}") from None


def scenario_folder() -> Path:
    """The folder of the scenario files: inside an installed wheel, else beside the package in the repository."""
    packaged = Path(__file__).resolve().parent / "configs"
    return packaged if packaged.is_dir() else packaged.parent.parent / "configs"


def scenario_names() -> list[str]:
    """Names of all scenarios, sorted."""
    return sorted(path.stem for path in scenario_folder().glob("*.yaml"))


def read_scenario(scenario: str | Path) -> dict[str, Any]:
    """The raw mapping of a scenario, by its name or by the path of a YAML file. Raises `ConfigError`."""
    if not isinstance(scenario, str | Path):
        raise ConfigError(f"scenario {scenario!r} must be the name of a scenario or the path of a YAML file")
    path = Path(scenario)
    if path.suffix not in {".yaml", ".yml"}:
        path = scenario_folder() / f"{scenario}.yaml"
        if not path.is_file():
            close = difflib.get_close_matches(str(scenario), scenario_names(), n=1, cutoff=0.0)
            raise ConfigError(
                f"no scenario '{scenario}'; the nearest is '{close[0] if close else ''}' "
                f"(there are: {', '.join(scenario_names())})"
            )
    if not path.is_file():
        raise ConfigError(f"no scenario file '{path}'")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not a YAML file: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"'{path}' must hold settings as 'section: {{key: value}}', but it holds {values!r}"
        )
    return values


def load_config(scenario: str | Path = "default", overrides: Mapping[str, Any] | None = None) -> AmmoConfig:
    """The world of a scenario with `overrides` on top. Raises `ConfigError`."""
    values = {key: value for key, value in read_scenario(scenario).items() if key != TRAINING_SECTION}
    return build(AmmoConfig, apply_overrides(AmmoConfig, values, overrides or {}))
