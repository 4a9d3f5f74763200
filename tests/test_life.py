"""Life and death of goal buddies: who retires and when, what a newborn is, ids, and the doors that show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ammo_env import metaspace_v0
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv
from ammo_env.life import NAME
from ammo_env.memory import DECAY
from ammo_env.metrics import generations
from ammo_env.scenarios import load_config
from ammo_env.state import Actions, Round
from ammo_env.steering import HOLD, PUBLISH
from ammo_env.vector import VectorEnv
from ammo_env.world import World

MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
# Whoever is two rounds old and was on fewer than about four in ten slates retires.
HARSH: dict[str, Any] = {"life.viability": 0.15, "life.grace": 2, "life.max_births": 9}


def quiet(world: World, shown: int = 0) -> Actions:
    """Nobody publishes; every slate holds the candidates `shown` and `shown` + 1."""
    envs, people, goals = world.num_envs, world.num_humans, world.num_goals
    axes = world.config.goal_buddies.steering_dim
    positions = np.broadcast_to(np.array([shown, shown + 1]), (envs, people, 2))
    return Actions(positions, np.zeros((envs, goals, axes), np.float32), np.zeros((envs, goals), bool))


def life_of(world: World) -> dict[str, Any]:
    return world.state.own[NAME]


@pytest.mark.parametrize("off", [{}, {"life.viability": 0.5, "life.max_births": 0}, {"life.grace": 3}])
def test_nobody_dies_unless_a_cause_is_set(off: dict[str, Any], small_env: MakeEnv, random_actions: Any) -> None:
    """No object, no arrays of its own, nothing in the infos; and bit for bit the world without the section."""
    env, plain, rng = small_env(2, off), small_env(2), np.random.default_rng(0)
    assert env.world.life is None
    assert env.newborn() is None
    env.reset(0)
    plain.reset(0)
    assert NAME not in env.world.state.own
    for _ in range(4):
        actions = random_actions(env, rng)
        (obs, *_, infos), (expected, *_) = env.step(actions), plain.step(actions)
        assert infos.keys() == {"action_mask", "reward_terms"}
        np.testing.assert_array_equal(obs["goal_buddy"], expected["goal_buddy"])
        metrics = env.measure()
    assert [metrics[name].tolist() for name in ("births", "survival", "age")] == [[0, 0], [1, 1], [4, 4]]


def test_starvation_by_hand(small_config: MakeConfig) -> None:
    """Cap 2, cost 1, regrowth 1/4, starving at 2: seat 0 publishes whenever it can, the others never.

    Energy after each round 1.25, .5, .75: the second hungry round in a row is round 3, and a newborn with full energy
    lives as long. It goes on 1, .25, .5, .75, 1, ...: hungry rounds that are not in a row do not add up, so that at 3
    it dies in round 7, and at 4 never.
    """
    config = {"goal_buddies.energy_cap": 2.0, "goal_buddies.energy_regrowth": 0.25, "episode.num_rounds": 12}
    died: dict[int, list[int]] = {}
    for starve in (2, 3, 4):
        world = World(small_config(config | {"life.starve_rounds": starve}))
        world.reset(0)
        died[starve] = []
        for number in range(1, 12):
            actions = quiet(world)
            actions.willing[0, 0] = True
            happened = world.step(actions)
            assert happened.retired is not None
            assert not happened.retired[0, 1:].any()
            if happened.retired[0, 0]:
                died[starve].append(number)
                assert world.state.corpus.energy[0, 0] == 2.0
    assert died == {2: [3, 6, 9], 3: [7], 4: []}


def test_invisibility_by_hand(small_config: MakeConfig) -> None:
    """Exposure of a creator that no slate holds is 0; of one in all slates 1 - .8^t. With viability .4 and grace 3 the
    first die at the end of round 3, the second (.488 by then) does not; a newborn has 3 rounds of its own."""
    world = World(small_config({
        "goal_buddies.num_goal_buddies": 2, "attention.num_candidates": 4, "attention.num_slots": 2,
        "life.viability": 0.4, "life.grace": 3, "episode.num_rounds": 20,
    }))  # fmt: skip
    world.reset(0)
    for number in range(1, 8):
        actions = quiet(world)
        first = (world.state.candidates < 2).argsort(-1)[..., ::-1][..., :1]  # an item of seat 0, and the same again
        happened = world.step(Actions(np.repeat(first, 2, -1), actions.steering, actions.willing))
        assert happened.retired is not None
        assert happened.retired.tolist() == [[False, number in (3, 6)]]
        np.testing.assert_allclose(world.state.memory.goal_exposure[0], [1 - DECAY**number, 0], atol=1e-6)
    assert life_of(world)["id"].tolist() == [[0, 3]]
    assert life_of(world)["since"].tolist() == [[0, 6]]
    assert life_of(world)["births"].tolist() == [2]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("view", ["market", "own_feedback"])
def test_a_newborn_begins_anew_and_the_others_notice_nothing(
    view: str, backend: str, small_env: MakeEnv, random_actions: Any
) -> None:
    """Full energy, a full shelf around a new place in the same subspace, no statistics; survivors' arrays stay."""
    overrides = {**HARSH, "observations.goal_view": view, "aipp.bait": 0.0}
    env, rng = small_env(3, overrides, backend), np.random.default_rng(0)
    twin = small_env(3, {"observations.goal_view": view, "aipp.bait": 0.0}, backend)
    env.reset(0)
    twin.reset(0)
    to_numpy = env.arrays.to_numpy
    for _ in range(2):
        actions = random_actions(env, rng)
        env.step(actions)
        twin.step(actions)
    state, other, happened = env.world.state, twin.world.state, env.last_round
    assert happened is not None
    gone = to_numpy(happened.retired)
    assert gone.any()
    assert (~gone).any()
    assert to_numpy(env.newborn()).tolist() == gone.tolist()
    corpus, before = state.corpus, other.corpus
    shelf, was = (to_numpy(c.vectors).reshape(3, 5, 2, -1) for c in (corpus, before))
    assert (shelf[~gone] == was[~gone]).all()
    assert (shelf[gone] != was[gone]).any(-1).all()
    anchors, entity = to_numpy(state.anchors), to_numpy(state.entity)
    np.testing.assert_array_equal(anchors, env.world.space.entities[entity])
    assert (to_numpy(other.entity)[gone] != entity[gone]).all()
    assert (to_numpy(other.entity)[~gone] == entity[~gone]).all()
    assert (env.world.space.entity_subspace[entity] == np.arange(5) % 2).all()
    assert all(len(set(row)) == 5 for row in entity.tolist())
    # A first shelf: steering in [-spread, spread], so a creation is near its anchor as at reset.
    assert (np.abs(to_numpy(corpus.steering)[gone]) <= 0.5).all()
    near = np.vecdot(shelf, anchors[:, :, None])
    assert near[gone].min() > 0.85
    facts, error = env.world.space.facts, to_numpy(corpus.grounding_error).reshape(3, 5, 2)
    for world, seat in np.argwhere(gone):
        distance = np.linalg.norm(shelf[world, seat][:, None] - facts[seat % 2], axis=-1)
        np.testing.assert_allclose(error[world, seat], distance.min(-1), atol=1e-5)
        assert int(to_numpy(corpus.nearest_fact)[world, seat]) == (seat % 2) * 6 + distance[-1].argmin()
    np.testing.assert_allclose(to_numpy(corpus.shelf_error), error.mean(-1), atol=1e-6)
    assert (to_numpy(corpus.energy)[gone] == env.config.goal_buddies.energy_cap).all()
    assert (to_numpy(corpus.oldest)[gone] == 0).all()
    assert (to_numpy(corpus.born).reshape(3, 5, 2)[gone] == 2).all()
    assert (to_numpy(corpus.popularity).reshape(3, 5, 2)[gone] == 0).all()
    memory, kept = state.memory, other.memory
    for name in ("goal_visibility", "goal_exposure", "goal_answers"):
        mine, his = to_numpy(getattr(memory, name)), to_numpy(getattr(kept, name))
        assert (mine[gone] == 0).all()
        np.testing.assert_array_equal(mine[~gone], his[~gone])
    by_creator = np.moveaxis(to_numpy(memory.by_creator), -1, 1)                                      # [E, G, 2, U]
    assert (by_creator[gone] == 0).all()
    np.testing.assert_array_equal(by_creator[~gone], np.moveaxis(to_numpy(kept.by_creator), -1, 1)[~gone])
    liked, demand = to_numpy(memory.liked), to_numpy(kept.liked)
    if view == "own_feedback":
        assert (liked[gone] == 0).all()
        np.testing.assert_array_equal(liked[~gone], demand[~gone])
    else:
        np.testing.assert_array_equal(liked, demand)
    # The humans are who they were, and what is known of them is kept.
    np.testing.assert_array_equal(to_numpy(state.q), to_numpy(other.q))
    np.testing.assert_array_equal(to_numpy(state.beliefs.mean), to_numpy(other.beliefs.mean))
    np.testing.assert_array_equal(to_numpy(memory.recent), to_numpy(kept.recent))


def test_what_the_doors_show_at_a_retirement(small_env: MakeEnv, random_actions: Any) -> None:
    """The reward of the round is its own; the last observation of the retired is that of a world without births, the
    first of the newborn that of an empty record with full energy; its mask lets it publish."""
    overrides = {**HARSH, "aipp.response": 0.8}
    env, twin, rng = small_env(3, overrides), small_env(3, {"aipp.response": 0.8}), np.random.default_rng(1)
    env.reset(1)
    twin.reset(1)
    for _ in range(2):
        actions = random_actions(env, rng)
        obs, rewards, terminations, truncations, infos = env.step(actions)
        expected, their_rewards, *_ = twin.step(actions)
    gone = infos["retired"]["goal_buddy"]
    assert gone.any()
    assert not terminations.any()
    assert not truncations.any()
    np.testing.assert_array_equal(rewards["goal_buddy"], their_rewards["goal_buddy"])
    np.testing.assert_array_equal(infos["final_obs"]["goal_buddy"][gone], expected["goal_buddy"][gone])
    np.testing.assert_array_equal(infos["final_obs"]["goal_buddy"][~gone], obs["goal_buddy"][~gone])
    np.testing.assert_array_equal(infos["final_obs"]["user_buddy"], obs["user_buddy"])
    layout = env.observation_layouts["goal_buddy"]
    scalars = layout.block(obs["goal_buddy"], "scalars")
    values = {name: scalars[..., i][gone] for i, name in enumerate(layout.features["scalars"])}
    for name, value in {"visibility": 0, "exposure": 0, "answer": 0, "energy": 1, "age": 0, "time": 0.25}.items():
        np.testing.assert_allclose(values[name], value, atol=1e-7, err_msg=name)
    assert infos["action_mask"]["goal_buddy"][gone].all()
    metrics, since = env.measure(), life_of(env.world)["since"]
    np.testing.assert_array_equal(metrics["births"], gone.sum(1))
    np.testing.assert_allclose(metrics["survival"], 1 - gone.mean(1), atol=1e-7)
    np.testing.assert_allclose(metrics["age"], 2 - since.mean(1), atol=1e-6)


def test_who_retires_as_subspaces_merge_sees_the_merged_one(small_env: MakeEnv, random_actions: Any) -> None:
    """Both happen at the end of round 2: last observations are those of the same world without deaths, and newborns are
    grounded in the facts of both."""
    merged = {"subspaces.schedule": [{"round": 2, "merge": [0, 1]}]}
    env, twin, rng = small_env(3, HARSH | merged), small_env(3, merged), np.random.default_rng(0)
    env.reset(0)
    twin.reset(0)
    for _ in range(2):
        actions = random_actions(env, rng)
        *_, infos = env.step(actions)
        expected, *_ = twin.step(actions)
    gone = infos["retired"]["goal_buddy"]
    assert gone.any()
    np.testing.assert_array_equal(infos["final_obs"]["goal_buddy"][gone], expected["goal_buddy"][gone])
    vectors, facts = env.world.state.corpus.vectors.reshape(3, 5, 2, -1), env.world.space.facts.reshape(-1, 9)
    distance = np.linalg.norm(vectors[..., None, :] - facts, axis=-1).min(-1)
    np.testing.assert_allclose(env.world.state.corpus.grounding_error.reshape(3, 5, 2), distance, atol=1e-5)
    home = env.world.space.entity_subspace[env.world.state.entity]
    assert (home == np.arange(5) % 2).all()


def test_generations_by_hand() -> None:
    """Four seats in round 5, two of which are held by the second generation, one since this very round."""
    measured = generations(np.array([[0.0, 0.0, 2.0, 5.0]]), 5, np.array([[False, False, False, True]]))
    assert {name: values.tolist() for name, values in measured.items()} == {
        "births": [1.0], "survival": [0.5], "age": [3.25]
    }  # fmt: skip


def test_answers_on_their_way_are_not_credited_to_the_newborn(small_config: MakeConfig) -> None:
    """Latency 3, noiseless answers. The answers to a retired creator's items teach the belief, count as answers of the
    human, and join the subspace's demand, but reach neither its seat's record nor what its seat is liked for."""
    settings_ = {"aipp.latency": 3, "aipp.noise": 0.0, "episode.num_rounds": 20, "life.max_births": 5,
                 "observations.goal_view": "own_feedback"}  # fmt: skip
    # Everybody retires after the first round (grace 1, viability beyond reach), and nobody afterwards.
    mortal = {**settings_, "life.viability": 9.0, "life.grace": 1}
    world, twin = World(small_config(mortal)), World(small_config(settings_))
    for one in (world, twin):
        one.reset(0)
        happened = one.step(quiet(one))
    impression = happened.impression
    sent = life_of(world)["id"]
    assert (sent >= 5).all()
    for number in range(3):
        assert (world.state.memory.by_creator == 0).all(), number
        assert (twin.state.memory.by_creator == 0).all()
        happened = world.step(quiet(world))
        twin.step(quiet(twin))
    # Round 4 heard what was shown in round 1.
    assert (world.state.memory.by_creator == 0).all()
    assert (world.state.memory.goal_answers == 0).all()
    assert (world.state.memory.liked == 0).all()
    assert (twin.state.memory.by_creator[:, 1].sum() == impression.feedback.answered.sum()) > 0
    np.testing.assert_array_equal(world.state.memory.answer_rate, twin.state.memory.answer_rate)
    np.testing.assert_array_equal(world.state.beliefs.mean, twin.state.beliefs.mean)
    # Round 5 hears what was shown in round 2, the newborns' own.
    world.step(quiet(world))
    assert world.state.memory.by_creator[:, 1].sum() > 0


def test_what_other_features_forget(small_config: MakeConfig) -> None:
    """A newborn's shelf is endorsed by nobody, its fame is its own, and it is grounded by facts that events have added;
    what is kept of the others stays."""
    world = World(small_config({
        **HARSH, "social.network": "ring", "social.pushback.rejection_below": 9.0,
        "social.pushback.answers_needed": 0.5, "aipp.creator_bias": 0.5, "aipp.noise": 0.0, "events.rate": 2.0,
        "events.fact_slots": 2, "events.spread": 0.1,
    }), 20)  # fmt: skip
    world.reset(0)
    world.step(quiet(world))
    before = world.state.own["aipp"]["fame"]
    happened = world.step(quiet(world))
    gone, own, facts = happened.retired, world.state.own, world.state.added_facts
    assert gone is not None
    assert 10 < gone.sum() < 90
    fame = own["aipp"]["fame"]
    assert (fame[~gone] == before[~gone]).all()
    assert (fame[gone] != before[gone]).all()
    left, barred = own["pushback"]["left"][:, 0], own["pushback"]["barred"].reshape(20, 4, 5, 2)
    assert (left[gone] == 0).all()
    assert (left[~gone] > 0).any()
    np.testing.assert_array_equal(barred, np.broadcast_to(left[:, None, :, None] > 0, barred.shape))
    shelves = np.moveaxis(own["endorsement"]["liked"].reshape(20, 4, 5, 2), 2, 1)                     # [E, G, U, L]
    assert (shelves[gone] == 0).all()
    assert (shelves[~gone] != 0).any()
    kept, friends = own["endorsement"], own["network"]["friends"]
    endorsed = np.matmul(friends, kept["liked"]) / (1 + np.matmul(friends, kept["heard"]))
    np.testing.assert_allclose(kept["endorsed"], endorsed, atol=1e-6)
    vectors = world.state.corpus.vectors.reshape(20, 5, 2, -1)
    every = np.concatenate([np.broadcast_to(world.space.facts, (20, 2, 6, 9)), facts], axis=2)[:, np.arange(5) % 2]
    distance = np.linalg.norm(vectors[:, :, :, None] - every[:, :, None], axis=-1)                    # [E, G, L, F]
    np.testing.assert_allclose(world.state.corpus.grounding_error.reshape(20, 5, 2), distance.min(-1), atol=1e-5)
    assert (distance[gone].argmin(-1) >= 6).any()


def test_births_are_from_free_places_while_there_are_any(small_config: MakeConfig) -> None:
    """Uniform over the entities of the subspace that nobody holds; several at once are all different; where none is
    free, those that were just left come before those that are held."""
    config = small_config({"knowledge.entities_per_subspace": 6, "goal_buddies.num_goal_buddies": 6})
    world, draws = World(config), NumpyDraws(0)
    seats, subspace = world.seats, world.space.entity_subspace
    count = np.zeros(len(subspace))
    entity = seats.settle(draws, 1000)
    leaving = np.zeros((1000, 6), bool)
    leaving[:, [1, 3]] = True  # of the three seats in subspace 1
    chosen = seats.succeed(draws, entity, leaving)
    assert (chosen[:, [0, 2, 4, 5]] == entity[:, [0, 2, 4, 5]]).all()
    assert (subspace[chosen[:, [1, 3]]] == 1).all()
    assert (chosen[:, 1] != chosen[:, 3]).all()
    for seat in (1, 3):
        assert not (chosen[:, seat, None] == entity).any()
        np.add.at(count, chosen[:, seat], 1)
    # 2000 choices among the 6 entities of subspace 1, each free in half of the worlds
    here = count[subspace == 1]
    assert np.abs(here - 2000 / 6).max() < 4 * np.sqrt(2000 / 6 * 5 / 6)
    # All three of subspace 0 leave: 3 of the 6 were free, so they go there.
    leaving[:] = [True, False] * 3
    chosen = seats.succeed(draws, entity, leaving)
    assert not (np.sort(chosen[:, ::2]) == np.sort(entity[:, ::2])).any()
    assert all(len(set(row)) == 6 for row in chosen.tolist())
    # Without a free place the one that was just left is taken again: 3 entities for 3 seats.
    tight = World(small_config({"knowledge.entities_per_subspace": 3, "goal_buddies.num_goal_buddies": 6})).seats
    entity = tight.settle(draws, 100)
    chosen = tight.succeed(draws, entity, np.tile([True, False, False, False, False, False], (100, 1)))
    np.testing.assert_array_equal(chosen, entity)
    chosen = tight.succeed(draws, entity, np.tile([True, False] * 3, (100, 1)))
    assert all(len(set(row)) == 6 for row in chosen.tolist())


def test_ids_run_out_and_nobody_retires_any_more(small_env: MakeEnv, random_actions: Any) -> None:
    """Everybody is to retire every round; 7 ids beyond the first 5: the first five seats, then two, then nobody."""
    env, rng = small_env(2, {"life.viability": 9.0, "life.grace": 1, "life.max_births": 7}), np.random.default_rng(0)
    env.reset(0)
    seen = []
    for _ in range(4):
        _, _, _, _, infos = env.step(random_actions(env, rng))
        assert (infos["retired"]["goal_buddy"][0] == infos["retired"]["goal_buddy"][1]).all()
        seen.append((infos["retired"]["goal_buddy"][0].tolist(), life_of(env.world)["id"][0].tolist()))
    assert seen == [
        ([True] * 5, [5, 6, 7, 8, 9]),
        ([True, True, False, False, False], [10, 11, 7, 8, 9]),
        ([False] * 5, [10, 11, 7, 8, 9]),
        ([False] * 5, [10, 11, 7, 8, 9]),
    ]
    env.reset()
    assert life_of(env.world)["id"].tolist() == [[0, 1, 2, 3, 4]] * 2
    assert life_of(env.world)["births"].tolist() == [0, 0]


def test_in_the_last_round_nobody_retires(small_env: MakeEnv, random_actions: Any) -> None:
    env, rng = small_env(2, {"life.viability": 9.0, "life.grace": 1, "life.max_births": 99}), np.random.default_rng(0)
    env.reset(0)
    for number in range(1, 9):
        *_, infos = env.step(random_actions(env, rng))
        assert infos["retired"]["goal_buddy"].all() == (number < 8)
        assert infos["retired"]["goal_buddy"].any() == (number < 8)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_an_episode_with_deaths_can_be_saved_and_restored(
    backend: str, small_env: MakeEnv, random_actions: Any
) -> None:
    """Saved after three rounds, with answers under way, another goes on bit for bit; and the seed repeats it all."""
    overrides = {**HARSH, "aipp.latency": 2, "observations.goal_view": "own_feedback"}
    env, twin, again = (small_env(3, overrides, backend) for _ in range(3))
    rng = np.random.default_rng(0)
    actions = [random_actions(env, rng) for _ in range(8)]
    env.reset(3)
    again.reset(3)
    deaths = 0
    for number in range(8):
        ours, repeated = env.step(actions[number]), again.step(actions[number])
        gone = env.arrays.to_numpy(ours[4]["retired"]["goal_buddy"])
        deaths += int(gone.sum())
        for side in ours[0]:
            np.testing.assert_array_equal(ours[0][side], repeated[0][side])
        if number >= 3:
            theirs = twin.step(actions[number])
            for side in ours[0]:
                np.testing.assert_array_equal(ours[0][side], theirs[0][side])
                np.testing.assert_array_equal(ours[1][side], theirs[1][side])
                np.testing.assert_array_equal(ours[4]["final_obs"][side], theirs[4]["final_obs"][side])
            np.testing.assert_array_equal(gone, twin.arrays.to_numpy(theirs[4]["retired"]["goal_buddy"]))
        elif number == 2:
            assert deaths
            shown = twin.set_state(env.get_state())
            np.testing.assert_array_equal(shown["goal_buddy"], ours[0]["goal_buddy"])
            np.testing.assert_array_equal(env.arrays.to_numpy(twin.newborn()), gone)
    assert deaths > 5


def test_a_state_of_a_world_without_deaths_is_refused(small_env: MakeEnv) -> None:
    mortal, immortal = small_env(2, HARSH), small_env(2)
    for env in (mortal, immortal):
        env.reset(0)
    for env, other in ((mortal, immortal), (immortal, mortal), (small_env(2, HARSH), immortal)):
        with pytest.raises(ValueError, match=r"of another configuration.*life"):
            env.set_state(other.get_state())


def moves(env: MetaSpaceEnv) -> dict[str, Any]:
    return {agent: env.action_space(agent).sample() for agent in env.agents}


def test_agents_come_and_go(small_config: MakeConfig) -> None:
    """In each step the retired are terminated with their last reward and leave; as many newborns appear with reward 0
    and stay; G goal buddies live at any time; whoever lives is truncated in the end; all has its row in the batch."""
    env, rows = MetaSpaceEnv(small_config(HARSH)), VectorEnv(small_config(HARSH), 1)
    assert env.possible_agents == [f"user_buddy_{n}" for n in range(4)] + [f"goal_buddy_{n}" for n in range(14)]
    for agent in env.possible_agents:
        env.action_space(agent).seed(int(agent.rsplit("_", 1)[1]))
    for episode in range(2):
        obs, infos = env.reset(seed=5 + episode)
        rows.reset(seed=5 + episode)
        gone: set[str] = set()
        assert list(obs) == list(infos) == env.agents
        assert len(env.agents) == 9
        while env.agents:
            acted = env.agents
            actions = moves(env)
            obs, rewards, terminations, truncations, infos = env.step(actions)
            by_side = {side: [actions[a] for a in acted if a.startswith(side)] for side in rows.num_agents}
            seen, scored, _, _, told = rows.step({side: np.stack(row)[None] for side, row in by_side.items()})
            retired = {agent for agent, flag in terminations.items() if flag}
            newborn = [agent for agent in obs if agent not in acted]
            assert not retired & gone
            assert not set(newborn) & gone
            gone |= retired
            assert len(newborn) == len(retired) == told["retired"]["goal_buddy"].sum()
            assert obs.keys() == rewards.keys() == terminations.keys() == truncations.keys() == infos.keys()
            assert obs.keys() == {*acted, *newborn}
            assert all(rewards[agent] == 0.0 for agent in newborn)
            assert all(type(reward) is float for reward in rewards.values())
            assert all(env.observation_space(agent).contains(row) for agent, row in obs.items())
            over = rows.is_over
            assert env.agents == [] if over else len(env.agents) == 9
            for place, agent in enumerate(a for a in acted if a.startswith("goal")):
                assert rewards[agent] == float(scored["goal_buddy"][0, place])
                assert truncations[agent] == over
                np.testing.assert_array_equal(obs[agent], told["final_obs"]["goal_buddy"][0, place])
            for place, agent in enumerate(a for a in env.agents if a.startswith("goal")):
                np.testing.assert_array_equal(obs[agent], seen["goal_buddy"][0, place])
            assert not over or not retired
        assert len(gone) > 5
        numbers = sorted(int(agent.rsplit("_", 1)[1]) for agent in gone)
        assert max(numbers) < 14


def test_an_agent_that_has_retired_may_not_act(small_config: MakeConfig) -> None:
    env = MetaSpaceEnv(small_config({"life.viability": 9.0, "life.grace": 1, "life.max_births": 5}))
    env.reset(seed=0)
    before = moves(env)
    env.step(before)
    with pytest.raises(ValueError, match=r"no action for goal_buddy_5.*an action for goal_buddy_0"):
        env.step(before)
    assert env.agents[4:] == [f"goal_buddy_{n}" for n in range(5, 10)]


def test_newborns_draw_on_from_their_predecessors_spaces(small_config: MakeConfig) -> None:
    """Two environments whose first agents' spaces are seeded alike sample alike to the end."""
    tracks = []
    for _ in range(2):
        env = MetaSpaceEnv(small_config(HARSH))
        env.reset(seed=0)
        for place, agent in enumerate(env.agents):
            env.action_space(agent).seed(place)
        track = []
        while env.agents:
            actions = moves(env)
            track.append({agent: np.asarray(action).tolist() for agent, action in actions.items()})
            env.step(actions)
        tracks.append(track)
    assert tracks[0] == tracks[1]
    assert any("goal_buddy_6" in row for row in tracks[0])


def test_births_happen_in_the_scenario_of_that_name() -> None:
    """With greedy user buddies and nobody publishing: some retire once their grace is over, and none before it."""
    env = metaspace_v0.vec_env(8, "births")
    obs, _ = env.reset(0)
    table = env.observation_layouts["user_buddy"]
    births = np.zeros(64)
    for number in range(64):
        score = table.block(obs["user_buddy"], "candidates")[..., 0]
        actions = {
            "user_buddy": (-score).argsort(-1)[..., :4],
            "goal_buddy": np.full((8, 12), PUBLISH if number % 2 else HOLD),
        }
        obs, *_ = env.step(actions)
        births[number] = env.measure()["births"].mean()
    assert births[:23].sum() == 0
    assert 3 < births.sum() < 24
    assert births[23] > 0


@st.composite
def lives(draw: st.DrawFn) -> AmmoConfig:
    """Small worlds in which goal buddies die of anything, at once or never."""
    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    goals, places = number(1, 6), number(1, 3)
    shown = number(1, goals * places)
    return load_config("default", {
        "knowledge": {"dim": 6, "num_subspaces": number(1, 3), "facts_per_subspace": 4, "pool_size": 20,
                      "entities_per_subspace": number(1, 6), "heldout_size": 5},
        "goal_buddies": {"num_goal_buddies": goals, "shelf_size": places, "steering_dim": number(1, 4),
                         "energy_cap": draw(st.sampled_from([1.0, 2.0, 4.0])),
                         "publish_cost": draw(st.sampled_from([0.5, 1.0])),
                         "energy_regrowth": draw(st.sampled_from([0.0, 0.125, 0.5]))},
        "humans": {"num_humans": number(1, 4), "drift_rho": draw(st.sampled_from([1.0, 0.9]))},
        "attention": {"num_candidates": shown, "num_slots": number(1, min(shown, 3))},
        "aipp": {"latency": number(0, 3), "response": draw(st.sampled_from([0.5, 1.0])),
                 "creator_bias": draw(st.sampled_from([0.0, 0.5]))},
        "events": draw(st.sampled_from([{}, {"rate": 0.5}, {"rate": 0.5, "fact_slots": 2}])),
        "social": draw(st.sampled_from([{}, {"network": "ring"}])),
        "observations": {"goal_view": draw(st.sampled_from(["market", "own_feedback"]))},
        "actions": {"user_buddy": draw(st.sampled_from(["slate", "scores"])),
                    "goal_buddy": draw(st.sampled_from(["nudge", "gains", "steer"]))},
        "life": {"starve_rounds": number(0, 3), "viability": draw(st.sampled_from([0.0, 0.1, 0.5, 9.0])),
                 "grace": number(1, 4), "max_births": number(0, 12)},
        "episode": {"num_rounds": 9},
    })  # fmt: skip


def check(config: AmmoConfig, happened: Round, before: dict[str, Any], after: dict[str, Any], env: VectorEnv) -> None:
    """One round of a world in which goal buddies die."""
    goals, setting, retired = config.goal_buddies.num_goal_buddies, config.life, happened.retired
    assert retired is not None
    assert (after["id"][~retired] == before["id"][~retired]).all()
    assert (after["births"] == before["births"] + retired.sum(-1)).all()
    assert (after["births"] <= setting.max_births).all()
    assert (after["id"] < goals + setting.max_births).all()
    for world in range(len(retired)):
        assert len(set(after["id"][world])) == goals
        fresh = after["id"][world][retired[world]].tolist()
        first = goals + int(before["births"][world])
        assert fresh == list(range(first, first + len(fresh)))
    state = env.world.state
    corpus = state.corpus
    assert (corpus.energy[retired] == config.goal_buddies.energy_cap).all()
    assert (corpus.born.reshape(*retired.shape, -1)[retired] == state.now).all()
    assert (state.memory.goal_exposure[retired] == 0).all()
    assert (after["hungry"][retired] == 0).all()
    assert (env.world.space.entity_subspace[state.entity] == np.arange(goals) % config.knowledge.num_subspaces).all()
    np.testing.assert_array_equal(state.anchors, env.world.space.entities[state.entity])
    np.testing.assert_allclose(np.linalg.norm(corpus.vectors, axis=-1), 1, atol=1e-4)
    np.testing.assert_allclose(
        corpus.grounding_error.reshape(*retired.shape, -1).mean(-1), corpus.shelf_error, atol=1e-5
    )
    # Whoever stays has no cause to retire, or there is no id left, or no round.
    starving = (after["hungry"] >= setting.starve_rounds) & (setting.starve_rounds > 0)
    faint = (state.memory.goal_exposure < setting.viability) & (state.now - after["since"] >= setting.grace)
    short = (after["births"] == setting.max_births)[:, None] | env.is_over
    assert (short | ~(starving | faint)).all()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=lives(), seed=st.integers(0, 2**32 - 1))
def test_whatever_the_causes_of_death(config: AmmoConfig, seed: int, random_actions: Any) -> None:
    """Ids are given in order and never again, within what is declared; every seat is held; newborns are complete;
    exposure is conserved, regret at least 0, observations finite; and the seed plays it again."""
    trace: list[list[Any]] = [[], []]
    for run in (0, 1):
        env, rng = VectorEnv(config, 2), np.random.default_rng(seed)
        env.reset(seed)
        for number in range(9):
            before = dict(env.world.state.own.get(NAME, {}))
            obs, rewards, _, truncations, infos = env.step(random_actions(env, rng))
            happened = env.last_round
            assert happened is not None
            trace[run] += [*obs.values(), *rewards.values()]
            assert (truncations == (number == 8)).all()
            assert (happened.judgement.regret >= 0).all()
            share = happened.impression.filled.sum(axis=(1, 2)) / config.humans.num_humans
            np.testing.assert_allclose(happened.judgement.visibility.sum(axis=1), share, atol=1e-4)
            assert all(np.isfinite(rows).all() for rows in trace[run][-4:])
            if config.life.is_on:
                check(config, happened, before, env.world.state.own[NAME], env)
            else:
                assert happened.retired is None
                assert "retired" not in infos
    for one, other in zip(*trace, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_draws_are_those_of_the_door() -> None:
    """`succeed` takes one uniform number per entity, whoever leaves: worlds are independent of each other's deaths."""
    world = World(load_config("births"), 2, NumpyArrays())
    draws = NumpyDraws(0)
    entity = world.seats.settle(draws, 2)
    one, other = NumpyDraws(1), NumpyDraws(1)
    leaving = np.zeros((2, 12), bool)
    leaving[0, 3] = True
    first = world.seats.succeed(one, entity, leaving)
    leaving[1, 5] = True
    second = world.seats.succeed(other, entity, leaving)
    np.testing.assert_array_equal(first[0], second[0])
    assert one.get_state() == other.get_state()
