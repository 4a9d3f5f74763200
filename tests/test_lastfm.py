"""Last.fm as knowledge: a tiny folder in HetRec's layout, every way to damage it, and the graph that comes with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ammo_env.datasets import implicit
from ammo_env.datasets.folders import DataError
from ammo_env.datasets.hetrec import read_lastfm, stamp
from ammo_env.datasets.implicit import fit_items
from ammo_env.datasets.lastfm import find_folder, fit_lastfm
from ammo_env.knowledge import Knowledge
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import build_space

VILLAGE, ARTISTS = 30, 24  # two villages of thirty people and twelve artists each, and a couple that knows nobody
ID = 7  # of the first person; ids of artists start at 101


def tiny_rows() -> tuple[list[str], list[str]]:
    """user_artists and user_friends: everybody hears eight of the village's artists, and knows people on a ring."""
    rng = np.random.default_rng(0)
    plays, friends = [], []
    for p in range(2 * VILLAGE):
        village = p // VILLAGE
        heard = 12 * village + rng.permutation(12)[:8]
        plays += [f"{ID + p}\t{101 + a}\t{rng.integers(1, 1000)}" for a in heard]
        for step in (1, 2, 5):
            other = VILLAGE * village + (p + step) % VILLAGE
            friends += [(p, other), (other, p)]
    friends += [(0, VILLAGE), (VILLAGE, 0), (60, 61), (61, 60)]  # a bridge, and the couple
    plays += [f"{ID + p}\t101\t5" for p in (60, 61)]
    return plays, [f"{ID + a}\t{ID + b}" for a, b in friends]


def write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\r\n" for line in lines), encoding="utf-8", newline="")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small, sound folder: CRLF, one name in Japanese, counts without a header as in some copies."""
    folder = tmp_path / "lastfm-2k"
    folder.mkdir()
    plays, friends = tiny_rows()
    names = ["椎名林檎", *(f"Artist {a}" for a in range(1, ARTISTS))]
    artists = [f"{101 + a}\t{name}\tu\tp" for a, name in enumerate(names)]
    write(folder / "artists.dat", ["id\tname\turl\tpictureURL", *artists])
    write(folder / "user_artists.dat", plays)
    write(folder / "user_friends.dat", ["userID\tfriendID", *friends])
    return folder


def knowledge(path: Path | None, **changes: object) -> Knowledge:
    settings: dict[str, object] = {"dim": 4, "num_subspaces": 2, "min_ratings": 5, "heldout_share": 0.25, **changes}
    return load_knowledge(
        KnowledgeConfig.model_validate({"source": "lastfm", "path": None if path is None else str(path), **settings})
    )


def test_reading(folder: Path) -> None:
    """Ids from 0 in ascending order, plays as counted, friendships both ways, a header or none."""
    read = read_lastfm(folder)
    assert (read.num_people, len(read.names), read.names[0]) == (62, ARTISTS, "椎名林檎")
    plays, friends = tiny_rows()
    rows = np.array([line.split("\t") for line in plays], dtype=int)
    np.testing.assert_array_equal(read.person, rows[:, 0] - ID)
    np.testing.assert_array_equal(read.artist, rows[:, 1] - 101)
    np.testing.assert_array_equal(read.plays, rows[:, 2])
    np.testing.assert_array_equal(read.links, np.array([line.split("\t") for line in friends], dtype=int) - ID)
    write(folder / "user_artists.dat", ["userID\tartistID\tweight", *plays])
    np.testing.assert_array_equal(read_lastfm(folder).plays, read.plays)


def test_some_of_the_people_and_artists(folder: Path) -> None:
    """`of_people` numbers people anew and keeps only links among them; `of_artists` drops nobody."""
    read = read_lastfm(folder)
    second = read.of_people(np.arange(62) // VILLAGE == 1)
    assert second.num_people == VILLAGE
    assert (second.person.min(), second.person.max(), second.links.max()) == (0, VILLAGE - 1, VILLAGE - 1)
    assert set(second.artist.tolist()) == set(range(12, 24))
    assert len(second.links) == 2 * 3 * VILLAGE
    few = read.of_artists(np.arange(ARTISTS) >= 20)
    assert (few.num_people, few.names, set(few.artist.tolist())) == (62, read.names[20:], {0, 1, 2, 3})


Damage = tuple[str, Callable[[str], str], str]  # file, what happens to its text, the error

DAMAGE: dict[str, Damage] = {
    "cut within a line": ("user_artists.dat", lambda s: s[:-4], r"line 482: expected a line break at the end"),
    "cut after a line": ("user_artists.dat", lambda s: s[: s[:3000].rindex("\n") + 1], r"friends.dat, line .* cut off"),
    "friends cut off": ("user_friends.dat", lambda s: s[: s[:999].rindex("\n") + 1], "also given the other way round"),
    "too few columns": ("user_artists.dat", lambda s: "7\t101\r\n" + s, "line 1: expected whole numbers.*weight"),
    "spaces for tabs": ("user_artists.dat", lambda s: s.replace("\t", " "), "line 1: expected whole numbers"),
    "not a number": ("user_artists.dat", lambda s: "7\tx\t1\r\n" + s, r"line 1: .* found '7\tx\t1'"),
    "minus": ("user_artists.dat", lambda s: "7\t101\t-1\r\n" + s, "line 1: expected whole numbers"),
    "never listened": ("user_artists.dat", lambda s: "9\t123\t0\r\n" + s, "line 1: expected a weight of at least 1"),
    "unknown artist": ("user_artists.dat", lambda s: "7\t999\t3\r\n" + s, r"line 1: expected the id of an artist"),
    "heard twice": ("user_artists.dat", lambda s: s.split("\r\n")[0] + "\r\n" + s, "line 2: .* once per person"),
    "empty": ("user_artists.dat", lambda s: "", "is empty"),
    "blank": ("artists.dat", lambda s: "\n \n", "is empty"),
    "only a header": ("user_friends.dat", lambda s: "userID\tfriendID\r\n", "is empty"),
    "blank line": ("artists.dat", lambda s: s + "\r\n", "line 26: expected id, name, url"),
    "artist columns": ("artists.dat", lambda s: s.replace("\tu\tp", "\tu", 1), "line 2: expected id, name, url"),
    "artist order": ("artists.dat", lambda s: s.replace("\r\n103\t", "\r\n102\t"), "line 4: expected an id above 102"),
    "stranger": ("user_friends.dat", lambda s: s + "7\t999\r\n999\t7\r\n", "line 366: expected two people who are in"),
    "own friend": ("user_friends.dat", lambda s: s + "7\t7\r\n", "line 366: expected a friend other than oneself"),
    "friends twice": ("user_friends.dat", lambda s: s + "7\t8\r\n", "line 366: expected each friend once"),
    "one way": ("user_friends.dat", lambda s: s + "7\t20\r\n", "line 366: expected a friendship that is also given"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(folder: Path, name: str) -> None:
    """The error names the file, the line, what was expected, and where the data comes from."""
    file, change, message = DAMAGE[name]
    path = folder / file
    path.write_bytes(change(path.read_bytes().decode()).encode())
    with pytest.raises(DataError, match=message) as error:
        read_lastfm(folder)
    assert str(error.value).startswith(str(folder))
    assert "HetRec 2011's Last.fm 2K" in str(error.value)


def test_another_encoding_is_refused(folder: Path) -> None:
    path = folder / "artists.dat"
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))
    with pytest.raises(DataError, match=r"artists\.dat: expected UTF-8"):
        read_lastfm(folder)


def test_spaces_beside_a_number_are_read(folder: Path) -> None:
    """Some lines of the file as published have them."""
    path = folder / "user_artists.dat"
    before = read_lastfm(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("\t101\t", "\t101  \t"), encoding="utf-8")
    np.testing.assert_array_equal(read_lastfm(folder).artist, before.artist)


@pytest.mark.parametrize("name", ["artists.dat", "user_artists.dat", "user_friends.dat"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no file {name}.*HetRec 2011's Last.fm 2K"):
        knowledge(folder)


def test_the_folder_may_be_named_three_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Itself, its parent, or AMMO_DATA; without any the error says how."""
    monkeypatch.delenv("AMMO_DATA", raising=False)
    assert find_folder(str(folder)) == find_folder(str(folder.parent)) == folder.resolve()
    with pytest.raises(FileNotFoundError, match=r"Last\.fm needs its data.*--set knowledge\.path=.* AMMO_DATA"):
        knowledge(None)
    monkeypatch.setenv("AMMO_DATA", str(folder.parent))
    assert find_folder(None) == folder.resolve()


def test_knowledge_of_the_tiny_folder(folder: Path) -> None:
    """Sixty people (the couple is not in the largest component), two villages as two subspaces of twelve artists."""
    known = knowledge(folder)
    assert known.entities.shape == (ARTISTS, 4)
    assert known.facts.shape == (2, 12, 4)
    assert (known.preferences.shape, known.heldout_preferences.shape) == ((45, 4), (15, 4))
    assert set(known.entity_subspace[:12]) != set(known.entity_subspace[12:])
    np.testing.assert_array_equal(np.bincount(known.entity_subspace), [12, 12])
    for m in range(2):
        np.testing.assert_array_equal(known.facts[m], known.entities[known.entity_subspace == m])
        assert known.subspace_names[m].count(", ") == 2
    assert known.entity_names[0] == "椎名林檎"
    for rows in (known.entities, known.preferences, known.heldout_preferences):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_people_like_the_music_of_their_village(folder: Path) -> None:
    """e·q is larger for every one of the village's artists than for any of the other's, whoever was held out."""
    known, fit = knowledge(folder), fit_lastfm(folder, stamp(folder), 4, 0.25, 0)
    for people, pool in ((fit.train, known.preferences), (fit.heldout, known.heldout_preferences)):
        utility = pool @ known.entities.T
        own = (np.arange(ARTISTS) // 12) == (people // VILLAGE)[:, None]
        lowest = np.where(own, utility, np.inf).min(axis=1)
        assert (lowest > np.where(own, -np.inf, utility).max(axis=1)).all()


def test_friends_are_rows_of_their_own_pool(folder: Path) -> None:
    """Listed are exactly the friends in the file that are in the same pool (nobody has more than ten)."""
    known, fit = knowledge(folder), fit_lastfm(folder, stamp(folder), 4, 0.25, 0)
    links = set(map(tuple, read_lastfm(folder).links.tolist()))
    assert known.friends is not None
    assert known.heldout_friends is not None
    for people, lists in ((fit.train, known.friends), (fit.heldout, known.heldout_friends)):
        listed = {(int(people[p]), int(people[f])) for p, row in enumerate(lists) for f in row if f >= 0}
        inside = {(a, b) for a, b in links if a in people and b in people}
        assert listed == inside
    assert build_space(known, 2, heldout=True).friends is known.heldout_friends


def test_heldout_people_do_not_move_the_artists(folder: Path) -> None:
    """Held-out people who take to the other village's music change their own preferences and nothing else."""
    known, fit = knowledge(folder), fit_lastfm(folder, stamp(folder), 4, 0.25, 0)
    rows = [line.split("\t") for line in tiny_rows()[0]]
    other = {str(101 + a): str(101 + (a + 12) % ARTISTS) for a in range(ARTISTS)}
    turned = [[p, other[a] if int(p) - ID in fit.heldout else a, n] for p, a, n in rows]
    write(folder / "user_artists.dat", ["\t".join(row) for row in turned])
    again = knowledge(folder)
    np.testing.assert_array_equal(again.entities, known.entities)
    np.testing.assert_array_equal(again.preferences, known.preferences)
    assert np.abs(again.heldout_preferences - known.heldout_preferences).max(axis=1).min() > 0.5


def test_one_fit_serves_many_worlds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other subspaces and shares of the mean don't fit again; another seed does, and gives other people and friends."""
    calls = []

    def counted(*args: Any) -> implicit.Factors:
        calls.append(args)
        return fit_items(*args)

    monkeypatch.setattr(implicit, "fit_items", counted)
    first = knowledge(folder)
    first.entities[:] = 0.0  # what a caller does to its own arrays stays its own affair
    second = knowledge(folder, quality_share=0.0, num_subspaces=3)
    assert len(calls) == 1
    assert np.linalg.norm(second.entities, axis=1).min() > 0.99
    mean = first.preferences.mean(axis=0)
    assert np.abs(second.preferences @ mean).max() < 1e-5
    other = knowledge(folder, seed=1)
    assert len(calls) == 2
    assert not np.array_equal(other.heldout_preferences, first.heldout_preferences)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_subspaces": 25}, r"num_subspaces=25, min_ratings=5: 25 clusters cannot be made of 24 items.*lower"),
        ({"min_ratings": 1000}, r"min_ratings=1000: 2 clusters cannot be made of 0 items"),
        ({"heldout_share": 0.001}, r"knowledge\.heldout_share=0\.001 of 60 people holds out 0"),
        ({"heldout_share": 0.999}, r"knowledge\.heldout_share=0\.999 of 60 people holds out 60"),
    ],
)
def test_settings_that_leave_nothing_are_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        knowledge(folder, **changes)


def test_the_real_data(lastfm_folder: Path) -> None:
    """1,843 people; nobody held out is without a friend; friends share taste (centred cosine .3, of strangers 0)."""
    known = knowledge(lastfm_folder, dim=32, num_subspaces=6, min_ratings=20, heldout_share=0.2)
    assert (len(known.preferences), len(known.heldout_preferences)) == (1474, 369)
    assert np.ptp(np.bincount(known.entity_subspace)) <= 1
    for lists, pool in ((known.friends, known.preferences), (known.heldout_friends, known.heldout_preferences)):
        assert lists is not None
        assert lists.shape == (len(pool), 10)
        assert (lists >= 0).any(axis=1).mean() > 0.99
        taste = pool - pool.mean(axis=0)
        taste /= np.linalg.norm(taste, axis=1, keepdims=True)
        person, place = np.nonzero(lists >= 0)
        friend = taste[lists[person, place]]
        alike = np.vecdot(taste[person], friend)
        strangers = np.vecdot(taste[person], np.random.default_rng(0).permutation(friend))
        assert alike.mean() > 0.25
        assert abs(strangers.mean()) < 0.05
