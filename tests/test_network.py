"""The network among humans: who listens to whom, by hand and by definition, and what the neighbours' liking does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import metaspace_v0
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.attention import Sought, retrieve
from ammo_env.config import AmmoConfig, AttentionConfig
from ammo_env.memory import DECAY
from ammo_env.network import NETWORKS, befriended, make_network
from ammo_env.observations import CANDIDATE_FEATURES
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import MetaSpace, build_space
from ammo_env.vector import VectorEnv
from ammo_env.world import World

ARRAYS = NumpyArrays()
MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
MATRIX = [[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


def friendly(config: AmmoConfig) -> MetaSpace:
    """The small MetaSpace in which person p has listed the people p + 1 and p + 2."""
    knowledge = load_knowledge(config.knowledge)
    people = np.arange(len(knowledge.preferences))
    listed = np.stack([people + 1, people + 2, np.full_like(people, len(people))], axis=1)
    object.__setattr__(knowledge, "friends", np.where(listed < len(people), listed, -1))
    return build_space(knowledge, config.goal_buddies.steering_dim, heldout=False)


def connected(config: AmmoConfig, seed: int = 0, worlds: int = 5) -> tuple[World, dict[str, NDArray[Any]]]:
    """A world that has begun, and its network."""
    world = World(config, worlds, space=friendly(config))
    world.reset(seed)
    return world, world.state.own["network"]


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("neighbours", [1, 2, 3, 9])
def test_every_network_keeps_the_contract(name: str, neighbours: int, small_config: MakeConfig) -> None:
    """Distinct neighbours other than oneself; weights at least 0 that sum to 1 or 0 and lie on valid neighbours."""
    given = {"social.matrix": MATRIX} if name == "given" else {}
    world, own = connected(small_config({"social.network": name, "social.num_neighbours": neighbours, **given}))
    index, valid, friends, weights = own["neighbours"], own["valid"], own["friends"], own["weights"]
    count = 3 if name == "given" else min(neighbours, 3)
    assert index.shape == valid.shape == (5, 4, count)
    assert friends.shape == weights.shape == (5, 4, 4)
    for e, u in np.ndindex(5, 4):
        assert len(set(index[e, u])) == count
        assert set(np.flatnonzero(friends[e, u])) == set(index[e, u][valid[e, u]]) <= set(range(4)) - {u}
        np.testing.assert_allclose(friends[e, u].sum(), float(valid[e, u].any()), atol=1e-6)
    if name != "given":
        np.testing.assert_array_equal(weights, friends)
    again = connected(world.config)[1]
    for part, array in own.items():
        np.testing.assert_array_equal(array, again[part])


def test_the_similar_are_the_nearest(small_config: MakeConfig) -> None:
    world, own = connected(small_config({"social.network": "similar", "social.num_neighbours": 2}))
    likeness = world.state.q @ world.state.q.mT - 9 * np.eye(4)
    np.testing.assert_array_equal(own["neighbours"], np.argsort(-likeness, axis=-1)[..., :2])
    assert own["valid"].all()


def test_a_ring_goes_right_then_left(small_config: MakeConfig) -> None:
    """Human u of 4 listens to u + 1, u - 1, then to the one opposite; of 7 to u + 1, u - 1, u + 2, u - 2."""
    _, own = connected(small_config({"social.network": "ring", "social.num_neighbours": 3}))
    np.testing.assert_array_equal(own["neighbours"][0], [[1, 3, 2], [2, 0, 3], [3, 1, 0], [0, 2, 1]])
    _, own = connected(small_config({"social.network": "ring", "humans.num_humans": 7}))
    np.testing.assert_array_equal(own["neighbours"][0, 2], [3, 1, 4, 0])


def test_random_neighbours_are_uniform(small_config: MakeConfig) -> None:
    """Over 3000 worlds every other human is neighbour 1 in 3 times, within 4 standard errors; seeds differ."""
    config = small_config({"social.network": "random", "social.num_neighbours": 1})
    _, own = connected(config, worlds=3000)
    share = own["friends"].mean(axis=0)
    np.testing.assert_array_equal(np.diag(share), 0.0)
    assert np.abs(share[~np.eye(4, dtype=bool)] - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 3000)
    assert (connected(config, seed=1)[1]["neighbours"] != connected(config, seed=2)[1]["neighbours"]).any()


def test_friends_of_the_data_are_friends_both_ways(small_config: MakeConfig) -> None:
    """Person p lists p + 1 and p + 2: humans who are people 5, 6, 8, 20 are friends as 5-6 and 6-8 alone."""
    table = np.stack([np.arange(30) + 1, np.arange(30) + 2, np.full(30, -1)], axis=1)
    known = befriended(ARRAYS, table, np.array([[5, 6, 8, 20]]))[0]
    np.testing.assert_array_equal(known, [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    world, own = connected(small_config({"social.network": "data", "knowledge.pool_size": 8}), worlds=200)
    apart = np.abs(world.state.human[:, :, None] - world.state.human[:, None, :])
    np.testing.assert_array_equal(own["friends"] > 0, (apart == 1) | (apart == 2))
    assert not own["valid"].all()


def test_a_given_matrix_is_the_influence_and_its_rest_the_friends(small_config: MakeConfig) -> None:
    _, own = connected(small_config({"social.network": "given", "social.matrix": MATRIX}), worlds=1)
    np.testing.assert_array_equal(own["weights"][0], np.array(MATRIX, np.float32))
    half = [[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0] * 4, [0.0] * 4]
    np.testing.assert_allclose(own["friends"][0], half, atol=1e-7)


def test_what_cannot_be_says_what_to_do(small_config: MakeConfig) -> None:
    for wrong, match in (
        ({"social.degroot": {"influence": 0.1}}, "set social.network"),
        ({"attention.social_share": 0.25}, "needs neighbours"),
        ({"social.network": "ring", "attention.social_share": 0.8}, "lower one of them"),
        ({"social.network": "given"}, "belong together"),
        ({"social.network": "ring", "social.matrix": MATRIX}, "belong together"),
        ({"social.network": "given", "social.matrix": [[1.0]]}, "4 rows of 4 numbers"),
        ({"social.network": "given", "social.matrix": [[0.7, 0, 0, 0], *MATRIX[1:]]}, "row 0"),
        ({"social.num_groups": 5}, "lower num_groups"),
    ):
        with pytest.raises(ConfigError, match=match):
            small_config(wrong)
    with pytest.raises(ConfigError, match="there are: none, data, given, random, ring, similar"):
        World(small_config({"social.network": "rnig"}))
    with pytest.raises(ConfigError, match="friendships"):
        World(small_config({"social.network": "data"}))
    config = small_config()
    assert make_network(ARRAYS, config, friendly(config)) is None


def test_one_human_has_no_neighbours_and_the_world_goes_on(small_env: MakeEnv, random_actions: RandomActions) -> None:
    env = small_env(2, {"humans.num_humans": 1, "social.network": "similar", "attention.social_share": 0.5})
    env.reset(seed=0)
    obs, *_ = env.step(random_actions(env, np.random.default_rng(0)))
    assert np.isfinite(obs["user_buddy"]).all()
    assert env.world.state.own["network"]["neighbours"].shape == (2, 1, 0)


@pytest.mark.parametrize("latency", [0, 2])
def test_endorsement_is_what_neighbours_answered_above_their_usual(
    latency: int, small_env: MakeEnv, random_actions: RandomActions
) -> None:
    """Recomputed answer by answer in float64; what left its shelf place takes the liking along, late answers too.
    A mean over the two neighbours on a ring, with one pseudo-answer."""
    env = small_env(2, {"social.network": "ring", "social.num_neighbours": 2, "aipp.latency": latency,
                        "actions.goal_buddy": "gains", "goal_buddies.energy_regrowth": 0.4})  # fmt: skip
    rng, expected, heard = np.random.default_rng(0), np.zeros((2, 4, 10)), np.zeros((2, 4, 10))
    env.reset(seed=0)
    rounds: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    for now in range(8):
        born = env.world.state.corpus.born.copy()
        env.step(random_actions(env, rng))
        happened, state = env.last_round, env.world.state
        assert happened is not None
        sent = happened.impression
        rounds.append((happened.items, sent.filled, sent.feedback.value, born))
        gone = state.corpus.born > now
        for kept in (expected, heard):
            kept *= DECAY
            kept[np.broadcast_to(gone[:, None], kept.shape)] = 0.0
        if now >= latency:
            items, filled, value, then = rounds[now - latency]
            for e, u, s in np.argwhere(filled):
                if then[e, items[e, u, s]] == state.corpus.born[e, items[e, u, s]]:
                    expected[e, u, items[e, u, s]] += value[e, u, s] - state.memory.answer_rate[e, u]
                    heard[e, u, items[e, u, s]] += 1.0
        own = state.own["endorsement"]
        np.testing.assert_allclose(own["liked"], expected, atol=1e-5)
        around, number = (0.5 * (np.roll(x, 1, axis=1) + np.roll(x, -1, axis=1)) for x in (expected, heard))
        np.testing.assert_allclose(own["endorsed"], around / (1.0 + number), atol=1e-5)
    assert (expected > 0).any()
    assert (expected < 0).any()


def test_endorsement_is_seen_where_there_is_a_network(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """One more feature, before `valid`, of the shown candidates; without a network the layout is as it was."""
    env, plain = small_env(2, {"social.network": "ring"}), small_env(2)
    assert plain.observation_layouts["user_buddy"].candidate_features == CANDIDATE_FEATURES
    layout = env.observation_layouts["user_buddy"]
    assert layout.candidate_features == (*CANDIDATE_FEATURES[:-1], "endorsement", "valid")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(4):
        obs, *_ = env.step(random_actions(env, rng))
    table = layout.block(obs["user_buddy"], "candidates")
    state = env.world.state
    shown = np.take_along_axis(state.own["endorsement"]["endorsed"], state.candidates, axis=-1)
    np.testing.assert_array_equal(table[..., -2], shown)
    np.testing.assert_array_equal(table[..., -1], 1.0)
    assert (shown > 0).any()


@pytest.mark.parametrize("fresh", ["random", "newest"])
def test_the_social_share_holds_what_is_most_endorsed_among_the_rest(fresh: str) -> None:
    """K = 8 of 20: 4 best by score, then the 2 most endorsed others, then 2 fresh; nothing twice."""
    rng = np.random.default_rng(0)
    scores, endorsed = (rng.standard_normal((3, 4, 20)).astype(np.float32) for _ in range(2))
    config = AttentionConfig.model_validate(
        {"num_candidates": 8, "fresh_share": 0.25, "social_share": 0.25, "fresh": fresh}
    )
    found = retrieve(ARRAYS, NumpyDraws(0), Sought(scores, np.zeros((3, 20), np.float32), endorsed), config)
    assert (np.diff(np.sort(found, axis=-1), axis=-1) > 0).all()
    for e, u in np.ndindex(3, 4):
        best = list(np.argsort(-scores[e, u])[:4])
        liked = [c for c in np.argsort(-endorsed[e, u]) if c not in best][:2]
        assert list(found[e, u, :6]) == best + liked


def test_without_any_liking_the_social_share_goes_on_with_the_semantic_one() -> None:
    scores = np.random.default_rng(0).standard_normal((1, 2, 20)).astype(np.float32)
    config = AttentionConfig(num_candidates=8, fresh_share=0.0, social_share=0.5)
    found = retrieve(ARRAYS, NumpyDraws(0), Sought(scores, np.zeros((1, 20), np.float32), 0.0 * scores), config)
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=-1)[..., :8])


def test_a_network_alone_draws_nothing_that_was_not_drawn_before(random_actions: RandomActions) -> None:
    """Similar and ring draw nothing: slates, answers and preferences are those of the world without a network."""
    plain = metaspace_v0.vec_env(2, "drift")
    for name in ("similar", "ring"):
        env, rng = metaspace_v0.vec_env(2, "drift", network=name), np.random.default_rng(0)
        plain.reset(seed=0)
        env.reset(seed=0)
        for _ in range(3):
            actions = random_actions(env, rng)
            ours, theirs = env.step(actions), plain.step(actions)
            np.testing.assert_array_equal(ours[1]["user_buddy"], theirs[1]["user_buddy"])
            np.testing.assert_array_equal(env.world.state.q, plain.world.state.q)


def test_a_saved_state_of_a_world_without_neighbours_is_refused(small_env: MakeEnv) -> None:
    plain, env = small_env(2), small_env(2, {"social.network": "ring", "social.degroot.influence": 0.1})
    plain.reset(seed=0)
    with pytest.raises(ValueError, match=r"in this world \['degroot', 'endorsement'\]"):
        env.set_state(plain.get_state())


def test_humans_retrieved_a_few_at_a_time_get_their_own_shares(
    small_config: MakeConfig, random_actions: RandomActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retrieval for one human at a time shows what it shows for all at once (nothing fresh, so nothing is drawn)."""
    config = small_config({
        "social.network": "ring", "attention.social_share": 0.5, "attention.fresh_share": 0.0,
        "social.num_groups": 2, "social.pushback": {"rejection_below": 0.3, "answers_needed": 2.0},
    })  # fmt: skip
    together = VectorEnv(config, 3)
    monkeypatch.setattr("ammo_env.index.RETRIEVAL_SIZE", 1)
    apart, rng = VectorEnv(config, 3), np.random.default_rng(0)
    together.reset(seed=0)
    apart.reset(seed=0)
    for _ in range(6):
        actions = random_actions(together, rng)
        together.step(actions)
        apart.step(actions)
        np.testing.assert_array_equal(together.world.state.candidates, apart.world.state.candidates)
