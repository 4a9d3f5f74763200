"""Several interests: the best of them is what counts, a sleeping one is not felt, and an item near it awakens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env import metaspace_v0, rewards
from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.interests import Interests, make_interests
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import build_space
from ammo_env.vector import SIDES, VectorEnv

ARRAYS = NumpyArrays()
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
LATENT = {"humans.interests": 3, "humans.latent_interests": 2}
HONEST = {"aipp.noise": 0.0, "aipp.bait": 0.0}  # an answer is what is felt


def dots(people: NDArray[Any], vectors: NDArray[Any]) -> NDArray[Any]:
    """[E, U, D], [E, C, D] -> [E, U, C]."""
    together: NDArray[Any] = people @ vectors.swapaxes(1, 2)
    return together


def by_interest(env: VectorEnv) -> NDArray[Any]:
    """e.q_i of all live creations, [I, E, U, C], the main interest first."""
    state = env.world.state
    side = state.own["interests"]["side"]
    people = [state.q, *(side[:, :, j] for j in range(side.shape[2]))]
    return np.stack([dots(q, state.corpus.vectors) for q in people])


def test_one_interest_needs_nothing(small_config: Callable[..., AmmoConfig], small_env: MakeEnv) -> None:
    env = small_env(2)
    env.reset(seed=0)
    assert make_interests(ARRAYS, small_config(), env.world.space) is None
    assert env.world.interests is None
    assert env.world.state.own == {}


@pytest.mark.parametrize(("latent", "interests"), [(1, 1), (2, 2), (5, 3)])
def test_the_first_interest_is_always_known(
    latent: int, interests: int, small_config: Callable[..., AmmoConfig]
) -> None:
    with pytest.raises(ConfigError, match="the first interest is always known"):
        small_config({"humans.interests": interests, "humans.latent_interests": latent})


@pytest.mark.parametrize(("latent", "awake"), [(0, [True, True]), (1, [True, False]), (2, [False, False])])
def test_what_is_awake_at_birth(latent: int, awake: list[bool], small_env: MakeEnv) -> None:
    env = small_env(3, {"humans.interests": 3, "humans.latent_interests": latent})
    env.reset(seed=0)
    own = env.world.state.own["interests"]
    np.testing.assert_array_equal(own["awake"], np.broadcast_to(awake, (3, 4, 2)))
    assert own["side"].shape == (3, 4, 2, 9)
    assert not own["found"].any()


@pytest.mark.parametrize("pool", ["train", "heldout"])
def test_side_interests_are_those_of_people_of_the_pool(pool: str, small_env: MakeEnv) -> None:
    env = small_env(100, {**LATENT, "humans.pool": pool})
    env.reset(seed=0)
    people, side = env.world.space.preferences, env.world.state.own["interests"]["side"].reshape(-1, 9)
    assert len(people) == {"train": 64, "heldout": 16}[pool]
    np.testing.assert_allclose(side, people[(side @ people.T).argmax(axis=-1)], atol=1e-6)


def test_every_person_is_as_likely_as_any_other(small_config: Callable[..., AmmoConfig], small_env: MakeEnv) -> None:
    """Nine people along the axes, 16,000 draws: counts within 4 standard deviations of a binomial's mean."""
    space = replace(small_env(1).world.space, preferences=np.eye(9, dtype=np.float32))
    interests = Interests(ARRAYS, small_config(LATENT), space)
    side = interests.begin(NumpyDraws(0), np.zeros((2000, 4, 9), np.float32))["side"]
    expected = 16000 / 9
    assert np.abs(side.sum(axis=(0, 1, 2)) - expected).max() < 4 * np.sqrt(expected)


@pytest.mark.parametrize("latent", [0, 2])
def test_the_truth_is_the_best_of_all_interests(latent: int, small_env: MakeEnv, random_actions: RandomActions) -> None:
    """u(e) = max_i e.q_i, also of what sleeps, in every round and under drift of the main interest."""
    env, rng = small_env(3, {"humans.interests": 3, "humans.latent_interests": latent, "humans.drift_rho": 0.9}), \
        np.random.default_rng(0)  # fmt: skip
    env.reset(seed=0)
    side = env.world.state.own["interests"]["side"]
    for _ in range(5):
        np.testing.assert_allclose(env.world.state.utility, by_interest(env).max(axis=0), atol=1e-6)
        env.step(random_actions(env, rng))
    np.testing.assert_array_equal(env.world.state.own["interests"]["side"], side)


@pytest.mark.parametrize("latent", [0, 1, 2])
def test_regret_keeps_its_meaning(latent: int, small_env: MakeEnv) -> None:
    """R >= 0; 0 for the S best by the truth; and the mean over all slates of distinct creations is the random regret
    (exact: all 45 pairs of 10 creations)."""
    env = small_env(2, {"humans.interests": 3, "humans.latent_interests": latent, "attention.num_candidates": 10})
    env.reset(seed=1)
    state = env.world.state
    best, worst = ARRAYS.extremes(state.utility, 2)
    pairs = [np.array([i, j]) for i in range(10) for j in range(i)]
    full = np.ones((2, 4, 2), bool)
    regrets = [
        rewards.regret(best, rewards.slate_value(ARRAYS, worst, state.utility[..., pair], full)) for pair in pairs
    ]
    assert np.min(regrets) >= 0.0
    np.testing.assert_allclose(np.min(regrets, axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.mean(regrets, axis=0), rewards.random_regret(best, state.utility, 2), atol=1e-5)
    known = np.take_along_axis(state.utility, state.candidates, -1)
    positions = np.argsort(-known, axis=-1)[..., :2]
    env.step({"user_buddy": positions, "goal_buddy": np.zeros((2, 5), int)})
    assert env.last_round is not None
    np.testing.assert_allclose(env.last_round.judgement.regret, 0.0, atol=1e-6)
    np.testing.assert_allclose(env.last_round.judgement.best, best, atol=1e-6)


def by_hand(threshold: float = 0.5) -> tuple[Interests, dict[str, Any], NDArray[Any]]:
    """One human in the plane who knows of x and sleeps on y."""
    config = load_config("default", {"knowledge.dim": 2, "steering_dim": 1, "humans.interests": 2,
                                     "humans.latent_interests": 1, "humans.awakening": threshold})  # fmt: skip
    space = build_space(load_knowledge(config.knowledge), 1, False)
    space = replace(space, preferences=np.array([[0.0, 1.0]], np.float32))
    interests, q = Interests(ARRAYS, config, space), np.array([[[1.0, 0.0]]], np.float32)
    return interests, interests.begin(NumpyDraws(0), q), q


def test_a_sleeping_interest_is_felt_from_the_item_that_awakens_it() -> None:
    """Items (.9, .436) and (.8, .6): the first leaves y asleep, .9 is felt; the second awakens it; then (0, 1) is worth
    1, which would have been 0 before, and the first item is still worth .9."""
    interests, own, q = by_hand()

    def see(own: dict[str, Any], item: list[float], filled: bool = True) -> tuple[float, dict[str, Any]]:
        felt, own = interests.meet(own, q, np.array([[[item]]], np.float32), np.array([[[filled]]]))
        return float(felt[0, 0, 0]), own

    weak, strong, pure = [0.9, 0.19**0.5], [0.8, 0.6], [0.0, 1.0]
    felt, own = see(own, weak)
    assert felt == pytest.approx(0.9)
    assert not own["awake"].any()
    assert see(own, pure, filled=False)[0] == pytest.approx(0.0), "in an empty slot nothing is seen, nothing awakens"
    felt, after = see(own, strong)
    assert felt == pytest.approx(0.8)
    assert after["awake"].all()
    assert after["found"][0, 0] == 1.0
    assert not own["awake"].any(), "the arrays of before are left alone"
    felt, later = see(after, pure)
    assert felt == pytest.approx(1.0)
    assert later["found"][0, 0] == 0.0
    assert see(after, weak)[0] == pytest.approx(0.9)
    # Whoever is shown the pure item at once feels it at once.
    assert see(own, pure)[0] == pytest.approx(1.0)


def test_an_awakening_is_about_the_whole_slate() -> None:
    """The slate is looked at, then answered: an item that awakens changes the answers to its neighbours too."""
    interests, own, q = by_hand()
    slate = np.array([[[[0.96, 0.28], [0.28, 0.96], [-0.6, 0.4]]]], np.float32)
    felt, own = interests.meet(own, q, slate, np.ones((1, 1, 3), bool))
    np.testing.assert_allclose(felt[0, 0], [0.96, 0.96, 0.4], atol=1e-6)


def test_answers_follow_what_is_awake(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Played with ratings that are what is felt: every answer is the best of the interests that are awake after the
    slate; while anything sleeps some answer is below the truth, and what was found is what has awoken."""
    env, rng = small_env(20, {**LATENT, **HONEST, "humans.awakening": 0.8}), np.random.default_rng(0)
    env.reset(seed=0)
    below = found = 0.0
    for _ in range(6):
        likeness, before = by_interest(env), env.world.state.own["interests"]["awake"]
        env.step(random_actions(env, rng))
        happened, own = env.last_round, env.world.state.own["interests"]
        assert happened is not None
        known = np.concatenate([np.ones((1, 20, 4), bool), own["awake"].transpose(2, 0, 1)])[..., None]
        felt = np.where(known, likeness, -2.0).max(axis=0)
        shown, present = happened.impression.feedback.value, happened.impression.filled
        np.testing.assert_allclose(shown, np.take_along_axis(felt, happened.items, -1) * present, atol=1e-5)
        below += ((happened.judgement.shown_utility - shown > 1e-3) & present).sum()
        near = np.take_along_axis(likeness[1:], happened.items[None], -1) > 0.8
        woken = (near & present).any(axis=-1).transpose(1, 2, 0)
        np.testing.assert_array_equal(own["awake"], before | woken)
        np.testing.assert_allclose(own["found"], (woken & ~before).sum(axis=-1))
        np.testing.assert_allclose(env.measure()["discoveries"], own["found"].mean(axis=-1))
        found += own["found"].sum()
    assert below > 50
    assert 0 < found < 160


def test_what_sleeps_is_invisible_until_it_is_found(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Two worlds that differ in the sleeping interests alone: where nothing can awaken them, everything that is seen is
    bit-equal though the truth is not; where everything awakens at once, it is not equal."""
    for threshold, same in ((0.9999, True), (-1.0, False)):
        seen, truth = [], []
        for swap in (False, True):
            env, rng = small_env(3, {**LATENT, "humans.awakening": threshold, "rewards.user_buddy": "feedback"}), \
                np.random.default_rng(0)  # fmt: skip
            env.reset(seed=0)
            saved = env.get_state()
            if swap:
                side = saved["state"]["own"]["interests"]["side"]
                saved["state"]["own"]["interests"]["side"] = side[::-1].copy()
                saved["state"]["utility"] = env.world.interests.utility(  # type: ignore[union-attr]
                    saved["state"]["own"]["interests"], dots(env.world.state.q, env.world.state.corpus.vectors),
                    env.world.state.corpus.vectors,
                )  # fmt: skip
            env.set_state(saved)
            rounds = [env.step(random_actions(env, rng))[:2] for _ in range(5)]
            seen.append(np.concatenate([part[side].ravel() for both in rounds for part in both for side in SIDES]))
            truth.append(env.world.state.utility)
        assert np.array_equal(seen[0], seen[1]) == same
        assert not np.array_equal(truth[0], truth[1])


def test_discovery_pays() -> None:
    """All-knowing of what humans feel, but never beyond it, is worse than all-knowing of what they would like."""
    env = metaspace_v0.vec_env(32, "latent")
    regret = []
    for discovering in (False, True):
        env.reset(seed=0)
        state, total = env.world.state, 0.0
        for _ in range(8):
            likeness, awake = by_interest(env), state.own["interests"]["awake"].transpose(2, 0, 1)[..., None]
            felt = np.maximum(likeness[0], np.where(awake, likeness[1:], -2.0).max(axis=0))
            wanted = state.utility if discovering else felt
            shown = np.take_along_axis(wanted, state.candidates, -1)
            slate = np.argsort(-shown, axis=-1)[..., :4]
            env.step({"user_buddy": slate, "goal_buddy": np.zeros((32, 16), int)})
            assert env.last_round is not None
            judged = env.last_round.judgement
            total += judged.regret.sum() / judged.random_regret.sum() / 8
        regret.append(total)
    assert regret[0] > regret[1] + 0.05


def test_the_same_seed_and_a_saved_state_give_the_same(small_env: MakeEnv, random_actions: RandomActions) -> None:
    env, twin, rng = small_env(2, LATENT), small_env(2, LATENT), np.random.default_rng(0)
    np.testing.assert_array_equal(env.reset(seed=2)[0]["user_buddy"], twin.reset(seed=2)[0]["user_buddy"])
    np.testing.assert_array_equal(env.world.state.utility, twin.world.state.utility)
    for _ in range(3):
        env.step(random_actions(env, rng))
    twin = small_env(2, LATENT)
    twin.reset(seed=9)
    twin.set_state(env.get_state())
    for _ in range(3):
        actions = random_actions(env, rng)
        ours, theirs = env.step(actions), twin.step(actions)
        for side in SIDES:
            np.testing.assert_array_equal(ours[0][side], theirs[0][side])
            np.testing.assert_array_equal(ours[1][side], theirs[1][side])
    for name, values in env.world.state.own["interests"].items():
        np.testing.assert_array_equal(values, twin.world.state.own["interests"][name])
