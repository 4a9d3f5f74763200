"""AiPP as the judge: what it says of every seat, and how that is summed by player."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.baselines import GOAL_BASELINES, USER_BASELINES
from agents.evolution.fitness import PATHS
from agents.policy import Policy, take_turn
from agents.verdicts import Tally, judge
from ammo_env.vector import VectorEnv

USER, GOAL = "user_buddy", "goal_buddy"
MakeEnv = Callable[..., VectorEnv]


def play(env: VectorEnv, user: Policy, rounds: int, seed: int = 0) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The verdicts of `rounds` rounds behind each other [T·E, N]; goal buddies are random scripts."""
    goal, rng = GOAL_BASELINES["random_script"](), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    found: list[dict[str, dict[str, NDArray[np.float64]]]] = []
    for _ in range(rounds):
        obs, *_ = env.step({policy.side: policy.act(take_turn(env, obs, policy.side), rng) for policy in (user, goal)})
        found.append(judge(env))
    return {side: {path: np.concatenate([v[side][path] for v in found]) for path in PATHS} for side in (USER, GOAL)}


def test_there_is_nothing_to_judge_before_the_first_round(small_env: MakeEnv) -> None:
    env = small_env(2)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="nothing to judge yet"):
        judge(env)


@pytest.mark.parametrize("overrides", [{}, {"goal_view": "own_feedback"}, {"num_slots": 1}, {"backend": "torch"}])
def test_every_seat_has_a_number_on_every_path(small_env: MakeEnv, overrides: dict[str, object]) -> None:
    backend = str(overrides.pop("backend", "numpy"))
    env = small_env(3, {"actions.goal_buddy": "gains", **overrides}, backend)
    verdicts = play(env, USER_BASELINES["greedy"](), 3)
    assert {side: set(paths) for side, paths in verdicts.items()} == {USER: set(PATHS), GOAL: set(PATHS)}
    for side, seats in ((USER, 4), (GOAL, 5)):
        for values in verdicts[side].values():
            assert values.shape == (9, seats)
            assert np.isfinite(values).all()


def test_the_paths_are_what_they_say(small_env: MakeEnv) -> None:
    """Written out seat by seat from the last round."""
    env = small_env(2, {"actions.goal_buddy": "gains"})
    rng, (obs, _) = np.random.default_rng(0), env.reset(seed=0)
    user, goal = USER_BASELINES["greedy"](), GOAL_BASELINES["random_script"]()
    for _ in range(4):
        obs, *_ = env.step({policy.side: policy.act(take_turn(env, obs, policy.side), rng) for policy in (user, goal)})
    said, happened = judge(env), env.last_round
    assert happened is not None
    state, judged, feedback = env.world.state, happened.judgement, happened.impression.feedback
    usual = np.mean([judged.best[e, u] - 2 * judged.utility[e, u].mean() for e in range(2) for u in range(4)])
    for e in range(2):
        for u in range(4):
            best = np.sort(judged.utility[e, u])[-2:].sum()
            regret = best - judged.utility[e, u, happened.items[e, u]].sum()
            assert said[USER]["satisfaction"][e, u] == pytest.approx(1 - regret / usual, abs=1e-5)
            answers = [feedback.value[e, u, s] for s in range(2) if feedback.answered[e, u, s]]
            assert said[USER]["engagement"][e, u] == pytest.approx(np.mean(answers) if answers else 0.0, abs=1e-6)
            gap = np.linalg.norm(state.q[e, u] - state.beliefs.mean[e, u])
            assert said[USER]["accuracy"][e, u] == pytest.approx(-gap, abs=1e-6)
        for g in range(5):
            shelf = [2 * g, 2 * g + 1]
            held = sum(item in shelf for u in range(4) for item in happened.items[e, u]) / 4
            assert said[GOAL]["satisfaction"][e, g] == pytest.approx(happened.rewards[GOAL][e, g])
            assert said[GOAL]["engagement"][e, g] == pytest.approx(held, abs=1e-6)
            assert said[GOAL]["accuracy"][e, g] == pytest.approx(judged.utility[e][:, shelf].mean(), abs=1e-6)


def test_the_all_knowing_satisfy_and_the_random_do_not(small_env: MakeEnv) -> None:
    """With the whole corpus shown: 1 for the oracle in every seat, 0 on average for random slates."""
    env = small_env(8, {"num_candidates": 10, "actions.goal_buddy": "gains"})
    oracle = play(env, USER_BASELINES["oracle"](), 8)[USER]["satisfaction"]
    assert oracle.min() > 0.999
    random = play(env, USER_BASELINES["random"](), 8)[USER]["satisfaction"]
    assert abs(random.mean()) < 4 * random.std() / random.size**0.5


# ---------------------------------------------------------------------------------------------------------------------
# The tally

# Two worlds; user seats: member 0, member 1, script | member 1, member 1, member 0.
HOLDERS: dict[str, NDArray[np.int64]] = {
    USER: np.array([[0, 1, -1], [1, 1, 0]]),
    GOAL: np.array([[0, -2], [2, 0]]),
}
SAID: dict[str, dict[str, NDArray[np.float64]]] = {
    USER: {
        "satisfaction": np.array([[0.5, 1.0, 9.0], [0.25, 0.75, -1.0]]),
        "accuracy": np.array([[1.0] * 3, [2.0] * 3]),
    },
    GOAL: {"satisfaction": np.array([[4.0, 9.0], [6.0, 8.0]])},
}


def tally(times: int = 1) -> Tally:
    result = Tally({USER: 2, GOAL: 3})
    for _ in range(times):
        result.add(HOLDERS, SAID)
    return result


def test_means_by_player_leave_scripts_out() -> None:
    result = tally()
    assert result.seats[USER].tolist() == [2, 3]
    assert result.seats[GOAL].tolist() == [2, 0, 1]
    assert result.means(USER, 0) == pytest.approx({"satisfaction": -0.25, "accuracy": 1.5})
    assert result.means(USER, 1) == pytest.approx({"satisfaction": 2 / 3, "accuracy": 5 / 3})
    assert result.means(GOAL, 0) == {"satisfaction": 6.0}
    assert result.means(GOAL, 1) == {}
    assert result.means(GOAL, 2) == {"satisfaction": 6.0}


def test_outcomes_weigh_by_the_share_of_the_opponent_in_the_world() -> None:
    """World 0: goal member 0 has half of the seats, a script the other half; world 1: members 2 and 0 half each."""
    total, weight = tally().outcomes[USER]
    assert total == pytest.approx(np.array([[0.5 * 0.5 - 1.0 * 0.5, 0.0, -0.5], [1.0 * 0.5 + 1.0 * 0.5, 0.0, 0.5]]))
    assert weight.tolist() == [[1.0, 0.0, 0.5], [1.5, 0.0, 1.0]]
    total, weight = tally().outcomes[GOAL]
    # Against user member 0 (1/3 of both worlds) and member 1 (1/3, then 2/3).
    assert total == pytest.approx(np.array([[4 / 3 + 8 / 3, 4 / 3 + 16 / 3], [0, 0], [6 / 3, 12 / 3]]))
    assert weight == pytest.approx(np.array([[2 / 3, 1.0], [0, 0], [1 / 3, 2 / 3]]))


def test_rounds_add_up() -> None:
    one, three = tally(), tally(3)
    assert three.seats[USER].tolist() == [6, 9]
    assert three.means(USER, 1) == pytest.approx(one.means(USER, 1))
    for side in (USER, GOAL):
        for single, several in zip(one.outcomes[side], three.outcomes[side], strict=True):
            np.testing.assert_allclose(several, 3 * single)


def test_two_runners_together_are_their_sum() -> None:
    other = Tally({USER: 2, GOAL: 3})
    other.add({USER: np.array([[1, 1, 1]]), GOAL: np.array([[1, 1]])},
              {USER: {"satisfaction": np.ones((1, 3))}, GOAL: {"satisfaction": np.ones((1, 2))}})  # fmt: skip
    one, together = tally(), tally().merged(other)
    whole = tally()
    whole.add({USER: np.array([[1, 1, 1]]), GOAL: np.array([[1, 1]])},
              {USER: {"satisfaction": np.ones((1, 3))}, GOAL: {"satisfaction": np.ones((1, 2))}})  # fmt: skip
    for side in (USER, GOAL):
        assert (together.seats[side] == whole.seats[side]).all()
        for player in range(len(whole.seats[side])):
            assert together.means(side, player) == pytest.approx(whole.means(side, player))
        for left, right in zip(together.outcomes[side], whole.outcomes[side], strict=True):
            np.testing.assert_allclose(left, right)
    assert one.seats[USER].tolist() == [2, 3]  # the parts stay as they were


def test_a_side_without_members_has_no_verdicts() -> None:
    result = Tally({USER: 1, GOAL: 0})
    result.add({USER: np.array([[0, 0]]), GOAL: np.array([[-1, -2]])},
               {USER: {"satisfaction": np.ones((1, 2))}, GOAL: {"satisfaction": np.ones((1, 2))}})  # fmt: skip
    assert result.means(USER, 0) == {"satisfaction": 1.0}
    assert result.outcomes[USER][0].shape == (1, 0)
