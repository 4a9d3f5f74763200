"""A finite grammar of sentences about films: the fact, and claims that are true, half the truth or false.

All share one template, "<title> is a film from <year>. Genre: <genres>.", because across templates an embedding tells
wording from wording rather than truth from falsehood (benchmarks/text.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

TITLE = re.compile(r"(?P<title>.*?) \((?P<year>\d{4})\)(?: \(V\))?")
ARTICLE = re.compile(r"(?P<rest>.*?), (?P<article>The|A|An|La|Le|Les|Il|El|Das|Der|Die)(?P<more> \(.*\))?")
NO_GENRE = "unknown"
WRONG_GENRES = 3  # of each kind of wrong genre claims
YEARS_OFF = (-10, -1, 1, 10)


class Kind(StrEnum):
    """How a claim relates to the fact."""

    FACT = "fact"
    REORDERED = "reordered"  # all genres, in another order
    PARTIAL = "partial"  # genres left out
    WRONG_YEAR = "wrong year"
    ADDED = "added genre"  # a wrong one more
    REPLACED = "replaced genre"  # one of them by a wrong one
    ALL_WRONG = "all genres wrong"
    PRAISED = "praised"  # what no fact says


TRUE_KINDS = frozenset({Kind.FACT, Kind.REORDERED, Kind.PARTIAL})
Claim = tuple[str, Kind]


@dataclass(frozen=True)
class Film:
    """What is known of a film."""

    title: str
    year: int | None
    genres: tuple[str, ...]


def parse_film(title: str, genres: Sequence[str]) -> Film:
    """MovieLens writes "Usual Suspects, The (1995)"; genres become lower case, "unknown" is none."""
    found = TITLE.fullmatch(title)
    name = found["title"] if found else title
    moved = ARTICLE.fullmatch(name)
    if moved:
        name = f"{moved['article']} {moved['rest']}{moved['more'] or ''}"
    known = tuple(genre.lower() for genre in genres if genre != NO_GENRE)
    return Film(name, int(found["year"]) if found else None, known)


def sentence(title: str, year: int | None, genres: Sequence[str], epithet: str = "a film") -> str:
    """The one template."""
    of_year = "" if year is None else f" from {year}"
    listed = " and ".join([*filter(None, [", ".join(genres[:-1])]), *genres[-1:]])
    return f"{title} is {epithet}{of_year}." + (f" Genre: {listed}." if listed else "")


def fact(film: Film) -> str:
    """All that is known, in one sentence."""
    return sentence(film.title, film.year, film.genres)


def claims_of(film: Film, all_genres: Sequence[str], turn: int = 0) -> list[Claim]:
    """The V = 16 sentences that may be written about a film, the fact first; those that cannot be said repeat it.

    Wrong genres are taken in the order of `all_genres`, beginning with the `turn`-th, so that films differ in them.
    """
    truth: Claim = (fact(film), Kind.FACT)
    title, year, own = film.title, film.year, film.genres
    wrong = [genre.lower() for genre in all_genres if genre != NO_GENRE and genre.lower() not in own]
    wrong = [wrong[(turn + i) % len(wrong)] for i in range(2 * WRONG_GENRES + len(own))] if wrong and own else []

    def claim(kind: Kind, year: int | None, genres: Sequence[str], epithet: str = "a film") -> Claim:
        text = sentence(title, year, genres, epithet)
        return truth if text == truth[0] else (text, kind)

    claims = [truth, claim(Kind.REORDERED, year, own[::-1])]
    claims += [claim(Kind.PARTIAL, year, own[:-1] or own), claim(Kind.PARTIAL, year, own[:1])]
    claims += [claim(Kind.WRONG_YEAR, None if year is None else year + off, own) for off in YEARS_OFF]
    for i in range(WRONG_GENRES):
        claims.append(claim(Kind.ADDED, year, (*own, *wrong[i : i + 1])))
    for i in range(WRONG_GENRES, 2 * WRONG_GENRES):
        claims.append(claim(Kind.REPLACED, year, (*own[:-1], wrong[i]) if wrong else own))
    claims.append(claim(Kind.ALL_WRONG, year, wrong[2 * WRONG_GENRES :] or own))
    claims.append(claim(Kind.PRAISED, year, own, "a wonderful film"))
    return claims
