"""A friendship graph in the form that a world can use: its largest component, a split that keeps friends together, and
for everybody a short list of friends.

Links are rows (a, b) of people 0..P-1, each friendship in both directions.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ammo_env.arrays import BoolArray, IntArray


def largest_component(links: IntArray, num_people: int) -> BoolArray:
    """Who belongs to the largest set of people that are connected through friends [P]."""
    _, label = connected_components(_adjacency(links, num_people), directed=False)
    belongs: BoolArray = label == np.bincount(label).argmax()
    return belongs


def split_neighbourhoods(
    links: IntArray, num_people: int, count: int, regions: int, rng: np.random.Generator
) -> BoolArray:
    """`count` people [P] to hold out, in `regions` neighbourhoods of about equal size, so that friends stay together.

    A neighbourhood starts from a random person and takes in, one after the other, whoever has the largest ℓ/√d: ℓ links
    to those already held out, d links in all (ties at random; where nobody has a link, anybody). Dividing by √d gives
    people with as many friends as in the whole graph: ℓ prefers the popular, ℓ/d the lonely.
    """
    adjacency = _adjacency(links, num_people)
    degree = np.maximum(np.bincount(links[:, 0], minlength=num_people), 1)
    heldout = np.zeros(num_people, dtype=np.bool_)
    inward = np.zeros(num_people)
    for size in np.linspace(0, count, regions + 1).round()[1:]:
        inward[:] = 0.0
        while heldout.sum() < size:
            closeness = np.where(heldout, -1.0, inward / np.sqrt(degree))
            chosen = rng.choice(np.flatnonzero(closeness == closeness.max()))
            heldout[chosen] = True
            inward[adjacency.indices[adjacency.indptr[chosen] : adjacency.indptr[chosen + 1]]] += 1.0
    return heldout


def friend_lists(links: IntArray, pool: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """For each person of a pool [P] of people, at most `most` of their friends in it: rows of the pool [P, N], then -1.

    Whoever has more friends gets a random choice of them. Everybody is cut on their own, so that q may be in p's list
    without p being in q's; cutting both ends would leave people without friends whose friends all have many.
    """
    row = np.full(max(links.max(initial=-1), pool.max(initial=-1)) + 1, -1)
    row[pool] = np.arange(len(pool))
    inside = row[links][(row[links] >= 0).all(axis=1)]
    inside = inside[rng.permutation(len(inside))]
    inside = inside[np.argsort(inside[:, 0], kind="stable")]
    count = np.bincount(inside[:, 0], minlength=len(pool))
    place = np.arange(len(inside)) - np.repeat(np.cumsum(count) - count, count)
    lists = np.full((len(pool), max(1, min(most, int(count.max(initial=0))))), -1)
    kept = place < most
    lists[inside[kept, 0], place[kept]] = inside[kept, 1]
    return lists


def _adjacency(links: IntArray, num_people: int) -> csr_array:
    return csr_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(num_people, num_people))
