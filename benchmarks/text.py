"""MovieLens as text: how well fitted preferences predict, and whether the grounding error tells true from false.

    python benchmarks/text.py <folder ml-100k> [--embedders hashing minilm] [--cache FOLDER]

The folder may also be named by AMMO_DATA. Prints the tables of text.md; MiniLM needs the extra `text`, and some
minutes where its vectors are not in the cache.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from ammo_env.arrays import FloatArray
from ammo_env.config import AmmoConfig
from ammo_env.datasets.accuracy import accuracy
from ammo_env.datasets.grouplens import Ratings, read_movielens
from ammo_env.datasets.movielens import find_folder, movielens_knowledge
from ammo_env.datasets.sentences import Film, Kind, sentence
from ammo_env.datasets.textual import TextSpace, fit_text, text_space
from ammo_env.embedding import Embedder, make_embedder
from ammo_env.knowledge import Knowledge
from ammo_env.scenarios import load_config
from ammo_env.vector import VectorEnv

DIM, SUBSPACES, MIN_RATINGS, SEEDS = 384, 6, 20, range(3)
WRONG = (Kind.ADDED, Kind.REPLACED, Kind.ALL_WRONG, Kind.WRONG_YEAR, Kind.PRAISED)
FALSE_YEARS = (-10, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", help="the folder ml-100k; AMMO_DATA where it is not given")
    parser.add_argument("--embedders", nargs="+", default=["hashing", "minilm"])
    parser.add_argument("--cache", help="folder of MiniLM's vectors")
    options = parser.parse_args()
    folder = find_folder(options.folder)
    ratings = read_movielens(folder)
    for name in options.embedders:
        embed = make_embedder(name, DIM, options.cache)
        started = time.perf_counter()
        known = movielens_knowledge(
            str(folder), DIM, 1.0, 0.2, SUBSPACES, MIN_RATINGS, 0, name, options.cache
        )
        assert known.claims is not None
        vectors = known.claims().vectors
        print(f"\n## {name}: {vectors.shape[0] * vectors.shape[1]} claims, {time.perf_counter() - started:.0f} s\n")
        print_predictions(ratings, embed)
        print_truth(known)
        print_other_wordings(ratings, embed)
        print_play(load_config("movielens-text", {"knowledge.path": str(folder), "knowledge.embedder": name}))


def print_predictions(ratings: Ratings, embed: Embedder) -> None:
    """Held-out ratings, from pure e.q."""
    print("| held-out ratings | AUC | NDCG@10 | RMSE |\n|---|---|---|---|")
    count = len(ratings.rating)
    splits = [np.arange(count) < 20_000, *(np.random.default_rng(s).permutation(count) < count // 5 for s in SEEDS)]
    measured = []
    for test in splits:
        known, asked = ratings.where(~test), ratings.where(test)
        fit = fit_text(text_space(known, embed), known, known)
        pairs = asked.person, asked.film
        found = accuracy(asked.person, asked.rating, fit.score(*pairs), fit.predict(*pairs))
        measured.append((found.auc, found.ndcg, found.rmse))
    for name, rows in (("u1", measured[:1]), ("random, mean of 3", measured[1:])):
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in np.mean(rows, axis=0))} |")


def grounding_errors(vectors: FloatArray, known: Knowledge) -> FloatArray:
    """Distance [N, V] of claims [N, V, D] to the nearest fact of the film's subspace."""
    errors = np.empty(vectors.shape[:2], np.float32)
    for m in range(len(known.facts)):
        here = known.entity_subspace == m
        likeness = (vectors[here] @ known.facts[m][known.fact_mask[m]].T).max(axis=-1)
        errors[here] = np.sqrt(np.maximum(2.0 - 2.0 * likeness, 0.0))
    return errors


def auc(true: FloatArray, false: FloatArray) -> float:
    """How often a true claim has the smaller error."""
    ordered = np.sort(false)
    below = np.searchsorted(ordered, true, side="left"), np.searchsorted(ordered, true, side="right")
    return float(1.0 - 0.5 * (np.mean(below[0]) + np.mean(below[1])) / len(false))


def print_truth(known: Knowledge) -> None:
    """Within the template: the world's own claims and facts."""
    assert known.claims is not None
    claims = known.claims()
    kinds, errors = np.array(claims.kinds), grounding_errors(claims.vectors, known)
    print(f"\n| within the template, AUC | median error | {' | '.join(WRONG)} |\n|---|---|{'---|' * len(WRONG)}")
    print(f"| median error | | {' | '.join(f'{np.median(errors[kinds == false]):.2f}' for false in WRONG)} |")
    for true in (Kind.FACT, Kind.REORDERED, Kind.PARTIAL):
        of_true = errors[kinds == true]
        cells = " | ".join(f"{auc(of_true, errors[kinds == false]):.3f}" for false in WRONG)
        print(f"| {true} | {np.median(of_true):.2f} | {cells} |")
    told = (kinds == Kind.FACT) | (kinds == Kind.REORDERED)
    untrue = np.isin(kinds, [str(kind) for kind in WRONG])
    print(f"\nAll that is true and whole against all that is false: AUC {auc(errors[told], errors[untrue]):.3f}; "
          f"half-truths counted as true: {auc(errors[claims.truthful], errors[~claims.truthful]):.3f}.")  # fmt: skip


def print_other_wordings(ratings: Ratings, embed: Embedder) -> None:
    """The same facts in other words against false claims in the template of the facts; and negation."""
    space = text_space(ratings, embed)
    kept = [i for i in np.flatnonzero(np.bincount(ratings.film) >= MIN_RATINGS) if usable(space.films[i])]
    films = [space.films[i] for i in kept]
    index = np.array(kept)
    facts = space.place([sentence(f.title, f.year, f.genres) for f in films], index)

    def errors(texts: list[str]) -> FloatArray:
        return error_of(space, texts, index, facts)

    false = {
        "replaced genre": errors([sentence(f.title, f.year, (*f.genres[:-1], other(f))) for f in films]),
        "year off by one": errors([sentence(f.title, (f.year or 0) + 1, f.genres) for f in films]),
    }
    wordings = {
        "{genres} film, {year}: {title}.": [f"{' and '.join(f.genres)} film, {f.year}: {f.title}." for f in films],
        "In {year} came {title}, a {genres} film.": [
            f"In {f.year} came {f.title}, a {' and '.join(f.genres)} film." for f in films
        ],
        "{title} ({year}), {genres}": [f"{f.title} ({f.year}), {', '.join(f.genres)}" for f in films],
    }
    print(f"\n| true, in other words, AUC | median error | {' | '.join(false)} |\n|---|---|---|---|")
    for wording, texts in wordings.items():
        found = errors(texts)
        print(f"| {wording} | {np.median(found):.2f} | {' | '.join(f'{auc(found, x):.3f}' for x in false.values())} |")
    denied = errors([sentence(f.title, f.year, f.genres, "not a film") for f in films])
    reworded = errors(wordings["In {year} came {title}, a {genres} film."])
    partial = [i for i, f in enumerate(films) if len(f.genres) > 1]
    reordered = errors([sentence(f.title, f.year, f.genres[::-1]) for f in films])[partial]
    print(f'\nNegation ("{films[0].title} is not a film from …"): median error {np.median(denied):.2f}; AUC of true '
          f"claims above it {auc(reordered, denied):.3f} reordered, {auc(reworded, denied):.3f} in other words.")


def usable(film: Film) -> bool:
    return film.year is not None and bool(film.genres)


def other(film: Film) -> str:
    """A genre that the film does not have."""
    all_genres = ("western", "musical", "horror", "war", "romance", "crime")
    return next(genre for genre in all_genres if genre not in film.genres)


def error_of(space: TextSpace, texts: list[str], index: np.ndarray, facts: FloatArray) -> FloatArray:
    """Distance [n] to the nearest fact of any film."""
    likeness = (space.place(texts, index) @ facts.T).max(axis=1)
    return np.asarray(np.sqrt(np.maximum(2.0 - 2.0 * likeness, 0.0)), np.float32)


def print_play(config: AmmoConfig, worlds: int = 16) -> None:
    """Random play: what is written, and how its error goes with its truth; what a step costs, written and not."""
    for creations in ("steered", "written"):
        values = config.model_dump()
        values["goal_buddies"]["creations"] = creations
        env = VectorEnv(AmmoConfig.model_validate(values), worlds)
        env.reset(0)
        rng, spent = np.random.default_rng(0), 0.0
        for _ in range(32):
            actions = {side: rng.integers(0, high(env, side), shape(env, side)) for side in env.action_spaces}
            started = time.perf_counter()
            env.step(actions)
            spent += time.perf_counter() - started
        print(f"\n{creations}: {1e3 * spent / 32:.1f} ms per step of {worlds} worlds.", end="")
    corpus, writing = env.world.state.corpus, env.world.writing
    assert writing is not None
    assert corpus.sentence is not None
    true = writing.truthful(corpus.sentence)
    error = corpus.grounding_error
    print(f"\n\nAfter 32 rounds of random play {true.mean():.0%} of the live creations are true; AUC of their "
          f"grounding error {auc(error[true], error[~true]):.3f}. Some of them:\n")
    for place in range(0, 96, 12):
        print(f"    {error[0, place]:.2f}  {env.world.texts()[0][place]}")


def high(env: VectorEnv, side: str) -> int:
    space = env.action_spaces[side]
    return int(getattr(space, "n", 0) or getattr(space, "nvec", [0])[0])


def shape(env: VectorEnv, side: str) -> tuple[int, ...]:
    return (env.num_envs, env.num_agents[side], *(env.action_spaces[side].shape or ()))


if __name__ == "__main__":
    main()
