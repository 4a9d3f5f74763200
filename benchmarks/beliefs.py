"""What a belief is worth: the best tuned bandit on top of each, on people that nobody was tuned on.

    python benchmarks/beliefs.py [--scenarios default drift crowded clicks noisy] [--seeds 0 1 2] [--worlds 32]
                                 [--beliefs "kalman, guess .3" ...]

Bandits are tuned per belief and scenario on held-out people of other worlds (stream TUNING), then evaluated. Two rows
say how much is left to choose better with what a belief knows: `batch` is LinUCB that takes a slate item by item and
knows how each answer will lower the doubt about the others; `sighted` is the best tuned bandit where provenance has no
noise, so that bait can be subtracted exactly.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from agents.baselines.bandits import ScorePolicy, feature
from agents.evaluation import TUNING, Arena, evaluate_user_buddies, make_user_baseline, scripted_cast, tune_bandits
from agents.policy import Turn
from agents.report import table
from agents.scoreboard import held_out
from agents.statistics import mean_interval
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config

BELIEFS: dict[str, dict[str, Any]] = {
    f"{model}{words}": {"beliefs.model": model, "beliefs.bait_guess": guess}
    for model in ("kalman", "full_kalman", "prototypes") for words, guess in (("", 0.0), (", guess .3", 0.3))
}  # fmt: skip
SIGHTED = {"observations.provenance_noise": 0.0}


class BatchLinUCB(ScorePolicy):
    """LinUCB whose widths fall as the slate fills: Desautels et al. 2014 (GP-BUCB), one slate as the batch.

    Needs a belief with a covariance, and looks at nothing but it and the candidates' vectors.
    """

    def __init__(self, width: float, noise: float) -> None:
        self._width, self._variance = width, max(noise**2, 1e-4)

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        world, state = turn.env.world, turn.env.world.state
        rows = np.asarray(state.candidates + world.world_row)
        shown = state.corpus.vectors.reshape(-1, world.space.dim)[rows]
        gram = shown @ state.beliefs.own["covariance"] @ shown.swapaxes(-1, -2)  # [E, U, K, K]
        score, chosen = feature(turn, "score").copy(), []
        for _ in range(turn.env.config.attention.num_slots):
            doubt = np.maximum(np.einsum("...kk->...k", gram), 0.0)
            best = (score + self._width * np.sqrt(doubt)).argmax(axis=-1)[..., None]
            chosen.append(best[..., 0])
            np.put_along_axis(score, best, -np.inf, -1)
            column = np.take_along_axis(gram, best[..., None], -1)[..., 0]
            pivot = np.take_along_axis(doubt, best, -1) + self._variance
            gram = gram - column[..., :, None] * column[..., None, :] / pivot[..., None]
        return np.stack(chosen, axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["default", "drift", "crowded", "clicks", "noisy"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--worlds", type=int, default=32)
    parser.add_argument("--beliefs", nargs="+", choices=list(BELIEFS), default=list(BELIEFS))
    arguments = parser.parse_args()
    rows = []
    for name in arguments.beliefs:
        rows.append([name, *(best_bandit(s, BELIEFS[name], arguments) for s in arguments.scenarios)])
        print(*rows[-1], flush=True)
    last = "prototypes, guess .3"
    if last in arguments.beliefs:
        sighted = {**BELIEFS[last], **SIGHTED}
        rows.append(["  sighted", *(best_bandit(s, sighted, arguments) for s in arguments.scenarios)])
        rows.append(["  batch", *(batch(s, BELIEFS[last], arguments) for s in arguments.scenarios)])
    print(table(["belief", *arguments.scenarios], rows))


def best_bandit(scenario: str, belief: dict[str, Any], arguments: argparse.Namespace) -> Any:
    """Mean and interval over seeds of the bandit that was best in tuning."""
    world, found = _world(scenario, belief), []
    for seed in arguments.seeds:
        tuned = tune_bandits(Arena(world, arguments.worlds, 1, seed, TUNING), scripted_cast())
        best = min(tuned.values(), key=lambda one: one.normalised_regret).name
        found.append(_regret(world, make_user_baseline(best), arguments.worlds, seed))
    return mean_interval(found)


def batch(scenario: str, belief: dict[str, Any], arguments: argparse.Namespace) -> Any:
    """The same for `BatchLinUCB` of width 2."""
    world = _world(scenario, belief)
    policy = BatchLinUCB(2.0, world.aipp.noise)
    return mean_interval([_regret(world, policy, arguments.worlds, seed) for seed in arguments.seeds])


def _regret(world: AmmoConfig, policy: Any, worlds: int, seed: int) -> float:
    arena = Arena(world, 2 * worlds, 1, seed)
    return evaluate_user_buddies({"it": policy}, scripted_cast(), arena)["it"].summary()["normalised_regret"]


def _world(scenario: str, belief: dict[str, Any]) -> AmmoConfig:
    kinds = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}
    return held_out(load_config(scenario, {**kinds, **belief}))


if __name__ == "__main__":
    main()
