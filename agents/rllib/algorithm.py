"""`build_algorithm` turns settings and worlds into an RLlib Algorithm whose runner and learner are ours.

Without remote runners everything happens in this process and no Ray cluster is started.
"""

from __future__ import annotations

from agents.rllib.asynchronous_trainer import AsynchronousTrainer
from agents.rllib.configuration import ppo_config
from agents.rllib.plan import TrainingPlan
from agents.rllib.quiet import no_cluster, quietly
from agents.rllib.trainer import BuddyTrainer as BuddyTrainer

TRAINERS: dict[str, type[BuddyTrainer]] = {"ppo": BuddyTrainer, "appo": AsynchronousTrainer}


def build_algorithm(plan: TrainingPlan) -> BuddyTrainer:
    """A trainer, ready for `train_iteration`. Starts no cluster unless the plan wants remote runners."""
    with no_cluster(plan.settings.num_env_runners == 0), quietly():
        trainer: BuddyTrainer = ppo_config(plan, TRAINERS[plan.settings.algorithm]).build_algo()
        trainer.push_weights()
        return trainer
