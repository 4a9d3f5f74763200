"""Learning where goal buddies die: what a life is worth ends with it, and what it remembers too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from agents.curiosity import creation_novelty
from agents.learned_policy import LearnedPolicy
from agents.networks import build_network
from agents.policy import take_turn
from agents.rllib.algorithm import BuddyTrainer

MakeTrainer = Callable[..., BuddyTrainer]
MORTAL = {"life.viability": 0.15, "life.grace": 2, "life.max_births": 40}
GOALS = {"members": 3, "scripted_share": 0.2}  # an exploiter, an explorer, an adaptive member


def watched(trainer: BuddyTrainer) -> list[dict[str, Any]]:
    """The infos of every step that the runner plays from now on."""
    env, seen = trainer.env_runner.env, []
    step = env.step

    def spied(actions: Any) -> Any:
        result = step(actions)
        seen.append(result[4])
        return result

    env.step = spied
    return seen


def test_what_is_learned_from_ends_with_the_life(make_trainer: MakeTrainer) -> None:
    """Value targets by the definition, life by life; an explorer's novelty is that of its own last creation; a
    newborn's history is empty and a survivor's is not. The rollout ends in mid-episode, in a round with deaths."""
    trainer = make_trainer(MORTAL, rounds_per_iteration=6, goal_buddy=GOALS, evolution={"spread": 1.0})
    seen = watched(trainer)
    batch = trainer.env_runner.sample().policy_batches
    players = trainer.env_runner._players["goal_buddy"]
    ((record, own),) = [(record, own) for record, own in players.record.rollouts if record.obs]
    rows = players._seats.rows[: players._seats.living]
    deaths = [torch.from_numpy(infos["retired"]["goal_buddy"]).flatten()[rows] for infos in seen]
    retired = torch.stack(deaths)                                                                              # [T, R]
    assert retired[:-1].any()
    assert retired[-1].any()
    (end, after), = record.boundaries
    assert end == 5
    rewards, values = torch.stack(record.rewards), torch.stack(record.values)
    settings = trainer.plan.settings
    for name, mine in own.items():
        if not name.startswith("goal_"):
            continue
        gamma, decay = settings.gamma, trainer.learner.hyperparameters(name).gae_lambda
        expected = torch.zeros(6, mine.stop - mine.start)
        for column, row in enumerate(range(mine.start, mine.stop)):
            for t in range(6):
                weight, total = 1.0, 0.0
                for k in range(t, 6):
                    last = bool(retired[k, row])
                    following = 0.0 if last else float(after[row] if k == 5 else values[k + 1, row])
                    total += weight * float(rewards[k, row] + gamma * following - values[k, row])
                    weight *= gamma * decay
                    if last:
                        break
                expected[t, column] = total + float(values[t, row])
        torch.testing.assert_close(batch[name]["value_targets"], expected.flatten(), atol=1e-5, rtol=1e-4)
    explorer = own["goal_1"]
    layout, weight = trainer.env_runner.env.observation_layouts["goal_buddy"], players._seats.novelty
    assert weight is not None
    for t, infos in enumerate(seen):
        novelty = creation_novelty(layout, torch.from_numpy(infos["final_obs"]["goal_buddy"]).flatten(0, 1)[rows])
        bonus = (record.rewards[t] - record.judged[t])[explorer]
        torch.testing.assert_close(bonus, (weight[: len(rows)] * novelty)[explorer], atol=1e-6, rtol=1e-5)
    length, adaptive = players._history.source.length if players._history else 0, own["goal_2"]
    assert length
    remembered = [(obs[adaptive, -length:] != 0).any(-1) for obs in record.obs]
    for t in range(5):
        assert not remembered[t + 1][retired[t, adaptive]].any()
        assert remembered[t + 1][~retired[t, adaptive]].all()


def test_training_goes_on_exactly_in_mid_episode(make_trainer: MakeTrainer) -> None:
    """Saved with lives under way, three iterations of three rounds in an episode of eight."""
    one, other = (make_trainer(MORTAL, rounds_per_iteration=3, goal_buddy=GOALS) for _ in range(2))
    one.train_iteration()
    other.load_training_state(copy.deepcopy(one.training_state()))
    for _ in range(2):
        left, right = one.train_iteration(), other.train_iteration()
        assert left["births"] == right["births"]
        assert left["goal_2/reward"] == right["goal_2/reward"]
        assert left["goal_2/policy_loss"] == right["goal_2/policy_loss"]
        assert np.isfinite(left["goal_2/policy_loss"])


@pytest.mark.parametrize("adaptive", [True, False])
def test_a_loaded_member_forgets_its_predecessor(make_trainer: MakeTrainer, adaptive: bool) -> None:
    """It finds out from the world alone who is new; asked twice in a round, it answers alike."""
    trainer = make_trainer(MORTAL, goal_buddy=GOALS)
    spec = trainer.learner.network("goal_2").spec
    policy, env = LearnedPolicy(build_network(spec, seed=0), adaptive=adaptive), trainer.plan.make_worlds()
    rng, births = np.random.default_rng(0), 0
    obs, _ = env.reset(seed=0)
    for number in range(8):
        turn = take_turn(env, obs, "goal_buddy")
        view = policy._view(turn)[:, -spec.history_size :]
        assert torch.equal(policy._view(turn)[:, -spec.history_size :], view)
        born = turn.newborn("goal_buddy")
        assert born is not None
        assert born.all() == (number == 0)
        remembers = (view != 0).any(-1).reshape(born.shape).numpy()
        assert (remembers == (adaptive & ~born)).all()
        births += int(born.sum()) if number else 0
        slates = rng.random((3, 4, 7)).argsort(-1)[..., :2]
        obs, *_ = env.step({"goal_buddy": policy.act(turn, rng), "user_buddy": slates})
    assert births > 3
