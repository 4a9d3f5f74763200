"""AiPP, the AI Preference Protocol: an impression (human, slate) goes out, feedback comes back.

What a human *thinks* of an item (affinity, a utility) and what the human *does* (the answer) are different
objects. The affinity that answers follow is a = e.q + bait * grounding_error + noise; an oracle turns
affinities into answers and knows the observation model that a belief may use. Answers may be scarce and late.
Every subspace has its own parameters; oracles register themselves under the name that `aipp.kind` uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ammo_env.arrays import Array, FloatArray
from ammo_env.config import AippConfig, AippFaults
from ammo_env.settings import ConfigError

# A probability this close to 0 or 1 would make a linearised observation infinitely informative.
PROBABILITY_FLOOR = 0.02
LOGIT_LIMIT = 60.0  # beyond it a float32 sigmoid is 0 or 1, and exp overflows


class PreferenceOracle(Protocol):
    """How affinities become answers.

    `answer` draws answers [..., S] for affinities [..., S]; `present` marks the slots that hold an item of
    this oracle's subspaces, `uniform` [..., S] are its random numbers. `expectation` is the observation model
    in terms of the utility e.q: mean of the answer, its slope in the utility, and its variance, each
    [..., S].
    """

    def answer(self, affinity: Array, present: Array, uniform: Array) -> Array: ...
    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]: ...


OracleFactory = Callable[[Any, AippFaults], PreferenceOracle]
ORACLES: dict[str, OracleFactory] = {}


def oracle(kind: str) -> Callable[[OracleFactory], OracleFactory]:
    """Register an oracle class, built as `factory(arrays, faults)`."""

    def register(factory: OracleFactory) -> OracleFactory:
        ORACLES[kind] = factory
        return factory

    return register


def make_oracle(arrays: Any, faults: AippFaults) -> PreferenceOracle:
    """The oracle of `faults.kind`. Raises `ConfigError` for an unknown kind."""
    if faults.kind not in ORACLES:
        raise ConfigError(f"aipp.kind '{faults.kind}' is not known; there are: {', '.join(sorted(ORACLES))}")
    return ORACLES[faults.kind](arrays, faults)


@oracle("rating")
class RatingOracle:
    """The human states the affinity itself: y = a, with variance noise^2 around the utility."""

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays = arrays
        self._variance = max(faults.noise**2, 1e-4)

    def answer(self, affinity: Array, present: Array, uniform: Array) -> Array:
        return affinity

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        one = self._arrays.constant[_ones, tuple(utility.shape)]
        return utility, one, one * self._variance


def _ones(shape: tuple[int, ...]) -> FloatArray:
    return np.ones(shape, dtype=np.float32)


@oracle("click")
class ClickOracle:
    """Position-based click model: P(click on slot k) = decay^k * sigmoid(sharpness * (a - threshold)).

    Source: Craswell et al. 2008 (examination hypothesis) with a logistic attraction.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _probability(self, utility: Array) -> tuple[Array, Array, Array]:
        xp, faults = self._arrays.xp, self._faults
        slots = utility.shape[-1]
        examined = self._arrays.asarray(
            [faults.position_decay**k for k in range(slots)], self._arrays.float32
        )
        logits = xp.clip(faults.sharpness * (utility - faults.threshold), -LOGIT_LIMIT, LOGIT_LIMIT)
        attraction = 1.0 / (1.0 + xp.exp(-logits))
        return examined * attraction, examined, attraction

    def answer(self, affinity: Array, present: Array, uniform: Array) -> Array:
        xp = self._arrays.xp
        return xp.astype(uniform < self._probability(affinity)[0], self._arrays.float32)

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        mean, examined, attraction = self._probability(utility)
        slope = examined * self._faults.sharpness * attraction * (1.0 - attraction)
        return mean, slope, _bernoulli_variance(self._arrays, mean)


@oracle("choice")
class ChoiceOracle:
    """Multinomial logit with a no-click option.

    P(item i) = exp(b a_i) / (exp(b threshold) + sum_j exp(b a_j)), b = sharpness, j over the items present.
    At most one item of the slate is chosen. Source: McFadden 1974. The observation model treats the items'
    indicators as independent given their means.
    """

    def __init__(self, arrays: Any, faults: AippFaults) -> None:
        self._arrays, self._faults = arrays, faults

    def _probability(self, utility: Array, present: Array) -> Array:
        xp, sharpness = self._arrays.xp, self._faults.sharpness
        logits = sharpness * (utility - self._faults.threshold)  # the no-click option has logit 0
        top = xp.maximum(
            xp.max(xp.where(present, logits, 0.0), axis=-1, keepdims=True), xp.zeros_like(logits[..., :1])
        )
        weights = xp.where(present, xp.exp(xp.where(present, logits, 0.0) - top), 0.0)
        return weights / (xp.exp(-top) + xp.sum(weights, axis=-1, keepdims=True))

    def answer(self, affinity: Array, present: Array, uniform: Array) -> Array:
        xp = self._arrays.xp
        upper = xp.cumulative_sum(self._probability(affinity, present), axis=-1)
        dart = uniform[..., :1]  # one draw decides the whole slate
        lower = xp.concat([xp.zeros_like(dart), upper[..., :-1]], axis=-1)
        return xp.astype((lower <= dart) & (dart < upper), self._arrays.float32)

    def expectation(self, utility: Array, present: Array) -> tuple[Array, Array, Array]:
        mean = self._probability(utility, present)
        slope = self._faults.sharpness * mean * (1.0 - mean)
        return mean, slope, _bernoulli_variance(self._arrays, mean)


def _bernoulli_variance(arrays: Any, mean: Array) -> Array:
    floor = PROBABILITY_FLOOR * (1.0 - PROBABILITY_FLOOR)
    return arrays.xp.maximum(mean * (1.0 - mean), arrays.xp.full_like(mean, floor))


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
        faults = [config.of_subspace(m) for m in range(num_subspaces)]
        distinct = sorted({f.model_dump_json() for f in faults})
        members = [
            [m for m in range(num_subspaces) if faults[m].model_dump_json() == key] for key in distinct
        ]
        self._oracles = [make_oracle(arrays, faults[group[0]]) for group in members]
        self._members = [arrays.asarray([m in group for m in range(num_subspaces)]) for group in members]
        self._single = len(members) == 1
        self.latencies = sorted({f.latency for f in faults})
        self._noise = self._table([f.noise for f in faults])
        self._bait = self._table([f.bait for f in faults])
        self._response = self._table([f.response for f in faults])
        self._latency = arrays.asarray([f.latency for f in faults])
        self._always = all(f.response == 1.0 for f in faults)

    def _table(self, values: list[float]) -> Any:
        """A parameter by subspace; a plain number where all subspaces agree, so that no look-up is paid."""
        return values[0] if len(set(values)) == 1 else self._arrays.asarray(values, self._arrays.float32)

    def _of(self, table: Any, subspace: Array) -> Any:
        return table if isinstance(table, float) else self._arrays.take(table, subspace)

    def ask(
        self, draws: Any, utility: Array, grounding_error: Array, filled: Array, subspace: Array
    ) -> Feedback:
        """Send impressions out: true utilities e.q [E, U, S] of the items shown -> what the humans answer."""
        shape = utility.shape
        noise, uniform = draws.normal(*shape), draws.uniform(*shape)
        affinity = (
            utility
            + self._of(self._bait, subspace) * grounding_error
            + self._of(self._noise, subspace) * noise
        )
        answered = filled
        if not self._always:
            answered = filled & (draws.uniform(*shape) < self._of(self._response, subspace))
        value = self._answers(affinity, filled, subspace, uniform)
        return Feedback(value * answered, answered, subspace)

    def _answers(self, affinity: Array, filled: Array, subspace: Array, uniform: Array) -> Array:
        if self._single:
            return self._oracles[0].answer(affinity, filled, uniform)
        domains = self._domains(subspace, filled)
        return sum(member.answer(affinity, present, uniform) * present for member, present in domains)

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
