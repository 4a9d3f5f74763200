"""Observations: the published layout is what lies there, feature by feature, and hidden state never leaks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv
from ammo_env.observations import (
    CANDIDATE_FEATURES,
    CONTEXT_FEATURES,
    GOAL_SCALARS,
    MARKET_SCALARS,
    goal_layout,
    user_layout,
)
from ammo_env.vector import SIDES, VectorEnv

MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
Obs = dict[str, NDArray[np.float32]]


def played(env: VectorEnv, act: RandomActions, rounds: int = 3) -> Obs:
    """Observations after a few random rounds."""
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    for _ in range(rounds):
        obs, *_ = env.step(act(env, rng))
    return obs


def test_layouts_tile_the_observation() -> None:
    """Slices follow each other without gap or overlap, sizes add up, names of features are unique."""
    for layout in (user_layout(16), goal_layout(8, True), goal_layout(8, False)):
        slices = list(layout.slices.values())
        assert slices[0].start == 0
        assert [s.start for s in slices[1:]] == [s.stop for s in slices[:-1]]
        assert slices[-1].stop == layout.size
        assert [s.stop - s.start for s in slices] == [int(np.prod(shape)) for shape in layout.shapes.values()]
    assert user_layout(16).size == 16 * 9 + 4
    assert goal_layout(8, True).size == 4 * 8 + len(MARKET_SCALARS)
    assert goal_layout(8, False).size == 3 * 8 + len(GOAL_SCALARS)
    assert CANDIDATE_FEATURES[:2] == ("score", "uncertainty")
    assert CANDIDATE_FEATURES[-1] == "valid"
    for names in (CANDIDATE_FEATURES, CONTEXT_FEATURES, MARKET_SCALARS):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("goal_view", ["market", "own_feedback"])
def test_spaces_layouts_and_arrays_agree(
    goal_view: str, small_env: MakeEnv, small_config: Callable[..., AmmoConfig], random_actions: RandomActions
) -> None:
    env = small_env(3, {"observations.goal_view": goal_view})
    obs = played(env, random_actions)
    for side in SIDES:
        layout = env.observation_layouts[side]
        assert obs[side].shape == (3, env.num_agents[side], layout.size)
        assert obs[side].dtype == np.float32
        assert np.isfinite(obs[side]).all()
        assert env.observation_spaces[side].shape == (layout.size,)
        assert env.observation_spaces[side].contains(obs[side][0, 0])
        blocks = [layout.block(obs[side], name).reshape(3, env.num_agents[side], -1) for name in layout.shapes]
        np.testing.assert_array_equal(np.concatenate(blocks, axis=-1), obs[side])
    assert ("supply" in env.observation_layouts["goal_buddy"].shapes) == (goal_view == "market")
    single = MetaSpaceEnv(small_config({"observations.goal_view": goal_view}))
    assert single.layout("goal_buddy_1") == env.observation_layouts["goal_buddy"]


def test_every_candidate_feature_by_definition(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Recomputed from the state, human by human and candidate by candidate."""
    env = small_env(2)
    obs = played(env, random_actions)
    state, rounds = env.world.state, env.config.episode.num_rounds
    layout = env.observation_layouts["user_buddy"]
    table, context = layout.block(obs["user_buddy"], "candidates"), layout.block(obs["user_buddy"], "context")
    for e, u, k in np.ndindex(2, 4, 7):
        c = state.candidates[e, u, k]
        vector, creator = state.corpus.vectors[e, c], c // 2
        answers, seen = (getattr(state.memory, name)[e, u, creator] for name in ("creator_answers", "creator_seen"))
        expected = {
            "score": state.beliefs.mean[e, u] @ vector,
            "uncertainty": np.sqrt(vector**2 @ state.beliefs.variance[e, u]),
            "novelty": 1.0 - vector @ state.memory.recent[e, u],
            "creator_answer": answers / (seen + 1.0),
            "creator_seen": np.log1p(seen),
            "age": (3 - state.corpus.born[e, c]) / rounds,
            "popularity": state.corpus.popularity[e, c],
            "provenance": state.corpus.provenance[e, c],
            "valid": 1.0,
        }
        np.testing.assert_allclose(table[e, u, k], [expected[name] for name in CANDIDATE_FEATURES], atol=1e-5)
    belief = state.beliefs
    expected_context = np.stack(
        [np.full((2, 4), 3 / rounds), state.memory.answer_rate, np.sqrt(belief.variance.sum(axis=-1)),
         np.linalg.norm(belief.mean, axis=-1)], axis=-1)  # fmt: skip
    np.testing.assert_allclose(context, expected_context, atol=1e-5)


def test_every_goal_scalar_by_definition(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Own visibility, answers, energy, age, errors, time, demand and rivalry, recomputed from the state."""
    env = small_env(2)
    obs = played(env, random_actions)
    state, corpus = env.world.state, env.world.state.corpus
    layout = env.observation_layouts["goal_buddy"]
    scalars = layout.block(obs["goal_buddy"], "scalars")
    assert env.last_round is not None
    for e, g in np.ndindex(2, 5):
        newest = 2 * g + (int(corpus.oldest[e, g]) - 1) % 2
        demand = state.memory.liked[e, g % 2] / np.linalg.norm(state.memory.liked[e, g % 2])
        rivals = corpus.vectors[e].reshape(5, 2, 9)[[h for h in range(g % 2, 5, 2) if h != g]].mean(axis=(0, 1))
        expected = {
            "visibility": env.last_round.judgement.visibility[e, 2 * g : 2 * g + 2].sum(),
            "exposure": state.memory.goal_exposure[e, g],
            "answer": state.memory.goal_answers[e, g],
            "energy": corpus.energy[e, g] / 4.0,
            "age": (3 - corpus.born[e, newest]) / 8,
            "last_error": corpus.grounding_error[e, newest],
            "shelf_error": corpus.grounding_error[e, 2 * g : 2 * g + 2].mean(),
            "time": 3 / 8,
            "demand_near": demand @ state.anchors[e, g],
            "rivalry": demand @ rivals / np.linalg.norm(rivals),
        }
        wanted = [expected[name] for name in layout.features["scalars"]]
        np.testing.assert_allclose(scalars[e, g], wanted, atol=1e-5)
        assert corpus.born[e, newest] == corpus.born[e, 2 * g : 2 * g + 2].max()


def test_goal_targets_are_reachable_steering(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """All target vectors lie in [-1, 1]^A; steering onto "fact" brings a creation nearer to its fact."""
    env = small_env(20)
    obs = played(env, random_actions)
    layout, world = env.observation_layouts["goal_buddy"], env.world
    for name in ("last", "demand", "supply", "fact"):
        assert np.abs(layout.block(obs["goal_buddy"], name)).max() <= 1.0 + 1e-6
    np.testing.assert_array_equal(layout.block(obs["goal_buddy"], "last"), world.state.corpus.steering)
    fact = layout.block(obs["goal_buddy"], "fact")
    moved = world.state.anchors + 0.5 * world.seats.lift(fact)
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    target = world.space.facts.reshape(-1, 9)[world.state.corpus.nearest_fact]
    assert (np.vecdot(moved, target) - np.vecdot(world.state.anchors, target)).mean() > 0.01


def test_before_anything_is_liked_there_is_no_demand(small_env: MakeEnv) -> None:
    env = small_env(3)
    obs, _ = env.reset(seed=0)
    assert not env.observation_layouts["goal_buddy"].block(obs["goal_buddy"], "demand").any()


def seen_after(env: VectorEnv, change: Callable[[dict[str, Any]], None]) -> Obs:
    """The observations of the present moment with some of the state replaced."""
    saved = copy.deepcopy(env.get_state())
    change(saved["state"])
    twin = VectorEnv(env.config, env.num_envs)
    twin.reset(seed=1)
    return twin.set_state(saved)


@pytest.mark.parametrize("goal_view", ["market", "own_feedback"])
def test_hidden_preferences_never_enter(goal_view: str, small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Other q, other true utilities, other people: not a bit of any observation changes."""
    env = small_env(3, {"observations.goal_view": goal_view})
    obs = played(env, random_actions)

    def change(state: dict[str, Any]) -> None:
        state["q"] = state["q"][:, ::-1].copy()
        state["utility"] = -state["utility"]
        state["human"] = state["human"] * 0
        for sent in state["under_way"]:
            sent["feedback"]["value"] = sent["feedback"]["value"] + 7.0

    after = seen_after(env, change)
    for side in SIDES:
        np.testing.assert_array_equal(after[side], obs[side])


def test_other_humans_data_never_enter(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Everything that is known of human 0 replaced: the other user buddies see the same, its own sees the change."""
    env = small_env(3)
    obs = played(env, random_actions)

    def change(state: dict[str, Any]) -> None:
        for part, names in {
            "beliefs": ("mean", "variance"),
            "memory": ("recent", "answer_rate"),
        }.items():
            for name in names:
                state[part][name][:, 0] = np.abs(state[part][name][:, 0]) * 1.5 + 0.1
        record = state["memory"]["by_creator"]
        record[:, :, 0] = np.abs(record[:, :, 0]) * 1.5 + 0.1
        state["score"][:, 0] += 0.1
        state["candidates"][:, 0] = np.roll(state["candidates"][:, 0], 1, axis=-1)

    after = seen_after(env, change)["user_buddy"]
    np.testing.assert_array_equal(after[:, 1:], obs["user_buddy"][:, 1:])
    assert (after[:, 0] != obs["user_buddy"][:, 0]).mean() > 0.5


def test_other_creators_errors_never_enter(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """The true grounding errors, energy and steering of goal buddy 0 replaced: only its own observation changes, and
    no user buddy ever sees a true error."""
    env = small_env(3)
    obs = played(env, random_actions)

    def change(state: dict[str, Any]) -> None:
        state["corpus"]["grounding_error"][:, :2] += 0.3
        state["corpus"]["energy"][:, 0] *= 0.5
        state["corpus"]["steering"][:, 0] *= 0.5
        state["memory"]["goal_visibility"][:, 0] += 1.0
        state["memory"]["goal_answers"][:, 0] += 1.0

    after = seen_after(env, change)
    np.testing.assert_array_equal(after["user_buddy"], obs["user_buddy"])
    np.testing.assert_array_equal(after["goal_buddy"][:, 1:], obs["goal_buddy"][:, 1:])
    assert (after["goal_buddy"][:, 0] != obs["goal_buddy"][:, 0]).any(axis=-1).all()


def test_own_feedback_hides_the_market(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """In `own_feedback` other creators' creations and demand change nothing; in `market` they do."""
    for view, hidden in (("own_feedback", True), ("market", False)):
        env = small_env(3, {"observations.goal_view": view})
        obs = played(env, random_actions)

        def change(state: dict[str, Any]) -> None:
            state["corpus"]["vectors"][:, 2:] = -state["corpus"]["vectors"][:, 2:]
            state["memory"]["liked"][:, 1:] = -state["memory"]["liked"][:, 1:]

        after = seen_after(env, change)
        assert np.array_equal(after["goal_buddy"][:, 0], obs["goal_buddy"][:, 0]) == hidden


@pytest.mark.parametrize("kind", ["rating", "click", "choice"])
def test_preferences_reach_observations_only_through_answers(
    kind: str, small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """Two worlds with different humans and the same noise and actions: with latency 3 the first three observations
    are bit-equal and a later one is not; if nobody ever answers, all are."""
    for response, silent in ((1.0, 3), (0.0, 8)):
        seen: list[list[Obs]] = []
        for swap in (False, True):
            settings = {"aipp.kind": kind, "aipp.latency": 3, "aipp.response": response, "humans.drift_rho": 0.9}
            env, rng = small_env(3, settings), np.random.default_rng(0)
            env.reset(seed=0)
            saved = env.get_state()
            if swap:
                saved["state"]["q"] = -saved["state"]["q"]
                saved["state"]["utility"] = -saved["state"]["utility"]
            env.set_state(saved)
            seen.append([env.step(random_actions(env, rng))[0] for _ in range(8)])
        same = [all(np.array_equal(a[side], b[side]) for side in SIDES) for a, b in zip(*seen, strict=True)]
        assert same == [True] * silent + [False] * (8 - silent)
