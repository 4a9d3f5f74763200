"""Every setting of a world, once: its default, its range and its meaning.

A world is described by one frozen `AmmoConfig`. Its larger sections are files of their own (`*_settings.py`); here are
the smaller ones, and what sections must hold together. Sizes that cannot be are refused before anything is built.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ammo_env.aipp_settings import AippConfig
from ammo_env.creator_settings import GoalBuddyConfig, LifeConfig
from ammo_env.human_settings import EventConfig, HumanConfig
from ammo_env.knowledge_settings import KnowledgeConfig, SubspaceConfig
from ammo_env.schedule import Plan, Step, make_plan
from ammo_env.settings import Section
from ammo_env.social_settings import SocialConfig


class AttentionConfig(Section):
    """What a user buddy is shown and how many slots it fills."""

    num_candidates: int = Field(16, ge=1, description="K, candidates shown to a user buddy")
    num_slots: int = Field(4, ge=1, description="S, attention slots of a human")
    fresh_share: float = Field(
        0.25, ge=0, le=1, description="share of the K that is fresh; the rest is semantic"
    )
    fresh: Literal["random", "newest"] = Field("random", description="what the fresh share holds")
    social_share: float = Field(
        0.0, ge=0, le=1, description="share of the K that neighbours' humans just liked (needs social.network)"
    )
    index: Literal["exact", "subspaces"] = Field(
        "exact", description="how the semantic share is found: every creation, or those of the nearest subspaces"
    )
    probes: int = Field(4, ge=1, description="subspaces that index 'subspaces' scans for a human; at least enough")
    travel: bool = Field(
        False, description="user buddies choose the subspace to visit next, which their semantic share comes from"
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> AttentionConfig:
        if self.fresh_share + self.social_share > 1.0 + 1e-9:
            raise ValueError(
                f"attention.fresh_share={self.fresh_share} + attention.social_share={self.social_share} > 1: the rest "
                "is the semantic share, so lower one of them"
            )
        return self




class BeliefConfig(Section):
    """How a user buddy learns its human's preference, and what it assumes before the first answer."""

    model: str = Field("kalman", description="a registered belief: kalman (diagonal), full_kalman, prototypes, truth")
    prior: Literal["population", "zero"] = Field(
        "population", description="mean and variance of the pool of humans, or ignorance (0, 1/D)"
    )
    rank: int = Field(
        64, ge=1, description="R, leading coordinates with a full covariance (full_kalman, prototypes)"
    )
    num_prototypes: int = Field(512, ge=2, description="P, training people remembered at most (prototypes)")
    bait_guess: float = Field(
        0.0,
        description="utility that one unit of provenance is taken to add to an answer: the user buddies' guess, not "
        "the world's aipp.bait; 0 takes answers at their word. Policies may bring their own (VectorEnv.assume)",
    )


class RewardConfig(Section):
    """Weights of the named reward terms."""

    user_buddy: Literal["regret", "feedback"] = Field(
        "regret", description="-regret/S, or the answers that arrived"
    )
    societal: float = Field(
        0.0, ge=0, le=1, description="weight of the group's mean in a user buddy's reward"
    )
    honesty_price: float = Field(
        1.0, ge=0, description="lambda, price of the mean grounding error of a shelf"
    )
    energy_price: float = Field(0.0, ge=0, description="price of one publication")
    production_price: float = Field(
        0.0, ge=0, description="price, per round, of the mean |e| ** production_exponent of a shelf (free norm only)"
    )
    production_exponent: float = Field(
        2.0, ge=1, le=64, description="beta in the cost of quality |e| ** beta (Jagadeesan et al. 2022)"
    )


class ObservationConfig(Section):
    """What a buddy may see."""

    goal_view: Literal["market", "own_feedback"] = Field(
        "market", description="platform-wide demand and supply, or only what its own creations earned"
    )
    provenance_noise: float = Field(0.3, ge=0, description="noise of the provenance signal of a creation")


class ActionConfig(Section):
    """The action space of each side; None follows `continuous`."""

    continuous: bool = Field(
        False, description="all spaces Box (scores, gains) instead of discrete (slate, nudge)"
    )
    user_buddy: Literal["slate", "scores"] | None = Field(None, description="action kind of the user buddies")
    goal_buddy: Literal["nudge", "gains", "steer"] | None = Field(
        None, description="action kind of the goal buddies"
    )

    @property
    def user_mode(self) -> Literal["slate", "scores"]:
        return self.user_buddy or ("scores" if self.continuous else "slate")

    @property
    def goal_mode(self) -> Literal["nudge", "gains", "steer"]:
        return self.goal_buddy or ("gains" if self.continuous else "nudge")



class EpisodeConfig(Section):
    """How long a world lives."""

    num_rounds: int = Field(64, ge=1, description="T, rounds until truncation")


class AmmoConfig(Section):
    """A whole world."""

    description: str = Field("", description="the scenario in one sentence")
    knowledge: KnowledgeConfig = KnowledgeConfig()
    subspaces: SubspaceConfig = SubspaceConfig()
    goal_buddies: GoalBuddyConfig = GoalBuddyConfig()
    humans: HumanConfig = HumanConfig()
    events: EventConfig = EventConfig()
    social: SocialConfig = SocialConfig()
    attention: AttentionConfig = AttentionConfig()
    aipp: AippConfig = AippConfig()
    beliefs: BeliefConfig = BeliefConfig()
    rewards: RewardConfig = RewardConfig()
    observations: ObservationConfig = ObservationConfig()
    actions: ActionConfig = ActionConfig()
    life: LifeConfig = LifeConfig()
    episode: EpisodeConfig = EpisodeConfig()

    @property
    def plan(self) -> Plan | None:
        """Which subspaces there are in which round; None where they are those of the knowledge throughout."""
        setting = self.subspaces
        if not setting.composed and not setting.schedule:
            return None
        steps = [Step(change.round, tuple(change.merge), change.split) for change in setting.schedule]
        return make_plan(self.knowledge.num_subspaces, setting.composed, steps, self.episode.num_rounds)

    @property
    def num_destinations(self) -> int:
        """Subspaces that a user buddy may ask for; 0 where it does not travel."""
        return self.num_parts if self.attention.travel else 0

    @property
    def num_parts(self) -> int:
        """P, the subspaces that there ever are."""
        plan = self.plan
        return self.knowledge.num_subspaces if plan is None else plan.num_parts

    @model_validator(mode="after")
    def _sizes_fit(self) -> AmmoConfig:
        slots, shown = self.attention.num_slots, self.attention.num_candidates
        live = self.goal_buddies.num_goal_buddies * self.goal_buddies.shelf_size
        if slots > shown:
            raise ValueError(
                f"attention.num_slots={slots} > attention.num_candidates={shown}: a slate is filled "
                "from the candidates, so raise num_candidates or lower num_slots"
            )
        if shown > live:
            raise ValueError(
                f"attention.num_candidates={shown} > {live} live creations (num_goal_buddies * "
                "shelf_size): lower num_candidates or add creations"
            )
        rank, axes = self.knowledge.compress, self.goal_buddies.steering_dim
        if rank is not None and not axes <= rank <= self.knowledge.dim:
            raise ValueError(
                f"knowledge.compress={rank} must lie between goal_buddies.steering_dim={axes} and "
                f"knowledge.dim={self.knowledge.dim}"
            )
        if self.goal_buddies.steering_dim > self.knowledge.dim:
            raise ValueError(
                f"goal_buddies.steering_dim={self.goal_buddies.steering_dim} > knowledge.dim="
                f"{self.knowledge.dim}: lower steering_dim or raise dim"
            )
        if self.rewards.production_price and self.goal_buddies.norm == "unit":
            raise ValueError(
                f"rewards.production_price={self.rewards.production_price} with goal_buddies.norm='unit': creations of "
                "one length all cost the same, so set goal_buddies.norm to 'free' or the price to 0"
            )
        if self.goal_buddies.norm == "free" and self.goal_buddies.creations == "written":
            raise ValueError(
                "goal_buddies.norm='free' with goal_buddies.creations='written': sentences all have length 1, so set "
                "one of them to 'unit' or 'steered'"
            )
        _ = self.plan  # raises ValueError for one that cannot be
        for index in self.aipp.subspaces:
            if not 0 <= index < self.knowledge.num_subspaces:
                raise ValueError(
                    f"aipp.subspaces names subspace {index}, but there are "
                    f"{self.knowledge.num_subspaces} (0..{self.knowledge.num_subspaces - 1})"
                )
            self.aipp.of_subspace(index)
        self.social.check(self.humans.num_humans, self.attention.social_share)
        return self
