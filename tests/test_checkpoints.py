"""The checkpoint file: what goes in comes out, damage is noticed, nothing in it runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.checkpoints import CheckpointError, read_checkpoint, write_checkpoint

TREE: dict[str, Any] = {
    "numbers": [1, -2.5, True, None, "text", float("inf")],
    "big": 2**127 + 1,
    "by index": {0: {"step": torch.tensor(3.0)}, 1: {}},
    "pair": (1, (2, "three")),
    "arrays": {"float": np.linspace(0, 1, 7, dtype=np.float32), "bool": np.array([[True], [False]])},
    "empty": [np.zeros((0, 3), dtype=np.int64), {}, []],
    "tensor": torch.arange(5, dtype=torch.uint8),
    "scalar": np.float32(0.5),
    "lookalike": {"$numpy": 0},
}


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        alike = type(left) is type(right) and len(left) == len(right)
        return alike and all(map(same, left, right))
    if isinstance(left, (np.ndarray, torch.Tensor)):
        alike = type(left) is type(right) and left.dtype == right.dtype
        return alike and np.array_equal(np.asarray(left), np.asarray(right))
    return bool(left == right)


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "new" / "a.ckpt", TREE)
    assert same(TREE, read_checkpoint(tmp_path / "new" / "a.ckpt"))


def test_a_random_stream_comes_back_at_its_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rng.random(3)
    write_checkpoint(tmp_path / "a.ckpt", {"rng": rng.bit_generator.state})
    restored = np.random.default_rng(0)
    restored.bit_generator.state = read_checkpoint(tmp_path / "a.ckpt")["rng"]
    assert (rng.random(10) == restored.random(10)).all()


def test_what_is_not_plain_data_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, {"x": 1})
    with pytest.raises(TypeError, match="plain data and arrays, not object"):
        write_checkpoint(path, {"x": object()})
    assert read_checkpoint(path) == {"x": 1}


def test_a_crash_while_writing_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, {"x": 1})

    def crash(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, {"x": 2})
    assert read_checkpoint(path) == {"x": 1}
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "b.ckpt", {})
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*a\.ckpt.*there are: b\.ckpt"):
        read_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_noticed(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, TREE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"a\.ckpt is not a complete checkpoint.*earlier checkpoint"):
        read_checkpoint(path)


def test_a_flipped_bit_in_the_data_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    values = np.arange(4096, dtype=np.float32)
    write_checkpoint(path, {"x": values})
    content = bytearray(path.read_bytes())
    content[content.index(values.tobytes()) + 1000] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_another_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"ammo_checkpoint": 99}, path)
    with pytest.raises(CheckpointError, match="format 99, this version reads 1"):
        read_checkpoint(path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("by_torch", [True, False])
def test_reading_a_strangers_file_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_torch: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.ckpt"
    if by_torch:
        torch.save(Bomb(), path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not (tmp_path / "exploded").exists()
