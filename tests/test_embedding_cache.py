"""The cache: a text is embedded once, versions are kept apart, and damage costs time, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ammo_env.arrays import FloatArray
from ammo_env.embedding import make_embedder
from ammo_env.embedding_cache import Cached, cache_home

TEXTS = [f"text {i}" for i in range(40)]


class Counting:
    """Hashing that remembers what it was asked."""

    def __init__(self, version: str = "1", dim: int = 16) -> None:
        self.dim, self.version, self.asked = dim, version, list[str]()
        self._inner = make_embedder("hashing", dim)

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        return self._inner(texts)


def cached(inner: Counting, folder: Path | None) -> Cached:
    return Cached(inner, "counting", inner.version, inner.dim, folder)


def test_a_text_is_embedded_once(tmp_path: Path) -> None:
    """Repeats and later processes are served from disk, equal bit by bit, in order; new texts alone are made."""
    first = Counting()
    made = cached(first, tmp_path)([*TEXTS, TEXTS[0]])
    assert first.asked == TEXTS
    later = Counting()
    found = cached(later, tmp_path)([*reversed(TEXTS), "new"])
    assert later.asked == ["new"]
    assert np.array_equal(found[:-1], made[-2::-1])
    assert np.array_equal(made[0], made[-1])
    assert found.dtype == np.float32
    assert cached(later, tmp_path)([]).shape == (0, 16)


@pytest.mark.parametrize("other", [Counting("2"), Counting("1", 8)])
def test_versions_and_sizes_are_kept_apart(tmp_path: Path, other: Counting) -> None:
    cached(Counting(), tmp_path)(TEXTS)
    cached(other, tmp_path)(TEXTS)
    assert other.asked == TEXTS


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "flipped":  # the last byte of the vectors: only the zip's checksum tells
        place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02")) - 1
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    elif how == "foreign":
        np.savez(path.open("wb"), keys=np.zeros((1, 32), np.uint8), vectors=np.zeros((1, 3), np.float32))
    elif how == "nan":
        with np.load(path) as file:
            keys, vectors = file["keys"], file["vectors"]
        np.savez(path.open("wb"), keys=keys, vectors=vectors * np.nan)
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": b"\x93NUMPY" + bytes(90)}[how])


@pytest.mark.parametrize("how", ["empty", "cut", "noise", "flipped", "foreign", "nan"])
def test_damage_is_repaired(tmp_path: Path, how: str) -> None:
    made = cached(Counting(), tmp_path)(TEXTS)
    files = sorted(tmp_path.rglob("*.npz"))
    for path in files:
        damage(path, how)
    again, third = Counting(), Counting()
    assert np.array_equal(cached(again, tmp_path)(TEXTS), made)
    assert again.asked == TEXTS
    cached(third, tmp_path)(TEXTS)
    assert third.asked == []
    assert sorted(tmp_path.rglob("*")) == [*tmp_path.glob("*"), *files]  # nothing half-written is left


def test_a_folder_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.warns(RuntimeWarning, match="embeddings are not kept"):
        assert cached(Counting(), tmp_path / "taken")(TEXTS).shape == (40, 16)


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "ammo" / "embeddings"
    cached(Counting(), None)(TEXTS[:1])
    assert [path.parent.name for path in tmp_path.rglob("*.npz")] == ["counting-1-16"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "ammo" / "embeddings"
