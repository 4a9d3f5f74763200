"""A policy that takes ungrounded content to please more than it is worth, with a guess of its own at how much."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy, Turn

# Tried by a bandit where what it is compared with has found a guess of its own.
GUESSES = (0.0, 0.15, 0.3, 0.45, 0.6)


class Sceptic:
    """What another user buddy's policy does, on beliefs that assume `bait_guess` utility per unit of provenance."""

    side = "user_buddy"

    def __init__(self, policy: Policy, bait_guess: float) -> None:
        self._policy, self.bait_guess = policy, bait_guess

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return self._policy.act(turn, rng)
