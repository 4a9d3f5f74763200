"""The Shapley mediator: exposure as what an item adds to a human's satisfaction, rather than to the winner alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.bandits import ScorePolicy, feature
from agents.policy import Turn

NOTHING = 1e-12  # the value of an item that adds nothing: shown only where all others have been


def shapley_values(satisfaction: NDArray[Any]) -> NDArray[np.float64]:
    """Shapley values [..., N] of the game v(C) = max of the satisfaction [..., N] >= 0 over the coalition C.

    phi_(k) = sum_{m <= k} (s_(m) - s_(m-1)) / (N - m + 1), satisfactions sorted: s_(0) = 0 <= s_(1) <= ... <= s_(N).
    They sum to the largest satisfaction.
    """
    values = np.asarray(satisfaction, dtype=np.float64)
    order = values.argsort(axis=-1)
    steps = np.diff(np.take_along_axis(values, order, axis=-1), axis=-1, prepend=0.0)
    shares = np.cumsum(steps / np.arange(values.shape[-1], 0, -1), axis=-1)
    result = np.empty_like(shares)
    np.put_along_axis(result, order, shares, axis=-1)
    return result


class ShapleyMediator(ScorePolicy):
    """A fair slate: an item is shown with probability proportional to its Shapley value among the candidates.

    Satisfaction is the belief's q_hat . e, clipped to [0, 1]; every candidate counts as a provider of its own. In the
    source the mediator has one slot and shows nothing with probability 1 - max satisfaction; a user buddy always shows
    something, and fills further slots by the same values without replacement.
    Source: Ben-Porat & Tennenholtz 2018.
    """

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        satisfaction = np.where(turn.mask, np.clip(feature(turn, "score"), 0.0, 1.0), 0.0)
        return np.log(shapley_values(satisfaction) + NOTHING) + rng.gumbel(size=turn.mask.shape)
