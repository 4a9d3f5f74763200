"""Vectors of texts on disk, so that an expensive embedder sees a text once.

A vector is found by the SHA-256 of its text in the folder of its embedder, version and size; 256 files share the
vectors by the first byte of that hash. A file is written beside its place and then renamed, so that a reader meets it
whole or not at all; one that is damaged (its zip's checksums tell) counts as missing and is made anew. Two processes
that write the same file at once may lose each other's vectors, which are then computed again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ammo_env.arrays import FloatArray

Shard = dict[bytes, FloatArray]  # hash of a text -> [D]


def cache_home() -> Path:
    """XDG_CACHE_HOME/ammo/embeddings, or ~/.cache/ammo/embeddings."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ammo" / "embeddings"


class Cached:
    """An embedder that asks `embed` only for the texts that are not in `folder` (None: `cache_home`)."""

    def __init__(
        self, embed: Callable[[list[str]], FloatArray], name: str, version: str, dim: int, folder: str | Path | None
    ) -> None:
        self.dim, self.version, self._embed = dim, version, embed
        root = Path(folder).expanduser() if folder is not None else cache_home()
        self._folder = root / f"{name}-{version}-{dim}"

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        shards = {first: self._read(first) for first in {key[0] for key in keys}}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in shards[key[0]]}
        if missing:
            made = self._embed(list(missing.values()))
            for key, vector in zip(missing, made, strict=True):
                shards[key[0]][key] = vector
            for first in {key[0] for key in missing}:
                self._write(first, shards[first])
        found = [shards[key[0]][key] for key in keys]
        return np.stack(found) if found else np.zeros((0, self.dim), np.float32)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:02x}.npz"

    def _read(self, first: int) -> Shard:
        """What the file holds; nothing where it is missing, damaged, or not what this class wrote."""
        try:
            with np.load(self._path(first), allow_pickle=False) as file:
                keys, vectors = file["keys"], file["vectors"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return {}
        if keys.dtype != np.uint8 or keys.ndim != 2 or vectors.dtype != np.float32:
            return {}
        if vectors.shape != (len(keys), self.dim) or not np.isfinite(vectors).all():
            return {}
        return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}

    def _write(self, first: int, shard: Shard) -> None:
        """Atomically; a folder that cannot be written to costs time, not the result."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".tmp", delete=False) as file:
                keys = np.frombuffer(b"".join(shard), np.uint8).reshape(len(shard), -1)
                np.savez(file, keys=keys, vectors=np.stack(list(shard.values())))
            os.replace(file.name, self._path(first))
        except OSError as error:
            warnings.warn(f"embeddings are not kept: {error}", RuntimeWarning, stacklevel=4)
