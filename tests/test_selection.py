"""Selection: who is weak and who is strong, and that noise alone kills nobody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.evolution.members import Niche
from agents.evolution.selection import Standing, clearly_below, strong, weak
from agents.evolution.settings import EvolutionSettings

EXPLOITER, EXPLORER, ADAPTIVE = Niche
BROKEN = -math.inf


def standings(
    fitness: Sequence[float], niches: Sequence[Niche] | None = None, error: float = 0.0, unready: Sequence[int] = ()
) -> list[Standing]:
    niches = niches or [EXPLOITER] * len(fitness)
    return [
        Standing(slot, niche, value, error, slot not in unready)
        for slot, (value, niche) in enumerate(zip(fitness, niches, strict=True))
    ]


def found(these: list[Standing], seed: int = 0, **values: Any) -> set[int]:
    return weak(these, EvolutionSettings(**values), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("members", "fraction", "expected"),
    [(6, 0.34, 2), (6, 0.2, 1), (2, 0.5, 1), (2, 0.1, 1), (3, 0.5, 1), (12, 0.25, 3)],
)
def test_truncation_finds_the_lowest_share_and_at_least_one(members: int, fraction: float, expected: int) -> None:
    fitness = [float((7 * slot) % members) if math.gcd(7, members) == 1 else float(slot) for slot in range(members)]
    lowest = set(sorted(range(members), key=fitness.__getitem__)[:expected])
    assert found(standings(fitness), fraction=fraction, margin=0.0) == lowest


def test_truncation_works_in_every_niche_by_itself() -> None:
    """The lowest explorer is weak though every exploiter is lower, and the other way round."""
    these = standings([1.0, 2.0, 11.0, 12.0], [EXPLOITER, EXPLOITER, EXPLORER, EXPLORER])
    assert found(these, margin=0.0) == {0, 2}


def test_a_tournament_is_lost_against_a_better_rival_of_the_niche() -> None:
    """Of three, the last always meets somebody better, the middle one half of the time, the first never."""
    these = standings([1.0, 2.0, 3.0, 99.0], [EXPLOITER, EXPLOITER, EXPLOITER, EXPLORER])
    draws = 400
    losses = [found(these, seed, selection="tournament", margin=0.0) for seed in range(draws)]
    counts = [sum(slot in lost for lost in losses) / draws for slot in range(3)]
    assert counts[0] == 1.0
    assert abs(counts[1] - 0.5) < 4 * 0.5 / math.sqrt(draws)
    assert counts[2] == 0.0


@pytest.mark.parametrize("selection", ["truncation", "tournament"])
def test_who_is_not_clearly_below_the_best_is_not_weak(selection: str) -> None:
    """Errors of 3 and 3: a difference of √18 = 4.24 is one margin."""
    for gap, margin, expected in ((4.2, 1.0, set()), (4.3, 1.0, {0}), (8.4, 2.0, set()), (8.5, 2.0, {0})):
        assert found(standings([0.0, gap], error=3.0), selection=selection, margin=margin) == expected


def test_nobody_is_weak_while_its_error_or_that_of_the_best_is_unknown() -> None:
    known, unknown = standings([0.0, 9.0]), standings([0.0, 9.0], error=math.inf)
    assert found([known[0], unknown[1]], margin=0.5) == set()
    assert found([unknown[0], known[1]], margin=0.5) == set()
    assert found(unknown, margin=0.0) == {0}  # without a margin errors do not count


def test_equals_are_not_weak() -> None:
    for margin in (0.0, 1.0):
        for selection in ("truncation", "tournament"):
            assert found(standings([1.0] * 5), margin=margin, selection=selection) == set()


def test_noise_alone_rarely_kills() -> None:
    """Two equals with known errors differ by more than m of them with chance 2Φ(−m): for m = 3, 0.27 %."""
    rng, error = np.random.default_rng(0), 0.02
    killed = [found(standings(list(rng.normal(0.0, error, 2)), error=error), margin=3.0) for _ in range(4000)]
    assert np.mean([bool(slots) for slots in killed]) < 0.0027 + 4 * math.sqrt(0.0027 / 4000)


def test_the_young_are_neither_weak_nor_a_measure() -> None:
    assert found(standings([0.0, 1.0, 2.0], unready=[0]), margin=0.0) == {1}
    assert found(standings([0.0, 1.0], unready=[1]), margin=0.0) == set()


def test_one_alone_in_its_niche_is_measured_against_all_others_by_twice_the_margin() -> None:
    niches = [EXPLOITER, EXPLOITER, ADAPTIVE]
    error = 1.0  # of a difference: √2
    for fitness, expected in ((-2.8, False), (-2.9, True)):
        these = standings([0.0, 0.1, fitness], niches, error)
        assert (2 in found(these, margin=1.0)) is expected, fitness
    between = standings([5.0, 10.0, 7.0], niches, 0.1)
    assert 2 not in found(between, margin=1.0)


def test_two_that_are_alone_in_their_niches_and_far_behind_do_not_shield_each_other() -> None:
    """Both are below the median of the others, which is the lower one of the two exploiters."""
    niches = [EXPLOITER, EXPLOITER, EXPLORER, ADAPTIVE]
    assert found(standings([9.0, 9.5, 0.0, 1.0], niches, 0.1), margin=1.0) == {0, 2, 3}
    assert found(standings([9.0, 0.5, 0.8, 1.0], niches, 0.1), margin=1.0) == {1}


def test_one_alone_on_its_side_is_never_weak_while_it_works() -> None:
    assert found(standings([-1e9]), margin=0.0) == set()


def test_a_niche_of_its_own_does_not_protect_the_last_nor_kill_the_first() -> None:
    these = standings([3.0, 1.0, 2.0], [EXPLOITER, EXPLORER, ADAPTIVE])
    assert found(these, margin=0.0) == {1}


@pytest.mark.parametrize(
    ("fitness", "niches"),
    [
        ([BROKEN, 1.0], None),
        ([BROKEN, BROKEN, 1.0, 2.0], None),
        ([BROKEN, BROKEN, BROKEN, 1.0], None),
        ([BROKEN, BROKEN], None),
        ([BROKEN], None),
        ([BROKEN, BROKEN, 1.0, 1.0], [EXPLORER, EXPLORER, EXPLOITER, EXPLOITER]),
        ([BROKEN, BROKEN, 1.0, 1.0], [EXPLORER, ADAPTIVE, EXPLOITER, EXPLOITER]),
    ],
)
@pytest.mark.parametrize("selection", ["truncation", "tournament"])
def test_the_broken_are_always_weak(fitness: list[float], niches: list[Niche] | None, selection: str) -> None:
    """However many of a niche or of the whole side broke, and whatever share is found weak."""
    these = standings(fitness, niches, error=5.0)
    broken = {s.slot for s in these if s.fitness == BROKEN}
    assert broken <= found(these, margin=9.0, fraction=0.1, selection=selection)


fitnesses = st.one_of(st.just(BROKEN), st.floats(-10, 10))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(fitnesses, st.sampled_from(Niche), st.floats(0, 5), st.booleans()), max_size=12),
    st.sampled_from(["truncation", "tournament"]), st.floats(0.01, 0.5), st.floats(0, 3), st.integers(0, 99),
)  # fmt: skip
def test_the_best_of_a_niche_with_rivals_is_never_weak(
    members: list[tuple[float, Niche, float, bool]], selection: str, fraction: float, margin: float, seed: int
) -> None:
    these = [Standing(slot, niche, value, error, ready) for slot, (value, niche, error, ready) in enumerate(members)]
    weaklings = found(these, seed, selection=selection, fraction=fraction, margin=margin)
    ready = [s for s in these if s.ready]
    assert weaklings <= {s.slot for s in ready}
    assert {s.slot for s in ready if s.fitness == BROKEN} <= weaklings
    for niche in Niche:
        group = [s for s in ready if s.niche == niche and s.fitness > BROKEN]
        if len(group) > 1:
            best = max(s.fitness for s in group)
            assert not {s.slot for s in group if s.fitness == best} & weaklings
    working = [s for s in ready if s.fitness > BROKEN]
    if working:
        assert not {s.slot for s in working if s.fitness == max(w.fitness for w in working)} & weaklings


@pytest.mark.parametrize(("members", "fraction", "expected"), [(6, 0.34, 3), (5, 0.2, 1), (2, 0.1, 1), (0, 0.5, 0)])
def test_the_strong_are_the_best_share(members: int, fraction: float, expected: int) -> None:
    these = standings([float(-slot) for slot in range(members)])
    assert [s.slot for s in strong(these[::-1], fraction)] == list(range(expected))


def test_clearly_below() -> None:
    low, high = Standing(0, EXPLOITER, 0.0, 3.0, True), Standing(1, EXPLOITER, 5.1, 4.0, True)
    broken = Standing(2, EXPLOITER, BROKEN, 0.0, True)
    assert clearly_below(low, high, 1.0)
    assert not clearly_below(low, high, 1.03)
    assert not clearly_below(high, low, 0.0)
    assert not clearly_below(low, low, 0.0)
    assert clearly_below(broken, low, 100.0)
    assert not clearly_below(low, broken, 0.0)
