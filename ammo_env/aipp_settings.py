"""Settings of the AI Preference Protocol: what humans answer, and how their answers depart from the truth."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ammo_env.settings import Section, build


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
