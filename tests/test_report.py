"""Tables of results: alignment and the three ways to write an interval."""

from __future__ import annotations

import numpy as np
import pytest

from agents.report import Cell, score_table, table
from agents.statistics import Interval


def test_columns_line_up_with_and_without_intervals() -> None:
    """Decimal points stand under each other, whether or not a ± follows; words go to the left."""
    rows: list[list[Cell]] = [
        ["greedy", Interval(0.2912, 0.2812, 0.3012), 12],
        ["ppo", Interval(0.1534, np.nan, np.nan), 5],
        ["a longer name", 10.5, 100],
    ]
    assert table(["policy", "regret", "seeds"], rows) == "\n".join(
        [
            "policy                 regret  seeds",
            "─────────────  ──────────────  ─────",
            "greedy          0.291 ± 0.010     12",
            "ppo             0.153              5",
            "a longer name  10.500            100",
        ]
    )


def test_an_uneven_interval_shows_both_ends() -> None:
    """A bootstrap interval is not forced into a ±; one that is even at the shown precision is."""
    rows: list[list[Cell]] = [["a", Interval(0.5, 0.4, 0.55)], ["b", Interval(0.5, 0.4001, 0.6002)]]
    lines = table(["x", "y"], rows, digits=2).splitlines()
    assert lines[2] == "a  0.50 [0.40, 0.55]"
    assert lines[3].rstrip() == "b  0.50 ± 0.10"


def test_score_table_keeps_the_order_and_shows_gaps() -> None:
    """Columns in the order first met; what was not measured, or is NaN, reads –."""
    text = score_table({"ppo": {"regret": 0.25}, "ucb": {"gini": 0.5, "regret": float("nan")}}, digits=2)
    assert [line.split() for line in text.splitlines()] == [
        ["policy", "regret", "gini"],
        ["──────", "──────", "────"],
        ["ppo", "0.25", "–"],
        ["ucb", "–", "0.50"],
    ]


def test_a_table_without_rows_is_its_header() -> None:
    """Nothing to report is no error."""
    assert table(["policy", "regret"], []).splitlines()[0] == "policy  regret"


def test_a_ragged_row_is_refused() -> None:
    """A missing cell would shift the numbers under the wrong names."""
    with pytest.raises(ValueError, match="2 cells under 3 headers"):
        table(["a", "b", "c"], [["x", 1.0]])
