"""The layers that networks are made of: linear ones that may carry a leading axis of members, drawn from a generator
that is passed in, and what pools and scales the candidates of a user buddy.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Linear):
    """A linear layer whose parameters may carry a leading axis of members: x [M, ..., I] -> [M, ..., O]."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return F.linear(input, self.weight, self.bias)
        rows, weight = input.flatten(1, -2), self.weight.mT
        out = torch.bmm(rows, weight) if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), rows, weight)
        return out.reshape(*input.shape[:-1], self.out_features)


def linear(inputs: int, outputs: int, gain: float, generator: torch.Generator, bias: bool = True) -> Dense:
    """An orthogonal linear layer with zero bias, drawn from `generator` and not from torch's global state."""
    layer: Dense = nn.utils.skip_init(Dense, inputs, outputs, bias=bias)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def standardised(score: Tensor, valid: Tensor) -> Tensor:
    """(score − mean)/sd over the valid candidates of a row, [B, K]; 0 where fewer than two are valid."""
    if valid.all():  # the usual case, in one fused operation
        return F.layer_norm(score, score.shape[-1:], eps=1e-8)
    count = valid.sum(-1, keepdim=True).clamp(min=1)
    mean = score.masked_fill(~valid, 0.0).sum(-1, keepdim=True) / count
    centred = (score - mean).masked_fill(~valid, 0.0)
    return centred / ((centred**2).sum(-1, keepdim=True) / count + 1e-8).sqrt()


def pool(hidden: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """([B, H] mean, [B, H] max) over valid candidates; 0 where there is none (hidden values are ≥ 0)."""
    if valid.all():
        return hidden.mean(-2), _largest(hidden)
    kept = hidden.masked_fill(~valid.unsqueeze(-1), 0.0)
    return kept.sum(-2) / valid.sum(-1, keepdim=True).clamp(min=1), _largest(kept)


def _largest(hidden: Tensor) -> Tensor:
    largest: Tensor = _Max.apply(hidden)  # type: ignore[no-untyped-call]
    return largest


class _Max(torch.autograd.Function):
    """max over the candidates of [..., K, H] ≥ 0, with half the memory traffic of torch's own backward pass.

    Candidates that tie at the maximum each get its whole gradient. Ties above zero do not happen, and those at zero
    come out of a relu, which lets no gradient through.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        largest = hidden.amax(-2)
        ctx.save_for_backward(hidden, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        hidden, largest = ctx.saved_tensors
        return torch.where(hidden == largest.unsqueeze(-2), gradients[0].unsqueeze(-2), 0.0)
