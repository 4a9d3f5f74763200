"""All knowledge sources: the synthetic one and every module of `ammo_env.datasets`, found by being there."""

from __future__ import annotations

import importlib
import pkgutil

from ammo_env import datasets
from ammo_env import synthetic as synthetic  # importing it registers it
from ammo_env.knowledge import SOURCES, Knowledge
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError

for _found in pkgutil.iter_modules(datasets.__path__, f"{datasets.__name__}."):
    importlib.import_module(_found.name)


def load_knowledge(config: KnowledgeConfig) -> Knowledge:
    """The knowledge that a config names. Raises `ConfigError` for an unknown source."""
    if config.source not in SOURCES:
        raise ConfigError(
            f"knowledge.source '{config.source}' is not known; there are: {', '.join(sorted(SOURCES))}"
        )
    return SOURCES[config.source](config)
