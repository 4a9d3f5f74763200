"""Oracles: how a human answers to a slate, one kind per file. A file in this folder is registered by being there."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ammo_env.oracles.protocol import ORACLES, OracleFactory, PreferenceOracle, make_oracle, oracle

__all__ = ["ORACLES", "OracleFactory", "PreferenceOracle", "make_oracle", "oracle"]

for _name in sorted(found.name for found in iter_modules(__path__)):
    import_module(f"{__name__}.{_name}")
