"""Knowledge and MetaSpace: unit vectors, a rotation that changes no dot product, orthonormal steering bases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.config import AmmoConfig
from ammo_env.knowledge import SOURCES, Knowledge
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import build_space, principal_axes, steering_basis

Floats = NDArray[np.float32]


def knowledge_of(**settings: object) -> Knowledge:
    return load_knowledge(KnowledgeConfig.model_validate(settings))


def lengths(x: Floats) -> Floats:
    return np.asarray(np.linalg.norm(x, axis=-1))


def test_the_synthetic_source_has_the_sizes_it_was_asked_for() -> None:
    """M subspaces of F facts and N entities each; two draws of humans; everything a float32 unit vector."""
    knowledge = knowledge_of(
        dim=12, num_subspaces=3, facts_per_subspace=5, entities_per_subspace=7, pool_size=50, heldout_size=11
    )
    assert knowledge.facts.shape == (3, 5, 12)
    assert knowledge.fact_mask.all()
    assert knowledge.entities.shape == (21, 12)
    assert len(knowledge.entity_names) == 21
    assert len(knowledge.subspace_names) == 3
    np.testing.assert_array_equal(np.bincount(knowledge.entity_subspace), [7, 7, 7])
    assert knowledge.preferences.shape == (50, 12)
    assert knowledge.heldout_preferences.shape == (11, 12)
    for rows in (knowledge.facts, knowledge.entities, knowledge.preferences, knowledge.heldout_preferences):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(lengths(rows), 1.0, atol=1e-6)


def test_a_seed_makes_a_space() -> None:
    one, again, other = knowledge_of(seed=0), knowledge_of(seed=0), knowledge_of(seed=1)
    np.testing.assert_array_equal(one.facts, again.facts)
    np.testing.assert_array_equal(one.preferences, again.preferences)
    assert np.abs(one.facts - other.facts).max() > 0.1


def test_facts_cluster_as_strongly_as_they_are_told() -> None:
    """fact = unit(c centre + n noise), noise and centre orthogonal on average: E[fact.fact'] = c2/(c2 + n2) in
    high dimension, so .5 within a subspace at c = n = 1, .8 at c = 2, and 0 across subspaces."""
    for strength, expected in ((1.0, 0.5), (2.0, 0.8), (0.0, 0.0)):
        facts = knowledge_of(dim=512, num_subspaces=2, facts_per_subspace=40, cluster_strength=strength).facts
        gram = np.einsum("mfd,ngd->mnfg", facts, facts)
        off = ~np.eye(40, dtype=bool)
        assert abs(gram[0, 0][off].mean() - expected) < 0.02
        assert abs(gram[0, 1].mean()) < 0.05


def test_without_noise_entities_are_exactly_the_facts() -> None:
    """anchor_noise = 0 and as many entities as facts: a permutation of the facts of each subspace."""
    knowledge = knowledge_of(num_subspaces=2, facts_per_subspace=8, entities_per_subspace=8, anchor_noise=0.0)
    for m in range(2):
        entities = knowledge.entities[knowledge.entity_subspace == m]
        nearest = (entities @ knowledge.facts[m].T).argmax(axis=1)
        np.testing.assert_array_equal(np.sort(nearest), np.arange(8))
        np.testing.assert_allclose(entities, knowledge.facts[m][nearest], atol=1e-6)


def test_preferences_mix_at_most_max_interests_facts() -> None:
    """A human with one interest is exactly a fact; with all subspaces open, in the span of the facts."""
    single = knowledge_of(max_interests=1, pool_size=100)
    facts = single.facts.reshape(-1, 32)
    np.testing.assert_allclose((single.preferences @ facts.T).max(axis=1), 1.0, atol=1e-5)
    mixed = knowledge_of(max_interests=3, pool_size=100)
    nearest = (mixed.preferences @ facts.T).max(axis=1)
    assert (nearest < 0.999).mean() > 0.5
    assert nearest.min() > 0.3


def test_uniform_preferences_have_no_direction() -> None:
    """Mean of 4096 uniform unit vectors in D=16: each coordinate within 4 standard errors (.25/64) of 0."""
    preferences = knowledge_of(dim=16, preference="uniform", pool_size=4096).preferences
    assert np.abs(preferences.mean(axis=0)).max() < 4 * 0.25 / 64


def test_the_rotation_changes_no_dot_product() -> None:
    """Facts, entities and humans are rotated together: every dot product within 1e-5 of the original."""
    config = load_config("default")
    knowledge = load_knowledge(config.knowledge)
    space = build_space(knowledge, 8, heldout=False)
    before = knowledge.entities @ knowledge.preferences.T, knowledge.facts.reshape(-1, 32) @ knowledge.entities.T
    after = space.entities @ space.preferences.T, space.facts.reshape(-1, 32) @ space.entities.T
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


def test_the_population_is_diagonal_in_its_principal_axes() -> None:
    """Sample covariance of the rotated pool: the published variances on the diagonal, 0 off it, largest first."""
    space = build_space(load_knowledge(load_config("default").knowledge), 8, heldout=False)
    pool = space.preferences.astype(np.float64)
    centred = pool - pool.mean(axis=0)
    covariance = centred.T @ centred / len(pool)
    np.testing.assert_allclose(np.diag(covariance), space.variance, atol=1e-6)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0.0, atol=1e-6)
    np.testing.assert_allclose(pool.mean(axis=0), space.mean, atol=1e-6)
    assert (np.diff(space.variance) <= 1e-7).all()
    assert (space.variance >= 0).all()
    # Unit vectors: |mean|^2 + total variance = 1.
    assert float(space.mean @ space.mean + space.variance.sum()) == pytest.approx(1.0, abs=1e-5)


def test_heldout_humans_come_with_the_moments_of_the_training_people() -> None:
    knowledge = load_knowledge(load_config("default").knowledge)
    train, heldout = build_space(knowledge, 8, heldout=False), build_space(knowledge, 8, heldout=True)
    assert (len(train.preferences), len(heldout.preferences)) == (2048, 512)
    np.testing.assert_array_equal(train.people, heldout.people)
    np.testing.assert_array_equal(train.people, train.preferences)
    np.testing.assert_array_equal(train.mean, heldout.mean)
    np.testing.assert_array_equal(train.variance, heldout.variance)
    np.testing.assert_array_equal(train.facts, heldout.facts)


def test_principal_axes_have_fixed_signs() -> None:
    """The largest entry of each axis is positive, whatever the linear algebra library returns."""
    rng = np.random.default_rng(0)
    sample = np.asarray(rng.standard_normal((200, 6)) * np.arange(1, 7), dtype=np.float32)
    _, _, axes = principal_axes(sample)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0) > 0).all()
    np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-6)


@pytest.mark.parametrize(("facts", "dim", "steering_dim"), [(20, 10, 4), (3, 10, 5), (1, 6, 6), (5, 5, 5)])
def test_steering_bases_are_orthonormal(facts: int, dim: int, steering_dim: int) -> None:
    """A orthonormal columns, completed where there are fewer facts than A, with fixed signs."""
    rows = np.random.default_rng(1).standard_normal((facts, dim)).astype(np.float32)
    basis = steering_basis(rows, steering_dim)
    assert basis.shape == (dim, steering_dim)
    np.testing.assert_allclose(basis.T @ basis, np.eye(steering_dim), atol=1e-5)
    np.testing.assert_array_equal(basis, steering_basis(rows, steering_dim))


def test_the_steering_basis_leads() -> None:
    """No other A directions hold more of the facts: |F W|^2 is the sum of the A largest squared singular values."""
    rows = np.random.default_rng(2).standard_normal((30, 8)).astype(np.float32)
    basis = steering_basis(rows, 3)
    singular = np.linalg.svd(rows, compute_uv=False)
    assert float(((rows @ basis) ** 2).sum()) == pytest.approx(float((singular[:3] ** 2).sum()), rel=1e-5)


def test_more_steering_than_dimensions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"steering_dim=4 > knowledge\.dim=3"):
        steering_basis(np.eye(3, dtype=np.float32), 4)


def test_padded_facts_do_not_bend_the_basis(
    small_config: Callable[..., AmmoConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of one's own with a ragged number of facts: padding rows have no part in W."""
    full = load_knowledge(small_config().knowledge)
    mask = full.fact_mask.copy()
    mask[1, 4:] = False
    ragged = Knowledge(**{**vars(full), "facts": full.facts * mask[..., None], "fact_mask": mask})
    monkeypatch.setitem(SOURCES, "ragged", lambda config: ragged)
    space = build_space(load_knowledge(small_config({"knowledge.source": "ragged"}).knowledge), 3, heldout=False)
    np.testing.assert_allclose(space.steering[1], steering_basis(space.facts[1, :4], 3), atol=1e-6)
    assert not np.allclose(space.steering[1], build_space(full, 3, heldout=False).steering[1], atol=1e-2)


def test_friends_are_those_of_the_pool_in_force(small_config: Callable[..., AmmoConfig]) -> None:
    """Rows of `preferences` count in whichever pool it is; a source that knows no friends leaves None."""
    plain = load_knowledge(small_config().knowledge)
    train, heldout = np.array([[1], [0]] * 32), np.array([[1, -1], [0, 2]] * 8)
    social = Knowledge(**{**vars(plain), "friends": train, "heldout_friends": heldout})
    assert build_space(social, 3, heldout=False).friends is train
    assert build_space(social, 3, heldout=True).friends is heldout
    assert build_space(plain, 3, heldout=False).friends is None


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="'movielenz' is not known; there are: lastfm, movielens, synthetic, table"):
        knowledge_of(source="movielenz")
