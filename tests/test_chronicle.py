"""The chronicle: events come back as they were, whatever a kill did to the last line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.chronicle import CHRONICLE_FILE, append_events, mark_resumed, read_events
from agents.evolution.members import Event


def event(member: int, **values: Any) -> dict[str, Any]:
    return {"side": "user_buddy", "module": "user_0", **Event(1, "founded", member, 0, "exploiter").plain(), **values}


def ids(folder: Path) -> list[int]:
    return [found["member"] for found in read_events(folder)]


def test_events_come_back_in_order_with_their_iteration(tmp_path: Path) -> None:
    first, second = event(0, fitness=-0.25, genome={"rate": 0.1 + 0.2}), event(1, parents=[0])
    append_events(tmp_path, 3, 120, [first])
    append_events(tmp_path, 4, 160, [])
    append_events(tmp_path, 5, 200, [second, event(2)])
    assert read_events(tmp_path) == [
        {"iteration": 3, "step": 120, **first}, {"iteration": 5, "step": 200, **second},
        {"iteration": 5, "step": 200, **event(2)},
    ]  # fmt: skip


def test_every_event_is_a_line_of_json(tmp_path: Path) -> None:
    append_events(tmp_path, 1, 10, [event(0), event(1)])
    text = (tmp_path / CHRONICLE_FILE).read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert [json.loads(line)["member"] for line in text.splitlines()] == [0, 1]


def test_without_a_chronicle_nothing_happened(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []
    mark_resumed(tmp_path, 5)
    assert not (tmp_path / CHRONICLE_FILE).exists()


@pytest.mark.parametrize("cut", [1, 2, 20, 60])
def test_a_torn_line_is_passed_over_and_not_continued(tmp_path: Path, cut: int) -> None:
    append_events(tmp_path, 1, 10, [event(0)])
    append_events(tmp_path, 2, 20, [event(1)])
    path = tmp_path / CHRONICLE_FILE
    path.write_bytes(path.read_bytes()[:-cut])
    kept = [0, 1] if cut == 1 else [0]  # only the end of the line is missing
    assert ids(tmp_path) == kept
    append_events(tmp_path, 3, 30, [event(2)])
    assert ids(tmp_path) == [*kept, 2]


def test_what_an_interrupted_run_wrote_after_its_checkpoint_no_longer_counts(tmp_path: Path) -> None:
    for iteration in (1, 2, 3):
        append_events(tmp_path, iteration, iteration * 10, [event(iteration)])
    mark_resumed(tmp_path, 2)
    assert ids(tmp_path) == [1, 2]
    append_events(tmp_path, 3, 30, [event(33)])
    append_events(tmp_path, 4, 40, [event(44)])
    assert ids(tmp_path) == [1, 2, 33, 44]
    mark_resumed(tmp_path, 3)
    assert ids(tmp_path) == [1, 2, 33]
    mark_resumed(tmp_path, -1)  # from the start again, before the founders
    assert read_events(tmp_path) == []


def test_a_run_that_was_killed_in_mid_line_is_resumed(tmp_path: Path) -> None:
    append_events(tmp_path, 1, 10, [event(1)])
    append_events(tmp_path, 2, 20, [event(2)])
    with (tmp_path / CHRONICLE_FILE).open("a", encoding="utf-8") as file:
        file.write('{"iteration": 3, "step": 30, "kind": "ret')
    mark_resumed(tmp_path, 1)
    append_events(tmp_path, 2, 20, [event(22)])
    assert ids(tmp_path) == [1, 22]
