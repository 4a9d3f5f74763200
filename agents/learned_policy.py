"""Acting from a checkpoint or from a trained population: torch and the network are all it takes, and it acts exactly as
in training, members that remember included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.census import Resident, find, residents
from agents.checkpoints import CheckpointError, read_checkpoint
from agents.distributions import ActionDistribution
from agents.history import History, HistorySource, history_source
from agents.matchmaking import member_id
from agents.networks import BuddyNetwork, NetworkSpec, build_network
from agents.policy import Turn
from agents.population_folder import read_member
from ammo_env.vector import VectorEnv


class LearnedPolicy:
    """A trained member as a `Policy`.

    A user buddy's network fits any number of candidates and slots; a goal buddy's only the layout it was trained on.
    An adaptive member remembers what it did and how that went in every seat: let it act in every round of an episode,
    from the first on. It keeps one memory per environment, and begins anew with every episode.

    Args:
        network: the trained network.
        deterministic: take the mode of the action distribution instead of a draw. A stochastic policy hides
            exploration in its sampling noise, so judge both.
        adaptive: feed it its own running history, as members of that niche were trained; others see zeros there.
    """

    def __init__(self, network: BuddyNetwork, deterministic: bool = False, adaptive: bool = False) -> None:
        self.side = network.spec.side
        self.network, self.deterministic = network, deterministic
        self.adaptive = adaptive and network.spec.history_size > 0
        if self.side == "user_buddy":
            self.bait_guess = network.traits["bait_guess"]
        self._memories: WeakKeyDictionary[VectorEnv, _Memory] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy (in another process, say) begins without memories."""
        return LearnedPolicy, (self.network, self.deterministic, self.adaptive)

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        """Actions [E, N, ...] of the whole side.

        Raises:
            ValueError: the environment's observations or action kind are not those of the training.
        """
        distribution = self.distribution(turn)
        # One draw from the caller's stream seeds torch's, so that all randomness is the caller's.
        generator = None if self.deterministic else torch.Generator().manual_seed(int(rng.integers(2**63)))
        chosen = distribution.mode() if self.deterministic else distribution.sample(generator)
        if self.adaptive:
            self._memories[turn.env].acted(chosen)
        actions, space = chosen.numpy(), turn.env.action_spaces[self.side]
        if isinstance(space, gymnasium.spaces.Box):
            actions = np.clip(actions, space.low, space.high)
        elif isinstance(space, gymnasium.spaces.Discrete):
            actions = actions.reshape(len(actions))
        return actions.reshape(*turn.obs.shape[:2], *actions.shape[1:])

    def distribution(self, turn: Turn) -> ActionDistribution:
        """The action distribution over the E·N rows of a turn; asking again in the same round changes nothing."""
        spec = self._fitted(turn)
        with torch.no_grad():
            inputs, _ = self.network(self._view(turn), torch.from_numpy(turn.mask).flatten(0, 1))
        return spec.distribution(inputs)

    def _view(self, turn: Turn) -> Tensor:
        """Observations [E·N, F] as the network was trained on them: with the history, or zeros in its place."""
        obs = torch.from_numpy(turn.obs).flatten(0, 1)
        if self.adaptive:
            if turn.env not in self._memories:
                self._memories[turn.env] = _Memory(History(_source(turn.env, self.side), len(obs)))
            born = turn.newborn(self.side)
            new = None if born is None else torch.from_numpy(born).flatten()
            obs = self._memories[turn.env].extended(obs, new)
        spec = self.network.spec
        unseen = spec.insight_size + (0 if self.adaptive else spec.history_size)  # what the policy does not look at
        return torch.cat([obs, obs.new_zeros(len(obs), unseen)], dim=-1)

    def _fitted(self, turn: Turn) -> NetworkSpec:
        """The spec, with the number of slots of this environment; raises `ValueError` where it does not fit."""
        spec, config, layout = self.network.spec, turn.env.config, turn.env.observation_layouts[self.side]
        head = config.actions.user_mode if self.side == "user_buddy" else config.actions.goal_mode
        if head != spec.head:
            raise ValueError(f"this policy was trained with '{spec.head}' actions, the environment takes '{head}': "
                             f"make it with actions={{'{self.side}': '{spec.head}'}}")
        if self.side == "user_buddy":
            if layout.candidate_features != spec.candidate_features:
                raise ValueError("this policy was trained on other candidate features than the environment shows")
            if layout.shapes["context"][0] != spec.context_size - spec.history_size:
                raise ValueError("this policy was trained on another context than the environment shows")
            return spec.model_copy(update={"action_size": config.attention.num_slots})
        if turn.obs.shape[-1] != spec.obs_size - spec.history_size:
            raise ValueError(f"this policy was trained on observations of length {spec.obs_size - spec.history_size}, "
                             f"the environment gives {turn.obs.shape[-1]}: use the goal_view and steering_dim of the "
                             "training")
        return spec


@dataclass
class _Memory:
    """The histories of all seats of one environment, advanced once per round however often it is looked at."""

    history: History
    seen: Tensor | None = None
    view: Tensor | None = None

    def extended(self, obs: Tensor, newborn: Tensor | None) -> Tensor:
        if self.view is None or self.seen is None or not torch.equal(obs, self.seen):
            self.seen, self.view = obs.clone(), self.history.extended(obs, newborn)
        return self.view

    def acted(self, actions: Tensor) -> None:
        assert self.view is not None, "it has seen what it acts on"
        self.history.acted(self.view, actions)


def _source(env: VectorEnv, side: str) -> HistorySource:
    space = env.action_spaces[side]
    if side == "user_buddy":
        size = env.config.attention.num_slots
    else:
        size = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else (space.shape or (1,))[0]
    return history_source(side, env.observation_layouts[side], size)


def load_policy(
    path: Path | str, side: str, member: int | None = None, deterministic: bool = False
) -> LearnedPolicy:
    """A trained member as a policy; the champion of its side if none is named.

    Args:
        path: a population's folder (`RUN/population`), one of the files in it, or a checkpoint of a run.
        side: "user_buddy" or "goal_buddy".
        member: the member's id in a population; in a checkpoint the *slot* that it lives in.
        deterministic: as in `LearnedPolicy`.

    Raises:
        CheckpointError: there is nothing to read, or no such member in it.
    """
    path = Path(path)
    if path.is_dir():
        return policy_of(read_member(path, side, member), deterministic)
    tree = read_checkpoint(path)
    if "resident" in tree:
        return policy_of(read_member(path, side, member), deterministic)
    everybody = residents(tree, path)
    if member is None:
        return policy_of(find(everybody, side, None, path), deterministic)
    living = {resident.module: resident for resident in everybody if not resident.frozen}
    name = member_id(side, member)
    if name not in living:
        raise CheckpointError(f"{path} holds no member {name}: it has {', '.join(sorted(living)) or 'none'}")
    return policy_of(living[name], deterministic)


def policy_of(resident: Resident, deterministic: bool = False) -> LearnedPolicy:
    """A member whose weights are at hand, as a policy."""
    network = build_network(resident.spec, seed=0)
    network.load_state_dict(dict(resident.weights))
    return LearnedPolicy(network.eval(), deterministic, resident.adaptive)
