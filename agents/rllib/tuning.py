"""The outer search on Ray Tune: whole systems as trials, as many at a time as CPUs, in a cluster of their own.

What a system is, it is told (`System`); here it is driven. How trials are compared is in `schedulers`.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from agents.rllib.quiet import quietly
from agents.rllib.schedulers import make_scheduler, number_of
from agents.tuning_settings import Study
from ammo_env.settings import ConfigError

TUNE = "tune"  # Tune's own folder in that of the search
STORE_BYTES = 100 << 20
KEPT = 3  # checkpoints of a trial; another may still have to be copied from the last but one


class System(Protocol):
    """What a trial is made of."""

    def advance(self) -> dict[str, Any]:
        """Train for one interval; returns at least the study's metric, "iterations" and "done"."""

    def save(self, folder: Path) -> None:
        """Write everything to a folder."""

    def close(self) -> None:
        """Release what it holds."""


Make: TypeAlias = Callable[[Mapping[str, float], Path, Path | None], System]
"""(searched setting → share of its range, where to live, what to go on from or None) → a system."""
Tell: TypeAlias = Callable[[int, Mapping[str, Any]], None]
"""Called with a trial's number and its result after each of its intervals."""


@dataclass(frozen=True)
class Trial:
    """Where a trial stands."""

    number: int
    result: Mapping[str, Any] = field(default_factory=dict)
    """What `System.advance` last returned; empty before the first interval."""
    folder: Path | None = None
    """What `System.save` last wrote."""
    error: str | None = None


class SystemTrial(tune.Trainable):  # type: ignore[misc]
    """A system in a process of its own, which later may hold another: after a pause, or a copy of a better trial."""

    def setup(self, config: dict[str, Any], make: Make) -> None:
        """Called by Tune."""
        self._make = make
        self._system: System | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another trial, or other settings: its state comes next, if it has one."""
        self.cleanup()
        self._shares = dict(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One interval."""
        return self._held().advance()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Called by Tune."""
        self._held().save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """The state may be another trial's; the settings are the trial's own."""
        self.cleanup()
        self._held(Path(checkpoint_dir))

    def cleanup(self) -> None:
        """Called by Tune."""
        if self._system is not None:
            self._system.close()
        self._system = None

    def _held(self, source: Path | None = None) -> System:
        system = self._system or self._make(self._shares, Path(self.logdir) / "run", source)
        self._system = system
        return system


class _Listener(tune.Callback):  # type: ignore[misc]
    tell: ClassVar[Tell]  # of the class, because Tune stores the instance on disk

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        type(self).tell(number_of(trial), result)


def run_trials(study: Study, folder: Path, make: Make, began: Callable[[list[Trial]], Tell]) -> list[Trial]:
    """Run or go on with a search; all of Tune's files are in `folder`/tune.

    Args:
        study: the search.
        folder: of the search.
        make: makes its systems, in other processes.
        began: is told where the trials stand before anything runs; returns who listens to results.

    Returns:
        All trials by number. Those that are not done were interrupted or failed.
    """
    processes = 1 + study.config.training.num_env_runners
    with _cluster(processes), quietly():
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are in what is returned
        warnings.filterwarnings("ignore", module=r"sklearn\.")  # PB2's fits of few points
        np.random.seed(study.seed)  # noqa: NPY002 (PB2 draws from here)
        resources = tune.PlacementGroupFactory([{"CPU": 1}] * processes)
        trainable = tune.with_resources(tune.with_parameters(SystemTrial, make=make), resources)
        place = (folder / TUNE).resolve()
        if any(place.glob("experiment_state-*.json")):
            tuner = tune.Tuner.restore(str(place), trainable, resume_unfinished=True, resume_errored=True)
            _Listener.tell = began(_standing(tuner.get_results()))
        else:
            shutil.rmtree(place, ignore_errors=True)
            tuner = _new_tuner(study, place, trainable)
            _Listener.tell = began([Trial(number) for number in range(study.trials)])
        before = signal.getsignal(signal.SIGINT)
        try:
            return _standing(tuner.fit())
        finally:
            signal.signal(signal.SIGINT, before)  # Tune leaves its own handler behind


def _new_tuner(study: Study, place: Path, trainable: Any) -> Any:
    return tune.Tuner(
        trainable,
        param_space={key: tune.uniform(0.0, 1.0) for key in study.search},
        tune_config=tune.TuneConfig(
            metric=study.metric,
            mode=study.mode,
            num_samples=study.trials,
            search_alg=BasicVariantGenerator(points_to_evaluate=study.first_shares()),
            scheduler=make_scheduler(study),
            reuse_actors=True,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=place.name,
            storage_path=str(place.parent),
            verbose=0,
            callbacks=[_Listener()],
            failure_config=tune.FailureConfig(fail_fast=True),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT, checkpoint_frequency=1, checkpoint_at_end=False),
        ),
    )


@contextmanager
def _cluster(processes: int) -> Iterator[None]:
    """A cluster for as long as the block lasts, with room for a trial of so many processes; nothing of it stays."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # relative paths in settings mean what they mean here
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1"  # after a kill, what the state names must not be pruned yet
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the old one can be silent
    short = Path("/tmp")  # the paths of sockets must be
    root = tempfile.mkdtemp(prefix="ammo-tune-", dir=short if short.is_dir() else None)
    try:
        ray.init(
            address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False,
            object_store_memory=STORE_BYTES, _temp_dir=root,
        )  # fmt: skip
        if ray.cluster_resources()["CPU"] < processes:
            raise ConfigError(
                f"a trial needs {processes} CPUs, there are {ray.cluster_resources()['CPU']:g}: lower "
                "training.num_env_runners"
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(root, ignore_errors=True)


def _standing(grid: Any) -> list[Trial]:
    found = []
    for trial in grid._experiment_analysis.trials:
        result, checkpoint, error = trial.last_result or {}, trial.checkpoint, trial.get_error()
        found.append(
            Trial(
                number_of(trial),
                result if "iterations" in result else {},
                Path(checkpoint.path) if checkpoint else None,
                None if error is None else str(error),
            )
        )
    return sorted(found, key=lambda trial: trial.number)


def _name(trial: Any) -> str:
    return f"trial-{number_of(trial)}"
