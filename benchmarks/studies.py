"""Many training runs, each a folder with its evaluation in it: what is finished is not repeated."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agents.run_config import load_run_config
from agents.runs import CONFIG_FILE
from agents.training import Run, reopen_run, start_run, train

STUDY = "study.json"
Work = TypeVar("Work")


def run_studies(one_study: Callable[[Work], str], work: Sequence[Work], jobs: int) -> None:
    """Do all the work, `jobs` pieces at a time in processes of their own; prints a line about each."""
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for line in pool.imap_unordered(one_study, work):
            print(line, flush=True)


def study(
    folder: Path, scenario: str, overrides: dict[str, Any], labels: dict[str, Any],
    evaluate: Callable[[Run], dict[str, Any]],
) -> str:
    """Train a run and evaluate it, or go on where it was interrupted; returns a line about it.

    `study.json` holds the labels, what `evaluate` found, and the seconds of both parts.
    """
    if (folder / STUDY).exists():
        return f"{folder}: already finished"
    began = time.monotonic()
    if (folder / CONFIG_FILE).exists():
        run = reopen_run(folder)
        train(run, resume=True)
    else:
        run = start_run(load_run_config(scenario, overrides), scenario, folder)
        train(run)
    trained = time.monotonic()
    found = {**labels, "train_seconds": trained - began, **evaluate(run)}
    found["evaluate_seconds"] = time.monotonic() - trained
    (folder / STUDY).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return f"{folder}: {found['train_seconds']:.0f} s training, {found['evaluate_seconds']:.0f} s evaluation"
