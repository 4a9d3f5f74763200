"""The array door's torch side (CPU or CUDA), as `NumpyArrays` operation by operation; imported on demand."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as torch_namespace
import numpy as np
import torch
from numpy.typing import NDArray

from ammo_env.arrays import Array, Constants, Draws


class TorchDraws:
    """float32 draws from a `torch.Generator` on one device."""

    def __init__(self, seed: int | None, device: str) -> None:
        self._device = device
        self._rng = torch.Generator(device=device)
        self._rng.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))

    def normal(self, *shape: int) -> Array:
        return torch.randn(shape, generator=self._rng, device=self._device)

    def uniform(self, *shape: int) -> Array:
        return torch.rand(shape, generator=self._rng, device=self._device)

    def integers(self, high: int, *shape: int) -> Array:
        return torch.randint(high, shape, generator=self._rng, device=self._device)

    def get_state(self) -> Any:
        return self._rng.get_state()

    def set_state(self, state: Any) -> None:
        self._rng.set_state(state)


class TorchArrays:
    """torch behind the door, for CUDA and for pipelines that live in torch."""

    name = "torch"
    xp: Any = torch_namespace
    float32: Any = torch.float32
    int64: Any = torch.int64

    def __init__(self, device: str = "cpu") -> None:
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"torch cannot use device '{device}' here ({error}): choose 'cpu'") from None
        self.device = device
        self.constant = Constants(self.asarray)

    def draws(self, seed: int | None) -> Draws:
        return TorchDraws(seed, self.device)

    def asarray(self, values: Any, dtype: Any = None) -> Array:
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        return np.asarray(x.detach().cpu().numpy())

    def zeros(self, *shape: int) -> Array:
        return torch.zeros(shape, dtype=torch.float32, device=self.device)

    def empty(self, *shape: int) -> Array:
        return torch.empty(shape, dtype=torch.float32, device=self.device)

    def permute(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.permute(axes)

    def as_float(self, x: Array) -> Array:
        return x.to(torch.float32)

    def as_int(self, x: Array) -> Array:
        return x.to(torch.int64)

    def kind(self, x: Array) -> str:
        if x.is_floating_point():
            return "f"
        return "b" if x.dtype == torch.bool or x.is_complex() else "i"

    def ranked(self, x: Array, k: int) -> Array:
        return torch.argsort(x, dim=-1, descending=True, stable=True)

    def top_k(self, x: Array, k: int) -> Array:
        return self.ranked(x, k)[..., :k]

    def extremes(self, x: Array, k: int) -> tuple[Array, Array]:
        return torch.topk(x, k, dim=-1).values.sum(dim=-1), x.amin(dim=-1)

    def max(self, x: Array) -> Array:
        return x.amax(dim=-1, keepdim=True)

    def take(self, x: Array, flat: Array) -> Array:
        return x.reshape(-1)[flat]

    def take_rows(self, x: Array, flat: Array) -> Array:
        return x.reshape(-1, x.shape[-1])[flat]

    def put(self, x: Array, flat: Array, values: Array) -> None:
        x.view(-1)[flat] = values

    def put_rows(self, x: Array, flat: Array, values: Array) -> None:
        x.view(-1, x.shape[-1])[flat] = values

    def count(self, flat: Array, weights: Array, size: int) -> Array:
        total = torch.zeros(size, dtype=torch.float32, device=self.device)
        return total.index_add_(0, flat.reshape(-1), weights.reshape(-1).to(torch.float32))

    def add_at(self, x: Array, flat: Array, values: Array) -> None:
        x.view(-1).index_add_(0, flat.reshape(-1), values.reshape(-1).to(x.dtype))

    def vecdot(self, x: Array, y: Array) -> Array:
        return (x * y).sum(dim=-1)
