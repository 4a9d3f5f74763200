"""How well preferences on the sphere predict MovieLens ratings, and how hard a world they make.

    python benchmarks/preferences.py <folder ml-100k>     (or with the environment variable AMMO_DATA)

Prints three tables: held-out ratings against item bias alone; held-out people, seen or unseen by the
films; the regret of recommending what people like on average. The results are in preferences.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray
from ammo_env.datasets.accuracy import Accuracy, accuracy
from ammo_env.datasets.grouplens import Ratings, read_movielens
from ammo_env.datasets.movielens import (
    find_folder,
    fit_ratings,
    movielens_knowledge,
    place_people,
    split_people,
)
from ammo_env.datasets.preferences import Fit
from ammo_env.knowledge import Knowledge

SLOTS = 4
SEEDS = range(3)
PEOPLE_SEEDS = range(5)
U1_TEST = 20_000
MIN_RATINGS = 20
METRICS = ("auc", "ndcg", "rmse")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", help="the folder ml-100k; AMMO_DATA where it is not given")
    folder = find_folder(parser.parse_args().folder)
    ratings = read_movielens(folder)
    print_predictions(ratings)
    print_heldout_people(ratings)
    print_difficulty(folder)


def print_predictions(ratings: Ratings) -> None:
    """Item bias and the fit, on u1 and on random splits."""
    print("| held-out ratings | split | AUC | NDCG@10 | RMSE |\n|---|---|---|---|---|")
    models: dict[str, Callable[[Ratings, BoolArray], Accuracy]] = {"item bias": by_bias, "fit": by_fit}
    for name, measure in models.items():
        u1, *rest = [measure(ratings, test) for test in splits(len(ratings.rating))]
        print(f"| {name} | u1 | {row([u1])}")
        print(f"| {name} | random | {row(rest)}", flush=True)
    started = time.perf_counter()
    fit = fit_ratings(ratings, np.random.default_rng(0))
    items = fit.items[np.bincount(ratings.film) >= MIN_RATINGS]
    print(f"\nA fit to all ratings: {time.perf_counter() - started:.1f} s.")
    print(f"Median distance of {len(items)} films to the nearest other: {nearest_distance(items):.2f}.\n")


def print_heldout_people(ratings: Ratings) -> None:
    """Ratings of held-out people, predicted from films fitted to their other ratings, or not."""
    seen, unseen = [], []
    for seed in PEOPLE_SEEDS:
        rng = np.random.default_rng(seed)
        test = random_split(len(ratings.rating), rng)
        _, heldout = split_people(ratings, 0.2, rng)
        theirs = np.isin(ratings.person, heldout)
        asked = ratings.where(test & theirs)
        seen.append(score(fit_to(ratings, ~test), asked))
        films = fit_to(ratings, ~test & ~theirs)
        unseen.append(score(place_people(films, ratings.where(~test)), asked))
    print("| held-out people | AUC | NDCG@10 | RMSE |\n|---|---|---|---|")
    print(f"| films fitted to their ratings too | {row(seen)}")
    print(f"| films fitted to the others alone | {row(unseen)}\n", flush=True)


def print_difficulty(folder: Path) -> None:
    """Normalised regret (random slate 1, oracle 0) of showing everybody what the mean likes best."""
    print("| films | quality_share | length of the mean | training people (< .05, > .5) | held-out people |")
    print("|---|---|---|---|---|")
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        known = movielens_knowledge(str(folder), 32, share, 0.2, 6, MIN_RATINGS, 0)
        print(difficulty_row("all", known, len(known.entities), share))
    known = movielens_knowledge(str(folder), 32, 1.0, 0.2, 6, MIN_RATINGS, 0)
    print(difficulty_row("best for the mean", known, 200, 1.0))


def difficulty_row(name: str, known: Knowledge, count: int, share: float) -> str:
    """One row: the mean is that of the training people; the corpus its `count` best films."""
    mean = known.preferences.mean(axis=0)
    corpus = known.entities[np.argsort(-(known.entities @ mean), kind="stable")[:count]]
    regret, worst = mean_regret(corpus, known.preferences, mean)
    unseen, unseen_worst = mean_regret(corpus, known.heldout_preferences, mean)
    low, high = np.mean(regret / worst < 0.05), np.mean(regret / worst > 0.5)
    train, heldout = regret.sum() / worst.sum(), unseen.sum() / unseen_worst.sum()
    cells = [f"{name} {count}", f"{share:g}", f"{np.linalg.norm(mean):.2f}"]
    cells += [f"{train:.3f} ({low:.0%}, {high:.0%})", f"{heldout:.3f}"]
    return f"| {' | '.join(cells)} |"


def mean_regret(
    corpus: FloatArray, preferences: FloatArray, mean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Per person: regret [P] of the mean's S best films, and expected regret [P] of a random slate of S."""
    utility = preferences @ corpus.T
    best = np.sort(utility, axis=1)[:, -SLOTS:].sum(axis=1)
    shown = np.argsort(-(corpus @ mean), kind="stable")[:SLOTS]
    return best - utility[:, shown].sum(axis=1), best - SLOTS * utility.mean(axis=1)


def splits(count: int) -> Iterator[BoolArray]:
    """Test masks [R]: the publishers' u1 (the first 20,000 lines), then random fifths."""
    yield np.arange(count) < U1_TEST
    for seed in SEEDS:
        yield random_split(count, np.random.default_rng(seed))


def random_split(count: int, rng: np.random.Generator) -> BoolArray:
    """A test mask of a random fifth."""
    return rng.permutation(count) < count // 5


def by_fit(ratings: Ratings, test: BoolArray) -> Accuracy:
    """Fit to the rest, score on the test ratings."""
    return score(fit_to(ratings, ~test), ratings.where(test))


def by_bias(ratings: Ratings, test: BoolArray, shrinkage: float = 5.0, sweeps: int = 10) -> Accuracy:
    """y = mean + a_u + b_i by alternating shrunken means; b_i alone ranks."""
    person, film, rest = ratings.person[~test], ratings.film[~test], ratings.rating[~test].astype(np.float64)
    mean, of_person, of_film = rest.mean(), np.zeros(ratings.num_people), np.zeros(len(ratings.titles))
    film_weight = shrinkage + np.bincount(film, minlength=len(of_film))
    person_weight = shrinkage + np.bincount(person, minlength=len(of_person))
    for _ in range(sweeps):
        of_film = np.bincount(film, rest - mean - of_person[person], len(of_film)) / film_weight
        of_person = np.bincount(person, rest - mean - of_film[film], len(of_person)) / person_weight
    bias = of_film[ratings.film[test]].astype(np.float32)
    prediction = (mean + of_person[ratings.person[test]] + bias).astype(np.float32)
    return accuracy(ratings.person[test], ratings.rating[test], bias, prediction)


def fit_to(ratings: Ratings, rows: BoolArray) -> Fit:
    """The fit to some of the ratings."""
    return fit_ratings(ratings.where(rows), np.random.default_rng(0))


def score(fit: Fit, test: Ratings) -> Accuracy:
    """How well a fit predicts `test`: AUC and NDCG from e·q of unit vectors alone."""
    pairs = test.person, test.film
    return accuracy(test.person, test.rating, fit.score(*pairs), fit.predict(*pairs))


def nearest_distance(items: FloatArray) -> float:
    """Median distance of unit rows to their nearest neighbour."""
    similarity = items @ items.T
    np.fill_diagonal(similarity, -1.0)
    return float(np.median(np.sqrt(np.maximum(2.0 - 2.0 * similarity.max(axis=1), 0.0))))


def row(measured: list[Accuracy]) -> str:
    """Means as the last cells of a table's row."""
    return " | ".join(f"{np.mean([getattr(m, name) for m in measured]):.3f}" for name in METRICS) + " |"


if __name__ == "__main__":
    main()
