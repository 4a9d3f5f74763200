"""Fitness: verdicts against the side's mean of their iteration, weighted, fading, with their standard error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest

from agents.evolution.fitness import Evidence, Verdict, combined, diversity
from agents.evolution.members import Niche
from agents.evolution.population import Population
from agents.evolution.settings import EvolutionSettings, FitnessSettings

ALONE = FitnessSettings(satisfaction=1.0, engagement=0.0, accuracy=0.0, rank=0.0, diversity=0.0)


def population(members: int, memory: float = 0.8, fitness: FitnessSettings = ALONE) -> Population:
    return Population([Niche.EXPLOITER] * members, {}, EvolutionSettings(memory=memory, fitness=fitness), seed=0)


def said(values: Mapping[int, float], seats: Mapping[int, float] | None = None) -> dict[int, Verdict]:
    """Verdicts by slot with one path; 10 seats each where nothing else is said."""
    return {slot: Verdict({"satisfaction": v}, (seats or {}).get(slot, 10.0)) for slot, v in values.items()}


def test_a_verdict_counts_relative_to_the_sides_mean_over_seats() -> None:
    """Mean of 1, 2 and 6 with 10, 10 and 20 seats: 3.75."""
    own = population(3)
    own.observe(said({0: 1.0, 1: 2.0, 2: 6.0}, {2: 20.0}))
    assert [own.evidence[slot].mean for slot in range(3)] == pytest.approx([-2.75, -1.75, 2.25])
    assert [own.evidence[slot].mean_level for slot in range(3)] == pytest.approx([1.0, 2.0, 6.0])
    assert own.fitness() == pytest.approx({0: -2.75, 1: -1.75, 2: 2.25})


def test_what_is_good_for_all_is_good_for_nobody() -> None:
    """A member that was born late is not judged by how good the early times were."""
    calm, rising = population(2), population(2)
    for iteration in range(6):
        calm.observe(said({0: 0.3, 1: 0.5}))
        rising.observe(said({0: 0.3 + iteration, 1: 0.5 + iteration}))
    assert rising.fitness() == pytest.approx(calm.fitness())


def test_a_verdict_weighs_by_its_seats_and_fades() -> None:
    own = population(2, memory=0.5)
    own.observe(said({0: 1.0, 1: 0.0}, {0: 30.0, 1: 10.0}))      # mean 0.75: +.25 by 30 seats, −.75 by 10
    own.observe(said({0: 0.0, 1: 1.0}, {0: 10.0, 1: 30.0}))      # mean 0.75: −.75 by 10 seats, +.25 by 30
    # 0: (.5·30·.25 − 10·.75)/(.5·30 + 10);  1: (−.5·10·.75 + 30·.25)/(.5·10 + 30)
    assert own.evidence[0].mean == pytest.approx(-3.75 / 25)
    assert own.evidence[1].mean == pytest.approx(3.75 / 35)


def test_who_had_no_seat_is_not_judged() -> None:
    own = population(3)
    own.observe(said({0: 1.0, 1: 3.0, 2: 100.0}, {2: 0.0}))
    own.observe(said({0: 1.0, 1: 3.0}))
    assert own.evidence[2] == Evidence()
    assert own.evidence[2].mean == 0.0
    assert math.isnan(own.evidence[2].mean_level)
    assert own.fitness() == pytest.approx({0: -1.0, 1: 1.0, 2: 0.0})


def test_the_standard_error_is_that_of_a_weighted_mean() -> None:
    """By hand: σ² = Σwx²/Σw − m², effective number n = (Σw)²/Σw², se = √(σ²/(n − 1)); w = memoryᵃᵍᵉ · seats."""
    values, seats, memory = [0.3, -0.1, 0.4, 0.0], [10.0, 20.0, 5.0, 10.0], 0.8
    evidence = Evidence()
    for value, count in zip(values, seats, strict=True):
        evidence.add(value, value, count, memory, ())
    weights = np.array(seats) * memory ** np.arange(3, -1, -1)
    mean = np.average(values, weights=weights)
    variance = np.average((np.array(values) - mean) ** 2, weights=weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert evidence.mean == pytest.approx(mean)
    assert evidence.standard_error == pytest.approx(math.sqrt(variance / (effective - 1)))


def test_without_fading_and_with_equal_seats_it_is_the_textbook_one() -> None:
    values = [0.2, 0.5, 0.1, 0.9, 0.4]
    evidence = Evidence()
    for value in values:
        evidence.add(value, value, 7.0, 1.0, ())
    assert evidence.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(5))


def test_the_standard_error_is_right_on_average() -> None:
    """Over many histories of noise, (mean/se)² averages n/(n − 2) of Student's t with about 8 degrees of freedom."""
    rng, scores = np.random.default_rng(0), []
    for _ in range(2000):
        evidence = Evidence()
        for value in rng.standard_normal(40):
            evidence.add(value, value, 16.0, 0.8, ())
        scores.append(evidence.mean / evidence.standard_error)
    assert 1.0 < np.var(scores) < 1.6


@pytest.mark.parametrize(("memory", "verdicts"), [(0.8, 0), (0.8, 1), (0.0, 5)])
def test_the_error_of_a_single_verdict_is_unknown(memory: float, verdicts: int) -> None:
    """Also where nothing but the last one is remembered."""
    evidence = Evidence()
    for value in range(verdicts):
        evidence.add(0.1 * value, 0.0, 10.0, memory, ())
    assert evidence.standard_error == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_verdict_that_is_no_number_breaks_its_member_and_no_other(value: float) -> None:
    own, without = population(3), population(3)
    own.observe(said({0: 1.0, 1: 2.0, 2: 1.5}))
    without.observe(said({0: 1.0, 1: 2.0, 2: 1.5}))
    own.observe(said({0: 1.0, 1: 2.0, 2: value}))
    without.observe(said({0: 1.0, 1: 2.0}))
    own.observe(said({0: 1.0, 1: 2.0, 2: 1.5}))  # broken weights may still do well by chance
    without.observe(said({0: 1.0, 1: 2.0, 2: 1.5}))
    assert own.fitness()[2] == own.evidence[2].mean == -math.inf
    assert own.evidence[2].standard_error == 0.0
    for slot in (0, 1):
        assert own.evidence[slot] == without.evidence[slot]
        assert math.isfinite(own.fitness()[slot])


def test_all_broken_is_no_reason_to_fail() -> None:
    own = population(2)
    own.observe(said({0: math.nan, 1: math.inf}))
    assert own.fitness() == {0: -math.inf, 1: -math.inf}
    assert own.champion() is None


def test_paths_are_weighed_and_a_missing_one_counts_as_nothing() -> None:
    weights = FitnessSettings(satisfaction=1.0, engagement=0.5, accuracy=0.25)
    whole = Verdict({"satisfaction": 1.0, "engagement": 2.0, "accuracy": -4.0, "unknown": 100.0}, 1.0)
    assert combined(whole, weights) == 1.0
    assert combined(Verdict({"engagement": 2.0}, 1.0), weights) == 1.0
    assert combined(Verdict({"satisfaction": 1.0, "accuracy": math.nan}, 1.0), weights) == -math.inf


def test_a_member_is_ranked_within_its_niche() -> None:
    weights = FitnessSettings(satisfaction=1.0, engagement=0.0, accuracy=0.0, rank=0.1, diversity=0.0)
    niches = [Niche.EXPLOITER] * 3 + [Niche.EXPLORER]
    own = Population(niches, {}, EvolutionSettings(fitness=weights), seed=0)
    own.observe(said({0: 3.0, 1: 1.0, 2: 2.0, 3: -6.0}))
    assert own.fitness() == pytest.approx({0: 3.05, 1: 0.95, 2: 2.0, 3: -6.0})


def test_equals_share_their_rank() -> None:
    """Rank must not make a difference where there is none, such as before the first verdict."""
    weights = FitnessSettings(satisfaction=1.0, engagement=0.0, accuracy=0.0, rank=0.1, diversity=0.0)
    own = population(4, fitness=weights)
    assert own.fitness() == dict.fromkeys(range(4), 0.0)
    own.observe(said({0: 1.0, 1: 0.0, 2: 1.0, 3: 2.0}))
    assert own.fitness() == pytest.approx({0: 0.0, 1: -1.05, 2: 0.0, 3: 1.05})


def test_diversity_is_the_distance_to_the_others_over_its_mean() -> None:
    """One coordinate, two members at 0 and one at 3: mean distances 1.5, 1.5, 3, their mean 2."""
    points = {4: (0.0, 7.0), 5: (0.0, 7.0), 6: (3.0, 7.0)}
    assert diversity(points) == pytest.approx({4: -0.25, 5: -0.25, 6: 0.5})


def test_diversity_does_not_depend_on_the_units_of_a_coordinate() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(5, 3))
    one = diversity({slot: tuple(row) for slot, row in enumerate(table)})
    other = diversity({slot: tuple(row) for slot, row in enumerate(table * [1e-3, 1.0, 1e6] + [5.0, 0.0, -1.0])})
    assert one == pytest.approx(other)
    assert sum(one.values()) == pytest.approx(0.0)


@pytest.mark.parametrize(
    "points", [{}, {3: (1.0,)}, {0: (1.0,), 1: (1.0,)}, {0: (1.0,), 1: (2.0,), 2: ()}, {0: (), 1: ()}]
)
def test_diversity_is_zero_where_nothing_can_be_compared(points: dict[int, tuple[float, ...]]) -> None:
    assert diversity(points) == dict.fromkeys(points, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_behaviour_leaves_the_diversity_of_all_finite(value: float) -> None:
    result = diversity({0: (0.0, 1.0), 1: (1.0, 0.0), 2: (value, 0.5)})
    assert all(map(math.isfinite, result.values()))


def test_behaviour_fades_and_counts_by_its_weight() -> None:
    weights = FitnessSettings(satisfaction=0.0, engagement=0.0, accuracy=0.0, rank=0.0, diversity=0.4)
    own = population(3, memory=0.5, fitness=weights)
    for points in ([(0.0,), (0.0,), (2.0,)], [(0.0,), (0.0,), (4.0,)]):
        own.observe({slot: Verdict({}, 1.0, point) for slot, point in enumerate(points)})
    assert own.evidence[2].behaviour == (3.0,)
    assert own.fitness() == pytest.approx({0: -0.1, 1: -0.1, 2: 0.2})


def test_evidence_survives_json() -> None:
    for broken in (False, True):
        evidence = Evidence(broken=broken)
        for value in (0.1, 0.7):
            evidence.add(value, value, 3.0, 0.8, (value, 1.0))
        assert Evidence.from_state(json.loads(json.dumps(evidence.state()))) == evidence
