"""An outer search from its configuration to its table of trials and the folder of the best run.

Everything lands in one folder: `config.yaml` (what is searched), `progress.jsonl` and TensorBoard's file (every trial's
scores and settings), `tune/` (the trials), and at the end `trials.txt`, `best/` (the best trial's run) and `best.yaml`
(its settings as a scenario, to train anew with).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from agents.logbook import Logbook
from agents.progress import Progress
from agents.report import Cell, table
from agents.rllib.schedulers import check_scheduler
from agents.rllib.tuning import Tell, Trial, run_trials
from agents.runs import create_run, open_run
from agents.tuned_system import TunedSystem
from agents.tuning_settings import Study
from ammo_env.settings import ConfigError, build

BEST = "best"
SCORES = ("normalised_regret", "goal_advantage")


class TrialError(Exception):
    """A trial failed: names it, the cause and what to do."""


@dataclass(frozen=True)
class Search:
    """A folder with a search in it."""

    folder: Path
    study: Study


def start_search(study: Study, out: Path | None) -> Search:
    """Claim the folder of a new search. Raises `FileExistsError` where something is there already."""
    check_scheduler(study)
    name = f"tune-{Path(study.scenario).stem}"
    return Search(create_run({"tune": study.model_dump(mode="json")}, name, study.seed, out), study)


def reopen_search(folder: Path) -> Search:
    """The search in a folder. Raises `FileNotFoundError`, or `ConfigError` for something else."""
    values = open_run(folder)
    if not isinstance(values, dict) or "tune" not in values:
        raise ConfigError(f"{folder} holds no search: its config.yaml is a training run's or spoilt")
    search = Search(folder, build(Study, values["tune"], prefix=f"{folder}/config.yaml: "))
    check_scheduler(search.study)
    return search


def run_search(search: Search) -> list[Trial]:
    """Run to the end, or go on; returns the trials, best first.

    Ctrl-C ends it with `KeyboardInterrupt`: intervals that were finished are saved. Raises `TrialError` where a trial
    failed.
    """
    study = search.study
    total = study.trials * study.iterations
    with Logbook(search.folder) as logbook:
        lines: list[Progress] = []

        def began(trials: list[Trial]) -> Tell:
            done = {trial.number: int(trial.result.get("iterations", 0)) for trial in trials}
            scores = {trial.number: trial.result[study.metric] for trial in trials if trial.result}
            lines.append(Progress(total, "iterations", start=sum(done.values())))

            def tell(number: int, result: Mapping[str, Any]) -> None:
                done[number], scores[number] = int(result["iterations"]), float(result[study.metric])
                shown = {**{name: result[name] for name in (*SCORES, "mutations")}, **result["settings"]}
                logbook.write(done[number], shown, prefix=f"trial-{number}")
                lines[0].update(sum(done.values()), **{f"best {study.metric}": _best_of(study, scores.values())})

            return tell

        trials = run_trials(study, search.folder, partial(TunedSystem, study), began)
        _check_done(search, trials, lines[0])
        lines[0].close()
    sign = 1.0 if study.mode == "min" else -1.0
    return sorted(trials, key=lambda trial: _worst_if_unknown(sign * trial.result[study.metric]))


def finish_search(search: Search, trials: list[Trial]) -> str:
    """Keep the best trial's run and settings; returns the table of all trials."""
    study, best = search.study, trials[0]
    keys = {key: key.removeprefix("training.") for key in study.search}
    rows: list[list[Cell]] = [
        [
            trial.number, *(float(trial.result[name]) for name in SCORES), int(trial.result["iterations"]),
            int(trial.result["mutations"]), *(f"{trial.result['settings'][key]:.3g}" for key in keys),
        ]
        for trial in trials
    ]  # fmt: skip
    scores = [name.replace("_", " ") for name in SCORES]
    text = table(["trial", *scores, "iterations", "mutations", *keys.values()], rows)
    (search.folder / "trials.txt").write_text(text + "\n", encoding="utf-8")
    values = study.configured(best.result["settings"]).model_dump(mode="json", exclude_defaults=True)
    (search.folder / f"{BEST}.yaml").write_text(
        yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    assert best.folder is not None, "a trial that is done was saved"
    if not (search.folder / BEST).exists():  # it may have been trained on since
        half = search.folder / f".{BEST}"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(best.folder, half).rename(search.folder / BEST)
    return text


def next_steps(search: Search) -> str:
    """What to do with the results."""
    best = search.folder / BEST
    return (
        f"best run: {best} (compare it: python scripts/evaluate.py {best})\n"
        f"go on with it, to training.iterations in its config.yaml: python scripts/train.py --resume {best}\n"
        f"train anew with its settings: python scripts/train.py {best}.yaml\n"
        f"scores and settings over time: tensorboard --logdir {search.folder}"
    )


def _check_done(search: Search, trials: list[Trial], progress: Progress) -> None:
    for trial in trials:
        if trial.error is not None:
            reason, place = trial.error.strip().splitlines()[-1], search.folder / "tune" / f"trial-{trial.number}"
            raise TrialError(
                f"trial {trial.number} failed: {reason} (in full: {place}/error.txt); once the cause is gone, go on "
                f"with --resume {search.folder}"
            )
    if any(trial.result.get("iterations", 0) < search.study.iterations for trial in trials):
        progress.note(f"interrupted and saved; go on with --resume {search.folder}")
        raise KeyboardInterrupt


def _best_of(study: Study, scores: Any) -> float:
    known = [score for score in scores if math.isfinite(score)]
    return (min if study.mode == "min" else max)(known, default=math.nan)


def _worst_if_unknown(score: float) -> float:
    return math.inf if math.isnan(score) else score
