"""Evaluation: anchors hold, comparisons are paired, tuning and evaluation never share worlds."""

from __future__ import annotations

import numpy as np
import pytest

from agents.baselines import GOAL_BASELINES, Greedy, Oracle, RandomSlate, Script
from agents.evaluation import (
    EVALUATION,
    TUNING,
    Arena,
    Cast,
    evaluate_goal_buddies,
    evaluate_user_buddies,
    make_user_baseline,
    num_tuning_episodes,
    scripted_cast,
    tune_bandits,
)
from agents.policy import take_turn
from agents.scoreboard import full_scoreboard
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config


@pytest.fixture(scope="module")
def config() -> AmmoConfig:
    return load_config("default", {"actions.goal_buddy": "gains", "num_rounds": 12})


def test_random_greedy_and_oracle_are_ordered(config: AmmoConfig) -> None:
    policies = {"random": RandomSlate(), "greedy": Greedy(), "oracle": Oracle()}
    meters = evaluate_user_buddies(policies, scripted_cast(), Arena(config, worlds=32))
    regret = {name: meter.summary()["normalised_regret"] for name, meter in meters.items()}
    assert 0 <= regret["oracle"] < 0.1 < regret["greedy"] < regret["random"] < 0.8


def test_the_same_seed_gives_the_same_numbers(config: AmmoConfig) -> None:
    arena = Arena(config, worlds=4, episodes=2, seed=0)
    first, second = (
        evaluate_user_buddies({"softmax": make_user_baseline("softmax=0.1")}, scripted_cast(), arena)["softmax"]
        for _ in range(2)
    )
    assert first.summary() == second.summary()
    assert first.by_world()["regret"].shape == (8,)


def test_tuning_worlds_are_not_evaluation_worlds(config: AmmoConfig) -> None:
    seeds = {stream: Arena(config, seed=3, stream=stream).seeds()[0] for stream in (EVALUATION, TUNING)}
    assert seeds[EVALUATION] != seeds[TUNING]


def test_equal_policies_in_one_seat_earn_exactly_the_same(config: AmmoConfig) -> None:
    twins = {"one": Script(0.0, 1.0), "two": Script(0.0, 1.0), "other": Script(1.0, -1.0)}
    seats = evaluate_goal_buddies(twins, scripted_cast(), Greedy(), Arena(config, worlds=16))
    np.testing.assert_array_equal(seats["one"], seats["two"])
    assert np.abs(seats["one"] - seats["other"]).max() > 0.05


def test_a_cast_acts_by_seat(config: AmmoConfig) -> None:
    env = Arena(config, worlds=2).env()
    obs, _ = env.reset(0)
    cast = Cast("goal_buddy", [Script(1.0, 0.0), Script(0.0, 1.0)])
    cast.holders = np.arange(32).reshape(2, 16) % 2
    actions = cast.act(take_turn(env, obs, "goal_buddy"), np.random.default_rng(0))
    np.testing.assert_array_equal(actions[..., 0], 1 - cast.holders)
    np.testing.assert_array_equal(actions[..., 1], cast.holders)


def test_tuning_returns_the_best_of_each_grid(config: AmmoConfig) -> None:
    ticks: list[int] = []
    arena = Arena(config, worlds=4, stream=TUNING)
    tuned = tune_bandits(arena, scripted_cast(), ticks.append)
    assert set(tuned) == {"epsilon_greedy", "softmax", "linucb", "fading_linucb", "thompson"}
    again = evaluate_user_buddies({"best": make_user_baseline(tuned["softmax"].name)}, scripted_cast(), arena)
    assert again["best"].summary()["normalised_regret"] == pytest.approx(tuned["softmax"].normalised_regret)
    assert sum(ticks) == 33


def test_a_bandit_may_try_guesses_at_bait(config: AmmoConfig) -> None:
    """The best setting of each grid is tried with each guess, then all of the grid with the best of those; what was
    best without a guess is kept where none of them is better."""
    ticks: list[int] = []
    arena = Arena(config, worlds=2, stream=TUNING)
    plain = tune_bandits(arena, scripted_cast())
    tuned = tune_bandits(arena, scripted_cast(), ticks.append, guesses=(0.3, 50.0))
    assert sum(ticks) == num_tuning_episodes(arena, (0.3, 50.0)) == 2 * 33 + 2 * 5
    for name, one in tuned.items():
        assert one.normalised_regret <= plain[name].normalised_regret
        assert one.name == plain[name].name or one.name.endswith(",bait_guess=0.3")


def test_a_scoreboard_gives_bandits_a_guess_where_whoever_was_trained_has_one(config: AmmoConfig) -> None:
    arena = Arena(config, worlds=2)
    for guess, expected in ((config.beliefs.bait_guess, False), (0.3, True)):
        trained = {"trained": make_user_baseline(f"greedy,bait_guess={guess}")}
        board = full_scoreboard(config, "default", trained, {}, arena)
        assert any("bait_guess" in name for name in board.raw["user_buddies"]) is expected


def test_baselines_by_name() -> None:
    sceptic = make_user_baseline("softmax=0.25,bait_guess=0.3")
    assert sceptic.bait_guess == 0.3  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'much' in 'greedy,bait_guess=much' is not a number"):
        make_user_baseline("greedy,bait_guess=much")
    assert make_user_baseline("softmax=0.25").temperature == 0.25  # type: ignore[attr-defined]
    wrong = (("gredy", "no user-side baseline"), ("greedy=1", "no argument"), ("linucb=x", "not a number"))
    for text, message in wrong:
        with pytest.raises(ValueError, match=message):
            make_user_baseline(text)
    assert list(scripted_cast()) == ["random_script", "truthful", "chaser", "clickbait"]
    assert set(GOAL_BASELINES) >= set(scripted_cast())
