"""MovieLens 100K as a knowledge source: films are entities and facts, genres subspaces, raters humans.
 Reads GroupLens's own layout (u.data, u.item, u.genre, u.info) from a folder that the caller names, refuses a
damaged one with the file and the line, fits films and preferences on the sphere
(`ammo_env.datasets.preferences`) and hands out a `Knowledge`. Nothing is downloaded and nothing is written:
the licence forbids redistribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ammo_env.arrays import BoolArray, IntArray
from ammo_env.datasets.folders import data_folder
from ammo_env.datasets.genres import Groups, assign_films, genre_groups
from ammo_env.datasets.grouplens import SOURCE, Ratings, read_movielens, stamp
from ammo_env.datasets.preferences import Fit, fit_preferences, scale_quality, solve_people, unit
from ammo_env.datasets.textual import TextSpace, fit_text, text_space
from ammo_env.embedding import make_embedder
from ammo_env.knowledge import Knowledge, knowledge_source, padded_facts
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError


@knowledge_source("movielens")
def movielens(config: KnowledgeConfig) -> Knowledge:
    """MovieLens 100K from the folder `path` (or AMMO_DATA) as a world of films and the people who rated them."""
    return movielens_knowledge(
        path=config.path,
        dim=config.dim,
        quality_share=config.quality_share,
        heldout_share=config.heldout_share,
        num_subspaces=config.num_subspaces,
        min_ratings=config.min_ratings,
        seed=config.seed,
        embedder=config.embedder,
        embedding_cache=config.embedding_cache,
    )


def movielens_knowledge(
    path: str | None,
    dim: int,
    quality_share: float,
    heldout_share: float,
    num_subspaces: int,
    min_ratings: int,
    seed: int,
    embedder: str | None = None,
    embedding_cache: str | None = None,
) -> Knowledge:
    """Films with at least `min_ratings` ratings as entities and facts, and the raters' preferences, in R^dim.

    People: a seeded permutation holds out `heldout_share` of those with at least two ratings. Films are
    fitted to the ratings of the training people alone; then each held-out person is placed among the fixed
    films by ridge regression (`solve_people`, as is each training person), so that evaluation is on people
    whom nothing was trained on. (Only the count behind `min_ratings` includes their ratings.) This costs
    held-out people .006 of AUC, and their preferences lie closer to the mean, because films bend towards the
    people that they are fitted to: as a world the held-out pool is the easier one. Measured in
    benchmarks/preferences.md.

    Subspaces: `genre_groups` and `assign_films`. The facts of a subspace are its films, and so are its
    entities.

    quality_share s: with μ the unit mean direction of the training people's preferences, every preference
    becomes normalise(q − (1 − s)·(q·μ)·μ). s = 1 keeps q, and the mean of the training people has length
    about .85 (what everybody likes, quality); s = 0 leaves taste alone: q·μ = 0 for all, and a mean of length
    about .03.

    With an `embedder` films are not fitted: each is the embedding of what is known of it, title, year and genres as
    a sentence, beside its quality (`ammo_env.datasets.textual`), people are placed among those, and sentences can be
    written about them (`Knowledge.claims`).

    `path` is the folder ml-100k or its parent; None means the environment variable AMMO_DATA. The fit takes a
    second and is kept in memory for as long as the files and its arguments stay the same.

    Raises FileNotFoundError where there is no data, `DataError` where it is damaged, and `ConfigError` where
    `num_subspaces`, `min_ratings` or `heldout_share` leave nothing.
    """
    folder = find_folder(path)
    ratings, people = _fitted(folder, stamp(folder), dim, heldout_share, seed, embedder, embedding_cache)
    kept = np.flatnonzero(np.bincount(ratings.film, minlength=len(ratings.titles)) >= min_ratings)
    groups, subspace = _subspaces(ratings.film_genres[kept], num_subspaces, min_ratings)
    entities = people.fit.items[kept]
    facts, fact_mask = padded_facts(entities, subspace, num_subspaces)
    mean = unit(people.fit.preferences[people.train].mean(axis=0))
    preferences = scale_quality(people.fit.preferences, mean, quality_share)
    return Knowledge(
        facts=facts,
        fact_mask=fact_mask,
        entities=entities,
        entity_subspace=subspace,
        entity_names=tuple(ratings.titles[i] for i in kept),
        subspace_names=tuple(", ".join(ratings.genres[g] for g in group) for group in groups),
        preferences=preferences[people.train],
        heldout_preferences=preferences[people.heldout],
        claims=partial(people.text.claims, kept, ratings.genres) if people.text else None,
    )


def find_folder(path: str | None) -> Path:
    """The folder that holds u.data: `path`, or else AMMO_DATA, itself or the ml-100k in it.

    Raises FileNotFoundError where neither is given or there is no such folder.
    """
    return data_folder(path, "MovieLens", "ml-100k", "u.data", SOURCE)


@dataclass(frozen=True)
class _People:
    fit: Fit
    train: IntArray  # [P]
    heldout: IntArray  # [P']
    text: TextSpace | None


@lru_cache(maxsize=4)
def _fitted(
    folder: Path,
    version: tuple[tuple[int, int], ...],
    dim: int,
    heldout_share: float,
    seed: int,
    embedder: str | None,
    cache: str | None,
) -> tuple[Ratings, _People]:
    """Read and fit once; `version` (times and sizes of the files) makes a changed folder a different one."""
    ratings = read_movielens(folder)
    split_rng, fit_rng = np.random.default_rng(seed).spawn(2)
    train, heldout = split_people(ratings, heldout_share, split_rng)
    known = ratings.where(np.isin(ratings.person, train))
    if embedder is None:
        return ratings, _People(place_people(fit_ratings(known, fit_rng, dim), ratings), train, heldout, None)
    text = text_space(known, make_embedder(embedder, dim, cache))
    return ratings, _People(fit_text(text, known, ratings), train, heldout, text)


def split_people(
    ratings: Ratings, heldout_share: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Training and held-out people, disjoint, each sorted: those with at least two ratings, permuted by
    `rng`.

    Raises `ConfigError` where a side would be empty.
    """
    raters = np.flatnonzero(np.bincount(ratings.person, minlength=ratings.num_people) >= 2)
    count = round(heldout_share * len(raters))
    if not 0 < count < len(raters):
        raise ConfigError(
            f"knowledge.heldout_share={heldout_share} of {len(raters)} people holds out {count}: "
            "choose a share that leaves people on both sides"
        )
    shuffled = rng.permutation(raters)
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def fit_ratings(ratings: Ratings, rng: np.random.Generator, dim: int = 32) -> Fit:
    """`fit_preferences` with the genres as features."""
    triples = ratings.person, ratings.film, ratings.rating
    return fit_preferences(*triples, ratings.film_genres, ratings.num_people, rng, dim)


def place_people(fit: Fit, ratings: Ratings) -> Fit:
    """The films of `fit`, and everybody placed among them by `ratings`: see `solve_people`."""
    triples = ratings.person, ratings.film, ratings.rating
    return Fit(fit.items, fit.mean, *solve_people(fit.items, fit.mean, *triples, ratings.num_people))


def _subspaces(film_genres: BoolArray, num_subspaces: int, min_ratings: int) -> tuple[Groups, IntArray]:
    try:
        groups = genre_groups(film_genres, num_subspaces)
    except ValueError as error:
        raise ConfigError(
            f"knowledge.num_subspaces={num_subspaces}, min_ratings={min_ratings}: {error}; "
            "lower num_subspaces or min_ratings"
        ) from None
    subspace = assign_films(film_genres, groups)
    if len(np.unique(subspace)) < num_subspaces:
        raise ConfigError(
            f"knowledge.num_subspaces={num_subspaces} leaves a subspace without a film: {len(film_genres)} "
            f"films have at least min_ratings={min_ratings} ratings; lower num_subspaces or min_ratings"
        )
    return groups, subspace
