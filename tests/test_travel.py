"""Travel: where candidates come from, what a traveller sees, and that all policies and both faces work with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo.test.parallel_test import parallel_api_test
from pettingzoo.test.seed_test import parallel_seed_test

from agents.baselines import USER_BASELINES
from agents.evaluation import Arena, evaluate_user_buddies, scripted_cast
from agents.learned_policy import LearnedPolicy
from agents.networks import CandidateNetwork, build_network
from agents.plackett_luce import MASKED, MaskedCategorical, PlackettLuce, SlateAndDestination
from agents.policy import Turn, take_turn
from agents.rllib.plan import network_spec
from agents.training_settings import TrainingSettings
from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.observations import CONTEXT_FEATURES
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]
TRAVEL: dict[str, Any] = {"attention.travel": True, "knowledge.num_subspaces": 3, "num_goal_buddies": 6}
SCORES = {**TRAVEL, "actions.continuous": True}


def travelled(env: VectorEnv, actions: dict[str, NDArray[Any]], where: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The actions with these destinations [E, U], in place."""
    actions["user_buddy"][..., -1] = where
    return actions


def test_off_is_as_it_was(small_env: MakeEnv) -> None:
    env = small_env(2)
    env.reset(seed=0)
    assert env.action_spaces["user_buddy"] == spaces.MultiDiscrete([7, 7])
    assert env.world.travel is None
    assert "travel" not in env.world.state.own
    assert env.observation_layouts["user_buddy"].shapes["context"] == (len(CONTEXT_FEATURES),)


def test_the_semantic_share_comes_from_the_subspace_visited(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """K = 7 of which 2 fresh; every subspace has four creations: the first four candidates are those of the subspace
    visited, best first, the fifth the best from elsewhere; regret is still against the whole corpus."""
    env = small_env(5, TRAVEL)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(4):
        where = rng.integers(3, size=(5, 4))
        env.step(travelled(env, random_actions(env, rng), where))
        state, seats = env.world.state, env.world.seats
        np.testing.assert_array_equal(state.own["travel"]["place"], where)
        subspace = seats.subspace_of_creation[state.candidates]
        np.testing.assert_array_equal(subspace[..., :4], np.broadcast_to(where[..., None], (5, 4, 4)))
        assert (subspace[..., 4] != where).all()
        assert (np.diff(state.score[..., :4], axis=-1) <= 0).all()
        assert all(len(set(shown)) == 7 for shown in state.candidates.reshape(-1, 7))
    assert env.last_round is not None
    judged = env.last_round.judgement
    np.testing.assert_allclose(judged.best, -np.sort(-judged.utility, axis=-1)[..., :2].sum(axis=-1), atol=1e-5)


def test_a_traveller_sees_where_it_is_and_what_each_subspace_holds(small_env: MakeEnv) -> None:
    """here is one-hot; value is the largest q_hat.e over the subspace's live creations; doubt the root of their mean
    variance; by the closed form from the state, to 1e-5."""
    env = small_env(3, TRAVEL)
    obs, _ = env.reset(seed=0)
    layout, state = env.observation_layouts["user_buddy"], env.world.state
    context = layout.block(obs["user_buddy"], "context")
    names = layout.features["context"]
    assert names[len(CONTEXT_FEATURES) :] == (
        "here_0", "here_1", "here_2", "value_0", "value_1", "value_2", "doubt_0", "doubt_1", "doubt_2"
    )  # fmt: skip
    scores = state.beliefs.mean @ np.swapaxes(state.corpus.vectors, 1, 2)
    variance = state.beliefs.variance @ np.swapaxes(state.corpus.vectors**2, 1, 2)
    for m in range(3):
        own = env.world.seats.subspace_of_creation == m
        assert own.sum() == 4
        np.testing.assert_array_equal(context[..., names.index(f"here_{m}")], state.own["travel"]["place"] == m)
        np.testing.assert_allclose(context[..., names.index(f"value_{m}")], scores[..., own].max(axis=-1), atol=1e-5)
        doubt = np.sqrt(variance[..., own].mean(axis=-1))
        np.testing.assert_allclose(context[..., names.index(f"doubt_{m}")], doubt, atol=1e-5)


def test_everybody_starts_somewhere_else(small_env: MakeEnv) -> None:
    """Starting places are uniform over the open subspaces: a third each of 4000, within 4 standard errors."""
    env = small_env(1000, TRAVEL)
    env.reset(seed=0)
    share = np.bincount(env.world.state.own["travel"]["place"].reshape(-1), minlength=3) / 4000
    np.testing.assert_allclose(share, 1 / 3, atol=4 * np.sqrt(2 / 9 / 4000))


def test_who_asks_for_a_subspace_without_creators_stays(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Two goal buddies in three subspaces: 2 is closed, the mask says so, and asking for it changes nothing."""
    sizes = {**TRAVEL, "num_goal_buddies": 2, "goal_buddies.shelf_size": 4}
    env = small_env(3, sizes)
    _, infos = env.reset(seed=0)
    assert infos["action_mask"]["user_buddy"].shape == (3, 4, 7 + 3)
    assert infos["action_mask"]["user_buddy"][..., 7:].tolist() == [[[True, True, False]] * 4] * 3
    before = env.world.state.own["travel"]["place"]
    assert before.max() == 1
    env.step(travelled(env, random_actions(env, np.random.default_rng(0)), np.full((3, 4), 2)))
    np.testing.assert_array_equal(env.world.state.own["travel"]["place"], before)
    assert (env.world.state.own["travel"]["value"][..., 2] == 0).all()


def test_travellers_move_with_a_merger(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """0 and 1 are one from round 2 on: who asked for 1 is in 0, 1 is closed until they are split in round 4."""
    schedule = [{"round": 2, "merge": [0, 1]}, {"round": 4, "split": 0}]
    env = small_env(2, {**TRAVEL, "subspaces.schedule": schedule})
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for now, expected in enumerate((1, 0, 0, 1), 1):
        infos = env.step(travelled(env, random_actions(env, rng), np.ones((2, 4), np.int64)))[4]
        assert (env.world.state.own["travel"]["place"] == expected).all()
        assert infos["action_mask"]["user_buddy"][0, 0, 7:].tolist() == [True, now not in (2, 3), True]


def test_scores_end_with_one_per_destination(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Box(K + P): the largest of the last P is where to; the first K make the slate as before."""
    env = small_env(2, SCORES)
    env.reset(seed=0)
    assert env.action_spaces["user_buddy"].shape == (10,)
    actions = random_actions(env, np.random.default_rng(0))
    candidates = env.world.state.candidates
    env.step(actions)
    scores = actions["user_buddy"]
    np.testing.assert_array_equal(env.world.state.own["travel"]["place"], scores[..., 7:].argmax(axis=-1))
    assert env.last_round is not None
    best = np.argsort(-scores[..., :7], axis=-1)[..., :2]
    np.testing.assert_array_equal(env.last_round.items, np.take_along_axis(candidates, best, -1))


def test_destinations_out_of_range_name_the_agent(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Each entry has its own range: 6 is a candidate but no subspace."""
    env = small_env(2, TRAVEL)
    env.reset(seed=0)
    actions = random_actions(env, np.random.default_rng(0))
    actions["user_buddy"][1, 2] = (6, 6, 2)
    env.step(actions)
    for wrong in ((6, 6, 3), (7, 0, 0), (0, -1, 0)):
        actions["user_buddy"][1, 2] = wrong
        with pytest.raises(ValueError, match="of user_buddy_2 is out of range"):
            env.step(actions)


@pytest.mark.parametrize("overrides", [{}, {"num_slots": 1}, {"continuous_actions": True}])
def test_pettingzoo_holds(overrides: dict[str, Any]) -> None:
    settings = {"num_goal_buddies": 5, "num_humans": 3, "num_candidates": 7, "num_slots": 2, "num_rounds": 6,
                "travel": True, "subspaces": {"schedule": [{"round": 2, "merge": [0, 1]}]}, **overrides}  # fmt: skip

    def make() -> Any:
        return metaspace_v0.parallel_env(**settings)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(make(), num_cycles=20)
        parallel_seed_test(make, num_cycles=10)  # type: ignore[no-untyped-call]
    env = make()
    _, infos = env.reset(seed=0)
    space = env.action_space("user_buddy_0")
    while env.agents:
        if isinstance(space, spaces.MultiDiscrete):
            mask = infos["user_buddy_0"]["action_mask"]
            assert [len(part) for part in mask] == list(space.nvec)
            assert mask[-1].tolist() == env.vector.world.seats.open.astype(int).tolist()
        actions = {a: env.action_space(a).sample(infos[a].get("action_mask")) for a in env.agents}
        _, _, _, _, infos = env.step(actions)


def test_log_probability_and_entropy_are_sums() -> None:
    """The joint distribution is the slate's and the destination's: log-probabilities and entropies add up, masks hold,
    and frequencies of 20,000 draws are the destination's softmax within 4 standard errors."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 8, generator=generator)
    logits[0, 2] = logits[0, 6] = MASKED
    joint = SlateAndDestination(logits.expand(20_000, -1), num_slots=2, destinations=3)
    actions = joint.sample(generator)
    slate = PlackettLuce(logits[:, :5].expand(20_000, -1), 2)
    place = MaskedCategorical(logits[:, 5:].expand(20_000, -1))
    expected = slate.log_prob(actions[:, :2]) + place.log_prob(actions[:, 2])
    torch.testing.assert_close(joint.log_prob(actions), expected)
    summed = slate.entropy(actions[:, :2]) + place.entropy(actions[:, 2])
    torch.testing.assert_close(joint.entropy(actions), summed)
    assert not (actions[:, :2] == 2).any()
    assert (joint.mode()[0, 2] == logits[0, 5:].argmax()).all()
    share = torch.bincount(actions[:, 2], minlength=3) / 20_000
    chance = logits[0, 5:].softmax(-1)
    assert share[1] == 0
    assert ((share - chance).abs() <= 4 * (chance * (1 - chance) / 20_000).sqrt()).all()
    whole = torch.zeros(())
    for a in range(5):
        for b in range(5):
            for c in range(3):
                if a != b and 2 not in (a, b) and c != 1:
                    one = SlateAndDestination(logits, 2, 3)
                    whole = whole + one.log_prob(torch.tensor([[a, b, c]])).exp()[0]
    assert float(whole) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("overrides", [TRAVEL, SCORES], ids=["slate", "scores"])
def test_the_network_travels_by_what_it_believes(overrides: dict[str, Any], small_config: MakeConfig) -> None:
    """Before any training a subspace's logit is 2 (value - mean)/sd, nearly; closed ones are masked; gradients reach
    every parameter of the destinations."""
    config = small_config(overrides)
    spec = network_spec(config, TrainingSettings(), "user_buddy")
    assert spec.destinations == 3
    network = build_network(spec, seed=0)
    assert isinstance(network, CandidateNetwork)
    env = VectorEnv(config, 4)
    obs, infos = env.reset(seed=0)
    mask = torch.from_numpy(infos["action_mask"]["user_buddy"]).flatten(0, 1)
    mask[:, 8] = False
    rows = torch.from_numpy(obs["user_buddy"]).flatten(0, 1)
    inputs, _ = network(rows, mask)
    assert inputs.shape == (16, 10 if spec.head == "slate" else 30)
    if spec.head == "slate":
        assert (inputs[:, 8] == MASKED).all()
        values = env.world.state.own["travel"]["value"].reshape(-1, 3)[:, [0, 2]]
        apart = torch.from_numpy(np.sign(values[:, 0] - values[:, 1]))
        torch.testing.assert_close(inputs[:, 7] - inputs[:, 9], 4.0 * apart, atol=0.3, rtol=0.0)
    distribution = spec.distribution(inputs)
    actions = distribution.sample(torch.Generator().manual_seed(0))
    (distribution.log_prob(actions) + 0.1 * distribution.entropy(actions)).sum().backward()
    for parameter in (network.travel.weight, network.travel_hidden.weight, network.travel_skip):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("overrides", [TRAVEL, {**TRAVEL, "num_slots": 1}, SCORES], ids=["slate", "one slot", "scores"])
@pytest.mark.parametrize("name", sorted(USER_BASELINES))
def test_every_baseline_travels(name: str, overrides: dict[str, Any], small_env: MakeEnv) -> None:
    """Legal actions in every action kind, among friends."""
    env = small_env(3, {**overrides, "social.network": "ring", "num_neighbours": 2})
    obs, _ = env.reset(seed=0)
    policy, rng = USER_BASELINES[name](), np.random.default_rng(0)
    continuous = isinstance(env.action_spaces["goal_buddy"], spaces.Box)
    goals = np.zeros((3, 6, 4), np.float32) if continuous else np.zeros((3, 6), np.int64)
    for _ in range(3):
        actions = policy.act(take_turn(env, obs, "user_buddy"), rng)
        assert all(env.action_spaces["user_buddy"].contains(row) for row in actions.reshape(-1, actions.shape[-1]))
        obs = env.step({"user_buddy": actions, "goal_buddy": goals})[0]


def test_greedy_goes_where_the_best_believed_creation_is(small_env: MakeEnv) -> None:
    env = small_env(6, TRAVEL)
    obs, infos = env.reset(seed=0)
    turn = Turn(obs["user_buddy"], infos["action_mask"]["user_buddy"], env)
    state = env.world.state
    scores = state.beliefs.mean @ np.swapaxes(state.corpus.vectors, 1, 2)
    best = env.world.seats.subspace_of_creation[scores.argmax(axis=-1)]
    chosen = USER_BASELINES["greedy"]().act(turn, np.random.default_rng(0))
    np.testing.assert_array_equal(chosen[..., -1], best)
    turn.mask[..., 7 + best[0, 0]] = False
    assert USER_BASELINES["greedy"]().act(turn, np.random.default_rng(0))[0, 0, -1] != best[0, 0]


def test_the_oracle_travels_better_than_chance(small_config: MakeConfig) -> None:
    """Slates of the oracle in both cases, so that the difference is where it goes: less regret than at random."""
    oracle = USER_BASELINES["oracle"]()
    lost = USER_BASELINES["oracle"]()
    lost.destination_scores = USER_BASELINES["random"]().destination_scores  # type: ignore[attr-defined]
    config = small_config({**TRAVEL, "attention.num_candidates": 5, "attention.fresh_share": 0.2})
    meters = evaluate_user_buddies({"oracle": oracle, "lost": lost}, scripted_cast(), Arena(config, worlds=64))
    regret = {name: meter.summary()["normalised_regret"] for name, meter in meters.items()}
    assert regret["oracle"] < 0.7 * regret["lost"]


@pytest.mark.parametrize("overrides", [{}, {"actions.user_buddy": "scores"}], ids=["slate", "scores"])
@pytest.mark.parametrize("niche", ["plain", "adaptive"])
def test_training_runs_and_what_is_learned_acts(
    overrides: dict[str, Any], niche: str, make_trainer: Callable[..., Any], small_config: MakeConfig
) -> None:
    """Two iterations in three small worlds: losses are numbers, destinations are learned, and the network acts as a
    policy afterwards; adaptive members read their history behind what a traveller sees."""
    members = {"niches": ["adaptive"]} if niche == "adaptive" else {}
    world = {**TRAVEL, **overrides}
    trainer = make_trainer(world, user_buddy=members)
    before = trainer.env_runner.module["user_0"].network.travel.weight.clone()
    for _ in range(2):
        report = trainer.train_iteration()
    assert np.isfinite(report["normalised_regret"])
    network = trainer.learner.network("user_0")
    assert network.spec.destinations == 3
    assert all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    assert not torch.equal(network.travel.weight, before)
    kinds = {"actions.user_buddy": "slate", **overrides, "actions.goal_buddy": "gains"}
    env = VectorEnv(small_config({**world, **kinds}), 2)
    obs, _ = env.reset(seed=0)
    policy = LearnedPolicy(network, adaptive=niche == "adaptive")
    for _ in range(3):
        chosen = policy.act(take_turn(env, obs, "user_buddy"), np.random.default_rng(0))
        obs = env.step({"user_buddy": chosen, "goal_buddy": np.zeros((2, 6, 4), np.float32)})[0]
