"""What of a listener's music is found by retrieval, with the real friendship graph and without it.

    python benchmarks/lastfm.py <folder lastfm-2k>     (or with the environment variable AMMO_DATA)

Prints how well the fit predicts held-out listening, what the split by neighbourhoods keeps of the graph, how much of
what held-out people really listened to is found when 0, 5 or 10 of their artists are known, and how connected the
humans of a world are. The results are in lastfm.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray, NumpyDraws, get_arrays
from ammo_env.circles import Circles, Independent
from ammo_env.datasets.friendship import friend_lists, split_neighbourhoods
from ammo_env.datasets.hetrec import Listening, read_lastfm, stamp
from ammo_env.datasets.implicit import fit_items, place_people
from ammo_env.datasets.lastfm import MOST_FRIENDS, REGIONS, LastfmFit, find_folder, fit_lastfm
from ammo_env.datasets.preferences import unit

SEEDS = range(1, 6)  # the weights of `rankings` were chosen by hand on the split of seed 0
KNOWN = (0, 5, 10)
SHOWN = 50
LEAST = 15  # artists that a listener must have to be asked about
SIZE = 32
SHARE = 0.2

Scores = dict[str, FloatArray]  # how to rank -> score of every artist [I]

POPULARITY = "popularity"
WITHOUT = "factor model + population mean"
WITHOUT_POPULAR = "factor model + population mean + popularity"
FRIENDS_HEARD = "friends' listening"
FRIENDS_MEAN = "friends' mean preference"
WITH = "factor model + population mean + friends' mean preference"
WITH_HEARD = "factor model + both means + popularity + friends' listening"
WITH_LISTS = "the same, with friends as a world lists them"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", help="the folder lastfm-2k; AMMO_DATA where it is not given")
    folder = find_folder(parser.parse_args().folder)
    started = time.process_time()
    fits = [fit_lastfm(folder, stamp(folder), SIZE, SHARE, seed) for seed in SEEDS]
    first = fits[0].listening
    print(f"Reading and fitting once: {(time.process_time() - started) / len(fits):.1f} s of CPU time.")
    print(f"{read_lastfm(folder).num_people} people, {first.num_people} in the largest component; "
          f"{len(first.names)} artists with enough listeners.\n")  # fmt: skip
    print_fit(first)
    print_split(first)
    print_discovery(fits)
    print_circles(fits)


def print_fit(heard: Listening) -> None:
    """AUC of a held-out fifth of everybody's listening."""
    rows: dict[str, list[float]] = {POPULARITY: [], "fit, free lengths": [], "fit, unit lengths": []}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        test = rng.random(len(heard.person)) < SHARE
        triples = heard.person[~test], heard.artist[~test], heard.plays[~test]
        items = fit_items(*triples, (heard.num_people, len(heard.names)), SIZE, rng)
        people = place_people(items, *triples, heard.num_people)
        popular = np.bincount(triples[1], minlength=len(items)).astype(np.float64)
        tables = (np.tile(popular, (heard.num_people, 1)), people @ items.T, unit(people) @ unit(items).T)
        for found, table in zip(rows.values(), tables, strict=True):
            pairs = by_person(heard.person, heard.artist, test, heard.num_people)
            asked = [(row, *pair) for row, pair in zip(table, pairs, strict=True) if len(pair[1])]
            found.append(float(np.mean([auc(*one) for one in asked])))
    print("| a held-out fifth of the listening | AUC |\n|---|---|")
    print("\n".join(f"| {name} | {np.mean(found):.3f} |" for name, found in rows.items()) + "\n", flush=True)


def print_split(heard: Listening) -> None:
    """What two ways to hold out a fifth of the people leave of the graph."""
    print("| a fifth held out | their links kept | friends of theirs | without a friend | training people without |")
    print("|---|---|---|---|---|")
    count = round(SHARE * heard.num_people)
    for name in ("random", "neighbourhoods"):
        rows = []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            held = np.zeros(heard.num_people, dtype=np.bool_)
            held[rng.permutation(heard.num_people)[:count]] = True
            if name == "neighbourhoods":
                held = split_neighbourhoods(heard.links, heard.num_people, count, REGIONS, rng)
            theirs = held[heard.links[:, 0]]
            inside = theirs & held[heard.links[:, 1]]
            alone = [share_alone(heard.links, side) for side in (held, ~held)]
            rows.append((inside.sum() / theirs.sum(), inside.sum() / count, *alone))
        kept, friends, alone_held, alone_train = np.mean(rows, axis=0)
        print(f"| {name} | {kept:.0%} | {friends:.1f} | {alone_held:.1%} | {alone_train:.1%} |")
    print()


def share_alone(links: IntArray, side: BoolArray) -> float:
    """Share of the people on a side [N] who have no friend on it."""
    return float((friend_lists(links, np.flatnonzero(side), 1, np.random.default_rng(0)) < 0).mean())


def print_discovery(fits: list[LastfmFit]) -> None:
    """The table of the friendship graph: mean over splits of the mean over held-out listeners."""
    print(f"| AUC / share of the hidden artists among the first {SHOWN} | {' | '.join(f'{k} known' for k in KNOWN)} |")
    print("|---" * (1 + len(KNOWN)) + "|")
    found = {k: [discovery(fit, k, seed) for seed, fit in zip(SEEDS, fits, strict=True)] for k in KNOWN}
    for name in found[0][0]:
        cells = [np.mean([split[name].mean(axis=0) for split in found[k]], axis=0) for k in KNOWN]
        print(f"| {name} | {' | '.join(f'{a:.3f} / {share:.3f}' for a, share in cells)} |")
    print("\n| what the graph adds | 0 known | 5 known | 10 known |\n|---|---|---|---|")
    for name in (WITH, WITH_HEARD, WITH_LISTS):
        cells = [difference(found[k], name, POPULARITY if k == 0 else WITHOUT_POPULAR) for k in KNOWN]
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def difference(splits: list[dict[str, FloatArray]], name: str, other: str) -> str:
    """Mean paired difference of both measures ± 95 % over the listeners of one split."""
    gaps = [split[name] - split[other] for split in splits]
    mean = np.mean([gap.mean(axis=0) for gap in gaps], axis=0)
    error = np.mean([1.96 * gap.std(axis=0) / np.sqrt(len(gap)) for gap in gaps], axis=0)
    return " / ".join(f"{m:+.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True))


def discovery(fit: LastfmFit, known: int, seed: int) -> dict[str, FloatArray]:
    """Way to rank -> [listeners, 2]: AUC and share found among the first `SHOWN`, for every held-out listener."""
    found: dict[str, list[tuple[float, float]]] = {}
    for listener in listeners(fit, known, np.random.default_rng(seed)):
        for name, score in listener.scores.items():
            both = auc(score, listener.known, listener.hidden), share_found(score, listener.known, listener.hidden)
            found.setdefault(name, []).append(both)
    return {name: np.array(rows, dtype=np.float32) for name, rows in found.items()}


@dataclass(frozen=True)
class Listener:
    """A held-out person: what is known of their listening, what is hidden, and how artists may be ranked for them."""

    known: IntArray
    hidden: IntArray
    scores: Scores


def listeners(fit: LastfmFit, known: int, rng: np.random.Generator) -> Iterator[Listener]:
    """Held-out people with at least `LEAST` artists; a random `known` of these may be used, and all of their friends'.

    Artists are those of `fit`, which has seen no held-out person. A friend's preference is `fit.people`, from the
    friend's own listening. x is the direction of the listener as placed by the known artists (0 without any).
    """
    heard, artists, people = fit.listening, fit.artists, fit.people
    plays = np.zeros((heard.num_people, len(heard.names)), dtype=np.float32)
    plays[heard.person, heard.artist] = heard.plays
    did = plays > 0
    popular, mean = did[fit.train].sum(axis=0), people[fit.train].mean(axis=0)
    lists = friend_lists(heard.links, fit.heldout, MOST_FRIENDS, np.random.default_rng(0))
    for person, listed in zip(fit.heldout, lists, strict=True):
        own = rng.permutation(np.flatnonzero(did[person]))
        if len(own) < LEAST:
            continue
        few = own[:known]
        x = unit(place_people(fit.factors, np.zeros(known, dtype=np.int64), few, plays[person, few], 1))[0]
        friends = heard.links[heard.links[:, 0] == person, 1]
        near = fit.heldout[listed[listed >= 0]]
        scores = rankings(artists, x, mean, popular, people[friends], did[friends].sum(axis=0))
        scores[WITH_LISTS] = rankings(artists, x, mean, popular, people[near], did[near].sum(axis=0))[WITH_HEARD]
        yield Listener(few, own[known:], scores)


def rankings(
    artists: FloatArray, x: FloatArray, mean: FloatArray, popular: IntArray,
    friends: FloatArray, friends_heard: IntArray,
) -> Scores:  # fmt: skip
    """Every way to rank the artists [I, D], by the parts that it uses; z is the score in standard deviations."""
    friends_mean = friends.mean(axis=0) if len(friends) else np.zeros_like(mean)
    heard, liked = np.log1p(friends_heard), np.log1p(popular)
    without, with_graph = artists @ (x + mean), artists @ (x + 0.5 * mean + friends_mean)
    return {
        POPULARITY: np.asarray(popular, dtype=np.float32),
        WITHOUT: without,
        WITHOUT_POPULAR: z(without) + 0.3 * z(liked),
        FRIENDS_HEARD: friends_heard + 1e-6 * popular,
        FRIENDS_MEAN: artists @ friends_mean,
        WITH: with_graph,
        WITH_HEARD: z(with_graph) + 0.2 * z(heard) + 0.2 * z(liked),
    }


def z(score: FloatArray) -> FloatArray:
    """(score − mean) / standard deviation."""
    return np.asarray((score - score.mean()) / max(float(score.std()), 1e-12), dtype=np.float32)


def auc(score: FloatArray, known: IntArray, hidden: IntArray) -> float:
    """The chance that a hidden artist is ranked before one that was never listened to, ties half."""
    other = np.ones(len(score), dtype=np.bool_)
    other[known] = other[hidden] = False
    rest = np.sort(score[other])
    below, upto = (np.searchsorted(rest, score[hidden], side) for side in ("left", "right"))
    return float(np.mean(below + upto) / (2 * len(rest)))


def share_found(score: FloatArray, known: IntArray, hidden: IntArray) -> float:
    """Share of the hidden artists among the first `SHOWN` of those that are not known already."""
    open_score = score.astype(np.float64)
    open_score[known] = -np.inf
    first = np.argsort(-open_score, kind="stable")[:SHOWN]
    return float(np.isin(hidden, first).mean())


def by_person(person: IntArray, artist: IntArray, test: BoolArray, count: int) -> list[tuple[IntArray, IntArray]]:
    """(training artists, test artists) of each person."""
    order = np.argsort(person, kind="stable")
    rows = np.split(order, np.searchsorted(person[order], np.arange(1, count)))
    return [(artist[r[~test[r]]], artist[r[test[r]]]) for r in rows]


def print_circles(fits: list[LastfmFit]) -> None:
    """How many friends a human has among the others of a world, drawn on their own or as a circle."""
    print("| humans of a world | pool | friends of a human among 8 | among 16 |\n|---|---|---|---|")
    for name in ("independent", "circles"):
        for pool in ("train", "heldout"):
            cells = [np.mean([friends_inside(fit, name, pool, humans) for fit in fits]) for humans in (8, 16)]
            print(f"| {name} | {pool} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


def friends_inside(fit: LastfmFit, name: str, pool: str, humans: int) -> float:
    """Mean number of the others in one's world who are in one's list, or have one in theirs; 256 worlds."""
    people = fit.train if pool == "train" else fit.heldout
    lists = friend_lists(fit.listening.links, people, MOST_FRIENDS, np.random.default_rng(0))
    arrays = get_arrays("numpy")
    guests = Circles(arrays, lists) if name == "circles" else Independent(arrays, np.arange(len(people)))
    drawn = guests.draw(NumpyDraws(0), 256, humans)
    listed = (lists[drawn][:, :, None, :] == drawn[:, None, :, None]).any(axis=-1)
    return float((listed | np.swapaxes(listed, 1, 2)).sum(axis=-1).mean())


if __name__ == "__main__":
    main()
