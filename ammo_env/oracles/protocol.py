"""What an oracle is, and the register of those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Protocol

from ammo_env.aipp_settings import AippFaults
from ammo_env.arrays import Array
from ammo_env.settings import ConfigError

# A probability this close to 0 or 1 would make a linearised observation infinitely informative.
PROBABILITY_FLOOR = 0.02
LOGIT_LIMIT = 60.0  # beyond it a float32 sigmoid is 0 or 1, and exp overflows


class PreferenceOracle(Protocol):
    """How affinities become answers.

    `present` marks the slots that hold an item of this oracle's subspaces.

    `answer` draws the answers [..., S] to affinities [..., S] by random numbers `uniform` [..., S] in [0, 1), and says
    which slots were answered [..., S] (bool, only such as are present): a human may look at an item and do nothing
    (an answer of 0) or never come to it (no answer).

    `expectation` is the observation model in terms of the utility e.q: mean of the answer where there is one, its
    slope in the item's own utility, and its variance, each [..., S].
    """

    def answer(self, affinity: Array, present: Array, uniform: Array) -> tuple[Array, Array]: ...
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
        close = difflib.get_close_matches(faults.kind, sorted(ORACLES), n=1, cutoff=0.0)
        raise ConfigError(
            f"aipp.kind '{faults.kind}' is not known; the nearest is '{close[0]}' (there are: "
            f"{', '.join(sorted(ORACLES))})"
        )
    return ORACLES[faults.kind](arrays, faults)


def sigmoid(arrays: Any, logits: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    xp = arrays.xp
    return 1.0 / (1.0 + xp.exp(-xp.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)))


def bernoulli_variance(arrays: Any, mean: Array) -> Array:
    """p (1 - p), at least that of the probability floor."""
    floor = PROBABILITY_FLOOR * (1.0 - PROBABILITY_FLOOR)
    return arrays.xp.maximum(mean * (1.0 - mean), arrays.xp.full_like(mean, floor))
