"""The array door: the few operations in which NumPy and torch differ, so that one source steps both.

Everything else in the world is written against the array API namespace `xp` (NumPy itself, or
array-api-compat's torch). Index arrays are flat indices into a leading axis, because that is the fastest
gather on both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = Any  # numpy.ndarray or torch.Tensor: the two share no static type
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Up to this length NumPy's vectorised full sort beats a partition.
SORT_LIMIT = 512
TINY = 1e-30  # no length that matters, but not 0


def row_starts(shape: tuple[int, ...]) -> IntArray:
    """[*batch, width] -> [*batch, 1]: flat index at which each row starts, so that positions become a `take`."""
    *batch, width = shape
    return (width * np.arange(np.prod(batch, dtype=np.int64))).reshape(*batch, 1)


def identity(size: int) -> FloatArray:
    """[size, size] float32: 1 on the diagonal."""
    return np.eye(size, dtype=np.float32)


class Constants(dict[Any, Array]):
    """Index arrays and tables that depend on sizes alone: `constant[make, size]` is `make(size)`, made once.

    `make` is a module-level function of a number or a shape; nobody writes to what it made.
    """

    def __init__(self, asarray: Callable[[Any], Array]) -> None:
        super().__init__()
        self._asarray = asarray

    def __missing__(self, key: tuple[Callable[[Any], NDArray[Any]], Any]) -> Array:
        make, size = key
        made = self[key] = self._asarray(make(size))
        return made


class Draws(Protocol):
    """A random stream: every draw of a world comes from the one it owns."""

    def normal(self, *shape: int) -> Array: ...
    def uniform(self, *shape: int) -> Array: ...
    def integers(self, high: int, *shape: int) -> Array: ...
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...


class NumpyDraws:
    """float32 draws from a `numpy.random.Generator`."""

    def __init__(self, seed: int | None) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> Array:
        return self._rng.standard_normal(shape, dtype=np.float32)

    def uniform(self, *shape: int) -> Array:
        """Uniform in [0, 1)."""
        return self._rng.random(shape, dtype=np.float32)

    def integers(self, high: int, *shape: int) -> Array:
        """Integers in 0..high-1."""
        return self._rng.integers(high, size=shape)

    def get_state(self) -> Any:
        return self._rng.bit_generator.state

    def set_state(self, state: Any) -> None:
        self._rng.bit_generator.state = state


class NumpyArrays:
    """NumPy behind the door: the default, and the fastest on a CPU."""

    name = "numpy"
    xp: Any = np
    float32: Any = np.float32
    int64: Any = np.int64

    def __init__(self) -> None:
        self.constant = Constants(self.asarray)

    def draws(self, seed: int | None) -> Draws:
        return NumpyDraws(seed)

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        return np.asarray(values, dtype=dtype)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        return np.asarray(x)

    def zeros(self, *shape: int) -> Array:
        return np.zeros(shape, dtype=np.float32)

    def empty(self, *shape: int) -> Array:
        return np.empty(shape, dtype=np.float32)

    permute: Any = staticmethod(np.ndarray.transpose)  # permute(x, axes)

    def as_float(self, x: Array) -> Array:
        return x.astype(np.float32)

    def as_int(self, x: Array) -> Array:
        """int64; fractions are cut off."""
        return x.astype(np.int64)

    def kind(self, x: Array) -> str:
        """`i` for integers of any sort, `f` for real numbers, another letter for the rest."""
        return "i" if x.dtype.kind == "u" else str(x.dtype.kind)

    def ranked(self, x: Array, k: int) -> Array:
        """[..., n] -> [..., n]: all positions along the last axis; the k largest first, in order, ties too.

        The others follow in any order. Sorts integers that hold a float32 in its order (sign and magnitude
        made two's complement, negated) above its position: several times as fast as a stable argsort.
        """
        bits = (0.0 - x).astype(np.float32, copy=False).view(np.int32)
        bits ^= (bits >> 31) & 0x7FFFFFFF
        keys = bits.astype(np.int64)
        keys <<= 32
        keys |= self.constant[np.arange, x.shape[-1]]
        if keys.shape[-1] <= SORT_LIMIT or not 0 < k < keys.shape[-1]:
            keys.sort(axis=-1)
        else:
            keys.partition(k - 1, axis=-1)
            keys[..., :k].sort(axis=-1)
        keys &= 0xFFFFFFFF
        return keys

    def top_k(self, x: Array, k: int) -> Array:
        """[..., n] -> [..., k]: positions of the k largest along the last axis, largest first, ties in order."""
        return self.ranked(x, k)[..., :k]

    def extremes(self, x: Array, k: int) -> tuple[Array, Array]:
        """[..., n] -> the sum of the k largest and the smallest along the last axis, each [...]."""
        rest = x.shape[-1] - k
        if x.shape[-1] <= SORT_LIMIT:
            ordered = np.sort(x, axis=-1)
            return ordered[..., rest:].sum(axis=-1), ordered[..., 0]
        best = [np.partition(row, rest - 1)[rest:].sum() for row in x.reshape(-1, x.shape[-1])]
        return np.array(best, dtype=np.float32).reshape(x.shape[:-1]), x.min(axis=-1)

    def max(self, x: Array) -> Array:
        """[..., n] -> [..., 1]: largest along a short last axis (NumPy reduces a leading axis much faster)."""
        columns = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)
        return np.maximum.reduce(columns, axis=0).reshape(*x.shape[:-1], 1)

    # take(x, flat): entries of `x` (any shape, read as flat) at flat indices; the shape is that of `flat`.
    take: Any = staticmethod(np.ndarray.take)

    def take_rows(self, x: Array, flat: Array) -> Array:
        """Rows of `x` [..., D] at flat row indices -> flat.shape + [D]."""
        return x.reshape(-1, x.shape[-1]).take(flat, axis=0)

    def put(self, x: Array, flat: Array, values: Array) -> None:
        """In place: entries of `x` (contiguous, read as flat) at 1-d flat indices become `values`."""
        _writable(x).reshape(-1)[flat] = values

    def put_rows(self, x: Array, flat: Array, values: Array) -> None:
        """In place: rows of `x` [..., D] (contiguous) at 1-d flat row indices become `values` [n, D]."""
        _writable(x).reshape(-1, x.shape[-1])[flat] = values

    def count(self, flat: Array, weights: Array, size: int) -> Array:
        """Sum of `weights` by flat index -> float32 [size] (a scatter-add)."""
        return np.bincount(flat.reshape(-1), weights.reshape(-1), size).astype(np.float32)

    def add_at(self, x: Array, flat: Array, values: Array) -> None:
        """In place: `values` join the entries of `x` (contiguous, read as flat) at flat indices, repeats included."""
        np.add.at(_writable(x).reshape(-1), flat.reshape(-1), values.reshape(-1))

    vecdot: Any = staticmethod(np.vecdot)  # vecdot(x, y): dot product along the last axis, broadcasting the others


def _writable(x: NDArray[Any]) -> NDArray[Any]:
    # Of any other layout `reshape` would be a copy, and what is written to it would be lost without a word.
    assert x.flags.c_contiguous, "only a contiguous array can be written by flat index"
    return x


def get_arrays(backend: str, device: str = "cpu") -> Any:
    """The door of a backend: `numpy`, or `torch` on a device. Raises `ValueError` for what is not there."""
    if backend == "numpy":
        if device != "cpu":
            raise ValueError(f"backend 'numpy' runs on the cpu: choose backend 'torch' for device '{device}'")
        return NumpyArrays()
    if backend == "torch":
        from ammo_env.arrays_torch import TorchArrays

        return TorchArrays(device)
    raise ValueError(f"unknown backend '{backend}': choose 'numpy' (fastest on a CPU) or 'torch'")


def normalise(arrays: Any, x: Array) -> Array:
    """x / |x| along the last axis; a zero vector stays zero."""
    length = arrays.xp.sqrt(arrays.vecdot(x, x))[..., None]
    return x / arrays.xp.maximum(length, TINY)
