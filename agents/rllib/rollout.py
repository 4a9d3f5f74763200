"""What one member's seats saw, did and earned over a stretch of rounds, and what it was worth.

Seats are rows: a member holds R of the E·N seats of its side. Rounds are stacked in front, so every column is
[T, R, ...] and all rows end their episode in the same round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from agents.networks import NetworkSpec


@dataclass
class Rollout:
    """The rounds of one member, one list entry per round."""

    obs: list[Tensor] = field(default_factory=list)
    mask: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    actions: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    boundaries: list[tuple[int, Tensor]] = field(default_factory=list)
    """(t, [R] value of what follows round t) where an episode or the rollout ends after round t."""

    def columns(self, spec: NetworkSpec, gamma: float, gae_lambda: float) -> dict[str, Tensor]:
        """Flat training columns of T·R rows: observations, actions, their log-probability, advantages, value targets.

        Advantages are standardised over the rows in which the buddy had a choice at all (log π not pinned to 0).
        """
        values = torch.stack(self.values)                                                              # [T, R]
        advantages = generalised_advantages(
            torch.stack(self.rewards), values, dict(self.boundaries), gamma, gae_lambda
        ).flatten()
        inputs, actions = torch.stack(self.inputs).flatten(0, 1), torch.stack(self.actions).flatten(0, 1)
        log_probs = spec.distribution(inputs).log_prob(actions)
        free = log_probs != 0
        return {
            "obs": torch.stack(self.obs).flatten(0, 1),
            "action_mask": torch.stack(self.mask).flatten(0, 1),
            "action_dist_inputs": inputs,
            "actions": actions,
            "action_logp": log_probs,
            "value_targets": advantages + values.flatten(),
            "values": values.flatten(),
            "advantages": standardised(advantages, free),
        }


def generalised_advantages(
    rewards: Tensor, values: Tensor, boundaries: dict[int, Tensor], gamma: float, gae_lambda: float
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016), bootstrapped where an episode was cut.

        δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = δ_t + γλ A_{t+1},   A after a boundary is 0

    Args:
        rewards: [T, R].
        values: [T, R] V(s_t).
        boundaries: round t → [R] V of what follows t; the last round is always one. A truncated episode is worth
            the value of its last state, a terminated one 0.

    Returns:
        [T, R] advantages.
    """
    advantages = torch.empty_like(rewards)
    carried, following = torch.zeros_like(values[0]), values[-1]
    for t in reversed(range(len(rewards))):
        if t in boundaries:
            carried, following = torch.zeros_like(carried), boundaries[t]
        carried = rewards[t] + gamma * following - values[t] + gamma * gae_lambda * carried
        advantages[t], following = carried, values[t]
    return advantages


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """(values − mean)/sd, both over the rows where `counted`; all zeros if fewer than two are."""
    kept = values[counted]
    if len(kept) < 2:
        return torch.zeros_like(values)
    return (values - kept.mean()) / (kept.std() + 1e-8)
