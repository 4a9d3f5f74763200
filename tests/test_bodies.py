"""The genetic operators on real weights and optimisers: what a slot holds after each of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.evolution.genome import GENES, Genome
from agents.evolution.members import Niche
from agents.rllib.algorithm import BuddyTrainer
from agents.rllib.bodies import LearnerBodies

SLOTS = ["user_0", "user_1", "user_2"]
SIDE = {"members": 3, "update_every": 2}
Operator = Callable[[LearnerBodies, np.random.Generator], None]

# Each makes slot 2 anew.
OPERATORS: dict[str, Operator] = {
    "inherit": lambda bodies, rng: bodies.inherit(2, 0, 0.0, rng),
    "noise": lambda bodies, rng: bodies.inherit(2, 0, 0.1, rng),
    "average": lambda bodies, rng: bodies.recombine(2, (0, 1), "average", rng),
    "layers": lambda bodies, rng: bodies.recombine(2, (0, 1), "layers", rng),
    "renew": lambda bodies, rng: bodies.renew(2, rng),
}
operators = pytest.mark.parametrize("operator", OPERATORS)


@pytest.fixture(scope="module")
def trained(make_trainer: Callable[..., BuddyTrainer]) -> tuple[BuddyTrainer, dict[str, Any]]:
    """A trainer, and its state after three iterations: updates were made, and rows are waiting for the next."""
    trainer = make_trainer(user_buddy=SIDE, evolution={"common_founder": False})
    for _ in range(3):
        trainer.train_iteration()
    return trainer, copy.deepcopy(trainer.training_state())


@pytest.fixture
def trainer(trained: tuple[BuddyTrainer, dict[str, Any]]) -> BuddyTrainer:
    trained[0].load_training_state(copy.deepcopy(trained[1]))
    return trained[0]


@pytest.fixture
def bodies(trainer: BuddyTrainer) -> LearnerBodies:
    return LearnerBodies(trainer.learner, SLOTS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def weights(trainer: BuddyTrainer, slot: int) -> dict[str, Tensor]:
    """A copy, by name."""
    return {name: value.detach().clone() for name, value in trainer.learner.network(SLOTS[slot]).named_parameters()}


def moments(trainer: BuddyTrainer, slot: int) -> dict[str, Tensor]:
    """A copy of Adam's state, by the name of the weights and of the moment."""
    optimizer, network = trainer.learner.get_optimizer(SLOTS[slot]), trainer.learner.network(SLOTS[slot])
    found = {}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"{name}/{key}"] = value.clone()
    return found


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def genome(trainer: BuddyTrainer, slot: int) -> Genome:
    return LearnerBodies(trainer.learner, SLOTS).genome(slot)


def test_the_members_differ_to_begin_with(trainer: BuddyTrainer) -> None:
    """Or the tests below would not see a thing."""
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not equal(weights(trainer, one), weights(trainer, other))
        assert not equal(moments(trainer, one), moments(trainer, other))
    assert len(moments(trainer, 0)) == 3 * len(weights(trainer, 0))


def test_inheriting_copies_weights_and_moments_exactly(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    bodies.inherit(2, 0, 0.0, rng())
    assert equal(weights(trainer, 2), weights(trainer, 0))
    assert equal(moments(trainer, 2), moments(trainer, 0))


@pytest.mark.parametrize("operator", ["inherit", "average", "layers"])
def test_what_is_inherited_is_a_copy(trainer: BuddyTrainer, bodies: LearnerBodies, operator: str) -> None:
    """What the parents learn from now on is their own."""
    OPERATORS[operator](bodies, rng())
    child, memory = weights(trainer, 2), moments(trainer, 2)
    for name in SLOTS[:2]:
        for parameter in trainer.learner.network(name).parameters():
            state = trainer.learner.get_optimizer(name).state[parameter]
            with torch.no_grad():
                parameter.add_(1.0)
            for value in state.values():
                value += 1.0
    assert equal(weights(trainer, 2), child)
    assert equal(moments(trainer, 2), memory)


def test_noise_is_in_standard_deviations_of_each_tensor(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    parent = weights(trainer, 0)
    bodies.inherit(2, 0, 0.1, rng())
    child = weights(trainer, 2)
    assert equal(weights(trainer, 0), parent)
    assert equal(moments(trainer, 2), moments(trainer, 0))
    large = [name for name, value in parent.items() if value.numel() >= 500]
    assert len(large) >= 3
    for name in large:
        share = (child[name] - parent[name]).std() / parent[name].std()
        assert share.item() == pytest.approx(0.1, rel=4 / (2 * parent[name].numel()) ** 0.5), name
    skip = next(name for name, value in parent.items() if value.numel() == 1 and value != 0)
    assert 0 < (child[skip] - parent[skip]).abs().item() < 0.5 * parent[skip].abs().item()


def test_an_average_is_the_mean_of_weights_and_moments(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    one, other, first, second = (f(trainer, slot) for f in (weights, moments) for slot in (0, 1))
    bodies.recombine(2, (0, 1), "average", rng())
    for name, value in weights(trainer, 2).items():
        torch.testing.assert_close(value, (one[name] + other[name]) / 2, msg=name)
    for name, value in moments(trainer, 2).items():
        step = name.endswith("/step")
        torch.testing.assert_close(value, first[name] if step else (first[name] + second[name]) / 2, msg=name)


def test_every_layer_comes_from_one_parent_with_its_moments(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    """Weight and bias of a layer together, and both parents take part."""
    parents = [(weights(trainer, slot), moments(trainer, slot)) for slot in (0, 1)]
    from_first: list[float] = []
    for seed in range(5):
        bodies.recombine(2, (0, 1), "layers", rng(seed))
        child, memory = weights(trainer, 2), moments(trainer, 2)
        origin: dict[str, set[int]] = {}
        for name, value in child.items():
            layer = name.rpartition(".")[0] or name
            given = {slot for slot, (own, _) in enumerate(parents) if torch.equal(own[name], value)}
            assert given, f"{name} is of neither parent"
            origin[layer] = origin.get(layer, {0, 1}) & given
            for key in ("exp_avg", "exp_avg_sq"):
                place = f"{name}/{key}"
                assert any(torch.equal(memory[place], parents[slot][1][place]) for slot in given), place
        assert all(origin.values()), "a layer is of two parents"
        from_first += [float(0 in slots) for slots in origin.values()]
    assert 0.2 < np.mean(from_first) < 0.8


@pytest.mark.parametrize("how", ["average", "layers"])
def test_a_parent_without_moments_leaves_those_of_the_first(
    trainer: BuddyTrainer, bodies: LearnerBodies, how: str
) -> None:
    bodies.renew(1, rng())
    bodies.recombine(2, (0, 1), how, rng())
    assert equal(moments(trainer, 2), moments(trainer, 0))
    bodies.recombine(2, (1, 0), how, rng())
    assert moments(trainer, 2) == {}


def test_a_layer_of_one_parent_takes_nothing_of_the_other(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    """Not even NaN: 0 · NaN is NaN."""
    with torch.no_grad():
        for parameter in trainer.learner.network(SLOTS[1]).parameters():
            parameter.fill_(torch.nan)
    bodies.recombine(2, (0, 1), "layers", rng())
    own = weights(trainer, 0)
    finite = {name for name, value in weights(trainer, 2).items() if value.isfinite().all()}
    assert finite
    assert all(torch.equal(weights(trainer, 2)[name], own[name]) for name in finite)


def test_renewed_weights_are_fresh(trainer: BuddyTrainer, bodies: LearnerBodies) -> None:
    before = weights(trainer, 2)
    bodies.renew(2, rng())
    fresh = weights(trainer, 2)
    assert moments(trainer, 2) == {}
    for name, value in fresh.items():
        drawn = value.dim() == 2
        assert torch.equal(value, before[name]) is False, name
        assert not drawn or not any(torch.equal(value, weights(trainer, slot)[name]) for slot in (0, 1))
    bodies.renew(2, rng(1))
    assert not equal(weights(trainer, 2), fresh)


@operators
def test_all_chance_comes_from_the_generator(trainer: BuddyTrainer, bodies: LearnerBodies, operator: str) -> None:
    before = torch.random.get_rng_state()
    OPERATORS[operator](bodies, rng(3))
    first = weights(trainer, 2)
    OPERATORS[operator](bodies, rng(3))
    assert equal(weights(trainer, 2), first)
    assert torch.equal(before, torch.random.get_rng_state())


@operators
def test_nobody_else_is_touched(trainer: BuddyTrainer, bodies: LearnerBodies, operator: str) -> None:
    others = [(weights(trainer, slot), moments(trainer, slot), genome(trainer, slot)) for slot in (0, 1)]
    goal = trainer.learner.network("goal_0").state_dict()
    kept = {name: value.clone() for name, value in goal.items()}
    OPERATORS[operator](bodies, rng())
    bodies.set_genome(2, Niche.EXPLOITER, {**genome(trainer, 2), "learning_rate": 5e-3})
    for slot, (own, memory, genes) in enumerate(others):
        assert equal(weights(trainer, slot), own)
        assert equal(moments(trainer, slot), memory)
        assert genome(trainer, slot) == genes
    assert equal(trainer.learner.network("goal_0").state_dict(), kept)


@operators
def test_rows_gathered_by_who_lived_there_before_are_forgotten(
    trainer: BuddyTrainer, bodies: LearnerBodies, operator: str
) -> None:
    waiting = trainer.learner._waiting
    assert all(len(waiting[name]) == 1 for name in SLOTS)
    OPERATORS[operator](bodies, rng())
    assert not waiting.get("user_2")
    assert all(len(waiting[name]) == 1 for name in SLOTS[:2])


@operators
def test_the_genome_is_in_force_and_stays_so(trainer: BuddyTrainer, bodies: LearnerBodies, operator: str) -> None:
    """Read back from the optimiser after the operator, after the next update, and after a save and a restore."""
    wanted = {name: gene.drawn(rng(7)) for name, gene in GENES.items()}
    bodies.set_genome(0, Niche.EXPLOITER, {**genome(trainer, 0), "learning_rate": 9e-3})
    OPERATORS[operator](bodies, rng())
    bodies.set_genome(2, Niche.EXPLORER, wanted)

    def check() -> None:
        assert genome(trainer, 2) == pytest.approx(wanted, rel=1e-6)
        groups = trainer.learner.get_optimizer("user_2").param_groups
        assert [group["lr"] for group in groups] == [wanted["learning_rate"]]
        assert genome(trainer, 0)["learning_rate"] == 9e-3

    check()
    before = weights(trainer, 2)
    for _ in range(2):
        trainer.train_iteration()
        check()
    assert not equal(weights(trainer, 2), before)
    trainer.load_training_state(copy.deepcopy(trainer.training_state()))
    check()
    trainer.train_iteration()
    check()


@operators
def test_the_rate_that_is_read_back_is_the_one_that_is_used(
    trainer: BuddyTrainer, bodies: LearnerBodies, operator: str
) -> None:
    """A child of a fast learner with a rate of nearly 0 stands still."""
    OPERATORS[operator](bodies, rng())
    bodies.set_genome(2, Niche.EXPLOITER, {**genome(trainer, 2), "learning_rate": 1e-12})
    before = weights(trainer, 2)
    for _ in range(2):
        trainer.train_iteration()
    moved = max((value - before[name]).abs().max().item() for name, value in weights(trainer, 2).items())
    assert moved < 1e-8
