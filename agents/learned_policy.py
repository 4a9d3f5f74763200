"""Acting from a checkpoint: torch and the network are all it takes, and it acts exactly as in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from agents.checkpoints import CheckpointError, read_checkpoint
from agents.distributions import ActionDistribution
from agents.matchmaking import member_id
from agents.networks import BuddyNetwork, NetworkSpec, build_network
from agents.policy import Turn


class LearnedPolicy:
    """A trained member as a `Policy`.

    A user buddy's network fits any number of candidates and slots; a goal buddy's only the layout it was trained on.

    Args:
        network: the trained network.
        deterministic: take the mode of the action distribution instead of a draw. A stochastic policy hides
            exploration in its sampling noise, so judge both.
    """

    def __init__(self, network: BuddyNetwork, deterministic: bool = False) -> None:
        self.side = network.spec.side
        self.network, self.deterministic = network, deterministic

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        """Actions [E, N, ...] of the whole side.

        Raises:
            ValueError: the environment's observations or action kind are not those of the training.
        """
        distribution = self.distribution(turn)
        # One draw from the caller's stream seeds torch's, so that all randomness is the caller's.
        generator = None if self.deterministic else torch.Generator().manual_seed(int(rng.integers(2**63)))
        actions = (distribution.mode() if self.deterministic else distribution.sample(generator)).numpy()
        space = turn.env.action_spaces[self.side]
        if isinstance(space, gymnasium.spaces.Box):
            actions = np.clip(actions, space.low, space.high)
        elif isinstance(space, gymnasium.spaces.Discrete):
            actions = actions.reshape(len(actions))
        return actions.reshape(*turn.obs.shape[:2], *actions.shape[1:])

    def distribution(self, turn: Turn) -> ActionDistribution:
        """The action distribution over the E·N rows of a turn."""
        spec = self._fitted(turn)
        with torch.no_grad():
            inputs, _ = self.network(
                torch.from_numpy(turn.obs).flatten(0, 1), torch.from_numpy(turn.mask).flatten(0, 1)
            )
        return spec.distribution(inputs)

    def _fitted(self, turn: Turn) -> NetworkSpec:
        """The spec, with the number of slots of this environment; raises `ValueError` where it does not fit."""
        spec, config = self.network.spec, turn.env.config
        head = config.actions.user_mode if self.side == "user_buddy" else config.actions.goal_mode
        if head != spec.head:
            raise ValueError(f"this policy was trained with '{spec.head}' actions, the environment takes '{head}': "
                             f"make it with actions={{'{self.side}': '{spec.head}'}}")
        if self.side == "user_buddy":
            if turn.env.observation_layouts[self.side].candidate_features != spec.candidate_features:
                raise ValueError("this policy was trained on other candidate features than the environment shows")
            return spec.model_copy(update={"action_size": config.attention.num_slots})
        if turn.obs.shape[-1] != spec.obs_size:
            raise ValueError(f"this policy was trained on observations of length {spec.obs_size}, the environment "
                             f"gives {turn.obs.shape[-1]}: use the goal_view and steering_dim of the training")
        return spec


def load_policy(path: Path, side: str, member: int = 0, deterministic: bool = False) -> LearnedPolicy:
    """A member of a checkpoint as a policy.

    Raises:
        CheckpointError: the file cannot be read, or holds no such member.
    """
    members = read_checkpoint(path).get("members", {})
    name = member_id(side, member)
    if name not in members:
        raise CheckpointError(f"{path} holds no member {name}: it has {', '.join(sorted(members)) or 'none'}")
    network = build_network(NetworkSpec.model_validate(members[name]["spec"]), seed=0)
    network.load_state_dict(members[name]["weights"])
    return LearnedPolicy(network.eval(), deterministic)
