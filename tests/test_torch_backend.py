"""One source, two backends: NumPy and torch step the same world on the same noise, and every array agrees to 1e-5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ammo_env.arrays import NumpyDraws
from ammo_env.arrays_torch import TorchArrays
from ammo_env.beliefs import BELIEFS
from ammo_env.oracles import ORACLES
from ammo_env.state import snapshot
from ammo_env.vector import VectorEnv

MakeEnv = Callable[..., VectorEnv]
RandomActions = Callable[..., Any]

# Nudges may publish the same creation twice, and which of two equal scores is larger is a matter of rounding: so
# they get shelves of one place, and all others gains.
CASES: dict[str, dict[str, Any]] = {
    "nudges": {"actions.goal_buddy": "nudge", "goal_buddies.shelf_size": 1, "attention.num_candidates": 4},
    **{f"oracle {kind}": {"aipp.kind": kind} for kind in sorted(ORACLES)},
    "continuous actions": {"actions.continuous": True},
    "steering, one slot": {"actions.goal_buddy": "steer", "attention.num_slots": 1},
    "population drift": {"humans.drift_rho": 0.9},
    "isotropic drift": {"humans.drift_rho": 0.9, "humans.drift_mode": "isotropic"},
    "mixed, late and scarce": {
        "aipp.subspaces": {0: {"kind": "click", "latency": 2}, 1: {"kind": "choice", "response": 0.5}},
        "attention.fresh": "newest",
    },
    "faulty humans": {
        "aipp.human_bias": 0.3,
        "aipp.creator_bias": 0.3,
        "aipp.subspaces": {0: {"inconsistency": 0.5, "kind": "cascade"}, 1: {"human_scale": 0.3, "kind": "pairwise"}},
    },
    "own feedback, zero prior": {
        "observations.goal_view": "own_feedback",
        "beliefs.prior": "zero",
        "rewards.user_buddy": "feedback",
        "rewards.societal": 0.3,
        "rewards.energy_price": 0.1,
    },
    "subspaces that compose, merge and split": {
        "knowledge.num_subspaces": 3,
        "subspaces.composed": [[0, 2]],
        "subspaces.schedule": [{"round": 2, "merge": [0, 1]}, {"round": 4, "split": 0}, {"round": 5, "split": 1}],
        "events": {"rate": 0.5, "fact_slots": 2},
    },
    "travel through mergers and splits": {
        "attention.travel": True,
        "knowledge.num_subspaces": 3,
        "subspaces.schedule": [{"round": 2, "merge": [0, 1]}, {"round": 4, "split": 0}, {"round": 5, "split": 1}],
    },
    "travel by scores": {"attention.travel": True, "actions.continuous": True},
    "an index of subspaces": {
        "attention.index": "subspaces", "attention.probes": 2, "knowledge.num_subspaces": 4,
        "attention.num_candidates": 4,
    },
    "an index of subspaces that merge and split, newest": {
        "attention.index": "subspaces", "attention.probes": 1, "attention.travel": True, "attention.fresh": "newest",
        "knowledge.num_subspaces": 3,
        "subspaces.schedule": [{"round": 2, "merge": [0, 1]}, {"round": 4, "split": 0}, {"round": 5, "split": 1}],
    },
    "nothing fresh": {"attention.fresh_share": 0.0},
    "events": {"events.rate": 0.5},
    "events and interests among friends": {
        "events.rate": 0.5, "events.fact_slots": 1, "humans.interests": 3, "humans.latent_interests": 1,
        "humans.drift_rho": 0.95, "attention.social_share": 0.3, "social.network": "ring",
    },
    "latent interests": {"humans.interests": 4, "humans.latent_interests": 2, "humans.drift_rho": 0.9},
    "events that become facts": {"events.rate": 1.0, "events.reach": "all", "events.fact_slots": 2,
                                 "observations.goal_view": "own_feedback"},
    **{f"{network} network, social share": {"social.network": network, "attention.social_share": 0.3, "aipp.latency": 1,
       "humans.drift_rho": 0.9} for network in ("similar", "random", "ring")},
    "degroot": {"social.network": "similar", "social.degroot.influence": 0.2},
    "friedkin_johnsen": {"social.network": "random", "social.friedkin_johnsen": {"neighbour_weight": 0.5}},
    "friedkin_johnsen, stubborn": {"social.network": "ring", "social.friedkin_johnsen.neighbour_weight": 0.5,
                                   "social.friedkin_johnsen.stubbornness": 0.3},
    "bounded confidence": {"social.network": "ring", "social.bounded_confidence": {"angle": 1.2, "openness": 0.5}},
    "exposure and norm shifts": {"social.exposure.seen_weight": 0.2, "social.num_groups": 2,
                                 "social.norm_shift": {"shift_rate": 0.4, "shift_rounds": [2]}},
    "push-back": {"social.num_groups": 2, "attention.num_candidates": 4, "aipp.latency": 1,
                  "social.pushback": {"rejection_below": 0.3, "answers_needed": 2.0, "rejection_rounds": 2}},
    "push-back, newest": {"attention.fresh": "newest", "attention.num_candidates": 4,
                          "social.pushback": {"rejection_below": 0.3, "answers_needed": 2.0, "rejection_rounds": 2}},
    **{f"belief {name}, late and scarce": {"beliefs.model": name, "aipp.subspaces": {0: {"kind": "click", "latency": 2},
       1: {"response": 0.5}}, "humans.drift_rho": 0.9} for name in sorted(BELIEFS)},
}
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


class SameNoise:
    """The NumPy stream's numbers as tensors."""

    def __init__(self, seed: int | None, device: str) -> None:
        self._draws, self._device = NumpyDraws(seed), device

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.as_tensor(self._draws.normal(*shape), device=self._device)

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.as_tensor(self._draws.uniform(*shape), device=self._device)

    def integers(self, high: int, *shape: int) -> torch.Tensor:
        return torch.as_tensor(self._draws.integers(high, *shape), device=self._device)

    def get_state(self) -> Any:
        return self._draws.get_state()

    def set_state(self, state: Any) -> None:
        self._draws.set_state(state)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array or tensor of nested dicts, lists and tuples as NumPy, with where it was found."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, value in items:
        yield from leaves(value, f"{path}.{key}")
    if isinstance(tree, torch.Tensor):
        yield path, tree.cpu().numpy()
    elif isinstance(tree, np.ndarray):
        yield path, tree


def assert_agree(ours: Any, theirs: Any) -> None:
    """Same paths, shapes and kinds; integers and bools equal, floats within 1e-5."""
    pairs = list(zip(leaves(ours), leaves(theirs), strict=True))
    assert len(pairs) > 3
    for (path, one), (other_path, other) in pairs:
        assert path == other_path
        assert one.dtype == other.dtype, path
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-5 if one.dtype.kind == "f" else 0.0, err_msg=path)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_both_backends_step_the_same_world(
    case: str, device: str, small_env: MakeEnv, random_actions: RandomActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, round, observations, rewards and masks of eight rounds of three worlds."""
    monkeypatch.setattr(TorchArrays, "draws", lambda self, seed: SameNoise(seed, self.device))
    ours = small_env(3, {"actions.goal_buddy": "gains", **CASES[case]})
    theirs = VectorEnv(ours.config, 3, "torch", device)
    rng = np.random.default_rng(0)
    assert_agree(ours.reset(seed=0), theirs.reset(seed=0))
    for _ in range(8):
        actions = random_actions(ours, rng)
        assert_agree(ours.step(actions), theirs.step(actions))
        assert_agree(snapshot(ours.world.state), snapshot(theirs.world.state))
        assert_agree(snapshot(ours.last_round), snapshot(theirs.last_round))


def test_torch_stays_torch(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """Observations, rewards and masks are tensors on the device; actions may be tensors or arrays."""
    env = small_env(2, None, "torch")
    env.reset(seed=0)
    actions = random_actions(env, np.random.default_rng(0))
    obs, rewards, _, _, infos = env.step({side: torch.as_tensor(a) for side, a in actions.items()})
    for side in obs:
        assert obs[side].dtype == rewards[side].dtype == torch.float32
        assert infos["action_mask"][side].dtype == torch.bool


def test_torch_worlds_have_seeds_and_saved_states(small_env: MakeEnv, random_actions: RandomActions) -> None:
    """On torch's own stream: the same seed gives the same worlds, and a saved state continues bit-equal."""
    env, twin = small_env(2, None, "torch"), small_env(2, None, "torch")
    rng = np.random.default_rng(0)
    first, again = env.reset(seed=0)[0], twin.reset(seed=0)[0]
    assert torch.equal(first["user_buddy"], again["user_buddy"])
    assert not torch.equal(first["user_buddy"], twin.reset(seed=1)[0]["user_buddy"])
    env.step(random_actions(env, rng))
    twin.set_state(env.get_state())
    for _ in range(3):
        actions = random_actions(env, rng)
        ours, theirs = env.step(actions), twin.step(actions)
        assert torch.equal(ours[0]["user_buddy"], theirs[0]["user_buddy"])
        assert torch.equal(ours[1]["goal_buddy"], theirs[1]["goal_buddy"])
