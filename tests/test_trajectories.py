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
clicks               0.424863  0.240099 -0.396957 -0.213818   1.58783   1.87906  0.424832  0.593003
crowded              0.491335  0.248989 -0.405218  -0.23016   1.62087   2.13503  0.424832  0.678338
default              0.436462  0.241081 -0.385058 -0.213931   1.54023   1.87908  0.424832   0.62507
drift                0.440918  0.241356 -0.378598 -0.213931   1.51439   1.81942  0.385392  0.626425
noisy                 0.42958   0.24338 -0.440239 -0.213947   1.76095   1.87922  0.424832  0.493461
paper                0.444855  0.203921  -0.31032  -0.22497   1.24128   1.84751  0.248077  0.620789
clicks-continuous    0.424987   0.23717 -0.402899 -0.178392    1.6116   1.89467  0.424832  0.557858
crowded-continuous   0.493229  0.237592 -0.382962 -0.198907   1.53185   2.12344  0.424832  0.666098
drift-continuous     0.447899  0.237647  -0.31673  -0.18188   1.26692   1.84557  0.385392  0.645482
everything           0.370277  0.241444  0.235859 -0.319459   1.60019   1.55304  0.229713  0.131407
"""


def trajectory(env: VectorEnv, act: Callable[..., Any]) -> NDArray[np.float64]:
    """The mean of every column over a rollout with seed 7 and random actions."""
    rng = np.random.default_rng(3)
    obs, _ = env.reset(seed=7)
    total = np.zeros(len(COLUMNS))
    for _ in range(ROUNDS):
        obs, rewards, *_ = env.step(act(env, rng))
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
