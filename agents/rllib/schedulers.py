"""How an outer search compares its trials and what the losers try next, as schedulers of Ray Tune.

All trials are compared at the same iteration: the search waits for the last one, then the worst quarter goes on from
copies of the best quarter, with settings moved on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining
from ray.tune.schedulers.pb2 import PB2, import_pb2_dependencies

from agents.evolution.genome import mutated
from agents.tuning_settings import Study
from ammo_env.settings import ConfigError

STEP = "training_iteration"  # Tune's word for one interval of ours
FACTOR, RESAMPLE = 1.25, 0.25


def check_scheduler(study: Study) -> None:
    """Raises `ConfigError` where the scheduler's dependency is missing."""
    if study.scheduler == "pb2" and not import_pb2_dependencies():
        raise ConfigError("--scheduler pb2 needs scikit-learn: install the extra 'tune' (pip install -e '.[tune]')")


def make_scheduler(study: Study) -> Any:
    """The study's scheduler."""
    if study.scheduler == "pbt":
        return InStepPBT(study, hyperparam_mutations={key: tune.uniform(0.0, 1.0) for key in study.search})
    if study.scheduler == "pb2":
        return InStepPB2(study, hyperparam_bounds={key: [0.0, 1.0] for key in study.search})
    return FIFOScheduler()


def number_of(trial: Any) -> int:
    """Trials count from 0."""
    return int(trial.trial_id.rpartition("_")[2])


def explored(study: Study, shares: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """What a copy of a system with these shares tries: they mutate as genes do inside a system, by a factor on their
    scale or drawn anew."""
    numbers = {key: found.at(shares[key]) for key, found in study.search.items()}
    genes = {key: found.gene for key, found in study.search.items()}
    moved = mutated(numbers, genes, rng, FACTOR, RESAMPLE)
    return {key: found.share(moved[key]) for key, found in study.search.items()}


class _InStep:
    """All trials wait for each other, and all draws come from the study's seed.

    Tune forgets two things of a search that is resumed: how far its scheduler was (all trials would wait for ever), and
    after the folder was moved, where the copies are that trials were to go on from.
    """

    _next_perturbation_sync: int
    _trial_state: dict[Any, Any]

    def __init__(self, study: Study, **options: Any) -> None:
        in_step = {"time_attr": STEP, "perturbation_interval": 1, "log_config": False, "synch": True}
        super().__init__(**in_step, **options)
        self._study = study

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        super().on_trial_add(controller, trial)  # type: ignore[misc]
        self._next_perturbation_sync = max(self._next_perturbation_sync, (trial.last_result or {}).get(STEP, 0) + 1)
        latest = trial.latest_checkpoint_result
        if latest is not None and not Path(latest.checkpoint.path).exists():
            trial_and_name = Path(latest.checkpoint.path).parts[-2:]
            latest.checkpoint = tune.Checkpoint(str(Path(trial.storage.experiment_fs_path, *trial_and_name)))

    def _checkpoint_or_exploit(self, trial: Any, *others: Any) -> None:
        random.seed(f"{self._study.seed} {self._when(trial)}")  # Tune draws from here whom to copy
        super()._checkpoint_or_exploit(trial, *others)  # type: ignore[misc]

    def _when(self, trial: Any) -> list[int]:
        """Different for every trial and comparison."""
        return [number_of(trial), int(self._trial_state[trial].last_train_time)]


class InStepPBT(_InStep, PopulationBasedTraining):  # type: ignore[misc]
    """Population-based training of whole systems (Jaderberg et al. 2017), in step."""

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, float], dict[str, str]]:
        rng = np.random.default_rng([self._study.seed, *self._when(trial)])
        return explored(self._study, trial_to_clone.config, rng), {}


class InStepPB2(_InStep, PB2):  # type: ignore[misc]
    """Population-based bandits (Parker-Holder et al. 2020): settings by a Gaussian process instead of mutation."""
