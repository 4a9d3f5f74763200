"""A seat's running history: by hand, row by row, and against what really happened in the worlds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.history import FADE, History, HistorySource, history_source
from ammo_env.memory import DECAY
from ammo_env.observations import CANDIDATE_FEATURES, GOAL_SCALARS, goal_layout, user_layout
from ammo_env.vector import VectorEnv

SHOWN, SLOTS, FEATURES = 3, 2, len(CANDIDATE_FEATURES)


def user_source() -> HistorySource:
    return history_source("user_buddy", user_layout(SHOWN), SLOTS)


def goal_source(size: int = 3, market: bool = False) -> HistorySource:
    return history_source("goal_buddy", goal_layout(2, market), size)


def user_obs(time: float, rate: Sequence[float], tables: Tensor | None = None) -> Tensor:
    """[B, F] of user buddies; candidates [B, K, Fc]."""
    obs = torch.zeros(len(rate), SHOWN * FEATURES + 4)
    if tables is not None:
        obs[:, : SHOWN * FEATURES] = tables.flatten(1)
    obs[:, SHOWN * FEATURES], obs[:, SHOWN * FEATURES + 1] = time, torch.tensor(rate)
    return obs


def goal_obs(time: float, visibility: Sequence[float], error: Sequence[float]) -> Tensor:
    layout = goal_layout(2, market=False)
    obs, start = torch.zeros(len(error), layout.size), layout.slices["scalars"].start
    for name, values in {"visibility": visibility, "shelf_error": error, "time": [time]}.items():
        obs[:, start + GOAL_SCALARS.index(name)] = torch.tensor(values)
    return obs


def by_hand(x: Sequence[Sequence[float]], y: Sequence[float]) -> list[float]:
    """[c/√(v_x v_y + ε²), m_x, m_y, y] of one seat, by the definition: with m and v of the step before, dx = x − m_x,

    m ← m + (1 − f) dx,   v ← f v + f (1 − f) dx²,   c ← f c + f (1 − f) dx dy.
    """
    size = len(x[0])
    mean, spread, together = [0.0] * size, [0.0] * size, [0.0] * size
    level = outcome_spread = 0.0
    for action, outcome in zip(x, y, strict=True):
        dy = outcome - level
        for i in range(size):
            dx = action[i] - mean[i]
            together[i] = FADE * together[i] + FADE * (1 - FADE) * dx * dy
            spread[i] = FADE * spread[i] + FADE * (1 - FADE) * dx * dx
            mean[i] += (1 - FADE) * dx
        outcome_spread = FADE * outcome_spread + FADE * (1 - FADE) * dy * dy
        level += (1 - FADE) * dy
    correlation = [c / math.sqrt(s * outcome_spread + 1e-6) for c, s in zip(together, spread, strict=True)]
    return [*correlation, *mean, level, y[-1]]


def test_a_goal_buddys_history_over_three_rounds_by_hand() -> None:
    history = History(goal_source(), 0)
    actions = [[[0.5, -1.0, 1.0]], [[3.0, 0.25, -1.0]], [[-0.5, 0.0, 1.0]]]  # 3.0 is clipped, as the world does
    seen, error = [0.3, 0.1, 0.6], [0.1, 0.2, 0.0]
    assert (history.extended(goal_obs(0.0, [0.9], [0.9]))[:, -8:] == 0).all()
    for t in range(3):
        history.acted(torch.zeros(1, 1), torch.tensor(actions[t]))
        out = history.extended(goal_obs((t + 1) / 8, [seen[t]], [error[t]]))
        clipped = [[min(max(v, -1.0), 1.0) for v in action[0]] for action in actions[: t + 1]]
        expected = by_hand(clipped, [v - e for v, e in zip(seen[: t + 1], error[: t + 1], strict=True)])
        assert out[0, -8:].tolist() == pytest.approx(expected, abs=1e-5)
    assert out.shape == (1, goal_layout(2, False).size + history.source.length)
    assert (out[:, :-8] == goal_obs(3 / 8, [0.6], [0.0])).all()


def test_a_user_buddys_history_over_three_rounds_by_hand() -> None:
    """The answers are given back by the decayed rate r' = .8 r + .2 y."""
    history, generator = History(user_source(), 0), torch.Generator().manual_seed(0)
    slates, answers, rate = [[0, 2], [1, 0], [2, 1]], [0.5, -0.25, 1.0], [0.0]
    x: list[list[float]] = []
    length = 2 * (FEATURES - 1) + 2
    for t in range(4):
        tables = torch.randn(1, SHOWN, FEATURES, generator=generator)
        obs = user_obs(t / 8, [rate[-1]], tables)
        out = history.extended(obs)
        if t == 0:
            assert (out[:, -length:] == 0).all()
        else:
            assert out[0, -length:].tolist() == pytest.approx(by_hand(x, answers[:t]), abs=1e-4)
        if t < 3:
            history.acted(out, torch.tensor([slates[t]]))
            x.append(tables[0, slates[t], :-1].mean(0).tolist())
            rate.append(DECAY * rate[-1] + (1 - DECAY) * answers[t])


def test_what_goes_together_shows_as_a_correlation() -> None:
    """Publishing that always pays and a gain that has no effect: near 1 and near 0."""
    history, rng = History(goal_source(), 0), np.random.default_rng(0)
    history.extended(goal_obs(0.0, [0.0], [0.0]))
    seen = []
    for t in range(1, 400):
        publish, gain = rng.choice([-1.0, 1.0]), rng.uniform(-1, 1)
        history.acted(torch.zeros(1, 1), torch.tensor([[gain, 0.0, publish]], dtype=torch.float32))
        out = history.extended(goal_obs(t / 400, [0.5 + 0.3 * publish], [0.0]))
        seen.append(out[0, -8:-5].tolist())
    gain, still, publish = np.mean(np.array(seen[50:]), axis=0)
    assert publish > 0.95
    assert abs(gain) < 0.1
    assert still == 0.0


@pytest.mark.parametrize("kind", ["slate", "scores", "moves", "gains"])
def test_a_seat_knows_nothing_of_the_others(kind: str) -> None:
    """Each row gives the same alone as among others."""
    generator, rows = torch.Generator().manual_seed(0), 4
    user = kind in ("slate", "scores")
    whole, alone = (History(user_source() if user else goal_source(5), 0) for _ in range(2))
    for t in range(5):
        if user:
            tables = torch.randn(rows, SHOWN, FEATURES, generator=generator)
            obs = user_obs(t / 8, torch.rand(rows, generator=generator).tolist(), tables)
            drawn = torch.rand(rows, SHOWN, generator=generator) * 2 - 1
            actions = drawn if kind == "scores" else drawn.argsort(-1)[:, :SLOTS]
        else:
            obs = goal_obs(t / 8, torch.rand(rows, generator=generator).tolist(), [0.1] * rows)
            drawn = torch.rand(rows, 5, generator=generator) * 2 - 1
            actions = drawn if kind == "gains" else drawn.argmax(-1)
        together, own = whole.extended(obs), alone.extended(obs[2:3])
        assert torch.equal(together[2:3], own)
        whole.acted(together, actions)
        alone.acted(own, actions[2:3])


def test_time_0_begins_a_new_history() -> None:
    history, fresh = History(goal_source(), 0), History(goal_source(), 0)
    for t in range(4):
        history.extended(goal_obs(t / 8, [0.5, 0.2], [0.1, 0.3]))
        history.acted(torch.zeros(2, 1), torch.full((2, 3), 0.5))
    for t in range(3):
        obs = goal_obs(t / 8, [0.4, 0.1], [0.0, 0.0])
        assert torch.equal(history.extended(obs), fresh.extended(obs))
        for one in (history, fresh):
            one.acted(torch.zeros(2, 1), torch.tensor([[0.1, 0.2, 0.3]] * 2))


def test_a_newborn_begins_a_new_history_in_its_seat_alone() -> None:
    """Seat 0 is taken over after round 2: it is then like a seat that began there; to seat 1 nothing happened."""
    history, whole, fresh = (History(goal_source(), 0) for _ in range(3))
    generator = torch.Generator().manual_seed(0)
    for t in range(6):
        seen, actions = torch.rand(2, generator=generator).tolist(), torch.rand(2, 3, generator=generator)
        obs = goal_obs(t / 8, seen, [0.1, 0.2])
        out = history.extended(obs, torch.tensor([t == 2, False]))
        assert torch.equal(out[1], whole.extended(obs)[1])
        if t >= 2:
            assert torch.equal(out[:1], fresh.extended(obs[:1]))
            fresh.acted(obs[:1], actions[:1])
        if t == 2:
            assert (out[0, -8:] == 0).all()
            assert (out[1, -8:] != 0).any()
        for one in (history, whole):
            one.acted(out, actions)


def test_another_number_of_seats_begins_a_new_history() -> None:
    history = History(goal_source(), 0)
    history.extended(goal_obs(0.0, [0.5, 0.2], [0.1, 0.3]))
    history.acted(torch.zeros(2, 1), torch.ones(2, 3))
    assert (history.extended(goal_obs(0.5, [0.5], [0.1]))[:, -8:] == 0).all()


def test_the_state_goes_on_exactly() -> None:
    history, other = History(goal_source(), 0), History(goal_source(), 0)
    generator = torch.Generator().manual_seed(0)
    for t in range(6):
        if t == 3:
            other.load(history.state())
        obs = goal_obs(t / 8, torch.rand(2, generator=generator).tolist(), [0.1, 0.2])
        actions = torch.rand(2, 3, generator=generator)
        out = history.extended(obs)
        history.acted(out, actions)
        if t >= 3:
            assert torch.equal(other.extended(obs), out)
            other.acted(out, actions)


@pytest.mark.parametrize(
    ("user", "goal", "slots"),
    [("slate", "gains", 2), ("slate", "nudge", 1), ("scores", "steer", 2), ("scores", "gains", 3)],
)
def test_it_is_what_really_happened_in_the_worlds(
    small_env: Callable[..., VectorEnv], user: str, goal: str, slots: int
) -> None:
    """x of a user buddy is made of the items that were on its slate, y is the mean answer to it; y of a goal buddy is
    its visibility minus the error of its shelf. Scores reach beyond their box, where the world clips them and takes
    ties in order."""
    env = small_env(2, {"actions.user_buddy": user, "actions.goal_buddy": goal, "num_slots": slots})
    layout = env.observation_layouts["user_buddy"]
    size = {"gains": 4, "steer": 4, "nudge": int(getattr(env.action_spaces["goal_buddy"], "n", 0))}[goal]
    histories = {
        "user_buddy": History(history_source("user_buddy", layout, slots), 0),
        "goal_buddy": History(history_source("goal_buddy", env.observation_layouts["goal_buddy"], size), 0),
    }
    rng, (obs, _) = np.random.default_rng(0), env.reset(seed=0)
    for _ in range(6):
        seen = {side: torch.from_numpy(obs[side]).flatten(0, 1) for side in histories}
        for side, history in histories.items():
            history.extended(seen[side])
        actions: dict[str, Any] = {
            "user_buddy": rng.normal(0, 1.5, (2, 4, 7)).astype(np.float32) if user == "scores"
            else rng.random((2, 4, 7)).argsort(-1)[..., :slots].reshape(2, 4, *([slots] if slots > 1 else [])),
            "goal_buddy": rng.integers(size, size=(2, 5)) if goal == "nudge"
            else rng.normal(0, 1.5, (2, 5, 4)).astype(np.float32),
        }  # fmt: skip
        for side, history in histories.items():
            taken = torch.from_numpy(actions[side])
            history.acted(seen[side], taken.flatten(0, 1) if taken.dim() > 2 else taken.flatten())
        space = env.action_spaces["user_buddy"]
        if user == "scores":
            actions["user_buddy"] = np.clip(actions["user_buddy"], space.low, space.high)  # type: ignore[attr-defined]
        before = obs["user_buddy"]
        obs, _, _, _, _ = env.step(actions)
        happened = env.last_round
        assert happened is not None
        where = (happened.candidates[..., None, :] == happened.items[..., None]).argmax(-1)           # [E, U, S]
        table = layout.block(before, "candidates")[..., :-1]
        shown = np.take_along_axis(table, where[..., None], axis=2).mean(2).reshape(8, -1)
        np.testing.assert_allclose(histories["user_buddy"].state()["x"].numpy(), shown, atol=1e-6)
    for side, history in histories.items():
        history.extended(torch.from_numpy(obs[side]).flatten(0, 1))
    assert happened is not None
    outcome = histories["goal_buddy"].state()["y"].reshape(2, 5).numpy()
    judged = happened.judgement
    np.testing.assert_allclose(
        outcome, judged.visibility.reshape(2, 5, -1).sum(-1) - env.world.state.corpus.shelf_error, atol=1e-6
    )
    feedback = happened.impression.feedback
    arrived = (feedback.value * feedback.answered).sum(-1) / np.maximum(feedback.answered.sum(-1), 1)
    heard = feedback.answered.any(-1)
    assert heard.any()
    told = histories["user_buddy"].state()["y"].reshape(2, 4).numpy()
    np.testing.assert_allclose(told[heard], arrived[heard], atol=1e-5)
