"""A whole system as one trial of an outer search: both populations, their evolution inside, and settings that change
from outside.

A system lives in a folder that is a run's folder like any other (`config.yaml`, `progress.jsonl`, `events.jsonl`,
`checkpoints/`), and so is everything that `save` writes; `schedule.json` says which settings held from which iteration
on. What a change of settings does is in `put_in_force`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.census import champion
from agents.checkpoints import read_checkpoint
from agents.chronicle import append_events
from agents.evolution.genome import GENES, Gene
from agents.logbook import Logbook, read_progress
from agents.matchmaking import member_id
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.bodies import LearnerBodies
from agents.rllib.checkpoint import save_training
from agents.rllib.plan import make_plan
from agents.runs import CONFIG_FILE
from agents.training import CHECKPOINTS, SUFFIX, Run, start_run
from agents.training_settings import SIDES, TrainingSettings
from agents.tuning_settings import Study

SCHEDULE_FILE = "schedule.json"


class TunedSystem:
    """One system of a study.

    Args:
        study: the search that it is part of.
        shares: searched setting → where it lies in its range, from now on.
        folder: where it lives; whatever is there is lost.
        source: a folder that the `save` of some system of the same study wrote, to go on from.
    """

    def __init__(self, study: Study, shares: Mapping[str, float], folder: Path, source: Path | None = None) -> None:
        self._study, self.settings = study, study.settings(shares)
        config = study.configured(self.settings)
        shutil.rmtree(folder, ignore_errors=True)
        self._run = start_run(config, study.scenario, folder)
        self.trainer = build_algorithm(make_plan(config.training, config.world))
        self.schedule: list[dict[str, Any]] = []
        self._steps = 0
        if source is None:
            append_events(folder, 0, 0, self.trainer.evolution.news())
        else:
            self._go_on_from(source)
        if not self.schedule or self.schedule[-1]["settings"] != self.settings:
            self.schedule.append({"iteration": self.trainer.iteration, "settings": self.settings})
        self._logbook = Logbook(folder)

    def advance(self) -> dict[str, Any]:
        """Train for one interval of the study.

        Returns:
            Means over the interval: "normalised_regret" of everybody and "goal_advantage" of the champions over the
            scripts in their seats; "agent_steps" and "iterations" so far, "mutations" of the settings so far, the
            "settings" in force, and whether it is "done".
        """
        rows: list[dict[str, float]] = []
        left = self._study.iterations - self.trainer.iteration
        for _ in range(min(self._study.interval, left)):
            report = self.trainer.train_iteration()
            self._steps += int(report["agent_steps"])
            self._logbook.write(self._steps, report)
            append_events(self._run.folder, self.trainer.iteration, self._steps, self.trainer.evolution.news())
            rows.append({"normalised_regret": report["normalised_regret"], "goal_advantage": self._advantage(report)})
        return {
            **{name: _mean([row[name] for row in rows]) for name in ("normalised_regret", "goal_advantage")},
            "agent_steps": self._steps,
            "iterations": self.trainer.iteration,
            "mutations": len(self.schedule) - 1,
            "settings": dict(self.settings),
            "done": self.trainer.iteration >= self._study.iterations,
        }

    def save(self, folder: Path) -> None:
        """Write all that it is to a folder: a run like any other."""
        (self._run.folder / SCHEDULE_FILE).write_text(json.dumps(self.schedule, indent=1), encoding="utf-8")
        shutil.copytree(self._run.folder, folder, dirs_exist_ok=True)
        save_training(self.trainer, folder / CHECKPOINTS / f"iteration-{self.trainer.iteration:06d}{SUFFIX}")

    def close(self) -> None:
        """The folder stays."""
        self._logbook.close()
        self.trainer.stop()

    def _go_on_from(self, source: Path) -> None:
        """Take over state and record; then the own settings, which the state knows nothing of, are put in force."""
        state = read_checkpoint(Run(source, self._run.scenario, self._run.config).latest())
        self.trainer.load_training_state(state)
        put_in_force(self.trainer, TrainingSettings.model_validate(state["settings"]))
        for path in source.iterdir():
            if path.is_file() and path.name != CONFIG_FILE:
                shutil.copy2(path, self._run.folder)
        self.schedule = json.loads((source / SCHEDULE_FILE).read_text(encoding="utf-8"))
        rows = read_progress(source) if self.trainer.iteration else []
        self._steps = int(rows[-1]["step"] or 0) if rows else 0

    def _advantage(self, report: Mapping[str, float]) -> float:
        slot = champion(self.trainer.evolution.populations["goal_buddy"])
        if slot is None:
            return math.nan
        return report.get(f"{member_id('goal_buddy', slot)}/advantage_over_scripts", math.nan)


def put_in_force(trainer: BuddyTrainer, before: TrainingSettings) -> None:
    """Make the trainer's settings count for members that have lived under other ones, `before`.

    Members have genomes of their own, so a setting that is a gene moves all living members alike, by as much as the
    setting moved on the gene's scale (twice the learning rate: twice everybody's), each within the gene's range. Other
    hyper-parameters are set. Everything else that a trainer reads, it was built with.
    """
    for side in SIDES:
        old, new = (asdict(settings.hyperparameters(side)) for settings in (before, trainer.plan.settings))
        changed = [name for name in new if new[name] != old[name]]
        population, slots = trainer.evolution.populations[side], trainer.plan.slots(side)
        for slot, member in population.living.items():
            moved = {
                name: _moved(GENES[name], member.genome[name], old[name], new[name])
                for name in changed
                if name in GENES and member.genome.get(name)  # 0: a gene that this niche does not have
            }
            if moved:
                population.plant(slot, {**member.genome, **moved}, LearnerBodies(trainer.learner, slots))
            trainer.learner.set_hyperparameters(slots[slot], **{n: new[n] for n in changed if n not in GENES})
    trainer.push_weights()


def _moved(gene: Gene, value: float, old: float, new: float) -> float:
    """`value` moved by as much as from `old` to `new` on the gene's scale."""
    if gene.scale == "linear":
        return gene.clipped(value + new - old)
    return gene.moved(value, new / old if gene.scale == "log" else (1.0 - old) / (1.0 - new), up=True)


def _mean(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
