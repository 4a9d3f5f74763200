"""A table of one's own as knowledge: CSV and NPZ, vectors and texts, and every way to get it wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ammo_env import metaspace_v0
from ammo_env.datasets.folders import DataError
from ammo_env.datasets.table_files import read_table
from ammo_env.embedding import make_embedder
from ammo_env.knowledge import Knowledge
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge

CSV = """id,name,subspace,x,y,z
a1,Rye bread,bread,3,0,4
a2,"Olives, green",snack,0,2,0

a3,Baguette,bread,1,1e0,-1
"""
TEXTS = """name,subspace,text
Rye bread,bread,dark sour bread of rye
Baguette,bread,long white crusty bread
Olives,snack,green olives in oil
Almonds,snack,roasted almonds with salt
"""


def knowledge(path: Path | None, **changes: object) -> Knowledge:
    settings: dict[str, object] = {"num_subspaces": 2, "dim": 3, "pool_size": 40, "heldout_size": 10, **changes}
    named = None if path is None else str(path)
    return load_knowledge(KnowledgeConfig.model_validate({"source": "table", "path": named, **settings}))


def written(tmp_path: Path, text: str, name: str = "mine.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_of_vectors(tmp_path: Path) -> None:
    """Unit vectors in the order of the file; quoted commas, blank lines, exponents; subspaces as they first occur."""
    known = knowledge(written(tmp_path, CSV))
    third = 1 / np.sqrt(3)
    np.testing.assert_allclose(known.entities, np.array([[0.6, 0, 0.8], [0, 1, 0], [third, third, -third]]), atol=1e-7)
    assert known.entity_names == ("Rye bread", "Olives, green", "Baguette")
    assert known.subspace_names == ("bread", "snack")
    assert known.entity_subspace.tolist() == [0, 1, 0]
    assert known.fact_mask.tolist() == [[True, True], [True, False]]
    np.testing.assert_array_equal(known.facts[0], known.entities[[0, 2]])
    np.testing.assert_array_equal(known.facts[1], [known.entities[1], [0, 0, 0]])
    assert known.friends is None


def test_preferences_are_mixtures_of_facts(tmp_path: Path) -> None:
    """With one interest a preference is exactly one of the facts that are there, never the padding, each drawn alike;
    with two it lies between facts of different subspaces."""
    path = written(tmp_path, CSV)
    single = knowledge(path, max_interests=1, pool_size=4000)
    which = np.argmax(single.preferences @ single.entities.T, axis=1)
    np.testing.assert_allclose(single.preferences, single.entities[which], atol=1e-6)
    share = np.bincount(which, minlength=3) / 4000
    assert np.abs(share - [0.25, 0.5, 0.25]).max() < 4 * np.sqrt(0.25 / 4000)
    double = knowledge(path, max_interests=2)
    np.testing.assert_allclose(np.linalg.norm(double.preferences, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(knowledge(path).preferences, knowledge(path).preferences)
    assert not np.array_equal(knowledge(path, seed=1).preferences, knowledge(path).preferences)
    assert double.heldout_preferences.shape == (10, 3)


def test_an_npz_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    names = np.array(["Rye bread", "Olives, green", "Baguette"])
    vectors = np.array([[3, 0, 4], [0, 2, 0], [1, 1, -1]])
    np.savez(path, id=np.arange(3), name=names, subspace=np.array(["bread", "snack", "bread"]), vector=vectors)
    known, same = knowledge(path), knowledge(written(tmp_path, CSV))
    assert known.entity_names == same.entity_names
    assert known.subspace_names == same.subspace_names
    np.testing.assert_array_equal(known.entities, same.entities)
    np.testing.assert_array_equal(known.preferences, same.preferences)


def test_texts_become_vectors(tmp_path: Path) -> None:
    """Through the embedder that the settings name, in as many dimensions as they ask for; the same texts in an NPZ."""
    known = knowledge(written(tmp_path, TEXTS), dim=64)
    rows = [line.split(",") for line in TEXTS.splitlines()[1:]]
    np.testing.assert_array_equal(known.entities, make_embedder("hashing", 64)([text for _, _, text in rows]))
    names, subspaces, texts = (np.array(column) for column in zip(*rows, strict=True))
    np.savez(tmp_path / "mine.npz", name=names, subspace=subspaces, text=texts)
    np.testing.assert_array_equal(knowledge(tmp_path / "mine.npz", dim=64).entities, known.entities)
    with pytest.raises(ConfigError, match="no embedder 'word2vec'"):
        knowledge(written(tmp_path, TEXTS), embedder="word2vec")


def test_what_may_be_missing(tmp_path: Path) -> None:
    """Without ids and names rows are counted; without subspaces they are grouped evenly."""
    bundles = np.repeat(np.eye(3), 2, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((6, 3))
    text = "x,y,z\n" + "\n".join(",".join(map(str, row)) for row in bundles)
    known = knowledge(written(tmp_path, text), num_subspaces=3)
    assert known.entity_names == ("1", "2", "3", "4", "5", "6")
    assert {frozenset(np.flatnonzero(known.entity_subspace == m).tolist()) for m in range(3)} == {
        frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})
    }  # fmt: skip
    assert set(known.subspace_names) == {"1, 2", "3, 4", "5, 6"}


def test_large_and_small_coordinates_keep_their_direction(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n3e300,4e300\n3e-300,-4e-300\n")
    vectors = read_table(path).vectors
    assert vectors is not None
    np.testing.assert_allclose(vectors, np.array([[0.6, 0.8], [0.6, -0.8]]), atol=1e-7)


DAMAGE: dict[str, tuple[str, str, str]] = {  # what is replaced, by what, the error
    "no number": ("snack,0,2", "snack,0,two", "line 3: expected a number in column 'y', found 'two'"),
    "after a blank line": ("1e0", "one", "line 5: expected a number in column 'y', found 'one'"),
    "not finite": ("1e0", "nan", "line 5: expected finite coordinates"),
    "infinite": ("3,0,4", "inf,0,4", "line 2: expected finite coordinates"),
    "zeros": ("3,0,4", "0,0,0", "line 2: expected a vector other than zero"),
    "too few cells": ("3,0,4", "3,0", r"line 2: expected 6 cells \(id, name.*found '5 cells'"),
    "too many cells": ("3,0,4", "3,0,4,5", "line 2: expected 6 cells"),
    "twice": ("a3", "a1", "line 5: expected an id that line 2 does not have, found 'a1'"),
    "empty subspace": (",snack", ",", "line 3: expected something in column 'subspace'"),
    "empty name": ("Baguette", " ", "line 5: expected something in column 'name'"),
    "column twice": ("x,y,z", "x,x,z", "line 1: expected column names, each once"),
    "misspelt column": ("subspace", "subspaec", "line 2: expected a number in column 'subspaec', found 'bread'"),
    "no vectors": (",x,y,z", ",text,y,z", "expected either texts or vectors, found 'both'"),
    "open quote": ("Baguette", '"Baguette', "after line 3: not a CSV"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(tmp_path: Path, name: str) -> None:
    """The error names the file, the row, what was expected and what was found."""
    old, new, message = DAMAGE[name]
    assert CSV.count(old) >= 1
    path = written(tmp_path, CSV.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "message"), [("", "found 0 lines"), ("x,y\n", "found 1 lines"), ("name\na\n", "found 'neither'")]
)
def test_tables_without_content_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path, text))


GOOD: dict[str, Any] = {"name": np.array(["a", "b"]), "subspace": np.array([0, 1]), "vector": np.eye(2)}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "length": ({"name": np.array(["a", "b", "c"])}, "expected arrays of one length"),
    "shape": ({"vector": np.ones(2)}, r"array 'vector': expected \[N, D\], found '\(2,\)'"),
    "strings": ({"vector": np.array([["1", "2"], ["3", "4"]])}, "array 'vector': expected numbers"),
    "fractions": ({"subspace": np.array([0.5, 1.5])}, "array 'subspace': expected strings"),
    "unknown": ({"vectors": np.eye(2)}, "expected arrays id, name, subspace, text or vector, found 'vectors'"),
    "nan": ({"vector": np.array([[1, 0], [0, np.nan]])}, "row 2: expected finite coordinates"),
    "twice": ({"id": np.array([7, 7])}, "row 2: expected an id that row 1 does not have, found '7'"),
    "objects": ({"name": np.array(["a", None], dtype=object)}, "not an NPZ file of plain arrays"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_are_refused(tmp_path: Path, name: str) -> None:
    changes, message = WRONG[name]
    np.savez(tmp_path / "mine.npz", **{**GOOD, **changes})
    with pytest.raises(DataError, match=message) as error:
        read_table(tmp_path / "mine.npz")
    assert str(error.value).startswith(str(tmp_path / "mine.npz"))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*mine\.csv"):
        knowledge(tmp_path / "mine.csv")
    with pytest.raises(FileNotFoundError, match=r"'table' needs its file: --set knowledge\.path"):
        knowledge(None)
    with pytest.raises(DataError, match=r"expected a \.csv or \.npz file"):
        knowledge(written(tmp_path, CSV, "mine.tsv"))
    with pytest.raises(DataError, match="not an NPZ file"):
        knowledge(written(tmp_path, CSV, "mine.npz"))
    (tmp_path / "sly.npz").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="not an NPZ file"):
        knowledge(tmp_path / "sly.npz")
    (tmp_path / "latin.csv").write_bytes("name,x\ncafé,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="not a CSV in UTF-8"):
        knowledge(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 4}, r"knowledge\.dim=4, but the vectors of .* have 3: set knowledge\.dim=3"),
        ({"num_subspaces": 3}, r"num_subspaces=3, but .* has 2 \(bread, snack\): set knowledge\.num_subspaces=2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        knowledge(written(tmp_path, CSV), **changes)


def test_an_episode_on_texts(tmp_path: Path) -> None:
    """Four rows, eight goal buddies: a world from a text table plays through, and its numbers are finite."""
    path = written(tmp_path, TEXTS)
    knowledge_settings = {"source": "table", "path": str(path), "num_subspaces": 2, "dim": 64}
    env = metaspace_v0.parallel_env(
        knowledge=knowledge_settings, goal_buddies={"num_goal_buddies": 8, "steering_dim": 3}, num_rounds=5
    )
    env.reset(seed=0)
    for _ in range(5):
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, *_ = env.step(actions)
        assert all(np.isfinite(values).all() for values in observations.values())
        assert np.isfinite(list(rewards.values())).all()
    assert not env.agents
