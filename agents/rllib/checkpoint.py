"""Saving a training run and going on with it exactly where it stopped.

A resumed run is bit-equal to one that never stopped: weights, Adam moments, hyper-parameters, every random stream,
the worlds and the seats are restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from agents.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from agents.policy import Policy
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.plan import make_plan
from agents.training_settings import TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError


def save_training(trainer: BuddyTrainer, path: Path) -> None:
    """Write everything that `resume_training` and `agents.learned_policy.load_policy` need to one file."""
    write_checkpoint(path, trainer.training_state())


def resume_training(path: Path, scripts: Mapping[str, Mapping[str, Policy]] | None = None) -> BuddyTrainer:
    """A trainer that goes on from a checkpoint.

    Args:
        path: a file that `save_training` wrote.
        scripts: as in `make_plan`; whatever the saved run was given beyond the baselines.

    Raises:
        CheckpointError: the file cannot be read, or its settings are not of this version.
    """
    state = read_checkpoint(path)
    try:
        settings = TrainingSettings.model_validate(state["settings"])
        world = AmmoConfig.model_validate(state["world"])
        plan = make_plan(settings, world, scripts)
    except (KeyError, ValidationError, ConfigError, ValueError) as error:
        raise CheckpointError(f"{path} holds no run that this version can go on with: {error}") from error
    trainer = build_algorithm(plan)
    trainer.load_training_state(state)
    return trainer
