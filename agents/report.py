"""Results as plain text: tables whose columns line up in a terminal, a log and a README, with ± where an
interval is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from agents.statistics import Interval

Cell: TypeAlias = str | int | float | Interval
MISSING = "–"


def table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 3) -> str:
    """Rows under headers: words to the left, numbers to the right with `digits` decimals, their ± parts
    aligned.

    An `Interval` reads `0.215 ± 0.012`, or `0.215 [0.190, 0.221]` when it is not symmetric at that precision,
    or plain `0.215` when one run gave no interval; NaN reads –. Raises ValueError on a row of another length.
    """
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"a row of {len(row)} cells under {len(headers)} headers: {list(row)}")
    columns = [_column(header, [row[i] for row in rows], digits) for i, header in enumerate(headers)]
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    rule = "  ".join("─" * len(column[0]) for column in columns)
    return "\n".join([lines[0], rule, *lines[1:]])


def score_table(scores: Mapping[str, Mapping[str, Cell]], first: str = "policy", digits: int = 3) -> str:
    """A table of name -> metric -> value: a row per name, a column per metric in the order first met, – for
    gaps.
    """
    metrics = list(dict.fromkeys(metric for values in scores.values() for metric in values))
    rows = [[name, *(values.get(metric, MISSING) for metric in metrics)] for name, values in scores.items()]
    return table([first, *metrics], rows, digits)


def _column(header: str, cells: Sequence[Cell], digits: int) -> list[str]:
    """The padded lines of one column, header first, all equally wide."""
    parts = [_parts(cell, digits) for cell in cells]
    numeric = any(not isinstance(cell, str) for cell in cells)
    left = max((len(number) for number, _ in parts), default=0)
    right = max((len(spread) for _, spread in parts), default=0)
    width = max(left + right, len(header))
    if numeric:
        return [header.rjust(width), *((a.rjust(left) + b.ljust(right)).rjust(width) for a, b in parts)]
    return [header.ljust(width), *((a + b).ljust(width) for a, b in parts)]


def _parts(cell: Cell, digits: int) -> tuple[str, str]:
    """A cell as (number, spread), so that both can be aligned."""
    if isinstance(cell, str):
        return cell, ""
    if isinstance(cell, Interval):
        return _number(cell.estimate, digits), _spread(cell, digits)
    return (str(cell) if isinstance(cell, int) else _number(cell, digits)), ""


def _number(value: float, digits: int) -> str:
    return MISSING if math.isnan(value) else f"{value:.{digits}f}"


def _spread(interval: Interval, digits: int) -> str:
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    above, below = interval.high - interval.estimate, interval.estimate - interval.low
    if abs(above - below) < 10.0**-digits:
        return f" ± {interval.half_width:.{digits}f}"
    return f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
