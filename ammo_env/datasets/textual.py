"""Films as embedded text: fixed vectors of what is known of them, and preferences fitted to those.

A film is where its fact is: e_i = normalise(t_i + w·b_i·c), with c the direction that all texts share, t_i the unit
text vector of the film without its part along c, and b_i the film's quality (its item bias, in standard deviations).
What all texts share says nothing of one of them, so the direction c is free to carry what text does not know:
whether people like the film. Every sentence about a film has the film's b_i. Preferences are ridge regressions on
these fixed vectors; see benchmarks/text.md for how well they predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ammo_env.arrays import FloatArray, IntArray
from ammo_env.claims import Claims
from ammo_env.datasets.grouplens import Ratings
from ammo_env.datasets.preferences import Fit, solve_people, unit
from ammo_env.datasets.sentences import TRUE_KINDS, Film, claims_of, fact, parse_film
from ammo_env.embedding import Embedder

QUALITY_WEIGHT = 0.5  # w
MEAN_PENALTY = 100.0  # on m
TASTE_PENALTY = 3.0  # on v_u
SHRINKAGE = 5.0  # ratings by which a film's quality is drawn to 0
SWEEPS = 10


@dataclass(frozen=True)
class TextSpace:
    """From the embedder's vectors to those of the world."""

    embed: Embedder
    films: tuple[Film, ...]  # [I]
    common: FloatArray  # [D] c, unit
    quality: FloatArray  # [I] b_i, of standard deviation 1

    def place(self, texts: Sequence[str], film: IntArray) -> FloatArray:
        """Vectors [n, D] of sentences about the films [n]: normalise(t + w·b·c)."""
        vectors = self.embed(texts)
        rest = unit(vectors - (vectors @ self.common)[:, None] * self.common)
        return unit(rest + QUALITY_WEIGHT * self.quality[film][:, None] * self.common)

    def claims(self, film: IntArray, genres: Sequence[str]) -> Claims:
        """What may be written about the films [N]; row n of the table belongs to film[n]."""
        table = [claims_of(self.films[i], genres, turn) for turn, i in enumerate(film)]
        texts, kinds = (tuple(tuple(claim[part] for claim in row) for row in table) for part in (0, 1))
        flat = [text for row in texts for text in row]
        vectors = self.place(flat, np.repeat(film, len(table[0])))
        truthful = np.array([[kind in TRUE_KINDS for kind in row] for row in kinds])
        return Claims(texts, kinds, truthful, vectors.reshape(*truthful.shape, -1))


def text_space(ratings: Ratings, embed: Embedder) -> TextSpace:
    """Films embedded as their facts; their quality is learnt from the ratings."""
    rows = [[ratings.genres[g] for g in np.flatnonzero(row)] for row in ratings.film_genres]
    films = tuple(parse_film(title, genres) for title, genres in zip(ratings.titles, rows, strict=True))
    common = unit(embed([fact(film) for film in films]).mean(axis=0))
    return TextSpace(embed, films, common, item_bias(ratings))


def fit_text(space: TextSpace, ratings: Ratings, everybody: Ratings) -> Fit:
    """y = a_u + e_i·(m + v_u) on the fixed vectors of the films' facts.

    m is a ridge regression on `ratings`, centred per person; then everybody's taste is one on their own ratings.
    """
    items = space.place([fact(film) for film in space.films], np.arange(len(space.films)))
    vectors = items.astype(np.float64)
    rated = np.zeros((ratings.num_people, len(items)))
    rated[ratings.person, ratings.film] = 1.0
    count = np.maximum(rated.sum(axis=1), 1.0)
    centre = rated @ vectors / count[:, None]  # [P, D] the mean film of each person
    gram = vectors.T @ (rated.sum(axis=0)[:, None] * vectors) - centre.T @ (count[:, None] * centre)
    usual = np.bincount(ratings.person, ratings.rating, ratings.num_people) / count
    surplus = np.bincount(ratings.film, ratings.rating - usual[ratings.person], len(items))
    mean = np.linalg.solve(gram + MEAN_PENALTY * np.eye(len(gram)), vectors.T @ surplus).astype(np.float32)
    triples = everybody.person, everybody.film, everybody.rating
    return Fit(items, mean, *solve_people(items, mean, *triples, everybody.num_people, TASTE_PENALTY))


def item_bias(ratings: Ratings) -> FloatArray:
    """b_i of y = mean + a_u + b_i by alternating shrunken means, divided by its standard deviation [I]."""
    person, film = ratings.person, ratings.film
    rest = ratings.rating.astype(np.float64) - ratings.rating.mean(dtype=np.float64)
    of_person, of_film = np.zeros(ratings.num_people), np.zeros(len(ratings.titles))
    film_weight = SHRINKAGE + np.bincount(film, minlength=len(of_film))
    person_weight = SHRINKAGE + np.bincount(person, minlength=len(of_person))
    for _ in range(SWEEPS):
        of_film = np.bincount(film, rest - of_person[person], len(of_film)) / film_weight
        of_person = np.bincount(person, rest - of_film[film], len(of_person)) / person_weight
    return np.asarray(of_film / max(float(of_film.std()), 1e-12), dtype=np.float32)
