"""Genomes: every gene stays in its range, moves on its own scale, and comes from a parent or from the generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.evolution.genome import GENES, Gene, GeneRanges, Genome, crossed, mutated

PLAN = settings(max_examples=100, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    """Any gene: log above 0, horizon below 1, linear anywhere."""
    scale = draw(st.sampled_from(["log", "horizon", "linear"]))
    edges = {"log": (1e-6, 1e3), "horizon": (-2.0, 0.9999), "linear": (-10.0, 10.0)}[scale]
    low = draw(st.floats(*edges))
    high = draw(st.floats(*edges).filter(lambda value: value > low))
    return Gene(low, high, scale)  # type: ignore[arg-type]


@PLAN
@given(genes(), SEEDS, st.floats(1.001, 10.0), st.floats(-20.0, 1e4))
def test_draws_and_moves_stay_in_range_wherever_they_start(gene: Gene, seed: int, factor: float, start: float) -> None:
    rng = np.random.default_rng(seed)
    for value in (gene.drawn(rng), gene.moved(start, factor, up=True), gene.moved(start, factor, up=False)):
        assert gene.low <= value <= gene.high


@PLAN
@given(st.dictionaries(st.sampled_from("abcdef"), genes(), min_size=1), SEEDS, st.floats(0, 1))
def test_ranges_hold_after_any_line_of_mutations(ranges: GeneRanges, seed: int, resample: float) -> None:
    rng = np.random.default_rng(seed)
    genome: Genome = {name: gene.drawn(rng) for name, gene in ranges.items()}
    for _ in range(20):
        genome = mutated(genome, ranges, rng, 1.5, resample)
        assert all(gene.low <= genome[name] <= gene.high for name, gene in ranges.items())


@PLAN
@given(st.sampled_from(list(GENES.values())), st.floats(0, 1), st.floats(-20.0, 1e4))
def test_the_share_of_a_range_leads_back_to_the_value(gene: Gene, share: float, outside: float) -> None:
    assert gene.share(gene.at(share)) == pytest.approx(share, abs=1e-6)
    assert gene.low <= gene.at(share) <= gene.high
    assert -1e-9 <= gene.share(outside) <= 1.0 + 1e-9


def test_a_step_is_a_factor_of_the_value_of_the_horizon_or_a_share_of_the_range() -> None:
    assert Gene(1e-4, 1e-2).moved(1e-3, 1.25, up=True) == pytest.approx(1.25e-3)
    assert Gene(1e-4, 1e-2).moved(1e-3, 1.25, up=False) == pytest.approx(0.8e-3)
    discount = Gene(0.5, 0.999, "horizon")  # 1/(1 − .9) = 10 rounds
    assert 1 / (1 - discount.moved(0.9, 1.25, up=True)) == pytest.approx(12.5)
    assert 1 / (1 - discount.moved(0.9, 1.25, up=False)) == pytest.approx(8.0)
    assert Gene(-1.0, 3.0, "linear").moved(0.0, 1.25, up=True) == pytest.approx(1.0)
    assert Gene(-1.0, 3.0, "linear").moved(0.0, 1.25, up=False) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("gene", "middle"),
    [(Gene(1e-4, 1e-2), 1e-3), (Gene(0.9, 0.999, "horizon"), 0.99), (Gene(-1.0, 3.0, "linear"), 1.0)],
)
def test_draws_are_uniform_on_the_genes_scale(gene: Gene, middle: float) -> None:
    rng, draws = np.random.default_rng(0), 4000
    below = sum(gene.drawn(rng) < middle for _ in range(draws)) / draws
    assert abs(below - 0.5) < 4 * 0.5 / math.sqrt(draws)


def test_a_perturbation_goes_up_or_down_at_even_odds_and_each_gene_by_itself() -> None:
    ranges = {"a": Gene(1e-3, 1e3), "b": Gene(1e-3, 1e3)}
    rng, draws = np.random.default_rng(0), 1000
    children = [mutated({"a": 1.0, "b": 1.0}, ranges, rng, 2.0, 0.0) for _ in range(draws)]
    pairs = [(round(child["a"], 9), round(child["b"], 9)) for child in children]
    for pair in ((2.0, 2.0), (2.0, 0.5), (0.5, 2.0), (0.5, 0.5)):
        assert abs(pairs.count(pair) / draws - 0.25) < 4 * math.sqrt(0.25 * 0.75 / draws)


def test_a_linear_gene_moves_by_a_random_part_of_its_range_and_turns_round_at_its_ends() -> None:
    """Up to a quarter of 0..2 with factor 1.25, uniformly: mean .25. From an end all moves lead inwards."""
    gene, rng, draws = Gene(0.0, 2.0, "linear"), np.random.default_rng(0), 2000
    assert gene.moved(1.0, 1.25, True, 0.5) == 1.25
    assert gene.moved(1.0, 1.25, False, 0.5) == 0.75
    assert gene.moved(0.0, 1.25, False, 0.5) == 0.25
    assert gene.moved(2.0, 1.25, True, 0.5) == 1.75
    moved = np.array([mutated({"a": 0.0}, {"a": gene}, rng, 1.25, 0.0)["a"] for _ in range(draws)])
    assert moved.min() > 0.0
    assert moved.max() <= 0.5
    assert abs(moved.mean() - 0.25) < 4 * 0.5 / math.sqrt(12 * draws)


def test_resampling_happens_at_its_rate() -> None:
    rng, draws = np.random.default_rng(0), 2000
    moved = [mutated({"a": 1.0}, {"a": Gene(1e-3, 1e3)}, rng, 2.0, 0.2)["a"] for _ in range(draws)]
    fresh = sum(min(abs(value - 2.0), abs(value - 0.5)) > 1e-9 for value in moved) / draws
    assert abs(fresh - 0.2) < 4 * math.sqrt(0.2 * 0.8 / draws)


def test_genes_outside_the_ranges_stay_and_the_parent_is_not_written_to() -> None:
    parent = {"learning_rate": 1e-3, "size": 64.0}
    child = mutated(parent, GENES, np.random.default_rng(0), 1.25, 0.0)
    assert child["size"] == 64.0
    assert child["learning_rate"] != 1e-3
    assert parent == {"learning_rate": 1e-3, "size": 64.0}


@PLAN
@given(SEEDS)
def test_the_same_seed_gives_the_same_genome_whatever_the_order_of_the_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = ({name: gene.drawn(rng) for name, gene in GENES.items()} for _ in range(2))
    turned, others = dict(reversed(one.items())), dict(reversed(other.items()))
    backwards = {name: GENES[name] for name in sorted(GENES, reverse=True)}
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    assert mutated(one, GENES, first, 1.25, 0.3) == mutated(turned, backwards, second, 1.25, 0.3)
    assert crossed(one, other, first) == crossed(turned, others, second)
    assert first.random() == second.random()


def test_a_child_of_two_takes_every_gene_from_either_at_even_odds() -> None:
    rng, draws = np.random.default_rng(0), 1000
    one, other = {"a": 0.0, "b": 1.0}, {"a": 10.0, "b": 11.0}
    children = [crossed(one, other, rng) for _ in range(draws)]
    assert {(child["a"], child["b"]) for child in children} == {(0.0, 1.0), (0.0, 11.0), (10.0, 1.0), (10.0, 11.0)}
    for name in ("a", "b"):
        share = sum(child[name] == one[name] for child in children) / draws
        assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(draws)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_an_empty_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Gene(low, high)


@pytest.mark.parametrize("gene", [(0.0, 1.0, "log"), (-1.0, 1.0, "log"), (0.5, 1.0, "horizon")])
def test_a_range_beyond_its_scale_is_refused(gene: tuple[float, float, str]) -> None:
    low, high, scale = gene
    with pytest.raises(ValueError, match=f"scale '{scale}'"):
        Gene(low, high, scale)  # type: ignore[arg-type]
