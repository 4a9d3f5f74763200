"""How a buddy draws its action: five action distributions over what a network puts out.

A network's output is one flat row of *distribution inputs* per decision, and the masks are folded into it (an
invalid candidate's logit is `MASKED`, a goal buddy without energy carries weight 0). So a stored row is all that is
needed to recompute the probability of a stored action: in training, in a restored policy and on RLlib's stock path.

    slate           Plackett–Luce, S of K without replacement      user buddies, `PlackettLuce`
      with travel   that and a categorical of destinations     user buddies, `SlateAndDestination`
    nudge           categorical with a mask                        goal buddies, `MaskedCategorical`
    scores          one Gaussian per candidate                     user buddies, `MaskedGaussian`
    gains, steer    Gaussian plus a Bernoulli "publish"            goal buddies, `PublishGaussian`

Axis B is any batch of decisions. All draws take a `torch.Generator`; nothing reads a global random state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.plackett_luce import MaskedCategorical, PlackettLuce, SlateAndDestination

Head = Literal["slate", "nudge", "scores", "gains", "steer"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class ActionDistribution(Protocol):
    """One distribution per row of a batch."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One action per row."""

    def mode(self) -> Tensor:
        """The action taken when acting deterministically."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """[B] log-probability (density for Gaussians) of the actions."""

    def entropy(self, actions: Tensor) -> Tensor:
        """[B] entropy, or an unbiased estimate of it whose gradient is unbiased too, from the actions sampled."""


class MaskedGaussian:
    """Independent Gaussians whose masked dimensions count for nothing.

    Actions are not clipped: clip what goes to the world, keep what was drawn, so that log-probabilities stay exact.

    Args:
        inputs: [B, 3n] = means, log standard deviations, weights in {0, 1}.
    """

    def __init__(self, inputs: Tensor) -> None:
        self.mean, self.log_std, self.weight = inputs.chunk(3, dim=-1)                            # each [B, n]

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """[B, n]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return (self.mean + self.log_std.exp() * noise).detach()

    def mode(self) -> Tensor:
        """[B, n] the means."""
        return self.mean.detach()

    def log_prob(self, actions: Tensor) -> Tensor:
        """[B] log density over the unmasked dimensions."""
        return (_normal_log_prob(actions, self.mean, self.log_std) * self.weight).sum(-1)

    def entropy(self, actions: Tensor) -> Tensor:
        """[B] exact differential entropy of the unmasked dimensions."""
        return ((self.log_std + 0.5 + _HALF_LOG_2PI) * self.weight).sum(-1)


class PublishGaussian:
    """Whether to publish (Bernoulli), and if so where (Gaussian gains or steering).

    The action is n unclipped continuous numbers and a publish entry of +1 or −1. What is not published has no
    effect, so its numbers are left out of the probability (they are marginalised):

        log π = w·( log σ(±l) + [publish]·Σ_i log N(x_i; μ_i, σ_i) )
        H     = w·( H_bernoulli + p·H_gauss ),   p = σ(l)             (discrete plus differential: no lower bound)

    The weight w is 0 for a buddy that may not publish: whatever it drew, it held, and nothing is to be learned.

    Args:
        inputs: [B, 2n + 2] = means, log standard deviations, publish logit l, weight w in {0, 1}.
    """

    def __init__(self, inputs: Tensor) -> None:
        size = (inputs.shape[-1] - 2) // 2
        self.mean, self.log_std, self.publish, self.weight = inputs.split([size, size, 1, 1], dim=-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """[B, n + 1]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        chance = torch.empty_like(self.publish).uniform_(generator=generator)
        publish = torch.where(chance < self.publish.sigmoid(), 1.0, -1.0)
        return torch.cat([self.mean + self.log_std.exp() * noise, publish], dim=-1).detach()

    def mode(self) -> Tensor:
        """[B, n + 1] the means; publish where that is the likelier."""
        publish = torch.where(self.publish > 0, 1.0, -1.0)
        return torch.cat([self.mean, publish], dim=-1).detach()

    def log_prob(self, actions: Tensor) -> Tensor:
        """[B]."""
        sign = torch.where(actions[..., -1:] > 0, 1.0, -1.0)                                            # [B, 1]
        where = _normal_log_prob(actions[..., :-1], self.mean, self.log_std).sum(-1, keepdim=True)
        whole: Tensor = self.weight * (F.logsigmoid(sign * self.publish) + (sign > 0) * where)
        return whole.squeeze(-1)

    def entropy(self, actions: Tensor) -> Tensor:
        """[B] exact; `actions` are not needed."""
        chance = self.publish.sigmoid()
        whether = F.softplus(self.publish) - chance * self.publish
        where = (self.log_std + 0.5 + _HALF_LOG_2PI).sum(-1, keepdim=True)
        whole: Tensor = self.weight * (whether + chance * where)
        return whole.squeeze(-1)


def _normal_log_prob(value: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    return -0.5 * ((value - mean) * (-log_std).exp()) ** 2 - log_std - _HALF_LOG_2PI


def action_distribution(
    head: Head, inputs: Tensor, num_slots: int = 1, destinations: int = 0
) -> ActionDistribution:
    """The distribution of an action kind over rows of distribution inputs [B, P]; `num_slots` is S of a slate, and
    `destinations` how many subspaces its user buddy may visit."""
    if head == "slate" and destinations:
        return SlateAndDestination(inputs, num_slots, destinations)
    if head == "slate":
        return PlackettLuce(inputs, num_slots)
    makers: dict[str, Callable[[Tensor], ActionDistribution]] = {
        "nudge": MaskedCategorical, "scores": MaskedGaussian, "gains": PublishGaussian, "steer": PublishGaussian
    }
    if head not in makers:
        raise ValueError(f"unknown action kind '{head}'; known: slate, {', '.join(makers)}")
    return makers[head](inputs)
