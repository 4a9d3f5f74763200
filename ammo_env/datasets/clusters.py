"""Subspaces for items without genres: clusters of their vectors, all of one size."""

from __future__ import annotations

import numpy as np

from ammo_env.arrays import FloatArray, IntArray


def balanced_clusters(vectors: FloatArray, count: int, rng: np.random.Generator, passes: int = 20) -> IntArray:
    """The cluster 0..count-1 of unit vectors [I, D]: spherical k-means with clusters of one size (or one more).

    Centres start as items chosen to be far apart (k-means++). In every pass the pairs of item and centre are gone
    through from the closest on, and an item joins a centre that is not full yet; then each centre becomes the direction
    of its items' sum. Ends early when nothing changes. Raises ValueError where there are fewer items than clusters.
    """
    items = len(vectors)
    if not 1 <= count <= items:
        raise ValueError(f"{count} clusters cannot be made of {items} items")
    centres = _far_apart(vectors, count, rng)
    cluster = np.zeros(items, dtype=np.int64)
    for _ in range(passes):
        before, cluster = cluster, _fill(vectors @ centres.T)
        if np.array_equal(before, cluster):
            break
        sums = np.stack([vectors[cluster == m].sum(axis=0) for m in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return cluster


def _far_apart(vectors: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    chosen = [int(rng.integers(len(vectors)))]
    while len(chosen) < count:
        far = np.maximum(1.0 - (vectors @ vectors[chosen].T).max(axis=1), 0.0).astype(np.float64)
        far[chosen] = 0.0
        left = np.setdiff1d(np.arange(len(vectors)), chosen)
        share = far[left] / far[left].sum() if far[left].any() else None
        chosen.append(int(rng.choice(left, p=share)))
    return vectors[chosen]


def _fill(closeness: FloatArray) -> IntArray:
    """Clusters [I] from the closeness [I, M] of items and centres: the closest pairs first, while there is room."""
    items, count = closeness.shape
    cluster = np.full(items, -1, dtype=np.int64)
    larger = items % count  # so many clusters hold one more than the others
    size, full = np.zeros(count, dtype=np.int64), items // count
    for pair in np.argsort(-closeness, axis=None, kind="stable"):
        item, m = divmod(int(pair), count)
        if cluster[item] < 0 and size[m] < full + (larger > 0):
            cluster[item] = m
            size[m] += 1
            larger -= int(size[m] > full)
    return cluster
