"""The projector's files: as many labels as vectors, of every kind, and the vectors themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agents.projector import COLUMNS, MOST, projector_rows, write_projector
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config


def test_rows_of_every_kind(small_config: Callable[..., AmmoConfig]) -> None:
    """Two subspaces of six facts, five seats of two creations, 64 people; all vectors of length 1."""
    vectors, labels = projector_rows(small_config(), seed=0)
    assert Counter(kind for kind, *_ in labels) == {"fact": 12, "goal buddy": 5, "creation": 10, "person": 64}
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert {subspace for kind, subspace, _ in labels if kind == "creation"} == {"0", "1"}
    again, _ = projector_rows(small_config(), seed=0)
    np.testing.assert_array_equal(again, vectors)


def test_no_kind_has_too_many_rows() -> None:
    """2,048 people of the default pool become 500, nobody twice."""
    _, labels = projector_rows(load_config("default"), seed=0)
    people = [name for kind, _, name in labels if kind == "person"]
    assert len(people) == len(set(people)) == MOST


def test_the_files_are_there(small_config: Callable[..., AmmoConfig], tmp_path: Path) -> None:
    """TensorBoard's configuration names a table of vectors and one of labels, of the same length."""
    rows = write_projector(tmp_path, small_config(), seed=0)
    assert (tmp_path / "projector_config.pbtxt").exists()
    (tensors,), (labels,) = tmp_path.rglob("tensors.tsv"), tmp_path.rglob("metadata.tsv")
    assert len(tensors.read_text(encoding="utf-8").splitlines()) == rows
    lines = labels.read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == list(COLUMNS)
    assert len(lines) == rows + 1
