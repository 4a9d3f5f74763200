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
    closing: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    """Of every boundary what follows it: observations [R, F], masks, and [R] 0 where the episode terminated."""
    retirements: dict[int, Tensor] = field(default_factory=dict)
    """t → [R] bool: the seats whose holder's life ended with round t, where somebody's did."""

    def columns(self, spec: NetworkSpec, gamma: float, gae_lambda: float, rows: slice) -> dict[str, Tensor]:
        """Flat columns of T·R rows of a slice of the seats: observations, actions, their log-probability, advantages
        (not yet standardised), value targets."""
        values = torch.stack([value[rows] for value in self.values])                                  # [T, R]
        rewards = torch.stack([reward[rows] for reward in self.rewards])
        ends = {t: following[rows] for t, following in self.boundaries}
        retired = self.retired(rows)
        advantages = generalised_advantages(rewards, values, ends, gamma, gae_lambda, retired=retired).flatten()
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

    def retired(self, rows: slice) -> Tensor | None:
        """[T, R] bool: the rounds with which lives ended in a slice of the seats; None where nobody's did."""
        if not self.retirements:
            return None
        nobody = torch.zeros_like(self.rewards[0], dtype=torch.bool)
        return torch.stack([self.retirements.get(t, nobody)[rows] for t in range(len(self.rewards))])

    def trajectory(self, spec: NetworkSpec, rows: slice) -> dict[str, Tensor]:
        """The same rows as an episode in time, for whoever learns with other weights than it was played with: columns
        [T, R, ...], and the closing observations [boundaries, R, F] with the rounds "ends" that they follow; and
        "retired" where lives ended."""
        obs, mask, inputs, actions, rewards = (
            torch.stack([entry[rows] for entry in column])
            for column in (self.obs, self.mask, self.inputs, self.actions, self.rewards)
        )
        log_probs = spec.distribution(inputs.flatten(0, 1)).log_prob(actions.flatten(0, 1))
        closing_obs, closing_mask, alive = (
            torch.stack([entry[rows] for entry in column]) for column in zip(*self.closing, strict=True)
        )
        retired = self.retired(rows)
        return {
            **({} if retired is None else {"retired": retired}),
            "obs": obs,
            "action_mask": mask,
            "actions": actions,
            "action_logp": log_probs.view(rewards.shape),
            "rewards": rewards,
            "ends": torch.tensor([t for t, _ in self.boundaries]),
            "closing_obs": closing_obs,
            "closing_mask": closing_mask,
            "alive": alive,
        }


def joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The columns of one member's rollouts behind each other, the advantages standardised over the rows in which the
    buddy had a choice at all (log π not pinned to 0)."""
    whole = parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {**whole, "advantages": standardised(whole["advantages"], whole["action_logp"] != 0)}


def generalised_advantages(
    rewards: Tensor, values: Tensor, boundaries: dict[int, Tensor], gamma: float, gae_lambda: float,
    ratios: Tensor | None = None, retired: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Generalised advantage estimation (Schulman et al. 2016), bootstrapped where an episode was cut.

        δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = min(1, ρ_t)·(δ_t + γλ A_{t+1}),   A after a boundary is 0

    With the ratios ρ_t = π(a_t)/μ(a_t) of a policy π to the one that played, μ, A_t is the step of V-trace (Espeholt
    et al. 2018, eq. 1, both bounds 1, λ as in its remark 2): V(s_t) + A_t estimates the value of π, not of μ.

    Args:
        rewards: [T, R].
        values: [T, R] V(s_t).
        boundaries: round t → [R] V of what follows t; the last round is always one. A truncated episode is worth
            the value of its last state, a terminated one 0.
        ratios: [T, R] ρ; None where π played itself.
        retired: [T, R] bool, where a life ends with the round: what follows, be it another's life in the same seat, is
            worth 0 to it; None where none does.

    Returns:
        [T, R] advantages.
    """
    advantages = torch.empty_like(rewards)
    carried, following = torch.zeros_like(values[0]), values[-1]
    weights = None if ratios is None else ratios.clamp(max=1.0)
    for t in reversed(range(len(rewards))):
        if t in boundaries:
            carried, following = torch.zeros_like(carried), boundaries[t]
        if retired is not None:
            carried, following = (x.masked_fill(retired[t], 0.0) for x in (carried, following))
        carried = rewards[t] + gamma * following - values[t] + gamma * gae_lambda * carried
        carried = carried if weights is None else weights[t] * carried
        advantages[t], following = carried, values[t]
    return advantages


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """(values − mean)/sd, both over the rows where `counted`; all zeros if fewer than two are."""
    kept = values[counted]
    if len(kept) < 2:
        return torch.zeros_like(values)
    return (values - kept.mean()) / (kept.std() + 1e-8)
