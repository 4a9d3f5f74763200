"""Goal buddies that write: the nearest sentence of one's own entity, kept, readable and grounded by its vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ammo_env.arrays import get_arrays
from ammo_env.claims import Claims
from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace, build_space
from ammo_env.state import Actions
from ammo_env.synthetic import synthetic
from ammo_env.vector import VectorEnv
from ammo_env.world import World
from ammo_env.writing import Writing, make_writing

V = 5
Config = Callable[..., AmmoConfig]


def written_space(config: AmmoConfig) -> MetaSpace:
    """The small synthetic space, with V made-up sentences around each entity; the first is the entity itself."""
    known = synthetic(config.knowledge)
    rng = np.random.default_rng(3)
    drawn = known.entities[:, None] + 0.8 * rng.normal(size=(len(known.entities), V, config.knowledge.dim)) * (
        np.arange(V)[:, None] > 0
    )
    vectors = (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype(np.float32)
    texts = tuple(tuple(f"{name}, claim {v}" for v in range(V)) for name in known.entity_names)
    kinds = tuple(tuple("fact" if v == 0 else "false" for v in range(V)) for _ in texts)
    claims = Claims(texts, kinds, np.tile(np.arange(V) == 0, (len(texts), 1)), vectors)
    return build_space(replace(known, claims=lambda: claims), config.goal_buddies.steering_dim, False, written=True)


@pytest.fixture
def config(small_config: Config) -> AmmoConfig:
    return small_config({"goal_buddies.energy_cap": 100.0, "goal_buddies.steering_scale": 1.5})


@pytest.fixture
def world(config: AmmoConfig) -> World:
    made = World(config, 3, space=written_space(config))
    made.reset(seed=1)
    return made


def act(world: World, steering: Any, willing: bool = True) -> None:
    envs, goals = world.num_envs, world.num_goals
    positions = np.broadcast_to(np.arange(2), (envs, world.num_humans, 2))
    world.step(Actions(positions, np.asarray(steering, np.float32), np.full((envs, goals), willing)))


def table(world: World) -> tuple[Any, Any]:
    """Vectors [N V, D] and texts [N V] of the world's claims."""
    claims = world.space.claims
    assert claims is not None
    return claims.vectors.reshape(-1, world.space.dim), [text for row in claims.texts for text in row]


def assert_consistent(world: World) -> None:
    """Every live creation is the sentence that is recorded, about its creator's entity, and its error is that of it."""
    corpus, (vectors, texts) = world.state.corpus, table(world)
    sentence = corpus.sentence
    assert sentence is not None
    assert np.array_equal(corpus.vectors, vectors[sentence])
    assert np.array_equal(sentence // V, np.repeat(world.state.entity, 2, axis=1))
    assert world.texts() == [[texts[number] for number in row] for row in sentence.tolist()]
    subspace = np.asarray(world.seats.subspace_of_creation)
    distance = np.linalg.norm(corpus.vectors[:, :, None] - world.space.facts[subspace], axis=-1)
    assert np.allclose(corpus.grounding_error, distance.min(axis=-1), atol=1e-5)


def test_the_nearest_sentence_of_ones_own(world: World) -> None:
    """Against a loop over all claims; what no other claim is nearer to stays what it is."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        steering = rng.uniform(-1, 1, (3, 5, 3))
        entity, basis, vectors = world.state.entity, world.space.steering, table(world)[0]
        oldest = world.state.corpus.oldest
        act(world, steering)
        assert_consistent(world)
        assert world.state.corpus.sentence is not None
        for e in range(3):
            for g in range(5):
                aim = world.space.entities[entity[e, g]] + 1.5 * basis[g % 2] @ steering[e, g]
                own = vectors[entity[e, g] * V : (entity[e, g] + 1) * V]
                best = entity[e, g] * V + np.argmax(own @ aim)
                assert world.state.corpus.sentence[e, g * 2 + oldest[e, g]] == best
    assert world.state.corpus.sentence is not None
    assert len(np.unique(world.state.corpus.sentence)) > 20


def test_without_steering_the_entity_itself_is_said(world: World) -> None:
    for _ in range(2):
        act(world, np.zeros((3, 5, 3)))
    assert world.state.corpus.sentence is not None
    assert (world.state.corpus.sentence % V == 0).all()
    assert world.writing is not None
    assert world.writing.truthful(world.state.corpus.sentence).all()
    assert all("claim 0" in text for row in world.texts() for text in row)


def test_who_does_not_publish_keeps_the_sentence(world: World) -> None:
    before = world.texts()
    act(world, np.ones((3, 5, 3)), willing=False)
    assert world.texts() == before


def test_newborns_write_about_their_own_entity(small_config: Config) -> None:
    """Goal buddies that retire in mid-episode: whoever sits there next has sentences about the new entity."""
    config = small_config({"life.viability": 0.15, "life.grace": 1, "goal_buddies.steering_scale": 1.5})
    world = World(config, 3, space=written_space(config))
    world.reset(seed=1)
    before = world.state.entity.copy()
    rng = np.random.default_rng(0)
    for _ in range(6):
        act(world, rng.uniform(-1, 1, (3, 5, 3)))
        assert_consistent(world)
    assert (world.state.entity != before).any()


def test_the_sentence_is_part_of_the_state(world: World, config: AmmoConfig) -> None:
    """Saved and restored; a state without sentences is refused, and the other way round."""
    saved, before = world.get_state(), world.texts()
    act(world, np.ones((3, 5, 3)))
    after = world.texts()
    world.set_state(saved)
    assert world.texts() == before
    act(world, np.ones((3, 5, 3)))
    assert world.texts() == after
    plain = World(config, 3)
    plain.reset(seed=1)
    with pytest.raises(ValueError, match="written"):
        plain.set_state(saved)
    with pytest.raises(ValueError, match="written"):
        world.set_state(plain.get_state())


def test_torch_writes_the_same(config: AmmoConfig) -> None:
    space = written_space(config)
    rng = np.random.default_rng(0)
    assert space.claims is not None
    entity = rng.integers(len(space.entities), size=(3, 5))
    aim = rng.normal(size=(3, 5, space.dim)).astype(np.float32)
    vectors, sentence = Writing(get_arrays("numpy"), space.claims).write(entity, aim)
    torch = get_arrays("torch")
    other, same = Writing(torch, space.claims).write(torch.asarray(entity), torch.asarray(aim))
    assert np.array_equal(sentence, torch.to_numpy(same))
    assert np.array_equal(vectors, torch.to_numpy(other))


def test_compression_keeps_what_can_be_said(config: AmmoConfig) -> None:
    """Claims are content: at full rank every dot product with a fact or a person is as it was."""
    space = written_space(config)
    small = space.compress(space.dim).space
    assert space.claims is not None
    assert small.claims is not None
    for other in ("entities", "people"):
        mine, theirs = getattr(space, other), getattr(small, other)
        assert np.allclose(space.claims.vectors @ mine.T, small.claims.vectors @ theirs.T, atol=1e-5)


def test_off_by_default(small_env: Callable[..., VectorEnv]) -> None:
    env = small_env()
    env.reset(0)
    assert env.world.writing is None
    assert env.world.state.corpus.sentence is None
    with pytest.raises(ConfigError, match="creations=written"):
        env.world.texts()


def test_a_source_without_texts_cannot_be_written_about(small_config: Config) -> None:
    with pytest.raises(ConfigError, match=r"no texts to write with.*knowledge.embedder"):
        World(small_config({"goal_buddies.creations": "written"}))
    config = small_config()
    assert make_writing(get_arrays("numpy"), build_space(synthetic(config.knowledge), 3, False)) is None


def test_a_movielens_episode_is_readable(
    movielens_folder: Any,
    random_actions: Callable[[VectorEnv, np.random.Generator], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A text-embedded episode: every creation is a sentence about the creator's film, and untrue ones are farther from
    the facts on average."""
    from ammo_env.metaspace_v0 import vec_env

    monkeypatch.setenv("AMMO_DATA", str(movielens_folder))
    env = vec_env(2, scenario="movielens-text", num_rounds=12, min_ratings=150)
    env.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(12):
        env.step(random_actions(env, rng))
    world = env.world
    corpus, texts = world.state.corpus, world.texts()
    assert len(texts) == 2
    assert all(" film from " in text and text.endswith(".") for row in texts for text in row)
    assert world.writing is not None
    true = world.writing.truthful(corpus.sentence)
    assert 0.1 < true.mean() < 0.9
    assert corpus.grounding_error[~true].min() > 0.1
    assert corpus.grounding_error[true].mean() < corpus.grounding_error[~true].mean() - 0.1
