"""MovieLens as knowledge: a tiny folder in GroupLens's layout, and every way to damage it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ammo_env.datasets import movielens
from ammo_env.datasets.folders import DataError
from ammo_env.datasets.grouplens import read_movielens
from ammo_env.datasets.movielens import find_folder, fit_ratings, movielens_knowledge
from ammo_env.datasets.preferences import Fit
from ammo_env.knowledge import Knowledge
from ammo_env.settings import ConfigError

PEOPLE, FILMS = 40, 24
GENRES = ("unknown", "Drama", "Comedy", "Horror")
FILM = "1|Café (1995)|01-Jan-1995||address|0|1|0|1"  # the first line of u.item


def tiny_lines() -> list[str]:
    """u.data: everybody rates half of the films, those of one's own parity a 4 or 5, the others 1 to 3."""
    rng = np.random.default_rng(0)
    known = np.argwhere(rng.random((PEOPLE, FILMS)) < 0.5)
    likes = (known.sum(axis=1) % 2).astype(np.int64)
    stars = np.where(likes, rng.integers(4, 6, len(known)), rng.integers(1, 4, len(known)))
    return [f"{p + 1}\t{f + 1}\t{s}\t880000000" for (p, f), s in zip(known, stars, strict=True)]


def write_folder(folder: Path) -> Path:
    """A small, sound folder; the Café is latin-1."""
    folder.mkdir(parents=True)
    lines = tiny_lines()
    films = [FILM]
    for film in range(1, FILMS):
        flags = "|".join(str(int(genre == 1 + film % 3)) for genre in range(len(GENRES)))
        films.append(f"{film + 1}|Film {film} (1996)|||address|{flags}")
    write(folder / "u.data", lines)
    write(folder / "u.item", films)
    write(folder / "u.genre", [f"{name}|{index}" for index, name in enumerate(GENRES)] + [""])
    write(folder / "u.info", [f"{PEOPLE} users", f"{FILMS} items", f"{len(lines)} ratings"])
    return folder


def write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="latin-1")


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="latin-1")), encoding="latin-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "ml-100k")


def knowledge(path: Path | None, **changes: float) -> Knowledge:
    settings = {"dim": 4, "quality_share": 1.0, "heldout_share": 0.25, "num_subspaces": 3, "min_ratings": 5}
    settings |= {"seed": 0, **changes}
    return movielens_knowledge(None if path is None else str(path), **settings)  # type: ignore[arg-type]


def test_reading(folder: Path) -> None:
    """Ids from 0 in the order of u.data, latin-1 titles, genres as flags."""
    ratings = read_movielens(folder)
    first = [int(word) for word in tiny_lines()[0].split()]
    assert (ratings.person[0] + 1, ratings.film[0] + 1, ratings.rating[0]) == tuple(first[:3])
    assert len(ratings.rating) == len(ratings.person) == len(ratings.film) == len(tiny_lines())
    assert ratings.rating.dtype == np.float32
    assert (ratings.num_people, len(ratings.titles)) == (PEOPLE, FILMS)
    assert ratings.titles[0] == "Café (1995)"
    assert ratings.genres == GENRES
    assert ratings.film_genres[0].tolist() == [False, True, False, True]
    assert ratings.film_genres.shape == (FILMS, len(GENRES))


def test_some_of_the_ratings(folder: Path) -> None:
    """`where` keeps people and films and drops ratings."""
    ratings = read_movielens(folder)
    high = ratings.where(ratings.rating == 5)
    assert len(high.rating) == np.sum(ratings.rating == 5)
    assert set(high.rating.tolist()) == {5.0}
    assert (high.num_people, high.titles) == (ratings.num_people, ratings.titles)


Damage = tuple[str, Callable[[str], str], str]  # file, what happens to its text, the error

DAMAGE: dict[str, Damage] = {
    "truncated line": ("u.data", lambda s: s.rstrip("\n")[:-11], r"line \d+: expected 4 whole numbers"),
    "too many columns": ("u.data", lambda s: s.replace("\n", "\t1\n", 1), "line 1: expected 4 whole numbers"),
    "spaces for tabs": ("u.data", lambda s: s.replace("\t", " "), "line 1: expected 4 whole numbers"),
    "not a number": ("u.data", lambda s: s + "1\tx\t3\t9\n", r"line \d+: .* found '1\tx\t3\t9'"),
    "fraction": ("u.data", lambda s: s + "1\t2\t3.5\t9\n", r"line \d+: expected 4 whole numbers"),
    "minus": ("u.data", lambda s: s + "-1\t2\t3\t9\n", r"line \d+: expected 4 whole numbers"),
    "blank line": ("u.data", lambda s: "\n" + s, "line 1: expected 4 whole numbers"),
    "rating 6": ("u.data", lambda s: "1\t1\t6\t9\n" + s, r"line 1: expected a rating in 1\.\.5, found '6'"),
    "rating 0": ("u.data", lambda s: "1\t1\t0\t9\n" + s, r"line 1: expected a rating in 1\.\.5, found '0'"),
    "unknown film": ("u.data", lambda s: "1\t99\t3\t9\n" + s, r"line 1: expected a film in 1\.\.24"),
    "unknown person": ("u.data", lambda s: "41\t1\t3\t9\n" + s, r"line 1: expected a person in 1\.\.40"),
    "rated twice": ("u.data", lambda s: s.split("\n")[0] + "\n" + s, "line 2: .* a film once per person"),
    "cut off": ("u.data", lambda s: s[: s[:600].rindex("\n") + 1], r"expected the \d+ ratings .* cut off"),
    "empty": ("u.data", lambda s: "", "is empty"),
    "blank": ("u.item", lambda s: "\n \n", "is empty"),
    "film cut off": ("u.item", lambda s: s[:-5], "line 24: expected 9 columns separated by '|', not 7"),
    "films missing": ("u.item", lambda s: FILM + "\n", "expected the 24 films .* found 1"),
    "film out of order": ("u.item", lambda s: s.replace("\n2|", "\n7|"), "line 2: expected film id 2"),
    "flag": ("u.item", lambda s: s.replace("|0|1|0|1", "|0|1|2|1"), "line 1: expected 0 or 1"),
    "genre": ("u.genre", lambda s: s.replace("Drama|1", "Drama"), r"line 2: .* like 'Drama\|1'"),
    "count": ("u.info", lambda s: s.replace("40 users", "many users"), "line 1: expected a count"),
    "no count": ("u.info", lambda s: s.replace("items", "films"), "found no items"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(folder: Path, name: str) -> None:
    """The error names the file, the line, what was expected, and where the data comes from."""
    file, change, message = DAMAGE[name]
    edit(folder / file, change)
    with pytest.raises(DataError, match=message) as error:
        read_movielens(folder)
    assert str(error.value).startswith(str(folder / file))
    assert "GroupLens's MovieLens 100K" in str(error.value)


@pytest.mark.parametrize("name", ["u.data", "u.item", "u.genre", "u.info"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """Not found, which file, and where the data comes from."""
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no file {name}.*GroupLens's MovieLens 100K"):
        knowledge(folder)


def test_the_folder_may_be_named_three_ways(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Itself, its parent, or AMMO_DATA; a path wins over AMMO_DATA."""
    monkeypatch.delenv("AMMO_DATA", raising=False)
    assert find_folder(str(folder)) == find_folder(str(folder.parent)) == folder.resolve()
    monkeypatch.setenv("AMMO_DATA", str(folder.parent))
    assert find_folder(None) == folder.resolve()
    monkeypatch.setenv("AMMO_DATA", str(folder / "elsewhere"))
    assert find_folder(str(folder)) == folder.resolve()
    with pytest.raises(FileNotFoundError, match="AMMO_DATA: there is no folder"):
        find_folder(None)
    with pytest.raises(FileNotFoundError, match=r"knowledge\.path: there is no folder"):
        find_folder(str(folder / "nowhere"))


@pytest.mark.parametrize("value", [None, ""])
def test_no_folder_says_how_to_name_one(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting, the environment variable and the data set are in the message."""
    monkeypatch.delenv("AMMO_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("AMMO_DATA", value)
    with pytest.raises(FileNotFoundError, match=r"--set knowledge\.path=.* AMMO_DATA.*ml-100k"):
        knowledge(None)


def test_knowledge_of_the_tiny_folder(folder: Path) -> None:
    """Films are entities and facts of their subspace, people are split, all rows are unit vectors."""
    known = knowledge(folder)
    assert known.entities.shape == (FILMS, 4)
    assert known.facts.shape == (3, 8, 4)
    assert known.fact_mask.all()
    for m in range(3):
        np.testing.assert_array_equal(known.facts[m], known.entities[known.entity_subspace == m])
    assert known.entity_names[0] == "Café (1995)"
    assert set(known.subspace_names) == {"Drama", "Comedy", "Horror"}
    assert known.preferences.shape == (30, 4)
    assert known.heldout_preferences.shape == (10, 4)
    for rows in (known.entities, known.preferences, known.heldout_preferences):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_facts_are_padded_with_zeros(folder: Path) -> None:
    """Two genres of three in one group: 12 films each; min_ratings leaves fewer, unevenly."""
    known = knowledge(folder, num_subspaces=2, min_ratings=22)
    counts = np.bincount(known.entity_subspace, minlength=2)
    assert known.fact_mask.sum(axis=1).tolist() == counts.tolist()
    assert counts[0] != counts[1]
    assert not known.facts[~known.fact_mask].any()


def test_heldout_people_do_not_move_the_films(folder: Path) -> None:
    """Another taste of the held-out people changes their preferences and nothing else."""
    known = knowledge(folder)
    ratings = read_movielens(folder)
    raters = np.random.default_rng(0).spawn(2)[0].permutation(PEOPLE)
    heldout = set((raters[:10] + 1).tolist())
    lines = [line.split("\t") for line in tiny_lines()]
    changed = [[p, f, str(6 - int(s)) if int(p) in heldout else s, t] for p, f, s, t in lines]
    write(folder / "u.data", ["\t".join(line) for line in changed])
    turned = knowledge(folder)
    assert not np.array_equal(read_movielens(folder).rating, ratings.rating)
    np.testing.assert_array_equal(turned.entities, known.entities)
    np.testing.assert_array_equal(turned.preferences, known.preferences)
    moved = np.linalg.norm(turned.heldout_preferences - known.heldout_preferences, axis=1)
    assert moved.min() > 0.1


def test_everybody_is_in_exactly_one_pool(folder: Path) -> None:
    """Training and held-out preferences together are those of all, each once; another seed splits anew."""
    known, other = knowledge(folder), knowledge(folder, seed=1)
    everybody = np.concatenate([known.preferences, known.heldout_preferences])
    assert len(np.unique(everybody, axis=0)) == PEOPLE
    assert not np.array_equal(other.heldout_preferences, known.heldout_preferences)


def test_taste_alone_has_no_mean_direction(folder: Path) -> None:
    """quality_share 0: q·μ = 0 for all; between, the part along μ shrinks; 1 changes nothing."""
    shares = {share: knowledge(folder, quality_share=share) for share in (1.0, 0.5, 0.0)}
    mean = shares[1.0].preferences.mean(axis=0)
    mean /= np.linalg.norm(mean)
    for pool in ("preferences", "heldout_preferences"):
        along = {share: np.abs(getattr(known, pool) @ mean) for share, known in shares.items()}
        assert along[0.0].max() < 1e-5
        assert (along[0.5] <= along[1.0] + 1e-6).all()
        assert along[0.5].mean() > 1e-3
        np.testing.assert_allclose(np.linalg.norm(getattr(shares[0.0], pool), axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(shares[0.0].entities, shares[1.0].entities)


def test_one_fit_serves_many_worlds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shares, subspaces and thresholds don't fit again; another seed, or a changed file, does."""
    calls = []

    def counted(*args: Any) -> Fit:
        calls.append(args)
        return fit_ratings(*args)

    monkeypatch.setattr(movielens, "fit_ratings", counted)
    first = knowledge(folder)
    first.entities[:] = 0.0  # what a caller does to its own arrays stays its own affair
    second = knowledge(folder, quality_share=0.0, num_subspaces=1, min_ratings=1)
    assert len(calls) == 1
    assert np.linalg.norm(second.entities, axis=1).min() > 0.99
    knowledge(folder, seed=3)
    assert len(calls) == 2
    write(folder / "u.data", tiny_lines()[::-1])
    os.utime(folder / "u.data", ns=(1, 1))
    knowledge(folder)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_subspaces": 4}, r"knowledge\.num_subspaces=4.*the 3 genres of 24 films.*lower num_subspaces"),
        ({"min_ratings": 1000}, r"min_ratings=1000.*the 0 genres of 0 films.*lower num_subspaces"),
        ({"heldout_share": 0.001}, r"knowledge\.heldout_share=0\.001 of 40 people holds out 0"),
        ({"heldout_share": 0.999}, r"knowledge\.heldout_share=0\.999 of 40 people holds out 40"),
    ],
)
def test_settings_that_leave_nothing_are_refused(
    folder: Path, changes: dict[str, float], message: str
) -> None:
    """The setting, what is left, and what to change."""
    with pytest.raises(ConfigError, match=message):
        knowledge(folder, **changes)
