"""What every process of a training run needs to know: settings, worlds, the members' networks, the scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from agents.baselines import GOAL_BASELINES, USER_BASELINES, Maker
from agents.distributions import Head
from agents.history import HistorySource, history_source
from agents.insight import USER_INSIGHTS
from agents.matchmaking import member_id
from agents.networks import NetworkSpec
from agents.policy import Policy
from agents.training_settings import SIDES, TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.observations import side_layout
from ammo_env.spaces import action_space, observation_space
from ammo_env.vector import VectorEnv

_BASELINES: dict[str, dict[str, Maker]] = {"user_buddy": USER_BASELINES, "goal_buddy": GOAL_BASELINES}


@dataclass(frozen=True)
class TrainingPlan:
    """A training run before it starts; travels in RLlib's `env_config`. Make it with `make_plan`."""

    settings: TrainingSettings
    world: AmmoConfig
    scripts: Mapping[str, Mapping[str, Policy]] = field(default_factory=dict)
    """side → name → scripted policy."""

    def make_worlds(self) -> VectorEnv:
        """The worlds of one runner."""
        return VectorEnv(self.world, self.settings.num_worlds)

    @property
    def spaces(self) -> dict[str, tuple[gymnasium.Space[Any], gymnasium.Space[Any]]]:
        """side → (observation space, action space) of one buddy."""
        return {
            side: (observation_space(side_layout(self.world, side)), action_space(self.world, side)) for side in SIDES
        }

    @property
    def histories(self) -> dict[str, HistorySource]:
        """Side → where its members' histories come from, for the sides that have adaptive members."""
        return {side: side_history(self.world, side) for side in SIDES if self.settings.side(side).has_history}

    @property
    def num_players(self) -> dict[str, int]:
        """Side → player indices there are: living slots, then places of the hall of fame."""
        hall = self.settings.matchmaking.hall_size
        members = {side: self.settings.side(side).members for side in SIDES}
        return {side: count + hall * bool(count) for side, count in members.items()}

    def slots(self, side: str) -> list[str]:
        """The module ids of one side's members."""
        return [member_id(side, index) for index in range(self.settings.side(side).members)]

    @property
    def specs(self) -> dict[str, NetworkSpec]:
        """Member id → its network, user buddies first."""
        return {
            name: network_spec(self.world, self.settings, side) for side in SIDES for name in self.slots(side)
        }


def make_plan(
    settings: TrainingSettings, world: AmmoConfig, scripts: Mapping[str, Mapping[str, Policy]] | None = None
) -> TrainingPlan:
    """Plan a run.

    Args:
        settings: how to train.
        world: where. Action kinds that it leaves open become slate and gains, which learn fastest.
        scripts: side → name → policy, where the settings name more than baselines.

    Raises:
        ValueError: the settings name a script that is neither among `scripts` nor a baseline.
    """
    kinds = {"user_buddy": world.actions.user_buddy or "slate", "goal_buddy": world.actions.goal_buddy or "gains"}
    world = world.model_copy(update={"actions": world.actions.model_copy(update=kinds)})
    own = scripts or {}
    return TrainingPlan(settings, world, {side: _seated(settings, side, own.get(side, {})) for side in SIDES})


def network_spec(world: AmmoConfig, settings: TrainingSettings, side: str) -> NetworkSpec:
    """The network that fits the observations and actions of one side."""
    layout, own = side_layout(world, side), settings.side(side)
    history = side_history(world, side).length if own.has_history else 0
    insight = len(USER_INSIGHTS) if side == "user_buddy" and settings.user_buddy.critic == "truth" else 0
    if side == "user_buddy":
        head: Head = world.actions.user_mode
        features, context = layout.candidate_features, layout.shapes["context"][0] + history
        time = layout.features["context"].index("time")
        size = world.attention.num_slots if head == "slate" else world.attention.num_candidates
    else:
        head, features, context, time = world.actions.goal_mode, (), 0, 0
        space = action_space(world, side)
        size = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else (space.shape or (1,))[0] - 1
    return NetworkSpec(
        side=side,
        head=head,
        obs_size=layout.size + history + insight,
        history_size=history,
        insight_size=insight,
        action_size=size,
        candidate_features=features,
        context_size=context,
        time=time,
        destinations=world.num_destinations if side == "user_buddy" else 0,
        hidden=own.hidden,
        initial_std=own.initial_std,
        initial_sharpness=settings.user_buddy.initial_sharpness,
        initial_optimism=settings.user_buddy.initial_optimism,
        initial_bait_guess=world.beliefs.bait_guess,
        initial_publish=settings.goal_buddy.initial_publish,
    )


def side_history(world: AmmoConfig, side: str) -> HistorySource:
    """Where the history of a buddy of this side comes from."""
    space = action_space(world, side)
    if side == "user_buddy":
        size = world.attention.num_slots
    else:
        size = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else (space.shape or (1,))[0]
    return history_source(side, side_layout(world, side), size)


def _seated(settings: TrainingSettings, side: str, own: Mapping[str, Policy]) -> dict[str, Policy]:
    makers = {**_BASELINES[side], **{name: lambda policy=policy: policy for name, policy in own.items()}}
    names = settings.side(side).scripts
    unknown = [name for name in names if name not in makers]
    if unknown:
        raise ValueError(f"training.{side}.scripts names {', '.join(unknown)}; known are {', '.join(sorted(makers))}")
    return {name: makers[name]() for name in names}
