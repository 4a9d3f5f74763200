"""A table of one's own as a knowledge source: each row is a place for a goal buddy and a fact of its subspace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ammo_env.arrays import FloatArray, IntArray
from ammo_env.datasets.clusters import balanced_clusters
from ammo_env.datasets.table_files import SOURCE, Table, read_table
from ammo_env.embedding import DEFAULT_EMBEDDER, make_embedder
from ammo_env.knowledge import Knowledge, knowledge_source, padded_facts
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError
from ammo_env.synthetic import mixtures

NAMESAKES = 3  # rows that a cluster is called after


@knowledge_source("table")
def table(config: KnowledgeConfig) -> Knowledge:
    """The CSV or NPZ file `path` (see `table_files`) as a world; vectors are scaled to length 1.

    Texts become vectors of `dim` dimensions through `embedder`; vectors must have `dim` coordinates. Subspaces are the
    labels of the column `subspace`, in the order in which they first occur, and there must be `num_subspaces` of them;
    without that column rows are grouped into `num_subspaces` balanced clusters. Preferences are mixtures of facts, as
    in the synthetic source: `pool_size`, `heldout_size`, `max_interests` and `preference` count here too.

    Raises FileNotFoundError where there is no file, `DataError` where it is damaged, and `ConfigError` where `dim`,
    `num_subspaces` or `embedder` do not fit it.
    """
    if not config.path:
        raise FileNotFoundError(f"knowledge.source 'table' needs its file: --set knowledge.path=<file>. {SOURCE}")
    path = Path(config.path).expanduser()
    rows = read_table(path)
    vectors = _vectors(rows, config)
    cluster_rng, people_rng = np.random.default_rng(config.seed).spawn(2)
    subspace, names = _subspaces(rows, vectors, config, cluster_rng)
    facts, fact_mask = padded_facts(vectors, subspace, config.num_subspaces)
    return Knowledge(
        facts=facts,
        fact_mask=fact_mask,
        entities=vectors,
        entity_subspace=subspace,
        entity_names=rows.names,
        subspace_names=names,
        preferences=mixtures(people_rng, config, facts, fact_mask, config.pool_size),
        heldout_preferences=mixtures(people_rng, config, facts, fact_mask, config.heldout_size),
    )


def _vectors(rows: Table, config: KnowledgeConfig) -> FloatArray:
    if rows.vectors is None:
        return make_embedder(config.embedder or DEFAULT_EMBEDDER, config.dim, config.embedding_cache)(rows.texts or ())
    if rows.vectors.shape[1] != config.dim:
        dim = rows.vectors.shape[1]
        raise ConfigError(
            f"knowledge.dim={config.dim}, but the vectors of {config.path} have {dim}: set knowledge.dim={dim}"
        )
    return rows.vectors


def _subspaces(
    rows: Table, vectors: FloatArray, config: KnowledgeConfig, rng: np.random.Generator
) -> tuple[IntArray, tuple[str, ...]]:
    """Subspace of each row [N], and their names."""
    count = config.num_subspaces
    if rows.subspaces is None:
        if count > len(vectors):
            raise ConfigError(f"knowledge.num_subspaces={count} > {len(vectors)} rows of {config.path}: lower it")
        cluster = balanced_clusters(vectors, count, rng)
        return cluster, tuple(
            ", ".join(rows.names[i] for i in np.flatnonzero(cluster == m)[:NAMESAKES]) for m in range(count)
        )
    number = {label: m for m, label in enumerate(dict.fromkeys(rows.subspaces))}
    if len(number) != count:
        raise ConfigError(
            f"knowledge.num_subspaces={count}, but {config.path} has {len(number)} ({', '.join([*number][:6])}"
            f"{', ...' if len(number) > 6 else ''}): set knowledge.num_subspaces={len(number)}"
        )
    return np.array([number[label] for label in rows.subspaces], dtype=np.int64), tuple(number)
