"""The result file of marl-eval (Gorsane et al. 2022, "Towards a Standardised Performance Evaluation Protocol
for Cooperative MARL"): one JSON document, environment → task → algorithm → run → step → metric → values, that
the tools of the MARL benchmarks read. It is written here and not depended on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Metrics: TypeAlias = Mapping[str, Sequence[float]]
Document: TypeAlias = dict[str, dict[str, dict[str, dict[str, dict[str, Any]]]]]


@dataclass(frozen=True)
class RunResult:
    """The evaluations of one training run.

    evaluations: environment steps of training so far -> metric -> one value per evaluation episode (or one in
    all); absolute: the same metrics from the longer evaluation of the best or last policy.
    """

    task: str
    algorithm: str
    seed: int
    evaluations: Mapping[int, Metrics]
    absolute: Metrics
    environment: str = "ammo"


def marl_eval_document(results: Iterable[RunResult]) -> Document:
    """The document of `results`; steps in order, absolute metrics last, names in the lower case its reader
    needs.

    Raises ValueError when marl-eval could not aggregate it: a run given twice, an empty or non-finite metric,
    or runs that differ in their metrics, number of evaluations, or (per task) algorithms and seeds.
    """
    document: Document = {}
    for result in results:
        tasks = document.setdefault(result.environment.lower(), {})
        runs = tasks.setdefault(result.task.lower(), {}).setdefault(result.algorithm, {})
        run = f"seed_{result.seed}"
        if run in runs:
            raise ValueError(f"{result.algorithm} on {result.task} has two results for seed {result.seed}")
        runs[run] = _steps(result)
    for environment, tasks in document.items():
        _check_balanced(environment, tasks)
    return document


def write_marl_eval(results: Iterable[RunResult], path: Path) -> Path:
    """Write `marl_eval_document(results)` as JSON to a new file. Raises FileExistsError, never overwrites."""
    text = json.dumps(marl_eval_document(results), indent=2, allow_nan=False)
    with path.open("x", encoding="utf-8") as file:
        file.write(text + "\n")
    return path


def _steps(result: RunResult) -> dict[str, Any]:
    steps: dict[str, Any] = {
        f"step_{index}": {"step_count": count, **_values(result, result.evaluations[count])}
        for index, count in enumerate(sorted(result.evaluations))
    }
    steps["absolute_metrics"] = _values(result, result.absolute)
    return steps


def _values(result: RunResult, metrics: Metrics) -> dict[str, list[float]]:
    values = {name.lower(): [float(value) for value in metrics[name]] for name in metrics}
    for name, numbers in values.items():
        if not numbers or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"{name} of {result.algorithm}, {result.task}, seed {result.seed} is {numbers}: "
                "a metric needs at least one value, all finite"
            )
    return values


def _check_balanced(environment: str, tasks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """marl-eval stacks runs into arrays: every run of an environment must have the shape of the first."""
    grid = {task: {algorithm: sorted(runs) for algorithm, runs in by.items()} for task, by in tasks.items()}
    first_task = next(iter(grid))
    for task, algorithms in grid.items():
        if algorithms != grid[first_task] or len({tuple(runs) for runs in algorithms.values()}) > 1:
            raise ValueError(
                f"{environment}: every task needs the same algorithms with the same seeds, got "
                f"{grid[first_task]} on {first_task} and {algorithms} on {task}"
            )
    layouts = {
        tuple((step, tuple(sorted(set(metrics) - {"step_count"}))) for step, metrics in steps.items())
        for algorithms in tasks.values()
        for runs in algorithms.values()
        for steps in runs.values()
    }
    names = {metrics for layout in layouts for _, metrics in layout}
    if len(layouts) > 1 or len(names) > 1:
        raise ValueError(
            f"{environment}: every run needs the same number of evaluations, and every evaluation, also the "
            f"absolute one, the same metrics; got {sorted(len(run) - 1 for run in layouts)} evaluations "
            f"of {sorted(names)}"
        )
