"""The checkpoint file: plain data and arrays, nothing that runs when it is read.

A checkpoint is a tree of dicts, lists, numbers, strings and arrays. The tree's shape is stored as JSON text, its
arrays as tensors beside it, in torch's zip format, and read with `weights_only=True`: a checkpoint from a stranger is
data, not code. A file appears under its name only when it is complete, so a crash leaves the old one.
"""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = 1
_MARKS = ("$numpy", "$tensor", "$tuple", "$items")


class CheckpointError(Exception):
    """A checkpoint that cannot be read or does not fit: names the file and what to do."""


def write_checkpoint(path: Path, tree: Mapping[str, Any]) -> None:
    """Write `tree` to `path`, replacing what is there in one step; missing folders are made."""
    tensors: list[torch.Tensor] = []
    document = json.dumps(_encode(tree, tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"ammo_checkpoint": FORMAT, "document": document, "tensors": tensors}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The tree that was written.

    Raises:
        CheckpointError: the file is missing, is no checkpoint, is damaged, or is of another format version.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: give the path of an existing one{_neighbours(path)}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not compare checksums itself
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged ({damaged} fails its checksum): use an earlier checkpoint")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is not a complete checkpoint ({type(error).__name__}: cut off or overwritten?): "
            "use an earlier checkpoint of the run"
        ) from error
    if not isinstance(content, dict) or content.get("ammo_checkpoint") != FORMAT:
        found = content.get("ammo_checkpoint") if isinstance(content, dict) else None
        raise CheckpointError(f"{path} has checkpoint format {found}, this version reads {FORMAT}: "
                              "use the version of the project that wrote it")
    tree: dict[str, Any] = _decode(json.loads(content["document"]), content["tensors"])
    return tree


def _neighbours(path: Path) -> str:
    names = sorted(p.name for p in path.parent.glob(f"*{path.suffix or '*'}")) if path.parent.is_dir() else []
    return f" (there are: {', '.join(names)})" if names else ""


def _encode(tree: Any, tensors: list[torch.Tensor]) -> Any:
    """JSON data; arrays move to `tensors` and leave a mark behind."""
    if isinstance(tree, np.ndarray):
        tensors.append(torch.tensor(tree))
        return {"$numpy": len(tensors) - 1}
    if isinstance(tree, torch.Tensor):
        tensors.append(tree.detach().cpu().clone())
        return {"$tensor": len(tensors) - 1}
    if isinstance(tree, Mapping):
        if all(isinstance(key, str) and key not in _MARKS for key in tree):
            return {key: _encode(value, tensors) for key, value in tree.items()}
        return {"$items": [[key, _encode(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, tuple):
        return {"$tuple": [_encode(value, tensors) for value in tree]}
    if isinstance(tree, list):
        return [_encode(value, tensors) for value in tree]
    if isinstance(tree, np.generic):
        return tree.item()
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"a checkpoint holds plain data and arrays, not {type(tree).__name__}")


def _decode(tree: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(tree, list):
        return [_decode(value, tensors) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1:
        (mark, value), = tree.items()
        if mark == "$numpy":
            return tensors[value].numpy()
        if mark == "$tensor":
            return tensors[value]
        if mark == "$tuple":
            return tuple(_decode(item, tensors) for item in value)
        if mark == "$items":
            return {key: _decode(item, tensors) for key, item in value}
    return {key: _decode(value, tensors) for key, value in tree.items()}
