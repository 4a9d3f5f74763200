"""The surrogate of the traits: a dense Gaussian process says the same, what struck all says nothing, and it finds the
best."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.evolution import surrogate
from agents.evolution.fitness import Verdict
from agents.evolution.genome import TRAITS, Gene, GeneRanges, Genome
from agents.evolution.members import Niche
from agents.evolution.population import Population
from agents.evolution.settings import EvolutionSettings
from agents.evolution.surrogate import LENGTH, MEMBER, SIGNAL, Surrogate

RANGES: GeneRanges = {"optimism": Gene(0.0, 4.0, "linear"), "rate": Gene(1e-4, 1e-2)}
Judged = list[tuple[int, Genome, float, float]]
Array = NDArray[np.float64]


def made_up(iterations: int, seed: int = 0, members: int = 5) -> list[Judged]:
    """Noisy verdicts on a bowl with its top at optimism 3, rate 1e-3; members come and go, iterations differ."""
    rng = np.random.default_rng(seed)
    alive: dict[int, Genome] = {}
    result: list[Judged] = []
    for iteration in range(iterations):
        for member in range(iteration // 4, iteration // 4 + members):
            alive.setdefault(member, {"optimism": 4 * rng.random(), "rate": 10 ** (-2 - 2 * rng.random())})
        present = [m for m in sorted(alive)[-members:] if rng.random() < 0.8]
        shift = 0.3 * rng.normal()
        result.append([
            (m, alive[m], shift + worth(alive[m]) + 0.02 * rng.normal(), float(rng.integers(1, 9))) for m in present
        ])  # fmt: skip
    return result


def worth(genome: Genome) -> float:
    return -0.01 * (genome["optimism"] - 3.0) ** 2 - 0.05 * (math.log10(genome["rate"]) + 3.0) ** 2


def told(verdicts: list[Judged]) -> Surrogate:
    own = Surrogate(RANGES)
    for judged in verdicts:
        own.add(judged)
    return own


def dense(verdicts: list[Judged], places: Array) -> tuple[Array, Array]:
    """The same model, verdict by verdict, with a prior of variance 1e7 sigma^2 on what strikes all of an iteration."""
    rows = [(t, m, g, v, s / np.mean([j[3] for j in judged]))
            for t, judged in enumerate(verdicts) if len(judged) > 1 for m, g, v, s in judged]  # fmt: skip
    x = np.array([[g["optimism"] / 4.0, (math.log10(g["rate"]) + 4.0) / 2.0] for _, _, g, _, _ in rows])
    time, member, y, weight = (np.array([row[i] for row in rows]) for i in (0, 1, 3, 4))
    count = len(rows) - len(set(time))

    def kernel(one: Array, other: Array, length: float) -> Array:
        result: Array = np.exp(-0.5 * ((one[:, None] - other) ** 2).sum(-1) / length**2)
        return result

    best = (-np.inf, np.empty(0), np.empty(0))
    for signal in SIGNAL:
        for length in LENGTH:
            cov = signal * kernel(x, x, length) + MEMBER * (member[:, None] == member) + np.diag(1 / weight)
            cov += 1e7 * (time[:, None] == time)
            inverse = np.linalg.inv(cov)
            variance = float(y @ inverse @ y) / count
            likelihood = -0.5 * (count * math.log(variance) + float(np.linalg.slogdet(cov)[1]))
            across = signal * kernel(places, x, length)
            mean = across @ inverse @ y
            covariance = variance * (signal * kernel(places, places, length) - across @ inverse @ across.T)
            best = max(best, (likelihood, mean, covariance), key=lambda found: found[0])
    return best[1], best[2]


@pytest.mark.parametrize("seed", range(5))
def test_the_posterior_is_that_of_the_dense_process(seed: int) -> None:
    verdicts, places = made_up(30, seed), np.random.default_rng(seed).random((20, 2))
    mean, covariance = told(verdicts).posterior(places)
    expected, spread = dense(verdicts, places)
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    np.testing.assert_allclose(covariance, spread, atol=1e-5)


def test_what_strikes_all_of_an_iteration_says_nothing() -> None:
    verdicts, places = made_up(20), np.random.default_rng(0).random((9, 2))
    shifted = [[(m, g, v + 100.0 * t, s) for m, g, v, s in judged] for t, judged in enumerate(verdicts)]
    np.testing.assert_allclose(told(verdicts).posterior(places)[0], told(shifted).posterior(places)[0], atol=1e-9)


def test_few_seats_say_little() -> None:
    """A verdict on a hundredth of the seats moves the mean less than the same on all of them."""
    good, bad = ({"optimism": value, "rate": 1e-3} for value in (3.0, 1.0))
    place = np.array([[0.75, 0.5]])
    means = []
    for seats in (1.0, 100.0):
        lucky: list[Judged] = [[(0, bad, 0.0, 100.0), (1, good, 1.0, seats), (2, bad, 0.1 * (-1) ** t, 100.0)]
                               for t in range(6)]  # fmt: skip
        means.append(float(told(lucky).posterior(place)[0][0]))
    assert 0 < means[0] < means[1]


def test_children_come_to_where_the_best_is() -> None:
    """A hundred iterations of noise twice as large as what sets a poor place apart: draws gather within a tenth."""
    own, rng = told(made_up(100)), np.random.default_rng(1)
    drawn = [own.proposed([{"optimism": 0.0, "rate": 1e-4}], rng) for _ in range(50)]
    assert np.mean([genome["optimism"] for genome in drawn]) == pytest.approx(3.0, abs=0.4)
    assert np.mean([math.log10(genome["rate"]) for genome in drawn]) == pytest.approx(-3.0, abs=0.2)


def test_draws_narrow_down_to_the_mean_when_the_run_ends() -> None:
    """Half a run to go and a quarter are the same; at the end only the places that are looked at differ."""
    own = told(made_up(40))
    spreads = [
        np.std([own.proposed([], np.random.default_rng(i), left)["optimism"] for i in range(60)])
        for left in (0.5, 0.25, 0.05, 0.0)
    ]
    assert spreads[0] == spreads[1] > 1.5 * spreads[2] > 1.5 * spreads[3]
    assert spreads[3] < 0.25


def test_without_a_comparison_children_are_anywhere() -> None:
    """Nothing yet, one member alone, or verdicts that are all the same: draws cover the ranges, on their scales."""
    genome: Genome = {"optimism": 0.0, "rate": 1e-4}
    same: list[Judged] = [[(0, genome, 1.0, 5.0), (1, {"optimism": 4.0, "rate": 1e-2}, 1.0, 5.0)]]
    alone: list[Judged] = [[(0, genome, 1.0, 5.0)]]
    for verdicts in ([], alone, same):
        own, rng = told(verdicts), np.random.default_rng(0)
        drawn = [own.proposed([], rng) for _ in range(200)]
        assert all(0 <= one["optimism"] <= 4 and 1e-4 <= one["rate"] <= 1e-2 for one in drawn)
        assert 0.3 < np.mean([one["optimism"] > 2.0 for one in drawn]) < 0.7
        assert 0.3 < np.mean([one["rate"] > 1e-3 for one in drawn]) < 0.7


def test_it_goes_on_from_its_state_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "MEMORY", 12)
    verdicts = made_up(30)
    own, other = told(verdicts), told(made_up(5, seed=3))
    other.load(json.loads(json.dumps(own.state())))
    assert len(own.state()) == 12
    assert other.state() == own.state() == told(verdicts[-12:]).state()
    here, there = (one.proposed([], np.random.default_rng(0)) for one in (own, other))
    assert here == there


def test_a_population_finds_the_best_traits_from_none() -> None:
    """Four members that begin at 0, noise of .03, a bowl of .0055 and .4 per unit squared: after a hundred iterations
    the mean member is nearer to its top than by mutation, over ten seeds."""

    def loss(genome: Genome) -> float:
        return 0.0055 * (genome["optimism"] - 3.0) ** 2 + 0.4 * (genome["bait_guess"] - 0.3) ** 2

    ends: dict[str, float] = {}
    for traits in ("mutate", "surrogate"):
        settings = EvolutionSettings.model_validate(
            {"traits": traits, "every": 3, "ready_after": 3, "memory": 0.9, "margin": 0.25}
        )
        left = []
        for seed in range(10):
            rng = np.random.default_rng([seed, 1])
            own = Population([Niche.EXPLOITER] * 4, {"optimism": 0.0, "bait_guess": 0.0}, settings, seed, TRAITS)
            for iteration in range(1, 100):
                own.observe({
                    slot: Verdict({"satisfaction": 0.03 * rng.normal() - loss(member.genome)}, 100.0)
                    for slot, member in own.living.items()
                })  # fmt: skip
                if iteration % 3 == 0:
                    own.cycle(Nobody())
            left += [loss(member.genome) for member in own.living.values()]
        ends[traits] = float(np.mean(left))
    assert ends["surrogate"] < 0.6 * ends["mutate"]


class Nobody:
    """Bodies without weights."""

    def inherit(self, *ignored: object) -> None: ...
    def recombine(self, *ignored: object) -> None: ...
    def renew(self, *ignored: object) -> None: ...
    def set_genome(self, *ignored: object) -> None: ...


@pytest.mark.parametrize(("error", "tolerance"), [(0.0, 1e-5), (1e-5, 1e-3), (1e-3, 0.05)])
def test_a_covariance_with_rounding_errors_has_a_root(error: float, tolerance: float) -> None:
    """Of rank 1, with an eigenvalue of about minus the error."""
    covariance = np.array([[1.0, 1.0], [1.0, 1.0 - 2 * error]])
    root = surrogate._root(covariance)
    np.testing.assert_allclose(root @ root.T, covariance, atol=tolerance)


def test_where_no_covariance_is_left_draws_differ_place_by_place() -> None:
    np.testing.assert_allclose(surrogate._root(np.diag([4.0, -4.0])), np.diag([2.0, 0.0]))
