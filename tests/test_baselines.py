"""Baselines: legal in every action mode, doing what their docstrings say, and the anchors of the regret scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from agents.baselines import (
    DEFAULT_CAST,
    GOAL_BASELINES,
    GRIDS,
    USER_BASELINES,
    EpsilonGreedy,
    FriendsOfFriends,
    LinUCB,
    Softmax,
    Thompson,
)  # fmt: skip
from agents.evaluation import make_user_baseline
from agents.policy import Policy, Turn, take_turn
from ammo_env import metaspace_v0, steering
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]
Floats = NDArray[np.float64]


def episode(env: VectorEnv, user: Policy, goal: Policy, rounds: int, seed: int = 0) -> Iterator[dict[str, Turn]]:
    """Plays both policies; yields the turns of each round after it was played, its actions in `env.last_actions`."""
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    for _ in range(rounds):
        turns = {"user_buddy": take_turn(env, obs, "user_buddy"), "goal_buddy": take_turn(env, obs, "goal_buddy")}
        actions = {"user_buddy": user.act(turns["user_buddy"], rng), "goal_buddy": goal.act(turns["goal_buddy"], rng)}
        obs, *_ = env.step(actions)
        yield turns


def candidate(turn: Turn, name: str) -> NDArray[np.float32]:
    layout = turn.env.observation_layouts["user_buddy"]
    table: NDArray[np.float32] = layout.block(turn.obs, "candidates")
    return table[..., layout.candidate_features.index(name)]


def some_turn(env: VectorEnv, side: str = "user_buddy", rounds: int = 3) -> Turn:
    """A turn in the middle of an episode."""
    for _ in episode(env, USER_BASELINES["random"](), GOAL_BASELINES["random_script"](), rounds):
        pass
    return take_turn(env, env._observe(), side)


KINDS = (("slate", "nudge", 3), ("scores", "gains", 3), ("slate", "steer", 1), ("scores", "nudge", 7))
MODES = [
    {"actions.user_buddy": user, "actions.goal_buddy": goal, "attention.num_slots": slots}
    for user, goal, slots in KINDS
]


@pytest.mark.parametrize("mode", MODES, ids=lambda m: "-".join(map(str, m.values())))
@pytest.mark.parametrize("name", [*USER_BASELINES, *GOAL_BASELINES])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_every_baseline_acts_legally(name: str, mode: dict[str, Any], backend: str, small_env: MakeEnv) -> None:
    """Every action lies in its space (energy runs out on the way), no slate repeats, and masks are respected."""
    env = small_env(2, {**mode, "goal_buddies.energy_cap": 1.5, "goal_buddies.energy_regrowth": 0.25}, backend)
    side = "user_buddy" if name in USER_BASELINES else "goal_buddy"
    policy: Policy = (USER_BASELINES | GOAL_BASELINES)[name]()
    assert policy.side == side
    rng = np.random.default_rng(0)
    other = {"user_buddy": GOAL_BASELINES["random_script"](), "goal_buddy": USER_BASELINES["random"]()}[side]
    obs, _ = env.reset(seed=0)
    for _ in range(6):
        turn = take_turn(env, obs, side)
        actions = policy.act(turn, rng)
        space = env.action_spaces[side]
        assert actions.shape == (2, env.num_agents[side], *(space.shape or ()))
        for row in actions.reshape(-1, *(space.shape or ())):
            assert space.contains(row if space.shape else int(row)), row
        if isinstance(space, spaces.MultiDiscrete):
            assert (np.diff(np.sort(actions, axis=-1), axis=-1) > 0).all()
        if side == "goal_buddy" and mode["actions.goal_buddy"] == "nudge":
            assert np.take_along_axis(turn.mask, actions[..., None], -1).all()
        theirs = other.act(take_turn(env, obs, other.side), rng)
        obs, *_ = env.step({side: actions, other.side: theirs})


@pytest.mark.parametrize("name", [*USER_BASELINES, *GOAL_BASELINES])
def test_the_same_generator_gives_the_same_actions(name: str, small_env: MakeEnv) -> None:
    env = small_env(3, {"actions.goal_buddy": "gains"})
    policy = (USER_BASELINES | GOAL_BASELINES)[name]()
    turn = some_turn(env, policy.side)
    first, again = (policy.act(turn, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", [n for n in (*USER_BASELINES, *GOAL_BASELINES) if n != "oracle"])
def test_nobody_but_the_oracle_sees_hidden_state(name: str, small_env: MakeEnv) -> None:
    """With other preferences behind the same observations every action is the same; the oracle's are not."""
    env = small_env(3, {"actions.goal_buddy": "gains"})
    policy, oracle = (USER_BASELINES | GOAL_BASELINES)[name](), USER_BASELINES["oracle"]()
    turn, users = some_turn(env, policy.side), some_turn(env)
    before, known = policy.act(turn, np.random.default_rng(0)), oracle.act(users, np.random.default_rng(0))
    state = env.world.state
    state.q, state.utility = -state.q, -state.utility
    np.testing.assert_array_equal(policy.act(turn, np.random.default_rng(0)), before)
    assert not np.array_equal(oracle.act(users, np.random.default_rng(0)), known)


@pytest.mark.parametrize("mode", ["slate", "scores"])
def test_the_oracle_takes_the_best_of_the_shown(mode: str, small_env: MakeEnv) -> None:
    """Its slates are worth the S largest e.q among the K candidates, to 1e-5, in every round."""
    env = small_env(4, {"actions.user_buddy": mode, "humans.drift_rho": 0.9})
    for _ in episode(env, USER_BASELINES["oracle"](), GOAL_BASELINES["random_script"](), 8):
        assert env.last_round is not None
        utility, shown = env.last_round.judgement.utility, env.last_round.candidates
        best = np.sort(np.take_along_axis(utility, shown, -1), axis=-1)[..., -2:].sum(axis=-1)
        value = env.last_round.judgement.shown_utility.sum(axis=-1)
        np.testing.assert_allclose(value, best, atol=1e-5)


def test_greedy_takes_the_largest_scores(small_env: MakeEnv) -> None:
    turn = some_turn(small_env(4))
    score = candidate(turn, "score")
    chosen = np.take_along_axis(score, USER_BASELINES["greedy"]().act(turn, np.random.default_rng(0)), -1)
    np.testing.assert_allclose(chosen.sum(axis=-1), np.sort(score, axis=-1)[..., -2:].sum(axis=-1), atol=1e-5)


def test_linucb_adds_its_width_in_standard_deviations(small_env: MakeEnv) -> None:
    """q_hat.e + w sd(q.e): the chosen are the largest; width 0 is greedy, a huge width takes the most uncertain."""
    turn = some_turn(small_env(4))
    score, unsure = candidate(turn, "score"), candidate(turn, "uncertainty")
    np.testing.assert_allclose(LinUCB(0.5).scores(turn, np.random.default_rng(0)), score + 0.5 * unsure, atol=1e-6)
    widest = LinUCB(1e6).act(turn, np.random.default_rng(0))
    np.testing.assert_allclose(
        np.take_along_axis(unsure, widest, -1).min(axis=-1), np.sort(unsure, axis=-1)[..., -2], atol=1e-5
    )


def test_fading_linucb_loses_its_width_with_the_rounds_that_are_left(small_env: MakeEnv) -> None:
    """q_hat.e + w (1 - 3/4 t/T) sd(q.e), with T = 8; and by name."""
    env = small_env(2, {"episode.num_rounds": 8})
    for now in (0, 1, 4, 7):
        turn = some_turn(env, rounds=now)
        fading = make_user_baseline("fading_linucb=2").scores(turn, np.random.default_rng(0))  # type: ignore[attr-defined]
        expected = candidate(turn, "score") + 2.0 * (1 - 0.75 * now / 8) * candidate(turn, "uncertainty")
        np.testing.assert_allclose(fading, expected, atol=1e-6)


def test_softmax_is_plackett_luce(small_env: MakeEnv) -> None:
    """4000 slates of one turn: first choices follow exp(score / T), second ones the same without the first."""
    env = small_env(1, {"humans.num_humans": 1})
    turn, rng, draws = some_turn(env), np.random.default_rng(1), 4000
    slates = np.array([Softmax(0.3).act(turn, rng)[0, 0] for _ in range(draws)])
    weights = np.exp(candidate(turn, "score")[0, 0].astype(np.float64) / 0.3)
    first = weights / weights.sum()
    second = np.array([
        sum(first[i] * weights[j] / (weights.sum() - weights[i]) for i in range(7) if i != j) for j in range(7)
    ])  # fmt: skip
    for place, chance in enumerate((first, second)):
        share = np.bincount(slates[:, place], minlength=7) / draws
        assert (np.abs(share - chance) < 4 * np.sqrt(chance * (1 - chance) / draws)).all()


def test_epsilon_greedy_explores_slot_by_slot(small_env: MakeEnv) -> None:
    """4000 slates of one turn at epsilon .3: the best candidate is first with .7 + .3/7, each other with .3/7; given
    the best first, the second best is second with .7 + .3/6. At 4 standard errors. At 0 it is greedy."""
    env = small_env(1, {"humans.num_humans": 1})
    turn, rng, draws = some_turn(env), np.random.default_rng(1), 4000
    ranked = np.argsort(-candidate(turn, "score")[0, 0])
    slates = np.array([EpsilonGreedy(0.3).act(turn, rng)[0, 0] for _ in range(draws)])
    chance = np.full(7, 0.3 / 7)
    chance[ranked[0]] += 0.7
    share = np.bincount(slates[:, 0], minlength=7) / draws
    assert (np.abs(share - chance) < 4 * np.sqrt(chance * (1 - chance) / draws)).all()
    second = slates[slates[:, 0] == ranked[0], 1] == ranked[1]
    assert abs(second.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / len(second))
    np.testing.assert_array_equal(EpsilonGreedy(0.0).act(turn, rng)[0, 0], ranked[:2])


def test_friends_come_first(small_env: MakeEnv) -> None:
    """q_hat.e + w endorsement with a network; a huge weight takes the most endorsed; without a network it is greedy."""
    env = small_env(4, {"social.network": "random", "attention.social_share": 0.3})
    turn = some_turn(env)
    score, endorsed = candidate(turn, "score"), candidate(turn, "endorsement")
    assert (endorsed > 0).any()
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(FriendsOfFriends(2.0).scores(turn, rng), score + 2.0 * endorsed, atol=1e-6)
    chosen = np.take_along_axis(endorsed, FriendsOfFriends(1e6).act(turn, rng), -1)
    np.testing.assert_allclose(chosen.sum(axis=-1), np.sort(endorsed, axis=-1)[..., -2:].sum(axis=-1), atol=1e-5)
    alone = some_turn(small_env(4))
    np.testing.assert_array_equal(FriendsOfFriends().scores(alone, rng), candidate(alone, "score"))


def test_thompson_samples_the_posterior(small_env: MakeEnv) -> None:
    """4000 draws of the scores: mean q_hat.e, covariance w^2 E diag(variance) E^T, within 4 standard errors."""
    env = small_env(1, {"humans.num_humans": 1})
    turn, rng, draws = some_turn(env), np.random.default_rng(1), 4000
    sampled = np.array([Thompson(0.5).scores(turn, rng)[0, 0] for _ in range(draws)], dtype=np.float64)
    state = env.world.state
    shown = state.corpus.vectors[0][state.candidates[0, 0]].astype(np.float64)
    covariance = 0.25 * shown @ np.diag(state.beliefs.variance[0, 0]) @ shown.T
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(sampled.mean(axis=0) - shown @ state.beliefs.mean[0, 0]) < 4 * spread / np.sqrt(draws)).all()
    error = np.sqrt((np.outer(spread**2, spread**2) + covariance**2) / draws)
    assert (np.abs(np.cov(sampled.T) - covariance) < 4 * error).all()


def test_random_slates_are_uniform_and_ties_are_broken_at_random(small_env: MakeEnv) -> None:
    """Every candidate is in a slate of 2 of 7 with chance 2/7: for the random policy, and for greedy when all
    scores are equal (a zero prior before any answer)."""
    env = small_env(500, {"beliefs.prior": "zero"})
    obs, _ = env.reset(seed=0)
    turn = take_turn(env, obs, "user_buddy")
    assert np.ptp(candidate(turn, "score")) == 0.0
    for name in ("random", "greedy"):
        slates = USER_BASELINES[name]().act(turn, np.random.default_rng(0))
        share = np.bincount(slates.reshape(-1), minlength=7) / 2000
        assert np.abs(share - 2 / 7).max() < 4 * np.sqrt(2 / 7 * 5 / 7 / 2000)


def shelf_error(name: str, env: VectorEnv) -> Floats:
    """Mean grounding error of every world's corpus after ten rounds of a script in every goal seat."""
    for _ in episode(env, USER_BASELINES["greedy"](), GOAL_BASELINES[name](), 10):
        pass
    error: Floats = env.world.state.corpus.grounding_error.mean(axis=-1, dtype=np.float64)
    return error


@pytest.mark.parametrize("mode", ["gains", "steer", "nudge"])
def test_truth_is_the_truest(mode: str) -> None:
    """Default scenario, the other scripts' grounding errors are larger: at 4 standard errors, paired over 40 worlds."""
    errors = {}
    for name in DEFAULT_CAST:
        overrides: dict[str, Any] = {"actions.goal_buddy": mode}
        errors[name] = shelf_error(name, metaspace_v0.vec_env(40, **overrides))
    for name in set(errors) - {"truthful"}:
        gap = errors[name] - errors["truthful"]
        assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(40), name


def test_scripts_are_their_gains(small_env: MakeEnv) -> None:
    """(demand, fact, keep, publish): truthful (0, 1, 0, 1), chaser (1, 0, 0, 1), clickbait (1, -1, 0, 1)."""
    turn = some_turn(small_env(2, {"actions.goal_buddy": "gains"}), "goal_buddy")
    for name, gains in {"truthful": (0, 1, 0, 1), "chaser": (1, 0, 0, 1), "clickbait": (1, -1, 0, 1)}.items():
        acted = GOAL_BASELINES[name]().act(turn, np.random.default_rng(0))
        np.testing.assert_array_equal(acted, np.broadcast_to(gains, (2, 5, 4)))


def test_scripts_as_nudges(small_env: MakeEnv) -> None:
    """With energy: truthful moves to the fact, chaser to demand; without: everybody holds."""
    turn = some_turn(small_env(2), "goal_buddy")
    rich, poor = np.ones((2, 5, 10), bool), np.zeros((2, 5, 10), bool)
    poor[..., steering.HOLD] = True
    for name, move in {"truthful": steering.TO_FACT, "chaser": steering.TO_DEMAND}.items():
        act = GOAL_BASELINES[name]().act
        assert (act(Turn(turn.obs, rich, turn.env), np.random.default_rng(0)) == move).all()
        assert (act(Turn(turn.obs, poor, turn.env), np.random.default_rng(0)) == steering.HOLD).all()


def test_clickbait_as_nudges_leads_away_from_the_facts(small_env: MakeEnv) -> None:
    """Half of its moves follow demand, half step along the axis on which it is farthest beyond the nearest fact."""
    turn = some_turn(small_env(40), "goal_buddy")
    able = np.ones((*turn.obs.shape[:2], 10), bool)
    moves = GOAL_BASELINES["clickbait"]().act(Turn(turn.obs, able, turn.env), np.random.default_rng(0))
    followed = moves == steering.TO_DEMAND
    assert 0.35 < followed.mean() < 0.65
    layout = turn.env.observation_layouts["goal_buddy"]
    beyond = layout.block(turn.obs, "last") - layout.block(turn.obs, "fact")
    axis, sign = np.divmod(moves[~followed] - steering.FIRST_AXIS_MOVE, 2)
    stepped = np.take_along_axis(beyond[~followed], axis[:, None], -1)[:, 0]
    np.testing.assert_allclose(np.abs(stepped), np.abs(beyond[~followed]).max(axis=-1))
    np.testing.assert_array_equal(stepped < 0, sign == 1)


def test_grids_tune_what_the_baselines_take() -> None:
    for name, (argument, values) in GRIDS.items():
        assert len(values) == len(set(values)) >= 5
        assert getattr(USER_BASELINES[name](**{argument: values[0]}), argument) == values[0]


def regrets(scenario: str, user: str | Policy, envs: int, rounds: int, **overrides: Any) -> tuple[Floats, Floats]:
    """Regret and expected random regret of every world, summed over humans and rounds, [E] each."""
    env = metaspace_v0.vec_env(envs, scenario, **overrides)
    total, expected = np.zeros(envs), np.zeros(envs)
    chooser = USER_BASELINES[user]() if isinstance(user, str) else user
    for _ in episode(env, chooser, GOAL_BASELINES["random_script"](), rounds):
        assert env.last_round is not None
        total += env.last_round.judgement.regret.sum(axis=-1, dtype=np.float64)
        expected += env.last_round.judgement.random_regret.sum(axis=-1, dtype=np.float64)
    return total, expected


@pytest.mark.parametrize("scenario", ["default", "drift", "clicks", "crowded"])
def test_a_random_slate_of_the_live_corpus_has_normalised_regret_one(scenario: str) -> None:
    """All C creations shown: sum R / sum R_bar = 1 within 4 standard errors over 64 worlds."""
    total, expected = regrets(scenario, "random", 64, 6, num_candidates=256 if scenario == "crowded" else 64)
    ratio = total.sum() / expected.sum()
    error = (total - ratio * expected).std(ddof=1) * np.sqrt(64) / expected.sum()
    assert abs(ratio - 1.0) < 4 * error < 0.1


def test_a_best_slate_has_normalised_regret_zero() -> None:
    """The oracle with all creations shown: below 1e-6 of the random regret."""
    total, expected = regrets("drift", "oracle", 8, 6, num_candidates=64)
    assert total.sum() / expected.sum() < 1e-6


def test_the_order_of_the_baselines_on_the_default_scenario() -> None:
    """Oracle < Thompson, greedy < random of the shown < 1, over whole episodes of 16 worlds, separated by .05."""
    ratio = {}
    for name in ("oracle", "thompson", "greedy", "random"):
        total, expected = regrets("default", name, 16, 64)
        ratio[name] = total.sum() / expected.sum()
    assert ratio["oracle"] < 0.1
    for bandit in ("thompson", "greedy"):
        assert ratio["oracle"] + 0.05 < ratio[bandit] < ratio["random"] - 0.05
    assert ratio["random"] < 0.95


def test_scarce_answers_leave_room_above_the_bandits() -> None:
    """Whole episodes of 16 worlds: greedy and LinUCB of width 3, the best tuned bandit there, lose .2 more than the
    best of what they are shown, and LinUCB is .05 better than a random slate."""
    ratio = {}
    for name in ("oracle", "greedy", "linucb", "random"):
        user = LinUCB(3.0) if name == "linucb" else USER_BASELINES[name]()
        total, expected = regrets("scarce", user, 16, 64)
        ratio[name] = total.sum() / expected.sum()
    assert ratio["oracle"] < 0.15
    assert min(ratio["greedy"], ratio["linucb"]) > ratio["oracle"] + 0.2
    assert ratio["linucb"] < ratio["random"] - 0.05
