"""The marl-eval file: its schema, the order its reader relies on, and what is refused."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.marl_eval import RunResult, marl_eval_document, write_marl_eval


def result(task: str = "Default", algorithm: str = "ppo", seed: int = 0, **changes: Any) -> RunResult:
    """One run with two evaluations of two episodes each."""
    values: dict[str, Any] = {
        "evaluations": {2048: {"Regret": [0.5, 0.7]}, 1024: {"Regret": [0.9, 1.1]}},
        "absolute": {"Regret": [0.5] * 20},
    }
    return RunResult(task, algorithm, seed, **{**values, **changes})


GRID = [result(*names, seed) for names in product(("Default", "Drift"), ("ppo", "ucb")) for seed in (0, 1)]


def test_document_follows_the_published_schema(tmp_path: Path) -> None:
    """environment → task → algorithm → run → step → metric; lower case, steps by count, absolute last."""
    document = json.loads(write_marl_eval(GRID, tmp_path / "metrics.json").read_text())
    assert list(document) == ["ammo"]
    assert list(document["ammo"]) == ["default", "drift"]
    assert list(document["ammo"]["drift"]) == ["ppo", "ucb"]
    run = document["ammo"]["drift"]["ucb"]
    assert list(run) == ["seed_0", "seed_1"]
    assert list(run["seed_1"]) == ["step_0", "step_1", "absolute_metrics"]
    assert run["seed_1"]["step_0"] == {"step_count": 1024, "regret": [0.9, 1.1]}
    assert run["seed_1"]["step_1"] == {"step_count": 2048, "regret": [0.5, 0.7]}
    assert run["seed_1"]["absolute_metrics"] == {"regret": [0.5] * 20}


def test_numpy_values_are_written_as_numbers(tmp_path: Path) -> None:
    """Evaluations give float32 arrays; JSON holds plain floats."""
    metrics = {"regret": np.array([0.25], np.float32)}
    measured = result(evaluations={8: metrics}, absolute=metrics)
    document = json.loads(write_marl_eval([measured], tmp_path / "metrics.json").read_text())
    assert document["ammo"]["default"]["ppo"]["seed_0"]["step_0"]["regret"] == [0.25]


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    """Results already written are never overwritten."""
    path = write_marl_eval([result()], tmp_path / "metrics.json")
    before = path.read_text()
    with pytest.raises(FileExistsError):
        write_marl_eval([result(seed=1)], path)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("results", "cause"),
    [
        ([result(), result()], "two results for seed 0"),
        ([result(absolute={"regret": []})], "at least one value"),
        ([result(absolute={"regret": [float("nan")]})], "all finite"),
        ([result(), result(algorithm="ucb", seed=1)], "same seeds"),
        ([result(), result(task="drift", algorithm="ucb")], "same algorithms"),
        ([result(), result(seed=1, evaluations={8: {"regret": [1.0]}})], "same number of evaluations"),
        ([result(absolute={"welfare": [1.0]})], "same metrics"),
    ],
)
def test_what_marl_eval_could_not_aggregate_is_refused(results: list[RunResult], cause: str) -> None:
    """Its reader stacks runs into arrays and fails late and silently on a ragged document."""
    with pytest.raises(ValueError, match=cause):
        marl_eval_document(results)
