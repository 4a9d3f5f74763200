"""Every setting of a training run, once: its default, its range and its meaning.

The world has its own settings (`ammo_env.config`); these say how the two sides learn in it. Like those, they are
frozen, refuse unknown keys, and are stored with every checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from agents.evolution.genome import LEARNING_GENES
from agents.evolution.members import Niche
from agents.evolution.settings import EvolutionSettings, MatchmakingSettings
from ammo_env.settings import Section

SIDES = ("user_buddy", "goal_buddy")


@dataclass(frozen=True)
class Hyperparameters:
    """What one member learns with: genes (`agents.evolution.genome.LEARNING_GENES`) and two fixed numbers."""

    learning_rate: float
    entropy: float
    clip: float
    gamma: float
    gae_lambda: float
    value_weight: float
    grad_clip: float
    novelty: float = 0.0
    honesty: float = 1.0

    @property
    def genome(self) -> dict[str, float]:
        """The part that evolves."""
        return {name: getattr(self, name) for name in LEARNING_GENES}


class SideSettings(Section):
    """How one side learns: its members, its network and its part of the PPO loss."""

    members: int = Field(1, ge=0, description="policies that learn on this side; 0: scripted policies fill all seats")
    niches: tuple[Literal["exploiter", "explorer", "adaptive"], ...] = Field(
        ("exploiter", "explorer", "adaptive"), min_length=1, strict=False, description="niches of the members, in turn"
    )
    novelty: float = Field(0.1, gt=0, description="explorers: weight of novelty in what they are trained on")
    learning_rate: float = Field(1e-3, gt=0, description="Adam step size")
    gamma: float | None = Field(None, ge=0, le=1, description="discount per round of this side; None: training.gamma")
    gae_lambda: float | None = Field(
        None, ge=0, le=1, description="lambda of advantage estimation of this side; None: training.gae_lambda"
    )
    hidden: tuple[int, ...] = Field((64, 64), min_length=1, strict=False, description="widths of the hidden layers")
    minibatch: int = Field(512, ge=1, description="rows per gradient step, small against the rows of an update")
    update_every: int = Field(1, ge=1, description="iterations whose rows one update gathers (policy held still)")
    entropy: float = Field(0.003, ge=0, description="weight of the entropy bonus")
    initial_std: float = Field(0.5, gt=0, description="standard deviation of continuous actions at the start")
    scripted_share: float = Field(0.0, ge=0, le=1, description="share of a world's seats given to scripted policies")
    scripts: tuple[str, ...] = Field((), strict=False, description="names of the scripted policies, equally often")

    def niche_of(self, index: int) -> Niche:
        """The niche of a founder."""
        return Niche(self.niches[index % len(self.niches)])

    @property
    def has_history(self) -> bool:
        """Does any founder see its own history? Then all networks of the side have the inputs for it."""
        return any(self.niche_of(index) is Niche.ADAPTIVE for index in range(self.members))

    @model_validator(mode="after")
    def _seats_are_filled(self) -> SideSettings:
        if self.members == 0 and not self.scripts:
            raise ValueError("members=0 leaves the seats empty: name at least one policy in scripts")
        return self


class UserSideSettings(SideSettings):
    """Defaults of the user buddies."""

    critic: Literal["own", "truth"] = Field(
        "own", description="what the value sees: the buddy's observation, or also what nobody observes (agents.insight)"
    )
    initial_sharpness: float = Field(
        2.0, ge=0, description="inverse temperature of the candidates' standardised scores at the start"
    )
    initial_optimism: float = Field(
        0.0, ge=0, description="founders' trait: weight of uncertainty beside the score, to which learning adds its own"
    )
    hidden: tuple[int, ...] = Field((32, 32), min_length=1, strict=False, description="widths, per candidate")


class GoalSideSettings(SideSettings):
    """Defaults of the goal buddies: half the seats are scripted, so that learned seats can be judged against them.

    Visibility is a contest, so its gradient is noisy and wants large updates; user buddies learn most from many small
    ones.
    """

    learning_rate: float = Field(2e-3, gt=0, description="Adam step size")
    minibatch: int = Field(1024, ge=1, description="rows per gradient step")
    update_every: int = Field(2, ge=1, description="iterations whose rows one update gathers (policy held still)")
    initial_publish: float = Field(1.0, description="publish logit at the start; 1 publishes 73 % of the time")
    scripted_share: float = Field(0.5, ge=0, le=1, description="share of a world's seats given to scripted policies")
    scripts: tuple[str, ...] = Field(
        ("random_script", "truthful", "chaser", "clickbait"), strict=False, description="names of the scripted policies"
    )


class TrainingSettings(Section):
    """A whole training run."""

    algorithm: Literal["ppo", "appo"] = Field(
        "ppo", description="ppo: sample, then learn; appo: remote runners go on sampling while the learner learns"
    )
    samples_ahead: int = Field(
        2, ge=1, description="appo: samples that a runner may be ahead of the learner before it waits"
    )
    seed: int = Field(0, ge=0, description="seed of weights, draws, seats, minibatches and worlds")
    iterations: int = Field(160, ge=1, description="iterations to train")
    num_worlds: int = Field(16, ge=1, description="E, worlds stepped at once by one runner")
    rounds_per_iteration: int = Field(64, ge=1, description="rounds that one iteration samples in every world")
    measure_every: int = Field(4, ge=1, description="rounds between measurements of the worlds' metrics in training")
    num_env_runners: int = Field(0, ge=0, description="remote runners; 0 samples in this process, without a cluster")
    user_buddy: UserSideSettings = UserSideSettings()
    goal_buddy: GoalSideSettings = GoalSideSettings()
    evolution: EvolutionSettings = EvolutionSettings()
    matchmaking: MatchmakingSettings = MatchmakingSettings()
    gamma: float = Field(0.9, ge=0, le=1, description="discount per round")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantage estimation")
    epochs: int = Field(3, ge=1, description="how often every row is trained on")
    clip: float = Field(0.2, gt=0, description="PPO clip of the probability ratio")
    value_weight: float = Field(0.5, ge=0, description="weight of the value loss")
    grad_clip: float = Field(0.5, gt=0, description="largest gradient norm of one member")
    checkpoint_every: int = Field(10, ge=0, description="iterations between checkpoints; 0: only at the end")

    @model_validator(mode="after")
    def _somebody_samples_meanwhile(self) -> TrainingSettings:
        if self.algorithm == "appo" and self.num_env_runners == 0:
            raise ValueError("algorithm=appo samples in other processes: set training.num_env_runners to at least 1")
        return self

    def side(self, side: str) -> SideSettings:
        """The settings of one side."""
        return {"user_buddy": self.user_buddy, "goal_buddy": self.goal_buddy}[side]

    def hyperparameters(self, side: str) -> Hyperparameters:
        """What a member of this side learns with where evolution says nothing else; explorers add novelty."""
        own = self.side(side)
        return Hyperparameters(
            learning_rate=own.learning_rate, entropy=own.entropy, clip=self.clip,
            gamma=self.gamma if own.gamma is None else own.gamma,
            gae_lambda=self.gae_lambda if own.gae_lambda is None else own.gae_lambda,
            value_weight=self.value_weight, grad_clip=self.grad_clip,
        )  # fmt: skip
