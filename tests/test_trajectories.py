"""Golden trajectories: a short rollout of every synthetic scenario, both action modes, as eight numbers each.

They were recorded on NumPy and guard against an unintended change of any array of the world. A change that is
meant to alter them (another order of draws, another default) records them anew: the failure prints the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import metaspace_v0
from ammo_env.steering import HOLD, PUBLISH
from ammo_env.vector import SIDES, VectorEnv

ROUNDS = 6
# A world with every fault and option that the scenarios leave at their defaults.
EVERYTHING: dict[str, Any] = {
    "aipp.subspaces": {0: {"kind": "click", "latency": 2}, 1: {"kind": "choice", "response": 0.5}},
    "aipp.latency": 1,
    "humans.drift_rho": 0.9,
    "humans.drift_mode": "isotropic",
    "humans.pool": "heldout",
    "attention.fresh": "newest",
    "beliefs.prior": "zero",
    "observations.goal_view": "own_feedback",
    "rewards.user_buddy": "feedback",
    "rewards.societal": 0.5,
    "rewards.energy_price": 0.1,
    "actions.goal_buddy": "steer",
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("clicks", "crowded", "default", "drift", "noisy", "paper")},
    **{f"{name}-continuous": (name, {"actions.continuous": True}) for name in ("clicks", "crowded", "drift")},
    "everything": ("default", EVERYTHING),
}
COLUMNS = ("user obs", "goal obs", "user rew", "goal rew", "regret", "random", "q", "belief")
GOLDEN = """
clicks               0.422684  0.266738 -0.431954 -0.222879   1.72782   1.93672  0.424832  0.576935
crowded              0.484054  0.270062 -0.415902 -0.230034   1.66361   2.13736  0.424832  0.612092
default              0.422326   0.26887 -0.419091 -0.222728   1.67636   1.93645  0.424832  0.583025
drift                0.428815    0.2687   -0.4107 -0.222923    1.6428   1.91714  0.441654  0.583479
noisy                0.414323  0.267587 -0.493145 -0.222888   1.97258   1.93639  0.424832  0.463934
paper                 0.44114  0.231202 -0.299724 -0.226326   1.19889   1.86337  0.248077   0.62433
clicks-continuous    0.421421  0.258856  -0.37414 -0.181324   1.49656   1.91119  0.424832  0.550113
crowded-continuous   0.483378  0.260785 -0.352055  -0.20078   1.40822   2.14054  0.424832  0.661184
drift-continuous     0.438597  0.259914 -0.340783 -0.182524   1.36313   1.91394  0.441654  0.647213
everything           0.374535  0.252044   0.34658 -0.322346   1.59415   1.62335  0.254111  0.151881
"""


def trajectory(env: VectorEnv, act: Callable[..., Any]) -> NDArray[np.float64]:
    """The mean of every column over a rollout with seed 7 and random actions."""
    rng = np.random.default_rng(3)
    obs, _ = env.reset(seed=7)
    total = np.zeros(len(COLUMNS))
    for _ in range(ROUNDS):
        actions = act(env, rng)
        if env.config.actions.goal_mode == "nudge":
            # Never the same creation twice: which of two equal scores is larger is rounding, so not portable.
            actions["goal_buddy"] = np.where(actions["goal_buddy"] == PUBLISH, HOLD, actions["goal_buddy"])
        obs, rewards, *_ = env.step(actions)
        assert env.last_round is not None
        judged, state = env.last_round.judgement, env.world.state
        total += [
            *(np.abs(obs[side]).mean(dtype=np.float64) for side in SIDES),
            *(rewards[side].mean(dtype=np.float64) for side in SIDES),
            judged.regret.mean(dtype=np.float64),
            judged.random_regret.mean(dtype=np.float64),
            np.abs(state.q[..., 0]).mean(dtype=np.float64),
            np.linalg.norm(state.beliefs.mean, axis=-1).mean(dtype=np.float64),
        ]
    return total / ROUNDS


@pytest.mark.parametrize("case", CASES)
def test_a_seeded_rollout_gives_the_recorded_numbers(case: str, random_actions: Callable[..., Any]) -> None:
    """Eight means over six rounds of two worlds, at 2e-5 (float32 sums differ by less between machines)."""
    scenario, overrides = CASES[case]
    env = metaspace_v0.vec_env(2, scenario, **overrides)
    measured = trajectory(env, random_actions)
    row = f"{case:<19}" + "".join(f"{value:>10.6g}" for value in measured)
    print(row)
    recorded = {line.split()[0]: [float(x) for x in line.split()[1:]] for line in GOLDEN.strip().splitlines()}
    np.testing.assert_allclose(measured, recorded[case], rtol=2e-5, atol=2e-6, err_msg=row)
