"""Every setting of a population, once: its default, its range and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ammo_env.settings import Section


class FitnessSettings(Section):
    """Weights of AiPP's verdicts in a member's fitness; each verdict is relative to the side's mean of its iteration.

    satisfaction, engagement and accuracy are in the units of `agents.verdicts`; rank lies in [−½, ½] and diversity is
    the distance to the others over its mean, minus 1.
    """

    satisfaction: float = Field(1.0, description="against the truth: 1 − normalised regret, or the reward of a seat")
    engagement: float = Field(0.05, description="what is answered, or seen: mean answer, or visibility")
    accuracy: float = Field(0.05, description="of the preference estimate: −|q − q̂|, or true utility of the shelf")
    rank: float = Field(0.01, description="place within the niche by the three above")
    diversity: float = Field(0.01, description="behaviour unlike that of the other members")


class MatchmakingSettings(Section):
    """Who meets whom."""

    method: Literal["uniform", "fitness", "pfsp"] = Field(
        "uniform",
        description="seats: equal; by fitness rank; or prioritised to the opponents that are hard to play against",
    )
    sharpness: float = Field(2.0, ge=0, description="pfsp: seats go by hardness ** this; fitness: rank ** this")
    hall_size: int = Field(4, ge=0, description="frozen copies of past champions kept per side")
    hall_share: float = Field(0.1, ge=0, le=1, description="share of the learned seats that the hall of fame holds")


class EvolutionSettings(Section):
    """The cycle: judge, retire, inherit or recombine, mutate."""

    enabled: bool = Field(True, description="off: the same members learn side by side for ever")
    every: int = Field(4, ge=1, description="iterations between cycles")
    ready_after: int = Field(4, ge=1, description="iterations that a member lives before it is judged")
    memory: float = Field(0.8, ge=0, lt=1, description="weight that a verdict keeps from one iteration to the next")
    selection: Literal["truncation", "tournament"] = Field(
        "truncation", description="weak is: the lowest of a niche; or the loser against a random rival of the niche"
    )
    fraction: float = Field(0.34, gt=0, le=0.5, description="truncation: share of a niche that is weak, or strong")
    margin: float = Field(
        1.0, ge=0, description="standard errors by which a weak member must lie below the best of its niche"
    )
    patience: int = Field(1, ge=1, description="judgements in a row that find a member weak before it retires")
    traits: Literal["mutate", "surrogate"] = Field(
        "mutate",
        description="a child's traits: mutated like its other genes, or where all verdicts so far promise most",
    )
    perturb: float = Field(1.25, gt=1, description="factor of a mutation")
    resample: float = Field(0.1, ge=0, le=1, description="chance that a gene is drawn anew instead of perturbed")
    weight_noise: float = Field(
        0.0, ge=0, description="noise on inherited weights, in standard deviations of their layer"
    )
    recombine: float = Field(0.5, ge=0, le=1, description="chance that a child has two parents instead of one")
    crossover: Literal["average", "layers"] = Field(
        "average", description="weights of two parents: their mean (for relatives), or layer by layer from either"
    )
    migration: float = Field(0.1, ge=0, le=1, description="chance that a child is born into another niche")
    niche_minimum: int = Field(1, ge=1, description="members that every niche keeps")
    spread: float = Field(
        1.25, ge=1, description="founders but the first differ from the configured genome by a mutation of this factor"
    )
    common_founder: bool = Field(
        True, description="founders start from the same weights, so that their descendants can be averaged"
    )
    fitness: FitnessSettings = FitnessSettings()
