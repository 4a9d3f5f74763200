"""Memory: running statistics against a plain bookkeeper that goes through the rounds human by human, item by item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ammo_env import memory as memory_module
from ammo_env.memory import DECAY, Impression
from ammo_env.state import Round
from ammo_env.vector import VectorEnv

E, U, G, M, S, D = 3, 4, 5, 2, 2, 9
LATENCY = {0: 2, 1: 0}  # by subspace


class Bookkeeper:
    """What the platform should remember after each round, by the definitions, with loops."""

    def __init__(self, market: bool) -> None:
        self.market = market
        self.recent, self.liked = np.zeros((E, U, D)), np.zeros((E, M if market else G, D))
        self.answers, self.seen, self.rate = np.zeros((E, U, G)), np.zeros((E, U, G)), np.zeros((E, U))
        self.goal_answers, self.exposure = np.zeros((E, G)), np.zeros((E, G))
        self.sent: list[Impression] = []

    def after(self, happened: Round) -> None:
        impression = happened.impression
        self.sent.append(impression)
        shown = np.where(impression.filled[..., None], impression.vectors, 0.0).mean(axis=2)
        self.recent = DECAY * self.recent + (1 - DECAY) * shown
        self.liked *= DECAY
        self.exposure *= DECAY
        for e, u, s in zip(*impression.filled.nonzero(), strict=True):
            self.exposure[e, impression.creator[e, u, s]] += (1 - DECAY) / U
        for latency in (0, 2):
            if latency < len(self.sent):
                self._hear(self.sent[-1 - latency], latency)

    def _hear(self, impression: Impression, latency: int) -> None:
        heard: dict[tuple[int, int], list[float]] = {}
        earned: dict[tuple[int, int], list[float]] = {}
        feedback = impression.feedback
        for e, u, s in zip(*feedback.answered.nonzero(), strict=True):
            subspace, creator, value = (int(feedback.subspace[e, u, s]), int(impression.creator[e, u, s]),
                                        float(feedback.value[e, u, s]))  # fmt: skip
            if LATENCY[subspace] != latency:
                continue
            self.answers[e, u, creator] += value
            self.seen[e, u, creator] += 1
            heard.setdefault((e, u), []).append(value)
            earned.setdefault((e, creator), []).append(value)
            group = subspace if self.market else creator
            self.liked[e, group] += max(value, 0.0) * impression.vectors[e, u, s]
        for place, values in heard.items():
            self.rate[place] += (1 - DECAY) * (np.mean(values) - self.rate[place])
        for place, values in earned.items():
            self.goal_answers[place] += (1 - DECAY) * (np.mean(values) - self.goal_answers[place])


@pytest.mark.parametrize("few", [0, 64], ids=["many groups", "few groups"])
@pytest.mark.parametrize("kind", ["rating", "click"])
@pytest.mark.parametrize("view", ["market", "own_feedback"])
def test_memory_is_what_a_bookkeeper_writes_down(
    view: str,
    kind: str,
    few: int,
    small_env: Callable[..., VectorEnv],
    random_actions: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight rounds with answers that are scarce, and late in subspace 0: every statistic to 1e-5, every round, on both
    ways of adding up what is liked."""
    monkeypatch.setattr(memory_module, "FEW_GROUPS", few)
    env = small_env(E, {
        "observations.goal_view": view, "aipp.kind": kind, "aipp.response": 0.7, "aipp.threshold": -0.2,
        "aipp.subspaces": {0: {"latency": LATENCY[0]}},
    })  # fmt: skip
    rng, book = np.random.default_rng(0), Bookkeeper(view == "market")
    env.reset(seed=0)
    for _ in range(8):
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        book.after(env.last_round)
        memory = env.world.state.memory
        for name, expected in {
            "recent": book.recent, "liked": book.liked, "creator_answers": book.answers, "creator_seen": book.seen,
            "answer_rate": book.rate, "goal_answers": book.goal_answers, "goal_exposure": book.exposure,
        }.items():  # fmt: skip
            np.testing.assert_allclose(getattr(memory, name), expected, atol=1e-5, err_msg=name)
        by_goal = env.last_round.judgement.visibility.reshape(E, G, -1).sum(axis=-1)
        np.testing.assert_allclose(memory.goal_visibility, by_goal, atol=1e-6)
    assert book.seen.sum() > 50
    assert (book.liked != 0).any(axis=(0, 2)).all()


def test_popularity_is_the_decayed_share_of_slates(
    small_env: Callable[..., VectorEnv], random_actions: Callable[..., Any]
) -> None:
    """p' = .8 p + .2 visibility, from 0 at publication."""
    env, rng = small_env(E), np.random.default_rng(0)
    env.reset(seed=0)
    expected = np.zeros((E, 2 * G))
    for number in range(1, 9):
        env.step(random_actions(env, rng))
        assert env.last_round is not None
        corpus = env.world.state.corpus
        expected = DECAY * expected + (1 - DECAY) * env.last_round.judgement.visibility
        expected[corpus.born == number] = 0.0
        np.testing.assert_allclose(corpus.popularity, expected, atol=1e-6)
    assert expected.max() > 0.1
