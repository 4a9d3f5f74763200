"""GroupLens's layout of MovieLens 100K: u.data, u.item, u.genre and u.info, read and checked.
 A damaged folder is refused with the file, the line and what was expected there, so that a download that was
cut off is not mistaken for a small world. u.user is not read: what it says of people predicts nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.datasets.folders import DataError

FILES = ("u.data", "u.item", "u.genre", "u.info")
SOURCE = "The data is GroupLens's MovieLens 100K: the folder ml-100k as they distribute it."
ITEM_COLUMNS = 5  # film id, title, two dates and an address stand before the genres
RATING_LINE = re.compile(r"([0-9]{1,18}\t){3}[0-9]{1,18}")


@dataclass(frozen=True)
class Ratings:
    """R ratings of films by people, in the order of u.data; people and films count from 0."""

    person: IntArray  # [R] 0..num_people-1
    film: IntArray  # [R]
    rating: FloatArray  # [R] 1..5
    num_people: int
    titles: tuple[str, ...]  # of the films; a few occur twice
    genres: tuple[str, ...]
    film_genres: BoolArray  # [films, genres]

    def where(self, rows: BoolArray) -> Ratings:
        """Some of the ratings (rows [R]) of the same people and films."""
        return replace(self, person=self.person[rows], film=self.film[rows], rating=self.rating[rows])


def stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """Time and size of every file that is read: changes when the data does. Raises FileNotFoundError."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}. {SOURCE}")
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no file {name}. {SOURCE}")
    return tuple((info.st_mtime_ns, info.st_size) for info in ((folder / name).stat() for name in FILES))


def read_movielens(folder: Path) -> Ratings:
    """Read and check the folder ml-100k. The first 20,000 ratings are the test set of the publishers' u1
    split.

    Raises FileNotFoundError for a missing folder or file, and `DataError` for an empty file, a malformed
    line, an id or a rating out of range, a film rated twice by one person, or counts other than those that
    u.info promises.
    """
    stamp(folder)
    counts = _read_counts(folder / "u.info")
    genres = _read_genres(folder / "u.genre")
    titles, film_genres = _read_films(folder / "u.item", genres, counts["items"])
    person, film, rating = _read_ratings(folder / "u.data", counts)
    return Ratings(person, film, rating, counts["users"], titles, genres, film_genres)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="latin-1")
    if not text.strip():
        raise DataError(f"{path} is empty. {SOURCE}")
    return text.rstrip("\n").split("\n")


def _damaged(path: Path, index: int, expected: str, found: str) -> DataError:
    return DataError(f"{path}, line {index + 1}: expected {expected}, found '{found[:80]}'. {SOURCE}")


def _miscounted(path: Path, found: int, promised: int, what: str) -> DataError:
    return DataError(
        f"{path}: expected the {promised} {what} that u.info promises, found {found}: cut off? {SOURCE}"
    )


def _read_counts(path: Path) -> dict[str, int]:
    """u.info: how many users, items and ratings there are."""
    counts: dict[str, int] = {}
    for index, line in enumerate(_lines(path)):
        words = line.split()
        if len(words) != 2 or not words[0].isdecimal():
            raise _damaged(path, index, "a count and what is counted, like '943 users'", line)
        counts[words[1]] = int(words[0])
    missing = {"users", "items", "ratings"} - counts.keys()
    if missing:
        raise DataError(f"{path}: expected users, items and ratings, found no {min(missing)}. {SOURCE}")
    return counts


def _read_genres(path: Path) -> tuple[str, ...]:
    genres: list[str] = []
    for index, line in enumerate(_lines(path)):
        name, _, number = line.partition("|")
        if not name or number != str(index):
            raise _damaged(path, index, f"a genre and its number, like 'Drama|{index}'", line)
        genres.append(name)
    return tuple(genres)


def _read_films(path: Path, genres: Sequence[str], promised: int) -> tuple[tuple[str, ...], BoolArray]:
    columns, titles, flags = ITEM_COLUMNS + len(genres), [], []
    for index, line in enumerate(_lines(path)):
        row = line.split("|")
        if len(row) != columns:
            raise _damaged(path, index, f"{columns} columns separated by '|', not {len(row)}", line)
        if row[0] != str(index + 1):
            raise _damaged(path, index, f"film id {index + 1}", row[0])
        if not set(row[ITEM_COLUMNS:]) <= {"0", "1"}:
            raise _damaged(path, index, "0 or 1 for every genre", "|".join(row[ITEM_COLUMNS:]))
        titles.append(row[1].strip())
        flags.append([flag == "1" for flag in row[ITEM_COLUMNS:]])
    if len(titles) != promised:
        raise _miscounted(path, len(titles), promised, "films")
    return tuple(titles), np.array(flags, dtype=np.bool_)


def _read_ratings(path: Path, counts: dict[str, int]) -> tuple[IntArray, IntArray, FloatArray]:
    lines = _lines(path)
    for index, line in enumerate(lines):
        if not RATING_LINE.fullmatch(line):
            raise _damaged(path, index, "4 whole numbers between tabs: person, film, rating, seconds", line)
    table = np.array(list(map(int, "\t".join(lines).split("\t"))), dtype=np.int64).reshape(-1, 4)
    limits = {"person": counts["users"], "film": counts["items"], "rating": 5}
    for column, (name, highest) in enumerate(limits.items()):
        wrong = np.flatnonzero((table[:, column] < 1) | (table[:, column] > highest))
        if len(wrong):
            raise _damaged(path, int(wrong[0]), f"a {name} in 1..{highest}", str(table[wrong[0], column]))
    pair = table[:, 0] * (counts["items"] + 1) + table[:, 1]
    _, first = np.unique(pair, return_index=True)
    if len(first) < len(pair):
        again = int(np.setdiff1d(np.arange(len(pair)), first)[0])
        raise _damaged(path, again, "a film once per person", lines[again])
    if len(table) != counts["ratings"]:
        raise _miscounted(path, len(table), counts["ratings"], "ratings")
    return table[:, 0] - 1, table[:, 1] - 1, table[:, 2].astype(np.float32)
