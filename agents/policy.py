"""One protocol for everything that acts: a batched policy of one side, scripted, bandit, learned or
all-knowing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import BoolArray, FloatArray
from ammo_env.config import AmmoConfig
from ammo_env.vector import VectorEnv


@dataclass(frozen=True)
class Turn:
    """What a side's policies act on in one round, on NumPy whatever the world's backend is.

    `env.world` holds hidden state: only a policy that says so in its docstring (the oracle) may look at it,
    except for a user buddy's own belief and the vectors of the candidates it is shown, which are no secret.
    """

    obs: FloatArray  # [E, N, F]
    mask: BoolArray  # as infos["action_mask"][side]
    env: VectorEnv

    def newborn(self, side: str) -> BoolArray | None:
        """[E, N] which seats of a side have a new holder, who has not acted yet; None where nobody is ever born."""
        born = self.env.newborn() if side == "goal_buddy" else None
        return None if born is None else self.env.arrays.to_numpy(born).astype(bool)


class Policy(Protocol):
    """Acts for all seats of its side at once; seats that are somebody else's are simply not used.

    A user buddy may have a `bait_guess` besides: what it takes ungrounded content to add to its human's answers
    (`VectorEnv.assume`). Whoever plays it tells the world at the reset; without one the world's own is in force.
    """

    side: str

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        """Actions [E, N, ...] in the environment's action kind of this side."""
        ...


def guess_of(policy: Policy, config: AmmoConfig) -> float:
    """The bait guess of a user buddy's policy, or what the world assumes without one."""
    return float(getattr(policy, "bait_guess", config.beliefs.bait_guess))


def take_turn(env: VectorEnv, obs: dict[str, Any], side: str) -> Turn:
    """The turn of a side from what `reset` or `step` returned."""
    to_numpy = env.arrays.to_numpy
    return Turn(to_numpy(obs[side]), to_numpy(env.action_masks()[side]), env)
