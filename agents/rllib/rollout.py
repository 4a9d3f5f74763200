"""What the seats of one side saw, did and earned over a stretch of rounds, and what it was worth.

Seats are rows, ordered by who holds them, so that a member's seats are a slice. Rounds are stacked in front: every
column is [T, R, ...], and all rows end their episode in the same round. A new dealing of the seats begins a new
`Rollout`; a member's training columns are joined from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agents.networks import NetworkSpec


@dataclass
class Rollout:
    """The rounds of one dealing, one list entry per round."""

    obs: list[Tensor] = field(default_factory=list)
    mask: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    actions: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    """What is trained on: the world's reward, with the member's own weights on its terms."""
    judged: list[Tensor] = field(default_factory=list)
    """The world's reward."""
    boundaries: list[tuple[int, Tensor]] = field(default_factory=list)
    """(t, [R] value of what follows round t) where an episode or the rollout ends after round t."""

    def columns(self, spec: NetworkSpec, gamma: float, gae_lambda: float, rows: slice) -> dict[str, Tensor]:
        """Flat columns of T·R rows of a slice of the seats: observations, actions, their log-probability, advantages
        (not yet standardised), value targets."""
        values = torch.stack([value[rows] for value in self.values])                                  # [T, R]
        rewards = torch.stack([reward[rows] for reward in self.rewards])
        ends = {t: following[rows] for t, following in self.boundaries}
        advantages = generalised_advantages(rewards, values, ends, gamma, gae_lambda).flatten()
        obs, mask, inputs, actions = (
            torch.stack([entry[rows] for entry in column]).flatten(0, 1)
            for column in (self.obs, self.mask, self.inputs, self.actions)
        )
        return {
            "obs": obs,
            "action_mask": mask,
            "action_dist_inputs": inputs,
            "actions": actions,
            "action_logp": spec.distribution(inputs).log_prob(actions),
            "value_targets": advantages + values.flatten(),
            "values": values.flatten(),
            "advantages": advantages,
        }


def joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The columns of one member's rollouts behind each other, the advantages standardised over the rows in which the
    buddy had a choice at all (log π not pinned to 0)."""
    whole = parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {**whole, "advantages": standardised(whole["advantages"], whole["action_logp"] != 0)}


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
