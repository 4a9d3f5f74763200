"""How settings work: frozen sections, overrides by dotted key, and errors that name the key and the nearest known one.

A config file or a keyword override says only what differs from the defaults, which live in `ammo_env.config` beside
their meaning. Keys are dotted (`attention.num_slots`); a last part that is unique may stand alone (`num_slots`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A configuration that cannot be: names the key, the cause and, for a typo, the nearest known key."""


class Section(BaseModel):
    """A frozen group of settings; unknown keys, NaN and silent type conversions are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def dotted_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All settings of a model as dotted keys, depth first."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += dotted_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def apply_overrides(
    model: type[BaseModel], values: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """`values` with `overrides` on top: nested mappings, dotted keys, or a last part that is unique.

    Raises `ConfigError` for an unknown or ambiguous key.
    """
    merged = _merged(dict(values), {})
    for key, value in overrides.items():
        # An index (aipp.subspaces.0.noise) is the only part of a key that is a number.
        parts = [int(part) if part.isdecimal() else part for part in _resolve(model, key).split(".")]
        merged = _merged(merged, _nested(parts, value))
    return merged


def build(model: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Validate `values` into `model`; every error names its key. Raises `ConfigError`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(model, prefix, item) for item in error.errors())) from None


def _resolve(model: type[BaseModel], key: str) -> str:
    known = dotted_keys(model)
    if key.split(".")[0] in model.model_fields:
        return key
    matches = [name for name in known if name.split(".")[-1] == key]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"'{key}' is ambiguous: it may be {' or '.join(matches)}; give the whole key")
    raise ConfigError(f"unknown setting '{key}'{_nearest(key, known)}")


def _nearest(key: str, known: list[str]) -> str:
    sections = {name.rsplit(".", 1)[0] for name in known if "." in name}
    close = difflib.get_close_matches(key, [*sorted(sections), *known], n=1, cutoff=0.0)
    last = key.split(".")[-1]
    by_last = difflib.get_close_matches(last, [name.split(".")[-1] for name in known], n=1, cutoff=0.7)
    if by_last:
        close = [name for name in known if name.split(".")[-1] == by_last[0]]
    return f"; the nearest is '{close[0]}'" if close else ""


def _nested(parts: list[Any], value: Any) -> dict[Any, Any]:
    return {parts[0]: value if len(parts) == 1 else _nested(parts[1:], value)}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = {
        name: _merged(value, {}) if isinstance(value, Mapping) else value for name, value in base.items()
    }
    for name, value in over.items():
        both = isinstance(result.get(name), Mapping) and isinstance(value, Mapping)
        result[name] = _merged(result[name], value) if both else value
    return result


def _explain(model: type[BaseModel], prefix: str, item: Any) -> str:
    key = prefix + ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = [prefix + name for name in dotted_keys(model)]
        return f"unknown setting '{key}'{_nearest(key, known)}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (got {item['input']!r})" if item["loc"] else message
