"""AiPP, the AI Preference Protocol: an impression (human, slate) goes out, feedback comes back.

What a human *thinks* of an item (affinity, a utility) and what the human *does* (the answer) are different
objects. The affinity that answers follow is a = opinion + noise, where an opinion is e.q + bait * grounding_error as
changed by the faults that are on (`ammo_env.faults`); an oracle (`ammo_env.oracles`) turns affinities into answers and
knows the observation model that a belief may use. Answers may be scarce and late.
Every subspace has its own parameters; oracles register themselves under the name that `aipp.kind` uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ammo_env.aipp_settings import AippConfig
from ammo_env.arrays import Array
from ammo_env.faults import Own, by_subspace, look_up, make_faults
from ammo_env.oracles import ORACLES, PreferenceOracle, make_oracle, oracle

__all__ = ["ORACLES", "Aipp", "Feedback", "Question", "oracle"]

OWN = "aipp"  # under this name a world keeps what the faults drew for the episode


@dataclass(frozen=True)
class Question:
    """Slates as they are put to the humans; each [E, U, S]."""

    utility: Array  # e.q, hidden
    grounding_error: Array
    filled: Array  # bool: is an item in this slot?
    subspace: Array  # of the item
    creator: Array  # goal seat that made it


@dataclass
class Feedback:
    """Answers to one impression: what came back, whether it ever does, and by which subspace's AiPP."""

    value: Array  # [E, U, S] answer, 0 where there is none
    answered: Array  # [E, U, S] bool: an item was there and the human answered
    subspace: Array  # [E, U, S] subspace of the item


class Aipp:
    """The AiPPs of a world: one oracle per distinct setting, applied to the items of its subspaces."""

    def __init__(self, arrays: Any, config: AippConfig, num_subspaces: int) -> None:
        self._arrays = arrays
        settings = [config.of_subspace(m) for m in range(num_subspaces)]
        keys = [one.model_dump_json() for one in settings]
        members = [[m for m in range(num_subspaces) if keys[m] == key] for key in sorted(set(keys))]
        self._oracles = [make_oracle(arrays, settings[group[0]]) for group in members]
        self._members = [arrays.asarray([m in group for m in range(num_subspaces)]) for group in members]
        self._single = len(members) == 1
        self._faults = make_faults(arrays, settings)
        self.latencies = sorted({one.latency for one in settings})
        self._noise = by_subspace(arrays, [one.noise for one in settings])
        self._bait = by_subspace(arrays, [one.bait for one in settings])
        self._response = by_subspace(arrays, [one.response for one in settings])
        self._latency = arrays.asarray([one.latency for one in settings])
        self._always = all(one.response == 1.0 for one in settings)

    def begin(self, draws: Any, envs: int, humans: int, goals: int) -> dict[str, Own]:
        """What the faults draw for an episode, under the name of AiPP; {} if nothing is on."""
        own: Own = {}
        for fault in self._faults:
            own |= fault.begin(draws, envs, humans, goals)
        return {OWN: own} if self._faults else {}

    def check(self, own: dict[str, Own]) -> None:
        """Raises `ValueError` unless a saved world's arrays are those that the faults of this one keep."""
        kept, expected = set(own.get(OWN, {})), {name for fault in self._faults for name in fault.keeps}
        if kept != expected:
            raise ValueError(
                f"the saved state is of another configuration: the faults of its humans keep {sorted(kept)}, those of "
                f"this world {sorted(expected)}"
            )

    def ask(self, draws: Any, question: Question, own: dict[str, Own]) -> Feedback:
        """Send impressions out -> what the humans answer. `own` holds what `begin` gave at the start of the episode."""
        subspace, filled = question.subspace, question.filled
        noise, uniform = draws.normal(*filled.shape), draws.uniform(*filled.shape)
        opinion = question.utility + self._of(self._bait, subspace) * question.grounding_error
        for fault in self._faults:
            opinion = fault.distort(draws, opinion, subspace, question.creator, own[OWN])
        affinity = opinion + self._of(self._noise, subspace) * noise
        value, answered = self._answers(affinity, filled, subspace, uniform)
        if not self._always:
            answered = answered & (draws.uniform(*filled.shape) < self._of(self._response, subspace))
        return Feedback(value * answered, answered, subspace)

    def _of(self, table: Any, subspace: Array) -> Any:
        return look_up(self._arrays, table, subspace)

    def _answers(self, affinity: Array, filled: Array, subspace: Array, uniform: Array) -> tuple[Array, Array]:
        if self._single:
            return self._oracles[0].answer(affinity, filled, uniform)
        xp = self._arrays.xp
        total = xp.zeros_like(affinity), xp.zeros_like(filled)
        for member, present in self._domains(subspace, filled):
            value, answered = member.answer(affinity, present, uniform)
            total = xp.where(present, value, total[0]), total[1] | (answered & present)
        return total

    def expectation(self, utility: Array, filled: Array, subspace: Array) -> tuple[Array, Array, Array]:
        """The observation model at believed utilities [E, U, S]: mean, slope, variance, each [E, U, S]."""
        if self._single:
            return self._oracles[0].expectation(utility, filled)
        xp = self._arrays.xp
        total = (utility, xp.zeros_like(utility), xp.ones_like(utility))
        for member, present in self._domains(subspace, filled):
            parts = member.expectation(utility, present)
            total = tuple(xp.where(present, new, old) for new, old in zip(parts, total, strict=True))
        return total

    def arrives_after(self, feedback: Feedback, latency: int) -> Array:
        """Which answers [E, U, S] arrive `latency` rounds after their impression."""
        if len(self.latencies) == 1:
            return feedback.answered
        return feedback.answered & (self._arrays.take(self._latency, feedback.subspace) == latency)

    def _domains(self, subspace: Array, filled: Array) -> list[tuple[PreferenceOracle, Array]]:
        take = self._arrays.take
        return [(o, filled & take(m, subspace)) for o, m in zip(self._oracles, self._members, strict=True)]
