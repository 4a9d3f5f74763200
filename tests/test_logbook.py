"""The record of a run: on disk at once, in both forms, and whole after a kill and a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from agents.logbook import PROGRESS_FILE, Logbook, read_progress


def board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: scalar name -> (step, value)."""
    events: Any = EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_scalars_reach_both_files_with_their_prefix(tmp_path: Path) -> None:
    """One JSON line per write, the same names in TensorBoard."""
    with Logbook(tmp_path) as log:
        log.write(0, {"regret": 0.5})
        log.write(1, {"regret": 0.25, "entropy": 2.0}, prefix="user_buddy")
    lines = [json.loads(line) for line in (tmp_path / PROGRESS_FILE).read_text().splitlines()]
    assert lines == [
        {"step": 0, "regret": 0.5},
        {"step": 1, "user_buddy/regret": 0.25, "user_buddy/entropy": 2.0},
    ]
    assert board(tmp_path) == {
        "regret": [(0, 0.5)],
        "user_buddy/regret": [(1, 0.25)],
        "user_buddy/entropy": [(1, 2.0)],
    }


def test_a_line_is_on_disk_before_write_returns(tmp_path: Path) -> None:
    """A killed run loses nothing that it reported, in either file."""
    log = Logbook(tmp_path)
    for step in range(3):
        log.write(step, {"regret": 0.5})
    assert read_progress(tmp_path) == [{"step": step, "regret": 0.5} for step in range(3)]
    assert board(tmp_path) == {"regret": [(0, 0.5), (1, 0.5), (2, 0.5)]}
    log.close()


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    """NaN is no JSON: a strict reader must be able to read every line."""
    with Logbook(tmp_path) as log:
        log.write(0, {"loss": float("nan"), "gap": float("inf"), "regret": 1.0})
    text = (tmp_path / PROGRESS_FILE).read_text()
    line = json.loads(text, parse_constant=pytest.fail)
    assert line == {"step": 0, "loss": None, "gap": None, "regret": 1.0}


def test_writes_at_one_step_are_one_entry(tmp_path: Path) -> None:
    """Training and evaluation write apart and are read together."""
    with Logbook(tmp_path) as log:
        log.write(3, {"loss": 1.0}, prefix="train")
        log.write(3, {"regret": 0.5}, prefix="eval")
    assert read_progress(tmp_path) == [{"step": 3, "train/loss": 1.0, "eval/regret": 0.5}]


def test_a_resumed_run_supersedes_and_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted at 4 with a checkpoint at 2, resumed to 3: readers see 0 1 2 3, the file keeps all six
    lines.
    """
    # TensorBoard reads files of one second by a number in their names, as words: the 10th of a process before the 9th.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    with Logbook(tmp_path) as log:
        for step in range(5):
            log.write(step, {"regret": 1.0})
    with Logbook(tmp_path, resumed_at=2) as log:
        log.write(3, {"regret": 0.5})
    read = read_progress(tmp_path)
    assert [(entry["step"], entry["regret"]) for entry in read] == [(0, 1), (1, 1), (2, 1), (3, 0.5)]
    assert len((tmp_path / PROGRESS_FILE).read_text().splitlines()) == 6
    assert board(tmp_path)["regret"] == [(0, 1), (1, 1), (2, 1), (3, 0.5)]


def test_a_picture_is_shown_as_it_is(tmp_path: Path) -> None:
    """In TensorBoard alone, at its size and step."""
    Figure(figsize=(2, 1)).savefig(tmp_path / "figure.png", dpi=50)
    with Logbook(tmp_path) as log:
        log.picture(7, "lineage", tmp_path / "figure.png")
    events: Any = EventAccumulator(str(tmp_path)).Reload()
    assert [(image.step, image.width, image.height) for image in events.Images("lineage")] == [(7, 100, 50)]
    assert read_progress(tmp_path) == []


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    """A kill in the middle of a line: the next line starts fresh and the reader passes over the half one."""
    (tmp_path / PROGRESS_FILE).write_text('{"step": 0, "regret": 1.0}\n{"step": 1, "reg')
    with Logbook(tmp_path) as log:
        log.write(1, {"regret": 0.5})
    assert read_progress(tmp_path) == [{"step": 0, "regret": 1.0}, {"step": 1, "regret": 0.5}]
