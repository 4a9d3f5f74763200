"""HetRec 2011's layout of Last.fm 2K: artists.dat, user_artists.dat and user_friends.dat, read and checked.

A damaged folder is refused with the file, the line and what was expected there. The files promise no counts, so a
download that was cut off is known by what it breaks: a last line without its end, a person who has friends but listened
to nothing, a friendship that only one of the two knows of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.datasets.folders import DataError

FILES = ("artists.dat", "user_artists.dat", "user_friends.dat")
SOURCE = "The data is HetRec 2011's Last.fm 2K, as GroupLens distribute it: the folder that holds artists.dat."
NUMBERS = re.compile(r" *[0-9]{1,18} *(\t *[0-9]{1,18} *)*")  # a line as published has spaces beside a number


@dataclass(frozen=True)
class Listening:
    """R counts of how often people listened to artists; people and artists count from 0, in the order of their ids."""

    person: IntArray  # [R] 0..num_people-1
    artist: IntArray  # [R] 0..len(names)-1
    plays: FloatArray  # [R] >= 1
    links: IntArray  # [F, 2] friends, each friendship in both directions
    num_people: int
    names: tuple[str, ...]  # of the artists

    def of_people(self, kept: BoolArray) -> Listening:
        """Only what some people [P] listened to, who are numbered anew."""
        number, rows = np.cumsum(kept) - 1, kept[self.person]
        return replace(
            self,
            person=number[self.person[rows]],
            artist=self.artist[rows],
            plays=self.plays[rows],
            links=number[self.links[kept[self.links].all(axis=1)]],
            num_people=int(kept.sum()),
        )

    def of_artists(self, kept: BoolArray) -> Listening:
        """Only what people listened to of some artists [I], who are numbered anew; nobody is left out."""
        rows = kept[self.artist]
        return replace(
            self,
            person=self.person[rows],
            artist=(np.cumsum(kept) - 1)[self.artist[rows]],
            plays=self.plays[rows],
            names=tuple(self.names[i] for i in np.flatnonzero(kept)),
        )


def stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """Time and size of every file that is read: changes when the data does. Raises FileNotFoundError."""
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no file {name}. {SOURCE}")
    return tuple((info.st_mtime_ns, info.st_size) for info in ((folder / name).stat() for name in FILES))


def read_lastfm(folder: Path) -> Listening:
    """Read and check the folder. Tags and what people tagged are not read.

    Raises FileNotFoundError for a missing file, and `DataError` for an empty file, a malformed or unfinished line, an
    artist or a person that does not exist, a pair that is given twice, or a friendship in one direction only.
    """
    stamp(folder)
    artist_ids, names = _read_artists(folder / "artists.dat")
    plays = _read_numbers(folder / "user_artists.dat", ("userID", "artistID", "weight"))
    links = _read_numbers(folder / "user_friends.dat", ("userID", "friendID"))
    people = np.unique(plays.rows[:, 0])
    plays.require(np.isin(plays.rows[:, 1], artist_ids), "the id of an artist in artists.dat")
    plays.require(plays.rows[:, 2] > 0, "a weight of at least 1")
    plays.require(_first_of_its_kind(plays.rows[:, :2]), "each artist once per person")
    known = np.isin(links.rows[:, 0], people) & np.isin(links.rows[:, 1], people)
    links.require(known, "two people who are in user_artists.dat (is it cut off?)")
    links.require(links.rows[:, 0] != links.rows[:, 1], "a friend other than oneself")
    links.require(_first_of_its_kind(links.rows), "each friend once per person")
    pairs = set(map(tuple, links.rows.tolist()))
    both = np.array([(b, a) in pairs for a, b in links.rows.tolist()])
    links.require(both, "a friendship that is also given the other way round (is the file cut off?)")
    return Listening(
        person=np.searchsorted(people, plays.rows[:, 0]),
        artist=np.searchsorted(artist_ids, plays.rows[:, 1]),
        plays=plays.rows[:, 2].astype(np.float32),
        links=np.searchsorted(people, links.rows),
        num_people=len(people),
        names=names,
    )


@dataclass(frozen=True)
class _Numbers:
    """A file of whole numbers, with what an error message needs."""

    path: Path
    rows: IntArray  # [lines, columns]
    header: int  # lines before the first row

    def require(self, holds: BoolArray, expected: str) -> None:
        """Refuse the first row [lines] of which something does not hold."""
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            raise _damaged(self.path, row + self.header, expected, "\t".join(map(str, self.rows[row])))


def _first_of_its_kind(rows: IntArray) -> BoolArray:
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.isin(np.arange(len(rows)), first)


def _damaged(path: Path, index: int, expected: str, found: str) -> DataError:
    return DataError(f"{path}, line {index + 1}: expected {expected}, found '{found[:80]}'. {SOURCE}")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8, found another encoding ({error.reason}). {SOURCE}") from None
    if not text.strip():
        raise DataError(f"{path} is empty. {SOURCE}")
    lines = text.split("\n")
    if lines[-1]:
        raise _damaged(path, len(lines) - 1, "a line break at the end (is the file cut off?)", lines[-1])
    return lines[:-1]


def _read_artists(path: Path) -> tuple[IntArray, tuple[str, ...]]:
    """Ids in ascending order and the names that belong to them."""
    ids: list[int] = []
    names: list[str] = []
    for index, line in enumerate(_lines(path)):
        row = line.split("\t")
        if index == 0 and row[0] == "id":
            continue
        if len(row) != 4 or not NUMBERS.fullmatch(row[0]) or not row[1].strip():
            raise _damaged(path, index, "id, name, url and pictureURL between tabs", line)
        if ids and int(row[0]) <= ids[-1]:
            raise _damaged(path, index, f"an id above {ids[-1]}", row[0])
        ids.append(int(row[0]))
        names.append(row[1].strip())
    return np.array(ids, dtype=np.int64), tuple(names)


def _read_numbers(path: Path, columns: tuple[str, ...]) -> _Numbers:
    """The rows; a header may be there or not, since copies of this data set differ in it."""
    lines = _lines(path)
    header = int(lines[0].split("\t") == list(columns))
    for index, line in enumerate(lines[header:], header):
        if not NUMBERS.fullmatch(line) or line.count("\t") != len(columns) - 1:
            raise _damaged(path, index, f"whole numbers between tabs: {', '.join(columns)}", line)
    if len(lines) == header:
        raise DataError(f"{path} is empty. {SOURCE}")
    table = list(map(int, "\t".join(lines[header:]).split("\t")))
    return _Numbers(path, np.array(table, dtype=np.int64).reshape(-1, len(columns)), header)
