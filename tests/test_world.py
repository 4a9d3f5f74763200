"""The world: one small enough to check by hand, then what must hold in every round of every world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ammo_env.arrays import NumpyArrays, NumpyDraws
from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace
from ammo_env.state import Actions, Round, snapshot
from ammo_env.vector import VectorEnv
from ammo_env.world import World

MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]


class StillDraws:
    """No noise at all: normals 0, uniforms .5 (equal, so that sorting keeps the order), integers 0."""

    def normal(self, *shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    def uniform(self, *shape: int) -> NDArray[np.float32]:
        return np.full(shape, 0.5, np.float32)

    def integers(self, high: int, *shape: int) -> NDArray[np.int64]:
        return np.zeros(shape, np.int64)

    def get_state(self) -> Any:
        return None

    def set_state(self, state: Any) -> None: ...


class StillArrays(NumpyArrays):
    """NumPy behind the door, with a stream that holds no noise."""

    def draws(self, seed: int | None) -> Any:
        return StillDraws()


HAND: dict[str, Any] = {
    "knowledge.dim": 2,
    "knowledge.num_subspaces": 1,
    "goal_buddies": {"num_goal_buddies": 2, "shelf_size": 1, "steering_dim": 1, "steering_scale": 0.5,
                     "initial_spread": 0.0, "energy_cap": 2.0, "publish_cost": 1.5, "energy_regrowth": 0.25},
    "humans": {"num_humans": 1, "drift_rho": 0.8},
    "attention": {"num_candidates": 2, "num_slots": 1, "fresh_share": 0.0},
    "aipp": {"noise": 0.5, "bait": 0.5},
    "rewards": {"honesty_price": 0.5, "energy_price": 0.1},
}  # fmt: skip


@pytest.fixture
def hand() -> World:
    """D = 2, facts (1, 0) and (0, 1), W = (0, 1), goal buddies at (1, 0) and (.6, .8), one human q = (1, 0) of a
    population with mean (.6, 0) and variance (.1, .2)."""

    def row(*values: Any) -> NDArray[np.float32]:
        return np.array(values, dtype=np.float32)

    space = MetaSpace(
        facts=row([[1, 0], [0, 1]]),
        fact_mask=np.ones((1, 2), bool),
        steering=row([[0], [1]]),
        entities=row([1, 0], [0.6, 0.8]),
        entity_subspace=np.array([0, 0]),
        preferences=row([1, 0]),
        people=row([1, 0]),
        mean=row(0.6, 0),
        variance=row(0.1, 0.2),
    )
    world = World(load_config("default", HAND), 1, StillArrays(), space)
    world.reset(seed=0)
    return world


def act(position: int, steering: tuple[float, float], willing: tuple[bool, bool]) -> Actions:
    return Actions(
        positions=np.array([[[position]]]),
        steering=np.array([[[steering[0]], [steering[1]]]], np.float32),
        willing=np.array([willing]),
    )


def near(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_a_round_by_hand(hand: World) -> None:
    """Scores .6 and .36; the human is shown (.6, .8) and thinks 1 * .6, answers .6 + .5 * .632456 of bait."""
    state = hand.state
    near(state.corpus.vectors, [[[1, 0], [0.6, 0.8]]])
    near(state.corpus.grounding_error, [[0, np.sqrt(0.4)]])
    near(state.score, [[[0.6, 0.36]]])
    near(state.utility, [[[1.0, 0.6]]])
    assert state.candidates.tolist() == [[[0, 1]]]
    first = hand.step(act(1, (1.0, 0.0), (True, False)))
    judged = first.judgement
    near(judged.best, [[1.0]])
    near(judged.shown_utility, [[[0.6]]])
    near(judged.regret, [[0.4]])
    near(judged.random_regret, [[0.2]])
    near(judged.visibility, [[0.0, 1.0]])
    near(judged.grounding_error, [[[np.sqrt(0.4)]]])
    near(first.impression.feedback.value, [[[0.6 + 0.5 * np.sqrt(0.4)]]])
    assert first.published.tolist() == [[True, False]]


def test_rewards_by_hand(hand: World) -> None:
    """User -.4; goal 0: visibility 0, no error, .1 for energy; goal 1: 1 - .5 * .632456. Errors are the shelf's
    *before* the new creation arrives."""
    first = hand.step(act(1, (1.0, 0.0), (True, False)))
    near(first.reward_terms["user_buddy"]["regret"], [[-0.4]])
    near(first.reward_terms["goal_buddy"]["visibility"], [[0.0, 1.0]])
    near(first.reward_terms["goal_buddy"]["grounding"], [[0.0, -0.5 * np.sqrt(0.4)]])
    near(first.reward_terms["goal_buddy"]["energy"], [[-0.1, 0.0]])
    near(first.rewards["user_buddy"], [[-0.4]])
    near(first.rewards["goal_buddy"], [[-0.1, 1 - 0.5 * np.sqrt(0.4)]])


def test_the_state_after_a_round_by_hand(hand: World) -> None:
    """Creation unit(1, .5), error sqrt(2 - 2 * .894427); energy 2 - 1.5 + .25 and the cap; the Kalman update of
    answer .916228 against .36 with gain (.06, .16) / .414, then forgetting towards (.6, 0) with rho = .8."""
    hand.step(act(1, (1.0, 0.0), (True, False)))
    state, corpus = hand.state, hand.state.corpus
    length = np.sqrt(1.25)
    near(corpus.vectors, [[[1 / length, 0.5 / length], [0.6, 0.8]]])
    near(corpus.grounding_error, [[np.sqrt(2 - 2 / length), np.sqrt(0.4)]])
    near(corpus.energy, [[0.75, 2.0]])
    near(corpus.born, [[1, 0]])
    near(corpus.popularity, [[0.0, 0.2]])
    near(corpus.steering, [[[1.0], [0.0]]])
    surprise = 0.6 + 0.5 * np.sqrt(0.4) - 0.36
    mean = np.array([0.6 + 0.06 / 0.414 * surprise, 0.16 / 0.414 * surprise])
    variance = np.array([0.1 - 0.06**2 / 0.414, 0.2 - 0.16**2 / 0.414])
    mean, variance = [0.6, 0] + 0.8 * (mean - [0.6, 0]), 0.64 * variance + 0.36 * np.array([0.1, 0.2])
    near(state.beliefs.mean, [[mean]])
    near(state.beliefs.variance, [[variance]])
    near(state.q, [[[1.0, 0.0]]])  # without noise (1, 0) drifts to unit(.6 + .8 * .4, 0)
    near(state.utility, [[[1 / length, 0.6]]])
    near(state.score[0, 0], [mean @ corpus.vectors[0, c] for c in state.candidates[0, 0]])
    near(state.memory.recent, [[[0.2 * 0.6, 0.2 * 0.8]]])
    near(state.memory.goal_visibility, [[0.0, 1.0]])
    assert state.now == 1


def test_without_energy_nothing_is_published_by_hand(hand: World) -> None:
    """.75 < 1.5: refused, regrows to 1, 1.25, 1.5, and then it is enough."""
    hand.step(act(1, (1.0, 0.0), (True, False)))
    before = hand.state.corpus.vectors.copy()
    energies, published = [], []
    for _ in range(4):
        happened = hand.step(act(0, (-1.0, 0.0), (True, False)))
        published.append(bool(happened.published[0, 0]))
        energies.append(round(float(hand.state.corpus.energy[0, 0]), 6))
        if not published[-1]:
            near(hand.state.corpus.vectors, before)
    assert energies == [1.0, 1.25, 1.5, 0.25]
    assert published == [False, False, False, True]
    near(hand.state.corpus.vectors[0, 0], np.array([1, -0.5]) / np.sqrt(1.25))


def test_slates_come_from_what_was_last_shown(hand: World) -> None:
    """Round 2 is judged on the corpus that the candidates were retrieved from, not on what is published meanwhile."""
    hand.step(act(0, (1.0, 0.0), (True, False)))
    shown = hand.state.corpus.vectors.copy()
    second = hand.step(act(0, (0.0, 1.0), (True, True)))
    item = second.items[0, 0, 0]
    near(second.impression.vectors[0, 0, 0], shown[0, item])
    near(second.judgement.utility[0, 0], shown[0] @ [1, 0])
    assert second.published.tolist() == [[False, True]]


def rounds(env: VectorEnv, act_: RandomActions, number: int = 8, seed: int = 0) -> Iterator[Round]:
    """A seeded random episode, round by round."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(number):
        env.step(act_(env, rng))
        assert env.last_round is not None
        yield env.last_round


MODES: list[dict[str, Any]] = [
    {},
    {"actions.continuous": True},
    {"actions.goal_buddy": "steer", "attention.num_slots": 1},
    {"aipp.subspaces": {0: {"kind": "click", "latency": 2}, 1: {"kind": "choice", "response": 0.5}},
     "humans.drift_rho": 0.9, "observations.goal_view": "own_feedback", "attention.fresh": "newest"},
    {"humans.drift_rho": 0.9, "humans.drift_mode": "isotropic", "rewards.user_buddy": "feedback",
     "rewards.energy_price": 0.1, "rewards.societal": 0.3, "beliefs.prior": "zero", "humans.pool": "heldout"},
    {"beliefs.model": "prototypes", "humans.drift_rho": 0.9, "humans.pool": "heldout",
     "aipp.subspaces": {0: {"kind": "click", "latency": 2}, 1: {"response": 0.5}}},
]  # fmt: skip


@pytest.fixture(params=range(len(MODES)))
def env(request: pytest.FixtureRequest, small_env: MakeEnv) -> VectorEnv:
    """Three small worlds in each of six modes."""
    return small_env(3, MODES[request.param])


def test_regret_against_the_live_corpus(env: VectorEnv, random_actions: RandomActions) -> None:
    """R = best S of the corpus - the slate, at least 0, for every human and round, recomputed in double precision."""
    slots = env.config.attention.num_slots
    for happened in rounds(env, random_actions):
        judged, filled = happened.judgement, happened.impression.filled
        utility = judged.utility.astype(np.float64)
        best = np.sort(utility, axis=-1)[..., -slots:].sum(axis=-1)
        shown = np.take_along_axis(utility, happened.items, -1)
        value = np.where(filled, shown, utility.min(axis=-1, keepdims=True)).sum(axis=-1)
        np.testing.assert_allclose(judged.regret, best - value, atol=1e-5)
        np.testing.assert_allclose(judged.random_regret, best - slots * utility.mean(axis=-1), atol=1e-5)
        assert (judged.regret >= 0).all()
        assert (judged.random_regret >= 0).all()


def test_a_best_slate_has_no_regret(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Everything shown (K = C) and the best S chosen: 0 within float32, in every round."""
    env = small_env(3, {"attention.num_candidates": 10, "humans.drift_rho": 0.9})
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(8):
        state = env.world.state
        known = np.take_along_axis(state.utility, state.candidates, -1)
        best = np.argsort(-known, axis=-1)[..., :2]
        env.step({**random_actions(env, rng), "user_buddy": best})
        assert env.last_round is not None
        assert env.last_round.judgement.regret.max() < 1e-6


def test_exposure_is_shared_out(env: VectorEnv, random_actions: RandomActions) -> None:
    """Visibility over all creations sums to the filled slots per human, and over shelves to the goal reward term."""
    for happened in rounds(env, random_actions):
        judged, filled = happened.judgement, happened.impression.filled
        np.testing.assert_allclose(judged.visibility.sum(axis=1), filled.sum(axis=(1, 2)) / 4, atol=1e-5)
        by_goal = judged.visibility.reshape(3, 5, 2).sum(axis=-1)
        np.testing.assert_allclose(happened.reward_terms["goal_buddy"]["visibility"], by_goal, atol=1e-6)
        assert judged.visibility.max() <= 1.0


def test_slates_hold_nothing_twice(env: VectorEnv, random_actions: RandomActions) -> None:
    """Among the filled slots of a slate every creation is there once, and each was a candidate."""
    for happened in rounds(env, random_actions):
        items, filled = happened.items, happened.impression.filled
        for e, u in np.ndindex(3, 4):
            mine = items[e, u][filled[e, u]].tolist()
            assert len(mine) == len(set(mine)) >= 1
            assert set(mine) <= set(happened.candidates[e, u].tolist())


def test_rewards_are_the_sum_of_their_terms(env: VectorEnv, random_actions: RandomActions) -> None:
    """And each term by definition: -regret / S (shared with the group), -lambda times the shelf's mean error."""
    weights, slots = env.config.rewards, env.config.attention.num_slots
    for happened in rounds(env, random_actions):
        judged, users = happened.judgement, happened.reward_terms["user_buddy"]
        if weights.user_buddy == "regret":
            np.testing.assert_allclose(users["regret"], -judged.regret / slots, atol=1e-6)
        np.testing.assert_allclose(
            happened.reward_terms["goal_buddy"]["grounding"], -weights.honesty_price * judged.shelf_error, atol=1e-6
        )
        for side, terms in happened.reward_terms.items():
            np.testing.assert_allclose(sum(terms.values()), happened.rewards[side], atol=1e-6)
            assert happened.rewards[side].shape == (3, env.num_agents[side])


def test_energy_stays_in_its_bounds_and_pays_for_every_publication(
    env: VectorEnv, random_actions: RandomActions
) -> None:
    """Energy in [0, cap]; it changes by -cost + regrowth where published, by + regrowth (capped) where not."""
    config, energy = env.config.goal_buddies, np.full((3, 5), env.config.goal_buddies.energy_cap)
    seen = 0
    for happened in rounds(env, random_actions):
        assert (energy[happened.published] >= config.publish_cost).all()
        spent = energy - config.publish_cost * happened.published + config.energy_regrowth
        energy = np.minimum(spent, config.energy_cap)
        np.testing.assert_allclose(env.world.state.corpus.energy, energy, atol=1e-5)
        seen += int(happened.published.sum())
    assert seen > 10


def test_everything_is_finite_and_of_one_precision(env: VectorEnv, random_actions: RandomActions) -> None:
    """float32, int64 and bool only: one stray double would double the memory traffic of a whole world."""
    for happened in rounds(env, random_actions):
        for path, array in leaves({"state": snapshot(env.world.state), "round": snapshot(happened)}):
            assert array.dtype in (np.float32, np.int64, np.bool_), path
            assert np.isfinite(array).all(), path
    norms = np.linalg.norm(env.world.state.corpus.vectors, axis=-1), np.linalg.norm(env.world.state.q, axis=-1)
    for norm in norms:
        np.testing.assert_allclose(norm, 1.0, atol=1e-5)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array of nested dicts and lists, with where it was found."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, f"{path}.{key}")
    if isinstance(tree, np.ndarray):
        yield path, tree


def assert_equal_trees(first: Any, second: Any) -> None:
    """Bit-equal, array by array."""
    pairs = list(zip(leaves(first), leaves(second), strict=True))
    assert len(pairs) > 20
    for (path, one), (other_path, other) in pairs:
        assert path == other_path
        np.testing.assert_array_equal(one, other, err_msg=path)


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_fixes_everything(seed: int, env: VectorEnv, random_actions: RandomActions) -> None:
    """Twice the same seed (0 is one): bit-equal states and rounds; another seed: another world."""
    trees = [[snapshot(r) for r in rounds(env, random_actions, seed=s)] for s in (seed, seed, seed + 1)]
    assert_equal_trees(trees[0], trees[1])
    assert not np.array_equal(trees[0][0]["judgement"]["utility"], trees[2][0]["judgement"]["utility"])


def test_reset_without_a_seed_goes_on(small_env: MakeEnv) -> None:
    """The stream continues: a second episode differs from the first, and the pair is fixed by the first seed."""
    env, twin = small_env(2), small_env(2)
    first, _ = env.reset(seed=3)
    second, _ = env.reset()
    twin.reset(seed=3)
    again, _ = twin.reset()
    assert not np.array_equal(first["user_buddy"], second["user_buddy"])
    np.testing.assert_array_equal(second["user_buddy"], again["user_buddy"])


def test_a_saved_state_continues_bit_equal(env: VectorEnv, random_actions: RandomActions, small_env: MakeEnv) -> None:
    """Saved in the middle, played on, restored into another world and played again: every array of every round."""
    for _ in rounds(env, random_actions, 3):
        pass
    saved, obs = env.get_state(), env._observe()
    twin = VectorEnv(env.config, 3)
    np.testing.assert_array_equal(twin.set_state(saved)["goal_buddy"], obs["goal_buddy"])
    rng, twin_rng = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(4):
        mine, theirs = env.step(random_actions(env, rng)), twin.step(random_actions(twin, twin_rng))
        for side in mine[0]:
            np.testing.assert_array_equal(mine[0][side], theirs[0][side])
            np.testing.assert_array_equal(mine[1][side], theirs[1][side])
        assert_equal_trees(snapshot(env.last_round), snapshot(twin.last_round))
    assert_equal_trees(env.get_state()["state"], twin.get_state()["state"])


def test_a_saved_state_is_a_copy(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Playing on does not change what was saved, and restoring twice gives the same."""
    env, rng = small_env(2), np.random.default_rng(0)
    env.reset(seed=0)
    saved = env.get_state()
    before = [array.copy() for _, array in leaves(saved["state"])]
    for _ in range(3):
        env.step(random_actions(env, rng))
    env.set_state(saved)
    env.step(random_actions(env, rng))
    for old, (path, new) in zip(before, leaves(saved["state"]), strict=True):
        np.testing.assert_array_equal(old, new, err_msg=path)


class RecordedDraws:
    """A NumPy stream that keeps what it drew; `row(e)` replays it for world e alone."""

    def __init__(self, seed: int) -> None:
        self._draws, self.tape = NumpyDraws(seed), list[NDArray[Any]]()

    def _kept(self, drawn: NDArray[Any]) -> NDArray[Any]:
        self.tape.append(drawn)
        return drawn

    def normal(self, *shape: int) -> NDArray[Any]:
        return self._kept(self._draws.normal(*shape))

    def uniform(self, *shape: int) -> NDArray[Any]:
        return self._kept(self._draws.uniform(*shape))

    def integers(self, high: int, *shape: int) -> NDArray[Any]:
        return self._kept(self._draws.integers(high, *shape))


class ReplayedDraws:
    """World e's share of a recorded batch of E, draw by draw; a leading axis is E, or a multiple of it."""

    def __init__(self, tape: list[NDArray[Any]], world: int, envs: int) -> None:
        self._rows = iter([drawn.reshape(-1, envs, *drawn.shape[1:])[:, world] for drawn in tape])

    def _next(self, shape: tuple[int, ...]) -> NDArray[Any]:
        row = next(self._rows)
        assert row.shape == shape
        return row

    def normal(self, *shape: int) -> NDArray[Any]:
        return self._next(shape)

    def uniform(self, *shape: int) -> NDArray[Any]:
        return self._next(shape)

    def integers(self, high: int, *shape: int) -> NDArray[Any]:
        return self._next(shape)


class TapeArrays(NumpyArrays):
    """NumPy behind the door, with a given stream."""

    def __init__(self, draws: Any) -> None:
        super().__init__()
        self._tape = draws

    def draws(self, seed: int | None) -> Any:
        return self._tape


@pytest.mark.parametrize("mode", range(len(MODES)))
def test_a_world_of_a_batch_is_a_world_alone(
    mode: int, small_config: Callable[..., AmmoConfig], random_actions: RandomActions
) -> None:
    """World e of three, on its share of the noise, agrees with the same world at E = 1 to 1e-5, in every array."""
    config = small_config(MODES[mode])
    tape = RecordedDraws(0)
    batch = VectorEnv(config, 3)
    batch.world.arrays = batch.arrays = TapeArrays(tape)
    rng = np.random.default_rng(0)
    batch.reset(seed=0)
    actions = []
    for _ in range(5):
        actions.append(random_actions(batch, rng))
        batch.step(actions[-1])
    for e in range(3):
        single = VectorEnv(config, 1)
        single.world.arrays = single.arrays = TapeArrays(ReplayedDraws(tape.tape, e, 3))
        single.reset(seed=0)
        for action in actions:
            single.step({side: a[e : e + 1] for side, a in action.items()})
        for (path, one), (_, many) in zip(
            leaves(snapshot(single.world.state)), leaves(snapshot(batch.world.state)), strict=True
        ):
            np.testing.assert_allclose(one[0], many[e], atol=1e-5, err_msg=path)


def test_all_worlds_of_a_batch_differ(small_env: MakeEnv) -> None:
    env = small_env(4)
    obs, _ = env.reset(seed=0)
    for side in obs:
        assert len(np.unique(obs[side].reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize("envs", [0, -1, 1.5])
def test_a_batch_holds_worlds(envs: Any, small_config: Callable[..., AmmoConfig]) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        World(small_config(), envs)
