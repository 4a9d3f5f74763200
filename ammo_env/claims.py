"""Claims: what can be written about an entity, as sentences, their vectors, and whether they are true.

A finite table, so that a creation that is written is one of its rows; a knowledge source that has texts offers it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ammo_env.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Claims:
    """V sentences about each of N entities. Which of them are true is hidden from the buddies like any true error."""

    texts: tuple[tuple[str, ...], ...]  # [N][V]
    kinds: tuple[tuple[str, ...], ...]  # [N][V] how each relates to the facts, in the source's own words
    truthful: BoolArray  # [N, V]
    vectors: FloatArray  # [N, V, D] unit
