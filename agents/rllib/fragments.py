"""What a runner plays while the learner learns, and what it is worth to a learner that has moved on meanwhile.

The learner corrects for the lag as APPO does (Luo et al. 2020; Espeholt et al. 2018): V-trace estimates the value of
the policy that learns out of what an older one played, and the clipped surrogate starts from the policy that learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from agents.networks import BuddyNetwork
from agents.rllib.rollout import generalised_advantages, joined
from agents.training_settings import Hyperparameters
from agents.verdicts import Tally

Trajectory: TypeAlias = dict[str, Tensor]
"""One dealing's rounds of one member: what `Rollout.trajectory` returns."""
Tenants: TypeAlias = Mapping[str, Sequence[int]]
"""Side → the member's id at every player index."""


@dataclass
class Fragment:
    """One sample of one runner."""

    trajectories: dict[str, list[Trajectory]]
    """Slot → what its member played; slots that had no seat are left out."""
    report: dict[str, float]
    tally: Tally
    behaviour: dict[str, tuple[float, ...]]
    update: int
    """The learner's updates at the time of the weights that it was played with."""
    tenants: Tenants
    """Who played."""
    env_steps: int
    seconds: tuple[float, float]
    """(waited before it, played)."""

    @property
    def agent_steps(self) -> int:
        """Decisions to learn from."""
        return sum(part["rewards"].numel() for parts in self.trajectories.values() for part in parts)

    def forget_the_gone(self, now: Tenants, slots: Mapping[str, Sequence[str]]) -> None:
        """Drop what was played by members that others have replaced since: it is not theirs.

        Args:
            now: who is there.
            slots: side → its module ids.
        """
        for side, then in self.tenants.items():
            for player, member in enumerate(then):
                if player < len(now[side]) and now[side][player] == member:
                    continue
                self.tally.forget(side, player)
                if player < len(slots[side]):
                    name = slots[side][player]
                    self.trajectories.pop(name, None)
                    self.behaviour.pop(name, None)
                    self.report = {k: value for k, value in self.report.items() if not k.startswith(f"{name}/")}


@dataclass(frozen=True)
class FragmentBatch:
    """The fragments of one iteration, by member; goes where RLlib's MultiAgentBatch goes."""

    fragments: Sequence[Fragment]

    @property
    def policy_batches(self) -> dict[str, list[Trajectory]]:
        """Slot → all its trajectories."""
        slots = dict.fromkeys(name for fragment in self.fragments for name in fragment.trajectories)
        return {
            name: [part for fragment in self.fragments for part in fragment.trajectories.get(name, [])]
            for name in slots
        }


def corrected(
    trajectories: Sequence[Trajectory], network: BuddyNetwork, own: Hyperparameters, chunk: int
) -> tuple[dict[str, Tensor], float]:
    """The columns that PPO's loss reads, from the point of view of `network`.

    Log-probabilities and values are those of `network`, so that the surrogate's ratio is 1 at the start; advantages
    and value targets are V-trace's (`generalised_advantages` with ratios). With nothing to correct they are those that
    a runner computes for PPO.

    Args:
        trajectories: of one member.
        network: its weights now.
        own: its γ and λ.
        chunk: rows of one forward pass.

    Returns:
        (columns, mean over the rows with a choice of min(1, ρ): 1 is on policy).
    """
    parts: list[dict[str, Tensor]] = []
    weights: list[Tensor] = []
    with torch.no_grad():
        for played in trajectories:
            shape, behaviour = played["rewards"].shape, played["action_logp"].flatten()
            obs, mask = (played[name].flatten(0, 1) for name in ("obs", "action_mask"))
            inputs, values = _forward(network, obs, mask, chunk)
            closing_obs, closing_mask = (played[name].flatten(0, 1) for name in ("closing_obs", "closing_mask"))
            after = _forward(network, closing_obs, closing_mask, chunk)[1]
            actions = played["actions"].flatten(0, 1)
            log_probs = network.spec.distribution(inputs).log_prob(actions)
            ratios = (log_probs - behaviour).exp()
            following = after.view(played["alive"].shape) * played["alive"]
            ends = dict(zip(played["ends"].tolist(), following, strict=True))
            advantages = generalised_advantages(
                played["rewards"], values.view(shape), ends, own.gamma, own.gae_lambda, ratios.view(shape),
                played.get("retired"),
            ).flatten()
            weights.append(ratios.clamp(max=1.0)[behaviour != 0])
            parts.append({
                "obs": obs, "action_mask": mask, "actions": actions, "action_logp": log_probs,
                "value_targets": advantages + values, "advantages": advantages,
            })  # fmt: skip
        free = torch.cat(weights)
        return joined(parts), float(free.mean()) if len(free) else 1.0


def _forward(network: BuddyNetwork, obs: Tensor, mask: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """In chunks, whose activations stay in the cache."""
    passes: list[Any] = [network(*rows) for rows in zip(obs.split(chunk), mask.split(chunk), strict=True)]
    return torch.cat([inputs for inputs, _ in passes]), torch.cat([values for _, values in passes])
