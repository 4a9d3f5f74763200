"""Genres as subspaces: which genres share one, and that films are spread evenly."""

from __future__ import annotations

import numpy as np

from ammo_env.datasets.genres import assign_films, genre_groups


def test_rare_genres_join_the_company_they_keep() -> None:
    """Half of the Comedies and no Drama are Musicals: Musical joins Comedy. Unused genres vanish."""
    drama, comedy, musical, unused = range(4)
    films = np.zeros((7, 4), dtype=np.bool_)
    films[:3, drama] = films[3:, comedy] = films[5:, musical] = True
    assert genre_groups(films, 2) == ((comedy, musical), (drama,))
    assert genre_groups(films, 3) == ((comedy,), (drama,), (musical,))
    assert unused not in {g for group in genre_groups(films, 1) for g in group}


def test_films_go_to_the_least_loaded_of_their_genres() -> None:
    """Three pure Dramas; both Drama-Comedies go to Comedy, and so does the film without a genre."""
    films = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [0, 0], [1, 0]], dtype=np.bool_)
    assert assign_films(films, ((0,), (1,))).tolist() == [1, 0, 1, 0, 1, 0]
