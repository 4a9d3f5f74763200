"""The chronicle of a population: every birth, retirement and honour of a run as one JSON line, for a notebook to read.

    {"iteration": 30, "step": 491520, "side": "user_buddy", "module": "user_2", "cycle": 3, "kind": "recombined",
     "member": 7, "slot": 2, "niche": "explorer", "parents": [0, 5], "genome": {"learning_rate": 0.00125, ...},
     "fitness": null}

Kinds: founded, inherited (one parent), recombined (two), retired, admitted (to the hall of fame).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agents.json_lines import open_to_append, read_lines

CHRONICLE_FILE = "events.jsonl"


def append_events(folder: Path, iteration: int, step: int, events: Iterable[Mapping[str, Any]]) -> None:
    """Write events down; each line is complete on disk before the next."""
    with open_to_append(folder / CHRONICLE_FILE) as file:
        for event in events:
            file.write(json.dumps({"iteration": iteration, "step": step, **event}) + "\n")


def mark_resumed(folder: Path, iteration: int) -> None:
    """A run goes on from `iteration`: whatever an interrupted one wrote after it no longer counts."""
    if (folder / CHRONICLE_FILE).exists():
        append_events(folder, iteration, -1, [{"kind": "resumed"}])


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All events that count, in order; empty where there is no chronicle. A line torn by a kill is passed over."""
    path = folder / CHRONICLE_FILE
    events: list[dict[str, Any]] = []
    for event in read_lines(path) if path.exists() else ():
        if event["kind"] == "resumed":
            events = [earlier for earlier in events if earlier["iteration"] <= event["iteration"]]
        else:
            events.append(event)
    return events
