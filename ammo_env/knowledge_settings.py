"""Settings of what the MetaSpace is made of: knowledge, people, and the subspaces that join and part."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ammo_env.settings import Section


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
