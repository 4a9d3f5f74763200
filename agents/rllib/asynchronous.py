"""Sampling that does not wait for the learner: the runner, the learner, and what lies between them.

Every runner has requests for samples in its queue, each with a reference to the weights of the time it was made, and
plays one after the other. A sample is whole episodes in time (`Rollout.trajectory`), not advantages: what they are
worth depends on the weights that learn from them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import ray
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from torch import Tensor

from agents.rllib.fragments import Fragment, Tenants, Trajectory, corrected
from agents.rllib.learner import BuddyLearner
from agents.rllib.runner import BatchedRunner

POLL_SECONDS = 0.01


class AsynchronousRunner(BatchedRunner):
    """A `BatchedRunner` that plays on request, with the weights that the request names."""

    _serial = -1
    _tenants: Tenants
    _ended: float | None = None

    def play(self, serial: int, update: int, state: list[Any]) -> Fragment:
        """One sample.

        Args:
            serial: number of the state; one that was taken before is not read again.
            update: the learner's updates at the time of the weights.
            state: a reference to what `set_state` takes, and "tenants"; in a list, so that Ray leaves it unread.
        """
        began = time.perf_counter()
        waited = 0.0 if self._ended is None else began - self._ended
        if serial != self._serial:
            newest = ray.get(state[0])
            self.set_state(newest)
            self._serial, self._tenants = serial, newest["tenants"]
        trajectories = self.sample()
        tally, behaviour = self.judged()
        self._ended = time.perf_counter()
        return Fragment(
            trajectories, self.report(), tally, behaviour, update, self._tenants,
            self.plan.settings.rounds_per_iteration * self.plan.settings.num_worlds, (waited, self._ended - began),
        )  # fmt: skip

    def _batch(self) -> dict[str, list[Trajectory]]:
        played = {name: self._players[spec.side].record.played(name) for name, spec in self.plan.specs.items()}
        return {
            name: [record.trajectory(self.module[name].network.spec, rows) for record, rows in parts]
            for name, parts in played.items()
            if parts
        }


class AsynchronousLearner(BuddyLearner):
    """Takes trajectories (`FragmentBatch`), and makes rows of them when a member's update is due."""

    @property
    def updates(self) -> int:
        """Batches it has learned from."""
        return int(self._weights_seq_no)

    def _taken(self, played: list[Trajectory]) -> list[Trajectory]:
        return played

    def _rows(self, module_id: str, gathered: list[list[Trajectory]]) -> dict[str, Tensor]:
        trajectories = [part for parts in gathered for part in parts]
        network, own = self.network(module_id), self._hyperparameters[module_id]
        rows, weight = corrected(trajectories, network, own, self._side(module_id).minibatch)
        self._log(module_id, {"importance": weight})
        return rows


class Ahead:
    """Requests to the runners and the samples that came back: whoever finishes first is learned from first.

    Args:
        group: the runners.
        depth: samples of one runner that may be asked for and not yet learned from.
    """

    def __init__(self, group: EnvRunnerGroup, depth: int) -> None:
        self._group, self._depth = group, depth
        self._unread: deque[tuple[int, Fragment]] = deque()
        self._request: dict[str, Any] = {}

    @property
    def at_work(self) -> int:
        """Runners that are not lost."""
        return int(self._group.num_healthy_remote_env_runners())

    def publish(self, update: int, state: Mapping[str, Any]) -> None:
        """What the runners play with from their next request on."""
        serial = self._request.get("serial", 0) + 1
        self._request = {"serial": serial, "update": update, "state": [ray.put(dict(state))]}

    def collect(self) -> list[Fragment]:
        """As many samples as there are runners at work, in the order in which they were finished; no runner is left
        without a request. Empty if all runners are lost."""
        while len(self._unread) < max(1, self.at_work):
            self._ask()
            self._unread += self._fetch(POLL_SECONDS)
            if not self.at_work and not self._unread:
                return []
        taken = [self._unread.popleft()[1] for _ in range(min(len(self._unread), max(1, self.at_work)))]
        self._ask()
        return taken

    def discard(self) -> None:
        """Wait for what was asked for, and drop it."""
        self._fetch(None)
        self._unread.clear()

    def _ask(self) -> None:
        for runner in self._group.healthy_env_runner_ids():
            unread = sum(owner == runner for owner, _ in self._unread)
            for _ in range(self._depth - unread - self._group.num_in_flight_async_reqs(_tag(runner))):
                self._group.foreach_env_runner_async(
                    "play", _tag(runner), kwargs=self._request, remote_worker_ids=[runner]
                )

    def _fetch(self, seconds: float | None) -> list[tuple[int, Fragment]]:
        # By tags, because RLlib has requests of its own in flight; no tags would mean all of them.
        tags = [_tag(runner) for runner in self._group.healthy_env_runner_ids()] or [_tag(0)]
        ready: list[tuple[int, Fragment]] = self._group.fetch_ready_async_reqs(tags=tags, timeout_seconds=seconds)
        return ready


def _tag(runner: int) -> str:
    return f"play-{runner}"
