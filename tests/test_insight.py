"""What critics may know: by definition from the hidden state, in training alone, and never needed to act."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.census import find, take_census
from agents.insight import USER_INSIGHTS, user_insight
from agents.learned_policy import policy_of
from agents.policy import take_turn
from agents.rllib.checkpoint import save_training
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]
MakeTrainer = Callable[..., Any]


def test_every_insight_by_definition(small_env: MakeEnv, random_actions: Callable[..., Any]) -> None:
    """Recomputed from the state, human by human."""
    env = small_env(2)
    env.reset(seed=0)
    env.step(random_actions(env, np.random.default_rng(0)))
    state, told = env.world.state, user_insight(env)
    assert told.shape == (2, 4, len(USER_INSIGHTS))
    for e, u in np.ndindex(2, 4):
        utility = state.corpus.vectors[e] @ state.q[e, u]
        shown, score = utility[state.candidates[e, u]], state.score[e, u]
        expected = {
            "best": np.sort(utility)[-2:].mean(),
            "mean": utility.mean(),
            "best_shown": np.sort(shown)[-2:].mean(),
            "greedy": shown[np.argsort(-score)[:2]].mean(),
            "alignment": state.q[e, u] @ state.beliefs.mean[e, u],
            "gap": np.linalg.norm(state.q[e, u] - state.beliefs.mean[e, u]),
        }
        np.testing.assert_allclose(told[e, u], [expected[name] for name in USER_INSIGHTS], atol=1e-5)


def test_a_critic_that_knows_the_truth_explains_more(make_trainer: MakeTrainer) -> None:
    """After six iterations from the same seed the value explains at least a tenth more of the returns."""
    explained = {}
    for critic in ("own", "truth"):
        trainer = make_trainer(user_buddy={"critic": critic}, num_worlds=12)
        explained[critic] = [trainer.train_iteration()["user_0/explained_variance"] for _ in range(6)][-1]
    assert explained["truth"] > explained["own"] + 0.1


@pytest.mark.parametrize("niche", ["exploiter", "adaptive"])
def test_acting_needs_no_insight(make_trainer: MakeTrainer, tmp_path: Path, niche: str) -> None:
    """From the checkpoint the policy acts as in training, whatever stands in the place of what only critics see."""
    trainer = make_trainer(user_buddy={"critic": "truth", "niches": (niche,)})
    trainer.train_iteration()
    save_training(trainer, tmp_path / "it.ckpt")
    policy = policy_of(find(take_census(tmp_path / "it.ckpt"), "user_buddy", None, tmp_path), deterministic=True)
    assert policy.network.spec.insight_size == len(USER_INSIGHTS)
    env = VectorEnv(trainer.plan.world, 2)
    obs, _ = env.reset(seed=0)
    turn = take_turn(env, obs, "user_buddy")
    acted = policy.act(turn, np.random.default_rng(0))
    rows = policy._view(turn).clone()
    assert (rows[:, -len(USER_INSIGHTS):] == 0).all()
    rows[:, -len(USER_INSIGHTS):] = torch.from_numpy(user_insight(env)).flatten(0, 1)
    inputs, _ = trainer.learner.network("user_0")(rows, torch.from_numpy(turn.mask).flatten(0, 1))
    chosen = policy.network.spec.distribution(inputs).mode().numpy().reshape(acted.shape)
    np.testing.assert_array_equal(acted, chosen)
