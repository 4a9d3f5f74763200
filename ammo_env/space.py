"""The MetaSpace: facts, steering bases and the population's moments, in principal coordinates.

All content computations are dot products, so the whole space may be rotated. It is rotated once, into the
principal axes of the pool of preferences: there the population covariance is diagonal, which lets beliefs and
drift work with a variance vector instead of a D x D matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.claims import Claims
from ammo_env.compression import content_basis, dot_bound, into, into_orthonormal
from ammo_env.halving import two_means
from ammo_env.knowledge import Knowledge
from ammo_env.settings import ConfigError


@dataclass(frozen=True)
class MetaSpace:
    """World constants, shared by all E worlds of a batch."""

    facts: FloatArray  # [M, F, D] unit, zero-padded
    fact_mask: BoolArray  # [M, F]
    steering: FloatArray  # [M, D, A] orthonormal columns: leading directions of the facts
    entities: FloatArray  # [N, D] unit
    entity_subspace: IntArray  # [N]
    preferences: FloatArray  # [P, D] unit: the pool that humans are drawn from
    people: FloatArray  # [N, D] unit: the training pool, whoever is drawn; what a belief may know of people
    mean: FloatArray  # [D] mean preference of the training pool
    variance: FloatArray  # [D] variance of the training pool along each coordinate (its principal axes)
    friends: IntArray | None = None  # [P, N] rows of `preferences`, padded with -1; None where nobody's are known
    claims: Claims | None = None  # what can be written about the entities

    @property
    def dim(self) -> int:
        return int(self.facts.shape[-1])

    def compress(self, rank: int) -> Compression:
        """The same space in `rank` dimensions: exact where that is no less than the rank of its content.

        Content are facts, entities, claims and steering directions; what preferences have beyond them costs nothing but
        their lengths, which are stretched to 1 again. The population's covariance is diagonal as before. Raises
        `ConfigError` where the rank is below the steering dimensions or above D.
        """
        most, least = self.dim, self.steering.shape[-1]
        if not least <= rank <= most:
            raise ConfigError(f"knowledge.compress={rank} must lie in {least}..{most}: steering_dim to dim")
        facts = self.facts[self.fact_mask]
        directions = np.swapaxes(self.steering, 1, 2).reshape(-1, most)
        written = np.zeros((0, 1, most), np.float32) if self.claims is None else self.claims.vectors
        rows = np.concatenate([facts, self.entities, directions, written.reshape(-1, most)])
        basis, needed = content_basis(rows, self.people, rank)
        people, of_people = into(basis, self.people)
        mean, variance, axes = principal_axes(people)
        grounded, of_facts = into(basis, self.facts)
        entities, of_entities = into(basis, self.entities)
        claims, of_claims = into(basis, written)
        preferences, of_preferences = into(basis, self.preferences)
        steering = np.stack([into_orthonormal(basis, columns) for columns in self.steering])  # [M, r, A]
        content, preference = max(of_facts, of_entities, of_claims), max(of_preferences, of_people)
        space = replace(
            self,
            facts=_float32(grounded @ axes),
            steering=_float32(np.swapaxes(np.swapaxes(steering, 1, 2) @ axes, 1, 2)),
            entities=_float32(entities @ axes),
            preferences=_float32(preferences @ axes),
            people=_float32(people @ axes),
            mean=mean,
            variance=variance,
            claims=self.claims and replace(self.claims, vectors=_float32(claims @ axes)),
        )
        return Compression(space, needed, dot_bound(content, content), dot_bound(content, preference), preference**2)

    def union(self, *parts: int) -> Subspace:
        """The subspace that those of the given numbers compose: the facts of all, and the basis of all of these."""
        facts = np.concatenate([self.facts[part][self.fact_mask[part]] for part in parts])
        return Subspace(facts, steering_basis(facts, self.steering.shape[-1]))

    def composed(self, *parts: int) -> MetaSpace:
        """With their union as one subspace more, which has no entities of its own: the parts go on beside it."""
        return self._with([*self._subspaces(), self.union(*parts)], self.entity_subspace)

    def merged(self, subspace: Sequence[int]) -> MetaSpace:
        """With subspace[p] for every subspace p: the one that it is in now, which is the union of all that are in it.

        Numbers stay what they are, so that a number nobody is in is left without facts and entities.
        """
        union = [[p for p, now in enumerate(subspace) if now == number] for number in range(len(self.facts))]
        nothing = Subspace(np.zeros((0, self.dim), np.float32), np.zeros_like(self.steering[0]))
        own = self._subspaces()
        made = [
            own[number] if parts == [number] else self.union(*parts) if parts else nothing
            for number, parts in enumerate(union)
        ]
        return self._with(made, np.asarray(subspace, dtype=np.int64)[self.entity_subspace])

    def halved(self, number: int, seed: int) -> MetaSpace:
        """With one subspace divided: facts by 2-means, entities to the nearer centre; the second half becomes the last.

        Raises `ConfigError` where a half would be left without a fact or an entity.
        """
        own, inside = self._subspaces(), np.flatnonzero(self.entity_subspace == number)
        facts = own[number].facts
        try:
            second, centres = two_means(facts, seed)
        except ValueError as error:
            raise ConfigError(f"subspace {number} cannot be split: {error}") from None
        likeness = self.entities[inside] @ centres.T
        moved = inside[likeness[:, 1] > likeness[:, 0]]
        if len(moved) in (0, len(inside)):
            raise ConfigError(f"subspace {number} cannot be split: a half of it has no entity for a goal buddy to be")
        entity_subspace = self.entity_subspace.copy()
        entity_subspace[moved] = len(own)
        axes = self.steering.shape[-1]
        own[number], half = (Subspace(rows, steering_basis(rows, axes)) for rows in (facts[~second], facts[second]))
        return self._with([*own, half], entity_subspace)

    def _subspaces(self) -> list[Subspace]:
        return [Subspace(self.facts[m][self.fact_mask[m]], self.steering[m]) for m in range(len(self.facts))]

    def _with(self, subspaces: list[Subspace], entity_subspace: IntArray) -> MetaSpace:
        size = np.array([len(one.facts) for one in subspaces])
        mask = np.arange(max(size.max(), 1)) < size[:, None]
        facts = np.zeros((*mask.shape, self.dim), dtype=np.float32)
        facts[mask] = np.concatenate([one.facts for one in subspaces])
        steering = np.stack([one.steering for one in subspaces])
        return replace(self, facts=facts, fact_mask=mask, steering=steering, entity_subspace=entity_subspace)


@dataclass(frozen=True)
class Subspace:
    """A topic: what is known in it, and the directions in which one can move."""

    facts: FloatArray  # [F, D] unit
    steering: FloatArray  # [D, A] orthonormal columns


@dataclass(frozen=True)
class Compression:
    """A compressed MetaSpace, and what it cost; bounds hold for any two vectors of a kind, float32 rounding apart."""

    space: MetaSpace
    content_rank: int  # the smallest rank that costs nothing
    content_bound: float  # on the absolute error of a dot product of facts, entities and claims
    preference_bound: float  # on the absolute error of a dot product of a fact or an entity and a preference
    preference_loss: float  # the greatest share of a preference's squared length that lay outside


def build_space(knowledge: Knowledge, steering_dim: int, heldout: bool, written: bool = False) -> MetaSpace:
    """The MetaSpace of a knowledge source; humans come from its held-out people if `heldout`, its claims if `written`.

    `people` and the population's moments are always the training people's: nothing is learnt from the held-out ones.
    """
    mean, variance, axes = principal_axes(knowledge.preferences)
    claims = _claims(knowledge) if written else None
    facts = (knowledge.facts @ axes).astype(np.float32)
    people = (knowledge.preferences @ axes).astype(np.float32)
    return MetaSpace(
        facts=facts,
        fact_mask=knowledge.fact_mask,
        steering=np.stack(
            [steering_basis(facts[m][knowledge.fact_mask[m]], steering_dim) for m in range(len(facts))]
        ),
        entities=(knowledge.entities @ axes).astype(np.float32),
        entity_subspace=knowledge.entity_subspace,
        preferences=(knowledge.heldout_preferences @ axes).astype(np.float32) if heldout else people,
        people=people,
        mean=mean,
        variance=variance,
        friends=knowledge.heldout_friends if heldout else knowledge.friends,
        claims=claims and replace(claims, vectors=(claims.vectors @ axes).astype(np.float32)),
    )


def _claims(knowledge: Knowledge) -> Claims:
    if knowledge.claims is None:
        raise ConfigError(
            "goal_buddies.creations=written: this knowledge source has no texts to write with; choose "
            "knowledge.source=movielens with a knowledge.embedder, or creations=steered"
        )
    return knowledge.claims()


def principal_axes(preferences: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean [D] and variances [D] in principal coordinates; the rotation [D, D] (columns, largest first)."""
    mean = preferences.mean(axis=0, dtype=np.float64)
    centred = preferences - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(preferences))
    axes = _fixed_signs(vectors[:, ::-1])
    return (
        (mean @ axes).astype(np.float32),
        np.maximum(values[::-1], 0.0).astype(np.float32),
        axes.astype(np.float32),
    )


def steering_basis(facts: FloatArray, steering_dim: int) -> FloatArray:
    """W [D, A]: the A leading right-singular directions of the facts, orthonormal, signs fixed.

    Raises `ConfigError` where D < A. With fewer facts than A the basis is completed by arbitrary orthonormal
    directions, so that W always has A orthonormal columns.
    """
    dim = facts.shape[-1]
    if steering_dim > dim:
        raise ConfigError(
            f"goal_buddies.steering_dim={steering_dim} > knowledge.dim={dim}: lower steering_dim"
        )
    _, _, directions = np.linalg.svd(facts, full_matrices=len(facts) < steering_dim)
    return np.ascontiguousarray(_fixed_signs(directions[:steering_dim].T), dtype=np.float32)


def _float32(x: NDArray[Any]) -> FloatArray:
    return np.ascontiguousarray(x, dtype=np.float32)


def _fixed_signs(columns: NDArray[Any]) -> NDArray[Any]:
    """Columns with their largest entry positive: a decomposition leaves the sign to its library."""
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None], 0)
    return np.asarray(columns * np.sign(largest))
