"""Settings of the social world: who listens to whom, what moves preferences together, and whom a group rejects."""

from __future__ import annotations

from pydantic import Field, model_validator

from ammo_env.settings import Section


class DeGrootConfig(Section):
    """Preferences become averages of those around: q' = unit((1 - influence) q + influence W q)."""

    influence: float = Field(0.0, ge=0, le=1, description="weight of the neighbours in one round; 0 is off")


class FriedkinJohnsenConfig(Section):
    """As DeGroot, but everybody holds on to where they began: q' = unit(a W q + (1 - a) q_0)."""

    neighbour_weight: float = Field(0.0, ge=0, le=1, description="weight of the neighbours in W; 0 is off")
    stubbornness: float | None = Field(
        None, ge=0, le=1, description="1 - a, the pull of the initial preference; None: one's own weight in W (1999)"
    )


class BoundedConfidenceConfig(Section):
    """Only neighbours whose preference is near enough are listened to (Hegselmann and Krause 2002)."""

    angle: float = Field(
        0.0, ge=0, le=3.2, description="epsilon, the largest angle between two preferences (radians); 0 is off"
    )
    openness: float = Field(1.0, ge=0, le=1, description="q' = unit((1 - openness) q + openness mean of the near)")


class MereExposureConfig(Section):
    """Humans come to like what they see: q' = unit(q + seen_weight * mean of the slate) (Zajonc 1968)."""

    seen_weight: float = Field(0.0, ge=0, description="weight of the slate's mean beside q; 0 is off")


class NormShiftConfig(Section):
    """A whole group turns towards a new direction, for reasons that lie outside the world."""

    shift_rate: float = Field(0.0, ge=0, description="shifts per world and round (Poisson, at most one a round)")
    shift_rounds: list[int] = Field(default_factory=list, description="rounds in which a group of every world shifts")
    shift_angle: float = Field(0.6, gt=0, le=3.2, description="angle by which a human of the group turns (radians)")


class PushbackConfig(Section):
    """A group whose answers to a creator are bad on average rejects it: it is shown last for a while."""

    rejection_below: float | None = Field(None, description="mean answer that is too bad; None is off")
    answers_needed: float = Field(8.0, gt=0, description="answers of a group before it may reject (they fade by .8)")
    rejection_rounds: int = Field(10, ge=1, description="rounds for which a rejected creator is shown last")


class SocialConfig(Section):
    """The network among the humans of a world and what runs over it."""

    network: str = Field("none", description="a registered network: none, similar, random, ring, data, given")
    num_neighbours: int = Field(4, ge=1, description="N, humans that one human listens to, at most")
    matrix: list[list[float]] | None = Field(
        None, description="network 'given': influence of the column's human on the row's [U, U], rows sum to 1 or 0"
    )
    num_groups: int = Field(1, ge=1, description="like-minded groups of humans, for norm shifts and rejections")
    degroot: DeGrootConfig = Field(DeGrootConfig(), description="averages of those around")
    friedkin_johnsen: FriedkinJohnsenConfig = Field(
        FriedkinJohnsenConfig(), description="averages, held back by where one began"
    )
    bounded_confidence: BoundedConfidenceConfig = Field(
        BoundedConfidenceConfig(), description="averages of those who are near enough"
    )
    exposure: MereExposureConfig = Field(MereExposureConfig(), description="liking what one sees")
    norm_shift: NormShiftConfig = Field(NormShiftConfig(), description="groups that turn from outside")
    pushback: PushbackConfig = Field(PushbackConfig(), description="groups that reject creators")

    @property
    def connected(self) -> bool:
        """Is there a network?"""
        return self.network != "none"

    @model_validator(mode="after")
    def _a_network_where_one_is_needed(self) -> SocialConfig:
        needs = {
            "degroot.influence": self.degroot.influence,
            "friedkin_johnsen.neighbour_weight": self.friedkin_johnsen.neighbour_weight,
            "bounded_confidence.angle": self.bounded_confidence.angle,
        }
        used = [key for key, value in needs.items() if value]
        if used and not self.connected:
            raise ValueError(f"social.{used[0]} needs neighbours: set social.network (similar, random, ring, ...)")
        if (self.network == "given") != (self.matrix is not None):
            raise ValueError("social.network 'given' and social.matrix belong together: set both or neither")
        return self

    def check(self, humans: int, social_share: float) -> None:
        """Raises `ValueError` where it does not fit a world of so many humans and such a retrieval."""
        if social_share and not self.connected:
            raise ValueError(
                f"attention.social_share={social_share} needs neighbours: set social.network (similar, random, ...)"
            )
        if self.num_groups > humans:
            raise ValueError(f"social.num_groups={self.num_groups} > humans.num_humans={humans}: lower num_groups")
        if self.matrix is None:
            return
        if [len(row) for row in self.matrix] != [humans] * humans:
            raise ValueError(f"social.matrix must have {humans} rows of {humans} numbers (humans.num_humans)")
        for number, row in enumerate(self.matrix):
            if min(row) < 0 or not any(abs(sum(row) - total) < 5e-3 for total in (0.0, 1.0)):
                raise ValueError(
                    f"social.matrix row {number} must be weights of at least 0 whose sum is 1 (or 0: listens to "
                    f"nobody), but it is {row}"
                )
