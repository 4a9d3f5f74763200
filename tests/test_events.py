"""Events: how many there are, how they fade, how they pull, what they add to the facts, and who hears of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.creations import reground
from ammo_env.events import FAINT, Events, poisson_distribution
from ammo_env.observations import goal_layout
from ammo_env.space import MetaSpace
from ammo_env.state import snapshot
from ammo_env.vector import SIDES, VectorEnv

ARRAYS = NumpyArrays()
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
ON = {"events.rate": 0.5, "events.fact_slots": 2}
NOTHING_SEEN: Any = None  # an event does not ask what was shown


def unit(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), dtype=np.float32)


def made(env: VectorEnv) -> Events:
    events = env.world.forces["events"]
    assert isinstance(events, Events)
    return events


def happen(env: VectorEnv, rounds: int, seed: int = 0) -> list[dict[str, NDArray[Any]]]:
    """The events' own arrays after each round in which nothing else happens."""
    env.reset(seed=0)
    events, state, draws = made(env), env.world.state, NumpyDraws(seed)
    after = [state.own["events"]]
    for _ in range(rounds):
        state.q, own = events.move(draws, state, after[-1], NOTHING_SEEN)
        after.append(own)
    return after[1:]


def force(env: VectorEnv, monkeypatch: pytest.MonkeyPatch, number: list[list[float]], news: NDArray[Any]) -> None:
    """From now on `number` [E][M] events happen in each round, with direction `news` [E, M, D]."""
    monkeypatch.setattr(made(env), "_how_many", lambda draws, envs: np.array(number, np.float32))
    monkeypatch.setattr(made(env), "_news", lambda draws, envs: np.asarray(news, np.float32))


@pytest.mark.parametrize("rate", [0.01, 0.3, 2.0, 8.0])
def test_the_table_of_a_poisson_variable(rate: float) -> None:
    table = poisson_distribution(rate)
    np.testing.assert_allclose(table, stats.poisson.cdf(np.arange(len(table)), rate), atol=1e-7)
    assert stats.poisson.sf(len(table), rate) < 1e-7, "what the table cannot give hardly ever happens"


@pytest.mark.parametrize("rate", [0.05, 0.7, 3.0])
def test_numbers_are_poisson(rate: float, small_env: MakeEnv) -> None:
    """Without decay the strength is the round's number of events: mean and variance are the rate (4 standard errors:
    Var(N) = rate, and the mean square deviation has variance (rate + 2 rate^2)/n), and so is P(0)."""
    env = small_env(4000, {"events.rate": rate, "events.decay": 0.0})
    number = np.concatenate([np.linalg.norm(own["running"], axis=-1).ravel() for own in happen(env, 5)])
    np.testing.assert_allclose(number, number.round(), atol=1e-5)
    size = number.size
    assert abs(number.mean() - rate) < 4 * np.sqrt(rate / size)
    assert abs(((number - rate) ** 2).mean() - rate) < 4 * np.sqrt((rate + 2 * rate**2) / size)
    nothing = np.exp(-rate)
    assert abs((number == 0).mean() - nothing) < 4 * np.sqrt(nothing * (1 - nothing) / size)


def test_news_adds_up_to_shot_noise(small_env: MakeEnv) -> None:
    """E v = rate strength / (1 - decay) E d: with all news in one direction the mean length is .5 * 2 / (1 - .6) = 2.5,
    and its variance rate strength^2 / (1 - decay^2) = 3.125 (4 standard errors of independent worlds; what is faint
    is worth less than FAINT strength)."""
    env = small_env(3000, {"knowledge.facts_per_subspace": 1, "events.spread": 0.0, "events.rate": 0.5,
                           "events.strength": 2.0, "events.decay": 0.6})  # fmt: skip
    length = np.linalg.norm(happen(env, 25)[-1]["running"], axis=-1).ravel()
    assert abs(length.mean() - 2.5) < 4 * np.sqrt(3.125 / length.size) + 2 * FAINT
    assert abs(length.var() - 3.125) < 4 * 3.125 * np.sqrt(6 / length.size)


def test_one_event_fades_geometrically_and_is_over(small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """1, .5, .25, ..., 1/64; the next would be under 1 % of an event: exactly nothing."""
    env = small_env(1, {"events.rate": 0.5, "events.decay": 0.5})
    env.reset(seed=0)
    events, state, draws = made(env), env.world.state, NumpyDraws(0)
    direction = unit(np.ones((1, 2, 9)))
    force(env, monkeypatch, [[1.0, 0.0]], direction)
    _, own = events.move(draws, state, state.own["events"], NOTHING_SEEN)
    force(env, monkeypatch, [[0.0, 0.0]], direction)
    for age in range(9):
        expected = 0.5**age if age < 7 else 0.0
        np.testing.assert_allclose(own["running"][0, 0], expected * direction[0, 0], atol=1e-7)
        assert not own["running"][0, 1].any()
        _, own = events.move(draws, state, own, NOTHING_SEEN)


def test_news_is_near_the_facts_of_its_subspace(small_env: MakeEnv) -> None:
    """d = unit(f + s n) with n uniform: d.f is (1 + s n.f)/|f + s n|, at D = 9 and s = .5 about 1/sqrt(1.25) on the
    median; without spread news is a fact, each as often as any other (4 standard deviations of a binomial)."""
    near = small_env(1, {"events.rate": 1.0})
    best = np.einsum("emd,mfd->emf", made(near)._news(NumpyDraws(0), 2000), near.world.space.facts).max(axis=-1)
    assert best.min() > 0.5
    assert np.median(best) == pytest.approx(1 / np.sqrt(1.25), abs=0.05)
    exact = small_env(1, {"events.rate": 1.0, "events.spread": 0.0})
    like = np.einsum("emd,mfd->emf", made(exact)._news(NumpyDraws(0), 2000), exact.world.space.facts)
    np.testing.assert_allclose(like.max(axis=-1), 1.0, atol=1e-6)
    for subspace in range(2):
        count = np.bincount(like[:, subspace].argmax(axis=-1), minlength=6)
        assert np.abs(count - 2000 / 6).max() < 4 * np.sqrt(2000 * 5 / 36)


def test_padding_is_never_news(small_config: Callable[..., AmmoConfig], movielens_like: MetaSpace) -> None:
    """A subspace with fewer facts than another: every direction is one of its own."""
    config = small_config({"events.rate": 8.0, "events.spread": 0.0, "events.fact_slots": 1})
    events = Events(ARRAYS, config, movielens_like)
    news = events._news(NumpyDraws(0), 500)
    own = movielens_like.facts[0][movielens_like.fact_mask[0]]
    assert (news[:, 0] @ own.T).max(axis=-1).min() > 1 - 1e-6
    begun = events.begin(NumpyDraws(0), np.zeros((1, 1, 9), np.float32))
    np.testing.assert_array_equal(begun["facts"][0, 0, 0], own[0])


@pytest.fixture(scope="module")
def movielens_like(small_config: Callable[..., AmmoConfig]) -> MetaSpace:
    """The small space whose first subspace lacks its first, third and last fact."""
    from dataclasses import replace

    from ammo_env.sources import load_knowledge
    from ammo_env.space import build_space

    space = build_space(load_knowledge(small_config().knowledge), 3, False)
    mask, facts = space.fact_mask.copy(), space.facts.copy()
    mask[0, [0, 2, 5]] = False
    facts[~mask] = 0.0
    return replace(space, facts=facts, fact_mask=mask)


@pytest.mark.parametrize("reach", ["near", "all"])
def test_the_pull_by_hand(reach: str, small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events in subspace 0: q' = unit(q + .3 nearness 2 d); in subspace 1 nothing happens."""
    env = small_env(2, {"events.rate": 0.5, "events.pull": 0.3, "events.reach": reach})
    env.reset(seed=1)
    events, state = made(env), env.world.state
    direction = unit(np.random.default_rng(0).standard_normal((2, 2, 9)))
    force(env, monkeypatch, [[2.0, 0.0], [2.0, 0.0]], direction)
    q, _ = events.move(NumpyDraws(0), state, state.own["events"], NOTHING_SEEN)
    centre = unit(env.world.space.facts[0].sum(axis=0))
    nearness = np.maximum(state.q @ centre, 0.0) if reach == "near" else np.ones((2, 4))
    np.testing.assert_allclose(q, unit(state.q + 0.6 * nearness[..., None] * direction[:, None, 0]), atol=1e-6)
    assert (np.einsum("eud,ed->eu", q - state.q, direction[:, 0]) >= -1e-6).all(), "towards the news, never away"


def test_who_is_far_from_the_subspace_does_not_care(small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = small_env(1, {"events.rate": 0.5, "events.pull": 5.0})
    env.reset(seed=1)
    state, centre = env.world.state, unit(env.world.space.facts[0].sum(axis=0))
    state.q = np.broadcast_to(-centre, state.q.shape).copy()
    force(env, monkeypatch, [[1.0, 0.0]], np.ones((1, 2, 9)))
    moved, _ = made(env).move(NumpyDraws(0), state, state.own["events"], NOTHING_SEEN)
    np.testing.assert_allclose(moved, state.q, atol=1e-6)


def test_an_added_fact_lowers_grounding_errors(small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A creation that becomes a fact has no error left; nobody's error rises, and the other subspace's stays."""
    env = small_env(2, {"events.rate": 0.5, "events.fact_slots": 2})
    env.reset(seed=0)
    state, corpus = env.world.state, env.world.state.corpus
    before, shelf = corpus.grounding_error.copy(), corpus.shelf_error.copy()
    last = corpus.vectors[:, [1, 3]]  # the newest creations of goal buddies 0 and 1, of subspaces 0 and 1
    force(env, monkeypatch, [[1.0, 0.0], [0.0, 0.0]], last)
    _, own = made(env).move(NumpyDraws(0), state, state.own["events"], NOTHING_SEEN)
    reground(ARRAYS, corpus, env.world.seats, own["facts"])
    assert corpus.grounding_error[0, 1] < 1e-6
    assert before[0, 1] > 0.05
    distance = np.linalg.norm(corpus.vectors[0] - last[0, 0], axis=-1)
    inside = np.repeat(np.arange(5) % 2 == 0, 2)  # the seats of subspace 0, two creations each
    np.testing.assert_allclose(corpus.grounding_error[0, inside], np.minimum(before[0], distance)[inside], atol=1e-6)
    np.testing.assert_allclose(corpus.grounding_error[0, ~inside], before[0, ~inside], atol=1e-6)
    np.testing.assert_allclose(corpus.grounding_error[1], before[1], atol=1e-6)
    np.testing.assert_allclose(corpus.shelf_error, corpus.grounding_error.reshape(2, 5, 2).mean(axis=-1), atol=1e-6)
    assert corpus.shelf_error[0, 0] < shelf[0, 0]
    # The fact nearest to goal buddy 0's last creation is that creation, and its coordinates are W^T e.
    nearest, seats = corpus.nearest_fact, env.world.seats
    assert nearest[0, 0] == seats.num_facts == 12
    coords = seats.fact_coords(nearest, own["facts"])
    np.testing.assert_allclose(coords[0, 0], last[0, 0] @ env.world.space.steering[0], atol=1e-6)
    np.testing.assert_allclose(coords[1], seats.fact_coords(nearest[1:])[0], atol=1e-6)


def test_nearest_fact_sees_the_facts_of_its_own_world(small_env: MakeEnv) -> None:
    """Index and distance against a search by hand through the facts of the space and of the episode."""
    env, rng = small_env(3, {"events.rate": 0.5, "events.fact_slots": 4}), np.random.default_rng(0)
    env.reset(seed=0)
    seats, space = env.world.seats, env.world.space
    made_up = unit(rng.standard_normal((3, 5, 9)))
    added = unit(made_up[:, :2, None] + 0.5 * rng.standard_normal((3, 2, 4, 9)))
    index, distance = seats.nearest_fact(made_up, added)
    table = np.concatenate([space.facts.reshape(-1, 9), added.reshape(-1, 9)])
    for e, g in np.ndindex(3, 5):
        own = np.concatenate([space.facts[g % 2], added[e, g % 2]])
        assert distance[e, g] == pytest.approx(np.linalg.norm(own - made_up[e, g], axis=-1).min(), abs=1e-6)
        assert np.linalg.norm(table[index[e, g]] - made_up[e, g]) == pytest.approx(distance[e, g], abs=1e-6)
        coords = seats.fact_coords(index, added)[e, g]
        np.testing.assert_allclose(coords, table[index[e, g]] @ space.steering[g % 2], atol=1e-6)
    assert (index >= seats.num_facts).any()


def test_slots_are_filled_one_by_one_and_then_are_full(small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = small_env(1, {"events.rate": 0.5, "events.fact_slots": 2})
    env.reset(seed=0)
    events, state, draws = made(env), env.world.state, NumpyDraws(0)
    rng, own, told = np.random.default_rng(0), state.own["events"], []
    for _ in range(3):
        told.append(unit(rng.standard_normal((1, 2, 9))))
        force(env, monkeypatch, [[3.0, 0.0]], told[-1])
        _, own = events.move(draws, state, own, NOTHING_SEEN)
    np.testing.assert_array_equal(own["known"], [[2, 0]])
    np.testing.assert_array_equal(own["facts"][0, 0], [told[0][0, 0], told[1][0, 0]])
    np.testing.assert_array_equal(own["facts"][0, 1], [env.world.space.facts[1, 0]] * 2)


def test_new_creations_are_measured_by_the_new_facts(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Played with frequent events: every error is the distance to the nearest fact of space and episode."""
    env, rng = small_env(3, {**ON, "events.rate": 2.0}), np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(6):
        env.step(random_actions(env, rng))
    corpus, added, facts = env.world.state.corpus, env.world.state.added_facts, env.world.space.facts
    assert added is not None
    for e, c in np.ndindex(corpus.grounding_error.shape):
        known = np.concatenate([facts[c // 2 % 2], added[e, c // 2 % 2]])
        expected = np.linalg.norm(known - corpus.vectors[e, c], axis=-1).min()
        assert corpus.grounding_error[e, c] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("goal_view", ["market", "own_feedback"])
def test_an_event_is_seen_in_its_subspace_alone(goal_view: str, small_env: MakeEnv, monkeypatch: pytest.MonkeyPatch,
                                                random_actions: RandomActions) -> None:  # fmt: skip
    """Two events in subspace 1: its goal buddies see a direction in steering coordinates and strength 2, the others
    zeros; in steering coordinates the direction leads a creation towards the news."""
    env = small_env(2, {"events.rate": 0.5, "observations.goal_view": goal_view})
    obs, _ = env.reset(seed=0)
    layout = env.observation_layouts["goal_buddy"]
    strength = layout.features["scalars"].index("event_strength")
    assert not layout.block(obs["goal_buddy"], "event").any()
    news = np.broadcast_to(env.world.space.facts[:, 0], (2, 2, 9))
    force(env, monkeypatch, [[0.0, 2.0], [0.0, 2.0]], news)
    obs = env.step(random_actions(env, np.random.default_rng(0)))[0]
    seen, scalars = layout.block(obs["goal_buddy"], "event"), layout.block(obs["goal_buddy"], "scalars")
    inside = np.arange(5) % 2 == 1
    assert not seen[:, ~inside].any()
    np.testing.assert_allclose(scalars[..., strength], np.tile(2.0 * inside, (2, 1)), atol=1e-6)
    assert seen[:, inside].any(axis=-1).all()
    assert np.abs(seen).max() <= 1 + 1e-6
    world = env.world
    moved = unit(world.state.anchors + 0.5 * world.seats.lift(seen))
    gained = np.einsum("egd,d->eg", moved - world.state.anchors, world.space.facts[1, 0])
    assert (gained[:, inside] > -1e-6).all()
    assert gained[:, inside].mean() > 0.05


def test_user_buddies_are_not_told(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Other events: only goal buddies' observations change, and there only what describes the event."""
    env, rng = small_env(3, ON), np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(3):
        obs = env.step(random_actions(env, rng))[0]
    saved = copy.deepcopy(env.get_state())
    saved["state"]["own"]["events"]["running"][:] = unit(rng.standard_normal((3, 2, 9)))
    twin = small_env(3, ON)
    twin.reset(seed=5)
    after, layout = twin.set_state(saved), env.observation_layouts["goal_buddy"]
    np.testing.assert_array_equal(after["user_buddy"], obs["user_buddy"])
    changed = (after["goal_buddy"] != obs["goal_buddy"]).any(axis=(0, 1))
    about = np.zeros(layout.size, dtype=bool)
    about[layout.slices["event"]] = True
    about[layout.slices["scalars"].start + layout.features["scalars"].index("event_strength")] = True
    np.testing.assert_array_equal(changed, about)


def test_without_events_nothing_is_shown_kept_or_drawn(small_env: MakeEnv, random_actions: RandomActions) -> None:
    env = small_env(2)
    env.reset(seed=0)
    assert "events" not in env.world.forces
    assert env.world.state.added_facts is None
    assert env.world.state.running_events is None
    assert "event" not in env.observation_layouts["goal_buddy"].shapes
    assert goal_layout(3, True, True).size == goal_layout(3, True).size + 4


def test_the_same_seed_gives_the_same_events(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Bit-equal; and a state saved in mid-event goes on bit-equal elsewhere, facts and fading included."""
    env, twin = small_env(2, ON), small_env(2, ON)
    first, again = env.reset(seed=3)[0], twin.reset(seed=3)[0]
    rng = np.random.default_rng(0)
    for number in range(8):
        for side in SIDES:
            np.testing.assert_array_equal(first[side], again[side])
        if number == 4:
            assert env.world.state.own["events"]["running"].any()
            twin = small_env(2, ON)
            twin.reset(seed=9)
            twin.set_state(env.get_state())
        actions = random_actions(env, rng)
        first, again = env.step(actions)[0], twin.step(actions)[0]
    ours, theirs = (snapshot(one.world.state)["own"]["events"] for one in (env, twin))
    for name in ("running", "facts", "known"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_events_move_taste(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Without events (and drift) taste stays; with them it moves, stays unit, and two humans of one taste stay one."""
    for rate, still in ((0.0, True), (1.0, False)):
        env, rng = small_env(2, {"events.rate": rate}), np.random.default_rng(0)
        env.reset(seed=0)
        env.world.state.q[:, 1] = env.world.state.q[:, 0]
        start = env.world.state.q
        for _ in range(5):
            env.step(random_actions(env, rng))
        q = env.world.state.q
        assert np.array_equal(q, start) == still
        np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1.0, atol=1e-5)
        np.testing.assert_allclose(q[:, 0], q[:, 1], atol=1e-6)


def test_a_force_is_pure(small_env: MakeEnv) -> None:
    env = small_env(2, ON)
    env.reset(seed=0)
    state, seen = env.world.state, NOTHING_SEEN
    own: dict[str, Any] = state.own["events"]
    before, q = copy.deepcopy(own), state.q.copy()
    for _ in range(4):
        made(env).move(NumpyDraws(0), state, own, seen)
    for name, values in before.items():
        np.testing.assert_array_equal(own[name], values)
    np.testing.assert_array_equal(state.q, q)
