"""Where a MetaSpace comes from: facts, entities and a pool of preferences, synthetic or read from real data.

A source is a function of `KnowledgeConfig` that returns a `Knowledge`; `@knowledge_source("name")` adds it, and
`ammo_env.sources` finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.claims import Claims
from ammo_env.knowledge_settings import KnowledgeConfig


@dataclass(frozen=True)
class Knowledge:
    """Everything a world is born from; rows of `facts`, `entities` and the preferences are unit vectors.

    Where the source knows who is friends with whom, row p of `friends` lists the friends of person p as rows of the
    same pool, then -1. A list may leave friends out, so that q may be in p's list without p being in q's.
    A source that has texts offers sentences about its entities, which are only made when they are asked for.
    """

    facts: FloatArray  # [M, F, D], zero-padded where fact_mask is False
    fact_mask: BoolArray  # [M, F]
    entities: FloatArray  # [N, D], where goal buddies may sit
    entity_subspace: IntArray  # [N], 0..M-1
    entity_names: tuple[str, ...]
    subspace_names: tuple[str, ...]
    preferences: FloatArray  # [P, D], humans to train on
    heldout_preferences: FloatArray  # [P', D], humans never trained on
    friends: IntArray | None = None  # [P, N] rows of `preferences`, padded with -1
    heldout_friends: IntArray | None = None  # [P', N'] rows of `heldout_preferences`, padded with -1
    claims: Callable[[], Claims] | None = None


Source = Callable[[KnowledgeConfig], Knowledge]
SOURCES: dict[str, Source] = {}


def knowledge_source(name: str) -> Callable[[Source], Source]:
    """Register a source under the name that `knowledge.source` uses."""

    def register(source: Source) -> Source:
        SOURCES[name] = source
        return source

    return register


def padded_facts(
    vectors: FloatArray, subspace: IntArray, num_subspaces: int
) -> tuple[FloatArray, BoolArray]:
    """Facts [M, F, D] and their mask [M, F] from vectors [N, D] by subspace [N]: in order, zeros behind them."""
    size = np.bincount(subspace, minlength=num_subspaces)
    mask = np.arange(size.max()) < size[:, None]
    facts = np.zeros((*mask.shape, vectors.shape[1]), dtype=np.float32)
    facts[mask] = vectors[np.argsort(subspace, kind="stable")]
    return facts, mask
