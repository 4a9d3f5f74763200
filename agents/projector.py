"""The MetaSpace in TensorBoard's embedding projector: vectors of one world with what each of them is.

Rows are facts, the places of the seated goal buddies, the live creations of a new episode, and people of the training
pool; the columns `kind`, `subspace` and `name` colour and label them (the tab Projector of TensorBoard).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from ammo_env.arrays import FloatArray
from ammo_env.config import AmmoConfig
from ammo_env.vector import VectorEnv

TAG = "metaspace"
COLUMNS = ("kind", "subspace", "name")
MOST = 500  # rows of one kind: more make the projector slow, and nobody looks at them


def write_projector(folder: Path, config: AmmoConfig, seed: int) -> int:
    """Write the projector's files of one world, reset with `seed`, into a TensorBoard folder; returns the rows."""
    vectors, labels = projector_rows(config, seed)
    board: Any = SummaryWriter(str(folder))
    board.add_embedding(vectors, metadata=labels, metadata_header=list(COLUMNS), tag=TAG)
    board.close()
    return len(labels)


def projector_rows(config: AmmoConfig, seed: int) -> tuple[FloatArray, list[list[str]]]:
    """Vectors [R, D] and their labels, `COLUMNS` each; at most `MOST` rows of a kind, evenly spaced."""
    env = VectorEnv(config, 1)
    env.reset(seed)
    world, state, to_numpy = env.world, env.world.state, env.arrays.to_numpy
    space, where = world.space, to_numpy(world.seats.subspace)
    subspaces, places = np.nonzero(space.fact_mask)
    owner = np.arange(world.num_live) // config.goal_buddies.shelf_size
    anchors, creations, seats = to_numpy(state.anchors[0]), to_numpy(state.corpus.vectors[0]), range(len(where))
    kinds: list[tuple[str, FloatArray, list[str], list[str]]] = [
        ("fact", space.facts[space.fact_mask], [str(m) for m in subspaces], [f"fact {f}" for f in places]),
        ("goal buddy", anchors, [str(m) for m in where], [f"goal_buddy_{g}" for g in seats]),
        ("creation", creations, [str(where[g]) for g in owner], [f"of goal_buddy_{g}" for g in owner]),
        ("person", space.people, ["–"] * len(space.people), [f"person {p}" for p in range(len(space.people))]),
    ]
    vectors, labels = [], []
    for kind, rows, subspace, names in kinds:
        kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(np.int64))
        vectors.append(rows[kept])
        labels += [[kind, subspace[row], names[row]] for row in kept]
    return np.concatenate(vectors), labels
