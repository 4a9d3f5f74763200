"""What holds in every world: random small configurations played through with random actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ammo_env.config import AmmoConfig
from ammo_env.oracles import ORACLES
from ammo_env.scenarios import load_config
from ammo_env.state import Round, snapshot
from ammo_env.vector import SIDES, VectorEnv

RandomActions = Callable[..., Any]
PLAN = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def societies(draw: st.DrawFn, people: int) -> dict[str, Any]:
    """Any network with any forces over it, groups that turn and groups that reject."""
    network = draw(st.sampled_from(["none", "none", "similar", "random", "ring"]))
    over_it: list[dict[str, Any]] = [
        {}, {"degroot": {"influence": 0.7}}, {"bounded_confidence": {"angle": 1.0, "openness": 0.5}},
        {"friedkin_johnsen": {"neighbour_weight": 0.5}},
        {"friedkin_johnsen": {"neighbour_weight": 1.0, "stubbornness": 1.0}},
    ]  # fmt: skip
    return {
        "network": network, "num_neighbours": draw(st.integers(1, 5)), "num_groups": draw(st.integers(1, people)),
        "exposure": {"seen_weight": draw(st.sampled_from([0.0, 0.5]))},
        "norm_shift": draw(st.sampled_from([{}, {"shift_rate": 0.5, "shift_rounds": [0], "shift_angle": 3.0}])),
        "pushback": draw(st.sampled_from([{}, {"rejection_below": 0.4, "answers_needed": 1.0, "rejection_rounds": 2}])),
        **(draw(st.sampled_from(over_it)) if network != "none" else {}),
    }  # fmt: skip


@st.composite
def configs(draw: st.DrawFn) -> AmmoConfig:
    """Any world of at most 12 dimensions, 6 goal buddies and 4 humans, in any mode, with any faults."""
    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    def share(low: float, high: float) -> float:
        return round(draw(st.floats(low, high)), 3)

    dim, goals, places = number(2, 12), number(1, 6), number(1, 3)
    shown, people = number(1, goals * places), number(1, 4)
    subspaces = number(1, 3)
    social, fresh = draw(societies(people)), share(0, 1)
    liked = draw(st.sampled_from([0.0, 0.5, 1.0])) * (1.0 - fresh) if social["network"] != "none" else 0.0
    faults = {
        index: {"kind": draw(st.sampled_from(sorted(ORACLES))), "noise": share(0, 2), "bait": share(-1, 1),
                "response": share(0, 1), "latency": number(0, 3), "sharpness": share(0.125, 50),
                "inconsistency": share(0, 1), "human_bias": share(0, 1), "human_scale": share(0, 1),
                "creator_bias": share(0, 1)}
        for index in range(number(0, subspaces))
    }  # fmt: skip
    changes: list[dict[str, Any]] = [{}]
    if subspaces > 1:
        merger = [{"round": 1, "merge": [1, 0]}, {"round": 3, "split": 1}]
        changes += [{"schedule": merger}, {"composed": [[0, 1]]}, {"schedule": merger, "composed": [[1, 0]]}]
    return load_config("default", {
        "subspaces": draw(st.sampled_from(changes)),
        "knowledge": {"dim": dim, "num_subspaces": subspaces, "facts_per_subspace": number(1, 5), "pool_size": 20,
                      "entities_per_subspace": number(1, 6), "heldout_size": 5,
                      "preference": draw(st.sampled_from(["mixture", "uniform"]))},
        "goal_buddies": {"num_goal_buddies": goals, "shelf_size": places, "steering_dim": number(1, dim),
                         "steering_scale": draw(st.sampled_from([0.0, 0.1, 0.5, 2.0])), "energy_cap": share(0.5, 3),
                         "publish_cost": share(0, 2), "energy_regrowth": share(0, 1)},
        "humans": {"num_humans": people, "drift_rho": share(0, 1),
                   **draw(st.sampled_from([{}, {"interests": 2}, {"interests": 3, "latent_interests": 2}])),
                   "pool": draw(st.sampled_from(["train", "heldout"])),
                   "drift_mode": draw(st.sampled_from(["population", "isotropic"]))},
        "events": draw(st.sampled_from([{}, {"rate": 0.5},
                                        {"rate": 1.0, "reach": "all", "fact_slots": 2, "pull": 2.0}])),
        "social": social,
        "attention": {"num_candidates": shown, "num_slots": number(1, shown), "fresh_share": fresh,
                      "social_share": liked, "index": draw(st.sampled_from(["exact", "subspaces"])),
                      "fresh": draw(st.sampled_from(["random", "newest"])), "travel": draw(st.booleans())},
        "aipp": {"kind": draw(st.sampled_from(sorted(ORACLES))), "subspaces": faults},
        "beliefs": {"bait_guess": share(-1, 1), **draw(st.sampled_from([
            {"prior": "population"}, {"prior": "zero"}, {"model": "full_kalman", "rank": number(1, dim)},
            {"model": "truth"}, {"model": "prototypes", "num_prototypes": 7},
        ]))},
        "rewards": {"societal": share(0, 1), "user_buddy": draw(st.sampled_from(["regret", "feedback"]))},
        "life": draw(st.sampled_from([{}, {"viability": 0.3, "grace": 2}, {"starve_rounds": 1, "max_births": 3}])),
        "observations": {"goal_view": draw(st.sampled_from(["market", "own_feedback"]))},
        "actions": {"user_buddy": draw(st.sampled_from(["slate", "scores"])),
                    "goal_buddy": draw(st.sampled_from(["nudge", "gains", "steer"]))},
        "episode": {"num_rounds": 5},
    })  # fmt: skip


def check_round(env: VectorEnv, happened: Round, able: Any) -> None:
    """Regret, exposure, repeats and masks of one round."""
    judged, impression, config = happened.judgement, happened.impression, env.config
    assert (judged.regret >= 0).all()
    assert (judged.regret <= judged.best - config.attention.num_slots * judged.utility.min(axis=-1) + 1e-4).all()
    assert (judged.grounding_error >= 0).all()
    assert (judged.grounding_error <= 2 + 1e-6).all()
    people = config.humans.num_humans
    np.testing.assert_allclose(judged.visibility.sum(axis=1), impression.filled.sum(axis=(1, 2)) / people, atol=1e-4)
    for items, filled in zip(happened.items.reshape(-1, happened.items.shape[-1]),
                             impression.filled.reshape(-1, happened.items.shape[-1]), strict=True):  # fmt: skip
        assert filled[0]
        assert len(set(items[filled])) == filled.sum()
    assert not (impression.feedback.answered & ~impression.filled).any()
    assert not (happened.published & ~able).any()


def play(config: AmmoConfig, seed: int, act: RandomActions, check: bool) -> list[Any]:
    """An episode of two worlds; every observation, reward and final state, as arrays."""
    env, rng = VectorEnv(config, 2), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    trace: list[Any] = []
    for number in range(5):
        able = env.may_publish()
        obs, rewards, terminations, truncations, infos = env.step(act(env, rng))
        trace += [*obs.values(), *rewards.values()]
        assert not terminations.any()
        assert (truncations == (number == 4)).all()
        for side in SIDES:
            assert np.isfinite(obs[side]).all()
            assert np.isfinite(rewards[side]).all()
            assert obs[side].shape == (2, env.num_agents[side], env.observation_layouts[side].size)
            assert infos["action_mask"][side].any(axis=-1).all() or side == "goal_buddy"
        assert env.last_round is not None
        if check:
            check_round(env, env.last_round, able)
    corpus, state = env.world.state.corpus, env.world.state
    assert (corpus.energy >= -1e-6).all()
    assert (corpus.energy <= config.goal_buddies.energy_cap + 1e-6).all()
    assert (state.beliefs.variance >= 0).all()
    for vectors in (corpus.vectors, state.q):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-4)
    return [*trace, snapshot(env.world.state)["corpus"]["vectors"]]


@PLAN
@given(config=configs(), seed=st.integers(0, 2**32 - 1))
def test_a_random_world_keeps_its_promises(config: AmmoConfig, seed: int, random_actions: RandomActions) -> None:
    """No NaN; regret at least 0 and at most that of the worst slate; exposure conserved; no repeats; no publication
    without energy; unit vectors; energy and variances in their ranges; and the same seed plays it again bit-equal."""
    first = play(config, seed, random_actions, check=True)
    second = play(config, seed, random_actions, check=False)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@PLAN
@given(config=configs(), seed=st.integers(0, 2**32 - 1))
def test_a_random_world_can_be_saved_and_restored(
    config: AmmoConfig, seed: int, random_actions: RandomActions
) -> None:
    """Two rounds, save, two more; restored elsewhere, the two more are bit-equal."""
    env, twin, rng = VectorEnv(config, 2), VectorEnv(config, 2), np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(2):
        env.step(random_actions(env, rng))
    twin.set_state(env.get_state())
    for _ in range(2):
        actions = random_actions(env, rng)
        ours, theirs = env.step(actions), twin.step(actions)
        for side in SIDES:
            np.testing.assert_array_equal(ours[0][side], theirs[0][side])
            np.testing.assert_array_equal(ours[1][side], theirs[1][side])


@PLAN
@given(
    utility=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=12),
    data=st.data(),
)
def test_no_slate_beats_the_best(utility: list[float], data: st.DataObject) -> None:
    """Any distinct slots of any corpus: value at most the sum of the S largest, equal for a best slate."""
    from ammo_env import rewards
    from ammo_env.arrays import NumpyArrays

    arrays, values = NumpyArrays(), np.array(utility, np.float32)[None, None]
    slots = data.draw(st.integers(1, len(utility)))
    chosen = data.draw(st.permutations(range(len(utility))))[:slots]
    best, worst = arrays.extremes(values, slots)
    value = rewards.slate_value(arrays, worst, values[..., chosen], np.ones((1, 1, slots), bool))
    assert best[0, 0] >= value[0, 0] - 1e-5
    top = arrays.top_k(values, slots)[0, 0]
    np.testing.assert_allclose(values[0, 0, top].sum(), best[0, 0], atol=1e-5)
