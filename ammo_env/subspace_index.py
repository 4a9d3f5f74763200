"""The index `subspaces`: retrieval by the structure that the world has anyhow.

Creations stay near the centre of their subspace. So the centres (means of the live creations) are scored by q_hat, and
then only the creations of a human's `attention.probes` best subspaces:

    M + C P / M   scores to make and to rank, instead of C   (M subspaces of equal size, P of them scanned)

How much of the semantic share of an exact scan this finds is the metric `retrieval_recall`: the less, the farther
creations stray from their centre. The other shares come from everywhere, as by an exact scan. With a social share,
push-back, or the newest as the fresh share, every creation is ranked all the same, by what else is known of it, and
only scores are saved; travel scores every creation for what user buddies see. Where that many of the smallest subspaces
have fewer creations than the semantic share takes, more are scanned. Ties between subspaces may be broken differently
than by an exact scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ammo_env import attention
from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.index import Found, in_crowds, index, seek
from ammo_env.seats import Seats
from ammo_env.state import State
from ammo_env.travel import AWAY, Travel

# The creations of a subspace are scored for all who probe it at once: the more humans at a time, the less overhead.
PROBED_SIZE = 1 << 20
UNSEEN = -32.0  # score of what was not scanned: behind all that was (away included), before what is barred


@dataclass(frozen=True)
class Layout:
    """The live creations by subspace, of the seats as they are; closed subspaces are left out."""

    order: Array  # [C] creations, subspace by subspace
    inverse: Array  # [C] the place of each creation in `order`
    bounds: list[tuple[int, int]]  # N open subspaces: where each begins and ends in `order`
    start: Array  # [N] the same beginnings
    number: Array  # [N] which subspace it is
    probes: int  # P, how many are scanned

    @property
    def widest(self) -> int:
        return max(end - begin for begin, end in self.bounds)


@index("subspaces")
class Subspaces:
    """Only the creations of the subspaces whose centres a human's belief likes best are scored."""

    def __init__(self, arrays: Any, config: AmmoConfig, travel: Travel | None) -> None:
        self._arrays, self._config, self._travel = arrays, config.attention, travel
        self._semantic, social, fresh = attention.shares(config.attention)
        newest = fresh > 0 and config.attention.fresh == "newest"
        self._few = not (social or newest or config.social.pushback.rejection_below is not None)
        self._seats: Seats | None = None
        self._layout: Layout

    def show(self, draws: Any, state: State, seats: Seats) -> Found:
        arrays, layout, vectors = self._arrays, self._lay_out(seats), state.corpus.vectors
        envs, live, _ = vectors.shape
        arranged = arrays.take_rows(vectors, layout.order + arrays.constant[row_starts, (envs, live)])
        centres = [arranged[:, begin:end].sum(axis=1) * (1.0 / (end - begin)) for begin, end in layout.bounds]
        centre = arrays.xp.stack(centres, axis=1)  # [E, N, D]
        width = layout.probes * layout.widest if self._few else live
        return in_crowds(
            arrays, state, PROBED_SIZE // (envs * width),
            lambda people: self._crowd(draws, state, seats, people, arranged, centre),
        )  # fmt: skip

    def wanted(self, state: State, seats: Seats) -> tuple[Array, int] | None:
        sought = seek(self._arrays, state, seats, slice(None), self._travel)[1]
        return attention.last_if(self._arrays, sought.scores, sought.barred), self._semantic

    def _crowd(
        self, draws: Any, state: State, seats: Seats, people: slice, arranged: Array, centre: Array
    ) -> Found:
        arrays, layout, xp = self._arrays, self._layout, self._arrays.xp
        believed = state.beliefs.mean[:, people]
        liking = xp.matmul(believed, centre.mT)  # [E, U, N]
        place = state.own["travel"]["place"][:, people] if self._travel is not None else None
        if place is not None:
            liking = liking - AWAY * arrays.as_float(layout.number != place[..., None])
        probed = arrays.top_k(liking, layout.probes)  # [E, U, P]
        scored = self._scan(believed, arranged, probed)
        if self._few:
            if place is not None:
                away = arrays.take(layout.number, probed) != place[..., None]
                scored = scored - AWAY * arrays.as_float(away)[..., None]
            best = arrays.top_k(scored.reshape(*probed.shape[:2], -1), self._semantic)
            which = best // layout.widest + arrays.constant[row_starts, tuple(probed.shape)]
            begin = arrays.take(layout.start, arrays.take(probed, which))
            found = self._freshen(draws, arrays.take(layout.order, begin + best % layout.widest), len(layout.order))
        else:
            sought = seek(arrays, state, seats, people, self._travel, scored[..., layout.inverse])[1]
            found = attention.retrieve(arrays, draws, sought, self._config)
        row = found + arrays.constant[row_starts, (len(found), 1, len(layout.order))]
        return found, arrays.vecdot(arrays.take_rows(state.corpus.vectors, row), believed[:, :, None])

    def _scan(self, believed: Array, arranged: Array, probed: Array) -> Array:
        """Scores of what is probed, the rest UNSEEN: [E, U, P, widest], or [E, U, C] in the order of the layout where
        the other shares need every creation."""
        arrays, xp, layout = self._arrays, self._arrays.xp, self._layout
        envs, people, probes = probed.shape
        pairs, few, width = people * probes, self._few, layout.widest if self._few else len(layout.order)
        # Who probes the same subspace of the same world comes together; the worlds differ in how many that are, so
        # what a world has too few of goes to a row behind all others.
        rows = envs * pairs if few else envs * people
        scored = arrays.zeros(rows + 1, width) + UNSEEN
        together = arrays.ranked(-arrays.as_float(probed.reshape(envs, pairs)), pairs)
        same = probed.reshape(envs, pairs, 1) == arrays.constant[np.arange, len(layout.bounds)]
        count = same.sum(axis=1)  # [E, N]
        first = xp.cumulative_sum(count, axis=-1) - count
        most = arrays.to_numpy(count).max(axis=0).tolist()
        for number, (begin, end) in enumerate(layout.bounds):
            if not most[number]:
                continue
            turn = arrays.constant[np.arange, most[number]]
            cell = xp.clip(first[:, number, None] + turn, None, pairs - 1)
            pair = arrays.take(together, cell + arrays.constant[row_starts, (envs, pairs)])
            pair = pair + arrays.constant[row_starts, (envs, pairs)]  # of all worlds
            human = pair // probes
            scores = xp.matmul(arrays.take_rows(believed, human), arranged[:, begin:end].mT)
            row = xp.where(turn < count[:, number, None], pair if few else human, rows).reshape(-1)
            columns = slice(0, end - begin) if few else slice(begin, end)
            scored[row, columns] = scores.reshape(-1, end - begin)
        return scored[:rows].reshape(envs, people, *((probes,) if few else ()), width)

    def _freshen(self, draws: Any, best: Array, live: int) -> Array:
        """Semantic candidates [E, U, T] and random others behind them, as `attention.spread_out` draws them: evenly
        spaced from a random start, but by index, so that nothing need be ranked for it."""
        arrays, xp = self._arrays, self._arrays.xp
        count = self._config.num_candidates - self._semantic
        if not count:
            return best
        place = attention.evenly(arrays, draws.uniform(*best.shape[:2], 1), live - self._semantic, count)
        # The n-th other creation comes after as many of the best as have no more than n others before them.
        others = xp.sort(best, axis=-1) - arrays.constant[np.arange, self._semantic]
        passed = (others[..., None, :] <= place[..., None]).sum(axis=-1)
        return xp.concat([best, place + passed], axis=-1)

    def _lay_out(self, seats: Seats) -> Layout:
        if self._seats is not seats:
            self._seats, self._layout = seats, lay_out(self._arrays, seats, self._config.probes, self._semantic)
        return self._layout


def lay_out(arrays: Any, seats: Seats, probes: int, needed: int) -> Layout:
    """The layout of these seats; at least `probes` subspaces are scanned, and `needed` creations wherever they are."""
    where = arrays.to_numpy(seats.subspace_of_creation)
    order, size = np.argsort(where, kind="stable"), np.bincount(where)
    number = np.flatnonzero(size)
    size = size[number]
    end = np.cumsum(size)
    enough = int(np.searchsorted(np.cumsum(np.sort(size)), needed)) + 1
    return Layout(
        order=arrays.asarray(order),
        inverse=arrays.asarray(np.argsort(order)),
        bounds=list(zip((end - size).tolist(), end.tolist(), strict=True)),
        start=arrays.asarray(end - size),
        number=arrays.asarray(number),
        probes=min(max(probes, enough), len(number)),
    )
