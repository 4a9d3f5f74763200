"""Settings of the goal buddies: how they create, and how they die and are born in mid-episode."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ammo_env.settings import Section


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
