"""A training run from its configuration to its final table: folder, progress, record, checkpoints, evaluation.

Everything lands in one folder: `config.yaml`, `progress.jsonl`, `events.jsonl` and TensorBoard's file, `checkpoints/`,
and at the end `scores.txt`, `scores.json`, the figures, and `population/` with every member and a card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from agents.census import Resident, find, take_census
from agents.checkpoints import CheckpointError
from agents.chronicle import append_events, mark_resumed
from agents.evaluation import Arena
from agents.figures import Curve, learning_curve
from agents.final import crowned, play_final, read_results, write_results
from agents.interrupt import GracefulStop
from agents.learned_policy import policy_of
from agents.logbook import Logbook, read_progress
from agents.policy import Policy
from agents.population_card import CARD, write_card
from agents.population_folder import POPULATION, read_index, write_population
from agents.population_report import admissions, draw_populations, population_table, score_members
from agents.progress import Progress
from agents.projector import write_projector
from agents.provenance import Provenance
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.plan import make_plan
from agents.run_config import RunConfig
from agents.runs import create_run, open_run
from agents.scoreboard import Scoreboard, full_scoreboard, held_out
from agents.training_settings import SIDES
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

    def census(self) -> list[Resident]:
        """Everybody in the newest checkpoint; champions are those of the final, where there was one, or the fittest."""
        return crowned(take_census(self.latest()), read_results(self.folder, self.latest()))


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
    if resume and run.checkpoints:
        trainer = resume_training(run.latest())
        mark_resumed(run.folder, trainer.iteration)
    else:  # also a run that was killed before its first checkpoint begins again
        trainer = build_algorithm(make_plan(settings, run.config.world))
        mark_resumed(run.folder, -1)
        append_events(run.folder, 0, 0, trainer.evolution.news())
        _save(trainer, run)
    done = trainer.iteration
    steps, lost = _steps_until(run.folder, done), 0
    with (
        Logbook(run.folder, resumed_at=steps if resume else None) as logbook,
        Progress(settings.iterations, "iterations", start=done) as progress,
        GracefulStop() as stop,
    ):
        for iteration in range(done + 1, settings.iterations + 1):
            report = trainer.train_iteration()
            steps += int(report["agent_steps"])
            logbook.write(steps, report)
            append_events(run.folder, iteration, steps, trainer.evolution.news())
            progress.update(iteration, **_headline(report))
            before, lost = lost, int(report["lost_runners"])
            if lost != before:
                left = settings.num_env_runners - lost
                progress.note(f"iteration {iteration}: {left} of {settings.num_env_runners} sampling processes at work")
            due = settings.checkpoint_every and iteration % settings.checkpoint_every == 0
            if due or stop.requested or iteration == settings.iterations:
                _save(trainer, run)
            if stop.requested:
                progress.note(f"interrupted and saved; go on with --resume {run.folder}")
                raise KeyboardInterrupt


def learned_policies(run: Run) -> tuple[dict[str, Policy], dict[str, Policy]]:
    """The champion of each side from the newest checkpoint, stochastic (as in training) and deterministic."""
    everybody = run.census()
    users, goals = (_champion(run, everybody, side) for side in SIDES)
    return users, goals


def member_policies(run: Run, side: str, member: int) -> dict[str, Policy]:
    """One member by its id, living or in the hall of fame, stochastic and deterministic. Raises `CheckpointError`."""
    return _both(find(run.census(), side, member, run.folder))


def run_world(run: Run) -> AmmoConfig:
    """The world as it was trained in: action kinds that the scenario leaves open are slate and gains."""
    return make_plan(run.config.training, run.config.world).world


def hold_final(run: Run, worlds: int = 64, episodes: int = 2) -> None:
    """Let the living members of the newest checkpoint play for the title of champion, unless they have."""
    checkpoint = run.latest()
    if not read_results(run.folder, checkpoint):
        arena = Arena(run_world(run), worlds, episodes, run.config.training.seed)
        if results := play_final(take_census(checkpoint), arena):
            write_results(run.folder, checkpoint, results)


def finish(run: Run, worlds: int = 64, episodes: int = 2) -> Scoreboard:
    """Hold the final and evaluate what was trained against all baselines; write scores, figures and population."""
    hold_final(run, worlds, episodes)
    world, everybody = run_world(run), run.census()
    users, goals = (_champion(run, everybody, side) for side in SIDES)
    arena = Arena(world, worlds, episodes, run.config.training.seed)
    board = full_scoreboard(world, run.scenario, users, goals, arena)
    judged = replace(arena, config=held_out(world))
    scores = score_members(everybody, judged, board.raw, next(iter(users.values()), None))
    champions = {resident.side: resident.name for resident in everybody if resident.champion}
    raw = {**board.raw, "champions": champions}
    board = replace(board, raw=raw, population=population_table(everybody, scores))
    (run.folder / "scores.txt").write_text(board.text() + "\n", encoding="utf-8")
    (run.folder / "scores.json").write_text(json.dumps(board.raw, indent=1), encoding="utf-8")
    _draw_learning(run, board)
    draw_populations(run.folder, run.latest(), everybody)
    _write_population(run, world, everybody, scores)
    write_projector(run.folder, world, run.config.training.seed)
    return board


def closing(run: Run) -> str:
    """Where the results are, in one line."""
    names = ["scores.txt", *sorted(path.name for path in run.folder.glob("*.png")), f"{POPULATION}/{CARD}"]
    return (f"results: {run.folder} ({', '.join(names)}, {CHECKPOINTS}/; "
            f"TensorBoard: tensorboard --logdir {run.folder})")  # fmt: skip


def _champion(run: Run, everybody: list[Resident], side: str) -> dict[str, Policy]:
    if not run.config.training.side(side).members:
        return {}
    return _both(find(everybody, side, None, run.latest()))


def _both(resident: Resident) -> dict[str, Policy]:
    return {"trained": policy_of(resident), "trained, deterministic": policy_of(resident, deterministic=True)}


def _draw_learning(run: Run, board: Scoreboard) -> None:
    rows = [row for row in read_progress(run.folder) if row.get("normalised_regret") is not None]
    if rows:
        steps = np.array([row["step"] for row in rows], dtype=np.float64)
        scores = np.array([[row["normalised_regret"] for row in rows]], dtype=np.float64)
        shown: Mapping[str, float] = {
            name: board.raw["user_buddies"][name]["normalised_regret"] for name in ("greedy", board.best_bandit)
        }
        curves = {"in training": Curve(steps, scores)}
        learning_curve(run.folder / "learning_curve.png", curves, baselines=shown, xlabel="agent steps")


def _write_population(
    run: Run, world: AmmoConfig, everybody: list[Resident], scores: Mapping[str, Mapping[str, float]]
) -> None:
    rows = read_progress(run.folder)
    last = rows[-1] if rows else {}
    kinds = {"user_buddy": world.actions.user_mode, "goal_buddy": world.actions.goal_mode}
    iterations, steps = int(last.get("iteration") or 0), int(last.get("step") or 0)
    provenance = Provenance(run.scenario, run.config, kinds, iterations, steps)
    known: dict[str, dict[str, object]] = {file: {"scores": dict(own)} for file, own in scores.items()}
    folder = run.folder / POPULATION
    write_population(folder, everybody, provenance.about, {**known, **admissions(run.folder, everybody)})
    write_card(folder, provenance, read_index(folder)["members"])


def _save(trainer: BuddyTrainer, run: Run) -> None:
    save_training(trainer, run.folder / CHECKPOINTS / f"iteration-{trainer.iteration:06d}{SUFFIX}")
    half_written = (run.folder / CHECKPOINTS).glob(f".*{SUFFIX}.*")  # by a run that was killed meanwhile
    for old in [*run.checkpoints[:-KEPT], *half_written]:
        old.unlink()


def _steps_until(folder: Path, iteration: int) -> int:
    if iteration == 0:
        return 0
    rows = [row for row in read_progress(folder) if (row.get("iteration") or 0) <= iteration]
    return int(rows[-1]["step"] or 0) if rows else 0


def _headline(report: Mapping[str, float]) -> dict[str, float]:
    shown = {"regret": report.get("normalised_regret", float("nan"))}
    advantages = [value for name, value in report.items() if name.endswith("/advantage_over_scripts")]
    return {**shown, "goal advantage": float(np.mean(advantages))} if advantages else shown
