"""Settings of the simulated humans, and of the events that move them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ammo_env.settings import Section


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
