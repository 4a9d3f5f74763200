"""A training run from its configuration to its final table: folder, progress, record, checkpoints, evaluation.

Everything lands in one folder: `config.yaml`, `progress.jsonl` and TensorBoard's file, `checkpoints/`, and at the end
`scores.txt`, `scores.json` and `learning_curve.png`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from agents.checkpoints import CheckpointError
from agents.evaluation import Arena
from agents.figures import Curve, learning_curve
from agents.interrupt import GracefulStop
from agents.learned_policy import load_policy
from agents.logbook import Logbook, read_progress
from agents.policy import Policy
from agents.progress import Progress
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.plan import make_plan
from agents.run_config import RunConfig
from agents.runs import create_run, open_run
from agents.scoreboard import Scoreboard, full_scoreboard
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError

CHECKPOINTS, SUFFIX = "checkpoints", ".ckpt"
KEPT = 3  # checkpoints that stay; a damaged newest one leaves two to go back to


@dataclass(frozen=True)
class Run:
    """A folder with a run in it."""

    folder: Path
    scenario: str
    config: RunConfig

    @property
    def checkpoints(self) -> list[Path]:
        """All checkpoints, oldest first."""
        return sorted((self.folder / CHECKPOINTS).glob(f"*{SUFFIX}"))

    def latest(self) -> Path:
        """The newest checkpoint. Raises `CheckpointError` where there is none."""
        if not self.checkpoints:
            raise CheckpointError(f"{self.folder} holds no checkpoint yet: train it first")
        return self.checkpoints[-1]


def start_run(config: RunConfig, scenario: str, out: Path | None) -> Run:
    """Claim the folder of a new run. Raises `FileExistsError` where something is there already."""
    values = {"scenario": scenario, **config.model_dump(mode="json")}
    return Run(create_run(values, scenario, config.training.seed, out), scenario, config)


def reopen_run(folder: Path) -> Run:
    """The run in a folder, as it was configured. Raises `FileNotFoundError`, or `ConfigError` for a spoilt file."""
    values = open_run(folder)
    try:
        scenario = str(values.pop("scenario"))
        return Run(folder, scenario, RunConfig.model_validate(values))
    except (KeyError, AttributeError, ValidationError) as error:
        raise ConfigError(f"{folder}/config.yaml is not what a run of this version wrote: {error}") from None


def train(run: Run, resume: bool = False) -> None:
    """Train to the configured number of iterations; `resume` goes on from the newest checkpoint.

    Ctrl-C ends the run after the current iteration, saved; a second one ends it at once, and the last checkpoint stays.
    """
    settings = run.config.training
    trainer = resume_training(run.latest()) if resume else build_algorithm(make_plan(settings, run.config.world))
    done = trainer.iteration
    steps = _steps_until(run.folder, done) if resume else 0
    with (
        Logbook(run.folder, resumed_at=steps if resume else None) as logbook,
        Progress(settings.iterations, "iterations", start=done) as progress,
        GracefulStop() as stop,
    ):
        for iteration in range(done + 1, settings.iterations + 1):
            report = trainer.train_iteration()
            steps += int(report["agent_steps"])
            logbook.write(steps, report)
            progress.update(iteration, **_headline(report))
            due = settings.checkpoint_every and iteration % settings.checkpoint_every == 0
            if due or stop.requested or iteration == settings.iterations:
                _save(trainer, run)
            if stop.requested:
                progress.note(f"interrupted and saved; go on with --resume {run.folder}")
                raise KeyboardInterrupt


def learned_policies(run: Run) -> tuple[dict[str, Policy], dict[str, Policy]]:
    """The first member of each side from the newest checkpoint, stochastic (as in training) and deterministic."""
    checkpoint, sides = run.latest(), []
    for side in ("user_buddy", "goal_buddy"):
        learned: dict[str, Policy] = {}
        if run.config.training.side(side).members:
            learned["trained"] = load_policy(checkpoint, side)
            learned["trained, deterministic"] = load_policy(checkpoint, side, deterministic=True)
        sides.append(learned)
    return sides[0], sides[1]


def run_world(run: Run) -> AmmoConfig:
    """The world as it was trained in: action kinds that the scenario leaves open are slate and gains."""
    return make_plan(run.config.training, run.config.world).world


def finish(run: Run, worlds: int = 64, episodes: int = 2) -> Scoreboard:
    """Evaluate the trained policies against all baselines; write the scores and the learning curve."""
    settings, world = run.config.training, run_world(run)
    board = full_scoreboard(world, run.scenario, *learned_policies(run), Arena(world, worlds, episodes, settings.seed))
    (run.folder / "scores.txt").write_text(board.text() + "\n", encoding="utf-8")
    (run.folder / "scores.json").write_text(json.dumps(board.raw, indent=1), encoding="utf-8")
    rows = [row for row in read_progress(run.folder) if row.get("normalised_regret") is not None]
    if rows:
        steps = np.array([row["step"] for row in rows], dtype=np.float64)
        scores = np.array([[row["normalised_regret"] for row in rows]], dtype=np.float64)
        shown: Mapping[str, float] = {
            name: board.raw["user_buddies"][name]["normalised_regret"] for name in ("greedy", board.best_bandit)
        }
        curves = {"in training": Curve(steps, scores)}
        learning_curve(run.folder / "learning_curve.png", curves, baselines=shown, xlabel="agent steps")
    return board


def _save(trainer: BuddyTrainer, run: Run) -> None:
    save_training(trainer, run.folder / CHECKPOINTS / f"iteration-{trainer.iteration:06d}{SUFFIX}")
    for old in run.checkpoints[:-KEPT]:
        old.unlink()


def _steps_until(folder: Path, iteration: int) -> int:
    rows = [row for row in read_progress(folder) if (row.get("iteration") or 0) <= iteration]
    return int(rows[-1]["step"] or 0) if rows else 0


def _headline(report: Mapping[str, float]) -> dict[str, float]:
    shown = {"regret": report.get("normalised_regret", float("nan"))}
    advantage = report.get("goal_0/advantage_over_scripts")
    return shown if advantage is None else {**shown, "goal advantage": advantage}
