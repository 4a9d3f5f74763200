"""Choices without replacement: slates (Plackett–Luce), one of several options, and a slate with a destination.

Masks are folded into the logits: an invalid option's is `MASKED`. Axis B is any batch of decisions.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASKED = -1e9
"""Logit of an invalid option. Finite, so that 0·MASKED is 0 and gradients stay finite."""


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
