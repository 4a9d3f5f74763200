"""Every setting of a world, once: its default, its range and its meaning.

A world is described by one frozen `AmmoConfig`. Sizes that cannot be are refused before anything is built.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from ammo_env.schedule import Plan, Step, make_plan
from ammo_env.settings import Section, build
from ammo_env.social_settings import SocialConfig


class KnowledgeConfig(Section):
    """What the MetaSpace is made of, drawn or read once per world and shared by all worlds of a batch."""

    source: str = Field("synthetic", description="a registered knowledge source: synthetic, movielens, lastfm, table")
    path: str | None = Field(
        None, description="folder of a real data set (AMMO_DATA where it is not given), or file of a table"
    )
    seed: int = Field(0, ge=0, description="seed of the space itself; episodes are seeded by reset(seed)")
    dim: int = Field(32, ge=2, le=4096, description="D, dimensions of the embedding space")
    compress: int | None = Field(
        None, ge=2, description="rank into which the space is rotated; the rank of its content costs nothing"
    )
    embedder: str | None = Field(
        None, description="what turns texts into vectors: hashing, minilm; None: hashing (table), no texts (movielens)"
    )
    embedding_cache: str | None = Field(
        None, description="folder that keeps expensive embeddings; None: ammo/embeddings under the user's cache home"
    )
    num_subspaces: int = Field(4, ge=1, description="M, subspaces (topics)")
    facts_per_subspace: int = Field(
        32, ge=1, description="F, human-verified vectors per subspace (synthetic)"
    )
    entities_per_subspace: int = Field(
        64, ge=1, description="places where a goal buddy may be born (synthetic)"
    )
    cluster_strength: float = Field(
        1.0, ge=0, description="length of the centre in fact = unit(centre + noise)"
    )
    fact_noise: float = Field(1.0, ge=0, description="length of the noise in fact = unit(centre + noise)")
    anchor_noise: float = Field(0.3, ge=0, description="length of the noise in anchor = unit(fact + noise)")
    max_interests: int = Field(3, ge=1, description="subspaces that one human's preference mixes (1..this)")
    preference: Literal["mixture", "uniform"] = Field(
        "mixture", description="mixture of facts, or uniform on the sphere (for the closed forms)"
    )
    pool_size: int = Field(2048, ge=2, description="humans to draw from in training (synthetic, table)")
    heldout_size: int = Field(512, ge=1, description="humans never trained on (synthetic, table)")
    heldout_share: float = Field(0.2, gt=0, lt=1, description="share of the people held out (real data)")
    quality_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the mean preference that is kept: 0 is the taste-only world (real data)",
    )
    min_ratings: int = Field(
        20, ge=1, description="ratings (listeners) that a film (an artist) needs to be an entity (real data)"
    )


class SubspaceChange(Section):
    """One line of `subspaces.schedule`: a merger, or a split."""

    round: int = Field(ge=1, description="first round in which the subspaces are as this leaves them")
    merge: list[int] = Field(
        default_factory=list, description="subspaces that become one, with the number and the AiPP of the first"
    )
    split: int | None = Field(
        None, description="a subspace that becomes several: its parts, if it was merged, else two halves (2-means)"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> SubspaceChange:
        if bool(self.merge) == (self.split is not None):
            raise ValueError("a change is either 'merge: [numbers]' or 'split: number'; for both, write two lines")
        return self


class SubspaceConfig(Section):
    """Subspaces beyond those of the knowledge: composed ones, and mergers and splits in mid-episode."""

    composed: list[list[int]] = Field(
        default_factory=list,
        description="unions of subspaces, as subspaces of their own beside them: numbers M, M + 1, ...",
    )
    schedule: list[SubspaceChange] = Field(
        default_factory=list, description="mergers and splits, the same in every world and episode, in order of rounds"
    )


class GoalBuddyConfig(Section):
    """The creators: how many, how far they can steer, what publishing costs."""

    num_goal_buddies: int = Field(16, ge=1, description="G, goal buddies per world")
    shelf_size: int = Field(4, ge=1, description="L, live creations per goal buddy")
    steering_dim: int = Field(8, ge=1, description="A, steering dimensions (leading directions of the facts)")
    norm: Literal["unit", "free"] = Field(
        "unit", description="e = unit(anchor + kappa W s), or free: e = anchor + kappa W s, whose length is its quality"
    )
    steering_scale: float = Field(
        0.5,
        ge=0,
        le=16,
        description="kappa in e = unit(anchor + kappa W s); with a free norm 1 + r reaches every length up to r",
    )
    creations: Literal["steered", "written"] = Field(
        "steered", description="the steered vector itself, or the nearest sentence about the entity (texts)"
    )
    initial_spread: float = Field(0.5, ge=0, le=1, description="first shelf: s uniform in [-this, this]")
    energy_cap: float = Field(4.0, gt=0, description="energy at birth, and the most a goal buddy can hold")
    energy_regrowth: float = Field(0.5, ge=0, description="energy per round")
    publish_cost: float = Field(1.0, ge=0, description="energy that one publication takes")
    nudge_step: float = Field(0.25, gt=0, le=1, description="length of one nudge in steering coordinates")


class HumanConfig(Section):
    """The simulated humans and how their hidden preferences move."""

    num_humans: int = Field(8, ge=1, description="U, humans (and user buddies) per world")
    pool: Literal["train", "heldout"] = Field("train", description="which people are drawn at reset")
    draw: Literal["independent", "circles", "listed"] = Field(
        "independent",
        description="each on their own; as a circle of friends (a source with friendships); or human u is person u mod "
        "P of the pool, the same in every world",
    )
    drift_rho: float = Field(
        1.0, ge=0, le=1, description="rho, correlation of q over one round; 1 is no drift"
    )
    drift_mode: Literal["population", "isotropic"] = Field(
        "population", description="wander among what people like, or isotropically (exactly rho)"
    )
    interests: int = Field(1, ge=1, description="I, interests of a human, who likes an item by the best of them")
    latent_interests: int = Field(
        0, ge=0, description="how many of them the human does not know of until an item awakens them"
    )
    awakening: float = Field(
        0.5, ge=-1, lt=1, description="a latent interest awakens when its human is shown an item with e.q above this"
    )

    @model_validator(mode="after")
    def _one_interest_is_known(self) -> HumanConfig:
        if self.latent_interests >= self.interests:
            raise ValueError(
                f"humans.latent_interests={self.latent_interests} >= humans.interests={self.interests}: the first "
                "interest is always known, so raise interests or lower latent_interests"
            )
        return self


class EventConfig(Section):
    """Exogenous shifts of subspaces: news that pulls preferences and may become a fact."""

    rate: float = Field(0.0, ge=0, le=8, description="mean number of events per round and subspace; 0 is none")
    strength: float = Field(1.0, gt=0, description="strength of an event in the round in which it happens")
    decay: float = Field(0.8, ge=0, lt=1, description="share of an event's strength that is left a round later")
    spread: float = Field(0.5, ge=0, description="length of the noise in direction = unit(fact + noise)")
    pull: float = Field(
        0.2, ge=0, description="q' = unit(q + pull * nearness * strength * direction) in every round"
    )
    reach: Literal["near", "all"] = Field(
        "near", description="nearness: cosine of the human and the subspace's centre, at least 0; or 1 for everybody"
    )
    fact_slots: int = Field(
        0, ge=0, description="facts that events may add to a subspace in one episode, one per round with an event"
    )


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


class AippFaults(Section):
    """How a human's answer departs from the truth; every subspace may override these."""

    kind: str = Field(
        "rating", description="a registered oracle: rating, click, choice, pairwise, cascade"
    )
    noise: float = Field(0.5, ge=0, description="standard deviation added to the affinity, utility units")
    bait: float = Field(
        0.3, description="affinity = e.q + bait * grounding_error: false content pleases more"
    )
    response: float = Field(1.0, ge=0, le=1, description="probability that an item is answered at all")
    latency: int = Field(0, ge=0, description="rounds until an answer arrives")
    inconsistency: float = Field(
        0.0, ge=0, le=1, description="probability that an opinion is a mood, uniform in [-1, 1], whatever the item"
    )
    human_bias: float = Field(
        0.0, ge=0, description="standard deviation over humans of a constant added to opinions: harsh or kind"
    )
    human_scale: float = Field(
        0.0, ge=0, le=3, description="standard deviation over humans of the log of a factor on opinions"
    )
    creator_bias: float = Field(
        0.0, ge=0, description="standard deviation over goal buddies of a constant added to opinions: fame"
    )
    position_decay: float = Field(0.7, gt=0, le=1, description="click: slot k is examined with this ** k")
    sharpness: float = Field(
        4.0, gt=0, description="slope of the response in utility (all kinds but rating)"
    )
    threshold: float = Field(
        0.4, description="click, cascade: utility of an even chance; choice: utility of no click"
    )


class AippConfig(AippFaults):
    """The preference oracle of every subspace, with exceptions by subspace index."""

    subspaces: dict[int, dict[str, Any]] = Field(
        default_factory=dict, description="settings of single subspaces that differ, by index 0..M-1"
    )

    def of_subspace(self, index: int) -> AippFaults:
        """The settings in force in one subspace."""
        base = self.model_dump(exclude={"subspaces"})
        return build(AippFaults, {**base, **self.subspaces.get(index, {})}, f"aipp.subspaces.{index}.")


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


class LifeConfig(Section):
    """Retirement and birth of goal buddies in mid-episode; nobody dies while no cause of death is set."""

    starve_rounds: int = Field(
        0,
        ge=0,
        description="a goal buddy retires after so many rounds in a row without energy to publish; 0: never. It takes "
        "fewer than publish_cost / energy_regrowth, or it cannot come to that",
    )
    viability: float = Field(
        0.0, ge=0, description="a goal buddy retires whose decayed exposure (share of slates) is less; 0: never"
    )
    grace: int = Field(16, ge=1, description="rounds after birth in which viability is not asked for")
    max_births: int = Field(
        16, ge=0, description="births per episode, each with an id of its own; then nobody retires any more"
    )

    @property
    def is_on(self) -> bool:
        """Can anybody die?"""
        return self.max_births > 0 and (self.starve_rounds > 0 or self.viability > 0)


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
