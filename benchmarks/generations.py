"""Do goal buddies gain on the scripts as generations follow each other? Out of the runs of benchmarks/evolution.py.

    python benchmarks/generations.py [--out runs/evolution] [--scenarios default drift crowded] [--arms on off single]

What a goal member earns per round in training, less what the best of the scripts earns in the same quarter of the run:
the mean over members by quarter, and by the number of ancestors, which grows in time as everybody's skill does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from agents.logbook import read_progress
from agents.report import Cell, table
from agents.statistics import mean_interval

QUARTERS = 4
GENERATIONS = (("0–1", 0, 1), ("2–3", 2, 3), ("4–5", 4, 5), ("6+", 6, 999))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift", "crowded"])
    parser.add_argument("--arms", nargs="+", default=["on", "off", "single"])
    parser.add_argument("--out", type=Path, default=Path("runs/evolution"))
    arguments = parser.parse_args()
    rows = []
    for scenario in arguments.scenarios:
        for arm in arguments.arms:
            runs = sorted(path for path in arguments.out.glob(f"{scenario}-{arm}-seed*") if read_progress(path))
            if runs:
                rows.append([scenario, arm, len(runs), *_cells([_gains(run) for run in runs])])
    heads = ["scenario", "arm", "seeds", *(f"quarter {n + 1}" for n in range(QUARTERS)), *(g[0] for g in GENERATIONS)]
    print(table(heads, rows))


def _gains(run: Path) -> tuple[Any, Any]:
    """[T, slots] what every member earned beyond the best script of its quarter, and its generation."""
    rows = read_progress(run)
    scripts = [name for name in rows[-1] if name.startswith("script_") and name.endswith("/reward")]
    slots = [name.partition("/")[0] for name in rows[-1] if name.startswith("goal_") and name.endswith("/generation")]
    earned, gains = _columns(rows, [f"{slot}/reward" for slot in slots]), []
    for part in np.array_split(np.arange(len(rows)), QUARTERS):
        gains.append(earned[part] - _columns(rows, scripts)[part].mean(axis=0).max())
    return np.concatenate(gains), _columns(rows, [f"{slot}/generation" for slot in slots])


def _columns(rows: Any, names: list[str]) -> Any:
    """[T, names] float, NaN for gaps."""
    return np.array([[row.get(name) for name in names] for row in rows], dtype=np.float64)


def _cells(runs: list[tuple[Any, Any]]) -> list[Cell]:
    """Intervals over runs by quarter, and means over all members of all runs by generation; NaN where there is none."""
    quarters = np.array([[np.nanmean(part) for part in np.array_split(gains, QUARTERS)] for gains, _ in runs])
    cells: list[Cell] = [mean_interval(quarters[:, quarter]) for quarter in range(QUARTERS)]
    gains, ages = (np.concatenate([run[part] for run in runs]) for part in (0, 1))
    for _, low, high in GENERATIONS:
        own = gains[(ages >= low) & (ages <= high)]
        cells.append(float(np.nanmean(own)) if own.size else float("nan"))
    return cells


if __name__ == "__main__":
    main()
