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

Head = Literal["slate", "nudge", "scores", "gains", "steer"]

MASKED = -1e9
"""Logit of an invalid option. Finite, so that 0·MASKED is 0 and gradients stay finite."""

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


class PlackettLuce:
    """S of K candidates in order, without replacement: slot s takes k with probability softmax over what is left.

        log π(a) = Σ_s ( l[a_s] − log Σ_{k valid, not in a_<s} exp l[k] )              (Plackett 1975; Luce 1959)

    Sampling is exact: the S largest of logits + Gumbel noise, in order (Kool et al. 2019). With V < S valid
    candidates, slots V.. repeat slot 0 (the world leaves a repeated choice empty) and add 0 to log π and entropy;
    with none, every slot is 0.

    Args:
        logits: [B, K]; an entry of `MASKED` is an invalid candidate.
        num_slots: S, 1..K.
    """

    def __init__(self, logits: Tensor, num_slots: int) -> None:
        if not 1 <= num_slots <= logits.shape[-1]:
            raise ValueError(f"num_slots={num_slots} must lie in 1..K={logits.shape[-1]}: no candidate comes twice")
        self.logits = logits
        self.num_slots = num_slots
        self.valid = logits > MASKED / 2                                                               # [B, K]
        self._computed: tuple[Tensor, tuple[Tensor, Tensor]] | None = None

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """[B, S] int64 candidate positions."""
        uniform = torch.empty_like(self.logits).uniform_(generator=generator).clamp_(min=1e-20)  # log 0 is no key
        gumbel = -(-uniform.log()).log()
        return self._top(self.logits.detach() + gumbel)

    def mode(self) -> Tensor:
        """[B, S] the S largest logits in order: greedy slot by slot, the most likely ordered slate."""
        return self._top(self.logits.detach())

    def log_prob(self, slates: Tensor) -> Tensor:
        """[B] exact log-probability of ordered slates [B, S]."""
        return self._slot_log_probs(slates)[0].sum(-1)

    def entropy(self, slates: Tensor) -> Tensor:
        """[B] chain-rule estimate Σ_s H(a_s | a_<s) along slates sampled from this distribution.

        Its mean over samples is the entropy of the slate. A plain gradient of it would miss that the prefix a_<s is
        itself drawn from π, so each conditional entropy h_s carries the score term (h_s − b_s)·∇log π(a_<s) as well
        (a factor of value 1; b_s is the batch mean of h_s, a control variate). Value and gradient are therefore
        right in expectation, not only the value; at S = 1 both are exact.
        """
        log_probs, log_conditional = self._slot_log_probs(slates)
        entropies = -(log_conditional.exp() * log_conditional).sum(-1)                                  # [B, S]
        prefix = log_probs.cumsum(-1) - log_probs                                # [B, S] log π(a_<s); slot 0: 0
        surprise = (entropies - entropies.mean(0, keepdim=True)).detach()
        return (entropies + (prefix - prefix.detach()) * surprise).sum(-1)

    def _top(self, keys: Tensor) -> Tensor:
        slots = keys.topk(self.num_slots, dim=-1).indices                                               # [B, S]
        filled = self.valid.gather(-1, slots)
        first = torch.where(filled[:, :1], slots[:, :1], torch.zeros_like(slots[:, :1]))
        return torch.where(filled, slots, first)

    def _slot_log_probs(self, slates: Tensor) -> tuple[Tensor, Tensor]:
        """([B, S] log π(a_s | a_<s), [B, S, K] log of every conditional); zeros in slots that had no choice."""
        if self._computed is None or self._computed[0] is not slates:
            self._computed = slates, self._compute(slates.long())
        return self._computed[1]

    def _compute(self, slates: Tensor) -> tuple[Tensor, Tensor]:
        slots = torch.arange(self.num_slots, device=slates.device)
        # The slot that took each candidate (the first, where closed slots repeat it); S where none did.
        never = slates.new_full(self.logits.shape, self.num_slots)
        taken_at = never.scatter_reduce(1, slates, slots.expand_as(slates), "amin")                     # [B, K]
        left = torch.where(taken_at.unsqueeze(1) < slots[:, None], MASKED, self.logits.unsqueeze(1))  # [B, S, K]
        is_open = slots < self.valid.sum(-1, keepdim=True)                                              # [B, S]
        log_conditional = torch.log_softmax(left, dim=-1) * is_open.unsqueeze(-1)
        return log_conditional.gather(-1, slates.unsqueeze(-1)).squeeze(-1), log_conditional


class MaskedCategorical:
    """One of K options with probability softmax(logits); options of logit `MASKED` are never drawn.

    Args:
        logits: [B, K]. With no valid option the action is 0, with log-probability and entropy 0.
    """

    def __init__(self, logits: Tensor) -> None:
        self._slate = PlackettLuce(logits, num_slots=1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """[B] int64."""
        return self._slate.sample(generator).squeeze(-1)

    def mode(self) -> Tensor:
        """[B] the most likely option."""
        return self._slate.mode().squeeze(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """[B]."""
        return self._slate.log_prob(actions.unsqueeze(-1))

    def entropy(self, actions: Tensor) -> Tensor:
        """[B] exact; `actions` only give the shape."""
        return self._slate.entropy(actions.unsqueeze(-1))


class SlateAndDestination:
    """A slate, and independently of it the subspace to visit next: log-probabilities and entropies add up.

    Args:
        inputs: [B, K + P] logits of the candidates, then of the destinations.
        num_slots: S.
        destinations: P, at least 1.
    """

    def __init__(self, inputs: Tensor, num_slots: int, destinations: int) -> None:
        self.slate = PlackettLuce(inputs[..., :-destinations], num_slots)
        self.destination = MaskedCategorical(inputs[..., -destinations:])
        self._slates: tuple[Tensor, Tensor] | None = None

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """[B, S + 1] int64: candidate positions, destination."""
        return torch.cat([self.slate.sample(generator), self.destination.sample(generator).unsqueeze(-1)], dim=-1)

    def mode(self) -> Tensor:
        """[B, S + 1] the most likely of each."""
        return torch.cat([self.slate.mode(), self.destination.mode().unsqueeze(-1)], dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """[B]."""
        return self.slate.log_prob(self._slate_of(actions)) + self.destination.log_prob(actions[..., -1])

    def entropy(self, actions: Tensor) -> Tensor:
        """[B] the slate's estimate plus the destination's exact entropy."""
        return self.slate.entropy(self._slate_of(actions)) + self.destination.entropy(actions[..., -1])

    def _slate_of(self, actions: Tensor) -> Tensor:
        if self._slates is None or self._slates[0] is not actions:  # the same slice, whose conditionals are kept
            self._slates = actions, actions[..., :-1]
        return self._slates[1]


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
