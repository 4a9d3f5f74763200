"""APPO: runners go on sampling while the learner learns, with weights that are a few updates old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.rllib.asynchronous import Ahead, AsynchronousLearner
from agents.rllib.fragments import Fragment, FragmentBatch
from agents.rllib.trainer import BuddyTrainer, Sampled
from agents.training_settings import SIDES


class AsynchronousTrainer(BuddyTrainer):
    """A `BuddyTrainer` whose iteration learns from the samples that are ready, one per runner on average.

    Reported beside the rest: "policy_lag", the mean number of updates that the learner was ahead of the weights that
    the samples were played with; "runners_busy", the share of their time in which the runners played.
    """

    learner: AsynchronousLearner

    def setup(self, config: Any) -> None:
        """Called by RLlib."""
        super().setup(config)
        self._ahead = Ahead(self.env_runner_group, self.plan.settings.samples_ahead)

    def push_weights(self) -> None:
        """Every request from now on is played with the learner's weights and by these players."""
        self._ahead.publish(self.learner.updates, {**self._runner_state(), "tenants": self.evolution.tenants()})

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `training_state` of the same plan."""
        self._ahead.discard()
        super().load_training_state(state)

    def _sample(self) -> Sampled:
        fragments = self._ahead.collect()
        if not fragments:
            raise self._all_lost()
        tenants, slots = self.evolution.tenants(), {side: self.plan.slots(side) for side in SIDES}
        for fragment in fragments:
            fragment.forget_the_gone(tenants, slots)
        judged = [(fragment.tally, fragment.behaviour) for fragment in fragments]
        report = self._observed([fragment.report for fragment in fragments], judged, self._ahead.at_work)
        return Sampled(
            FragmentBatch(fragments),
            sum(fragment.env_steps for fragment in fragments),
            sum(fragment.agent_steps for fragment in fragments),
            {**report, **self._pace(fragments)},
        )

    def _pace(self, fragments: list[Fragment]) -> dict[str, float]:
        waited, played = np.sum([fragment.seconds for fragment in fragments], axis=0)
        return {
            "policy_lag": float(np.mean([self.learner.updates - fragment.update for fragment in fragments])),
            "runners_busy": float(played / (waited + played)),
            "sampled_steps_per_second": sum(f.agent_steps / f.seconds[1] for f in fragments),
        }
