"""The embedded knowledge source: clustered directions, drawn from a seed, that need no data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray
from ammo_env.knowledge import Knowledge, knowledge_source
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError


@knowledge_source("synthetic")
def synthetic(config: KnowledgeConfig) -> Knowledge:
    """Clustered directions: fact = unit(c*centre_m + n*noise), entity = unit(fact + a*noise).

    c, n, a are `cluster_strength`, `fact_noise`, `anchor_noise`; centres and noise are uniform on the unit
    sphere. With c = 0 facts are uniform on the sphere; with a = 0 and no more entities than facts, entities
    are exactly the facts. A preference is unit(sum of a Dirichlet(1) mixture of one random fact from each of
    1..max_interests subspaces).
    """
    rng = np.random.default_rng(config.seed)
    subspaces, facts, dim = config.num_subspaces, config.facts_per_subspace, config.dim
    if config.cluster_strength == config.fact_noise == 0:
        raise ConfigError("knowledge.cluster_strength and knowledge.fact_noise are both 0: facts have no direction")
    centres = _sphere(rng, subspaces, 1, dim)
    grounded = _unit(
        config.cluster_strength * centres + config.fact_noise * _sphere(rng, subspaces, facts, dim)
    )
    each = config.entities_per_subspace
    chosen = np.stack([np.resize(rng.permutation(facts), each) for _ in range(subspaces)])
    near = np.take_along_axis(grounded, chosen[..., None], 1)
    anchors = _unit(near + config.anchor_noise * _sphere(rng, subspaces, each, dim))
    everywhere = np.ones((subspaces, facts), dtype=np.bool_)
    names = tuple(f"subspace {m}" for m in range(subspaces))
    return Knowledge(
        facts=grounded,
        fact_mask=everywhere,
        entities=anchors.reshape(-1, dim),
        entity_subspace=np.repeat(np.arange(subspaces), each),
        entity_names=tuple(f"{name}, entity {i}" for name in names for i in range(each)),
        subspace_names=names,
        preferences=mixtures(rng, config, grounded, everywhere, config.pool_size),
        heldout_preferences=mixtures(rng, config, grounded, everywhere, config.heldout_size),
    )


def mixtures(
    rng: np.random.Generator, config: KnowledgeConfig, facts: FloatArray, fact_mask: BoolArray, size: int
) -> FloatArray:
    """Preferences [size, D] as `config.preference` says, of facts [M, F, D] that are there where the mask [M, F] is."""
    if config.preference == "uniform":
        return _sphere(rng, size, config.dim)
    subspaces = facts.shape[0]
    most = min(config.max_interests, subspaces)
    interests = rng.permuted(np.tile(np.arange(subspaces), (size, 1)), axis=1)[:, :most]
    held = np.arange(most) < rng.integers(1, most + 1, size)[:, None]
    weights = rng.standard_exponential((size, most)) * held  # normalised exponentials are Dirichlet(1)
    count = fact_mask.shape[1] if fact_mask.all() else fact_mask.sum(axis=1)[interests]
    picks = facts[interests, rng.integers(count, size=(size, most))]
    return _unit(np.einsum("pi,pid->pd", weights, picks))


def _sphere(rng: np.random.Generator, *shape: int) -> FloatArray:
    return _unit(rng.standard_normal(shape))


def _unit(x: NDArray[Any]) -> FloatArray:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), dtype=np.float32)
