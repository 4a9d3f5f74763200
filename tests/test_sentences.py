"""The grammar of sentences about films: one template, a fixed number, true and false told apart."""

from __future__ import annotations

import pytest

from ammo_env.datasets.sentences import TRUE_KINDS, Film, Kind, claims_of, fact, parse_film

GENRES = ["unknown", "Action", "Comedy", "Drama", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "War"]
STORY = Film("Toy Story", 1995, ("comedy", "musical"))


@pytest.mark.parametrize(
    ("title", "name", "year"),
    [("Toy Story (1995)", "Toy Story", 1995), ("Usual Suspects, The (1995)", "The Usual Suspects", 1995),
     ("Land Before Time III (1995) (V)", "Land Before Time III", 1995), ("unknown", "unknown", None),
     ("Promesse, La (Promise) (1996)", "La Promesse (Promise)", 1996), ("Me, Myself (2000)", "Me, Myself", 2000)],
)  # fmt: skip
def test_titles(title: str, name: str, year: int | None) -> None:
    assert parse_film(title, ["Drama"]) == Film(name, year, ("drama",))


def test_facts() -> None:
    assert fact(STORY) == "Toy Story is a film from 1995. Genre: comedy and musical."
    three = Film("Heat", 1995, ("action", "drama", "war"))
    assert fact(three) == "Heat is a film from 1995. Genre: action, drama and war."
    assert fact(Film("Heat", None, ("drama",))) == "Heat is a film. Genre: drama."
    assert fact(parse_film("Nothing (1990)", ["unknown"])) == "Nothing is a film from 1990."


def test_the_claims_about_a_film_by_hand() -> None:
    claims = dict(claims_of(STORY, GENRES))
    of_kind = {kind: [text for text, other in claims.items() if other == kind] for kind in Kind}
    start = "Toy Story is a film from "
    ending = {kind: [text.removeprefix(start) for text in texts] for kind, texts in of_kind.items()}
    assert ending[Kind.FACT] == ["1995. Genre: comedy and musical."]
    assert ending[Kind.REORDERED] == ["1995. Genre: musical and comedy."]
    assert ending[Kind.PARTIAL] == ["1995. Genre: comedy."]
    assert [text[:4] for text in ending[Kind.WRONG_YEAR]] == ["1985", "1994", "1996", "2005"]
    assert ending[Kind.ADDED][0] == "1995. Genre: comedy, musical and action."
    assert ending[Kind.REPLACED][0] == "1995. Genre: comedy and horror."
    assert ending[Kind.ALL_WRONG] == ["1995. Genre: war and action."]
    assert of_kind[Kind.PRAISED] == ["Toy Story is a wonderful film from 1995. Genre: comedy and musical."]


@pytest.mark.parametrize("turn", range(9))
@pytest.mark.parametrize(
    "film", [STORY, Film("One", 1950, ("war",)), Film("None", 1990, ()), Film("When", None, ("war",)),
             Film("All", 1990, tuple(genre.lower() for genre in GENRES[1:]))],
)  # fmt: skip
def test_sixteen_claims_that_are_what_they_say(film: Film, turn: int) -> None:
    """True ones name the year and no genre but the film's own; those of the wrong genre kinds name another one."""
    claims = claims_of(film, GENRES, turn)
    assert len(claims) == 16
    assert claims[0] == (fact(film), Kind.FACT)
    for text, kind in claims:
        genres = text.partition("Genre: ")[2].rstrip(".").replace(" and ", ", ").split(", ")
        foreign = set(filter(None, genres)) - set(film.genres)
        right_year = film.year is None or f"from {film.year}." in text
        assert (kind in TRUE_KINDS or kind == Kind.PRAISED) == (right_year and not foreign), text
        assert (kind == Kind.FACT) == (text == fact(film))
        if kind == Kind.ALL_WRONG:
            assert foreign == set(genres)
