"""Genres as subspaces: a few groups of labels, and every film in exactly one of them, evenly.
 A film has one to six genres and genres overlap, so they are labels rather than clusters; the groups are made
to be balanced and to keep company that films keep.
"""

from __future__ import annotations

import numpy as np

from ammo_env.arrays import BoolArray, IntArray

Groups = tuple[tuple[int, ...], ...]


def genre_groups(film_genres: BoolArray, num_groups: int) -> Groups:
    """Group the genres that occur in film_genres [films, genres]; each group starts with its namesake.

    The `num_groups` most common genres each start a group. Every rarer genre joins the namesake of whose
    films it covers the largest share. Raises ValueError where fewer genres occur than groups are asked for.
    """
    together = film_genres.astype(np.int64).T @ film_genres.astype(np.int64)
    counts = np.diagonal(together)
    by_count = [int(g) for g in np.argsort(-counts, kind="stable") if counts[g]]
    if not 1 <= num_groups <= len(by_count):
        raise ValueError(
            f"{num_groups} groups cannot be made of the {len(by_count)} genres of {len(film_genres)} films"
        )
    namesakes = by_count[:num_groups]
    groups = [[g] for g in namesakes]
    for genre in by_count[num_groups:]:
        share = together[genre, namesakes] / counts[namesakes]
        groups[int(np.argmax(share))].append(genre)
    return tuple(tuple(group) for group in groups)


def assign_films(film_genres: BoolArray, groups: Groups) -> IntArray:
    """The group of each film [films]: the least loaded of those that hold one of its genres.

    Films with the fewest choices go first, ties in the order of the films; a film without a genre may go
    anywhere.
    """
    allowed = np.stack([film_genres[:, list(group)].any(axis=1) for group in groups], axis=1)
    allowed[~allowed.any(axis=1)] = True
    load = np.zeros(len(groups), dtype=np.int64)
    chosen = np.zeros(len(film_genres), dtype=np.int64)
    for film in np.argsort(allowed.sum(axis=1), kind="stable"):
        choices = np.flatnonzero(allowed[film])
        chosen[film] = choices[np.argmin(load[choices])]
        load[chosen[film]] += 1
    return chosen
