"""The genetic operators on real weights: what a population does to the slots of the learner.

Every operator leaves the slot consistent: weights, Adam moments, the genome in force (read back from the optimiser
in tests), and no rows gathered by whoever lived there before. The trainer pushes the weights to the runners after.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from agents.evolution.genome import Genome
from agents.evolution.members import Niche
from agents.networks import build_network
from agents.rllib.learner import BuddyLearner


class LearnerBodies:
    """The slots of one side: implements `agents.evolution.population.Bodies`."""

    def __init__(self, learner: BuddyLearner, slots: Sequence[str]) -> None:
        self._learner, self._slots = learner, list(slots)

    def inherit(self, slot: int, parent: int, noise: float, rng: np.random.Generator) -> None:
        """Copy weights and optimiser; noise of `noise` standard deviations of each tensor on the weights."""
        weights = {name: value.clone() for name, value in self._weights(parent).items()}
        if noise > 0:
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
            for value in weights.values():
                spread = value.std(correction=0) if value.numel() > 1 else value.abs()
                value += noise * spread * torch.empty_like(value).normal_(generator=generator)
        self._give(slot, weights, self._optimizer(parent))

    def recombine(self, slot: int, parents: tuple[int, int], how: str, rng: np.random.Generator) -> None:
        """The mean of both parents' weights, or every layer from either; the optimiser likewise."""
        one, other = (self._weights(parent) for parent in parents)
        layers = sorted({name.rpartition(".")[0] or name for name in one})
        share = dict.fromkeys(layers, 0.5)
        if how == "layers":
            share = {layer: float(rng.random() < 0.5) for layer in layers}
        shares = {name: share[name.rpartition(".")[0] or name] for name in one}
        weights = {name: _mixed(one[name], other[name], shares[name]) for name in one}
        first, second = (self._optimizer(parent) for parent in parents)
        trained = [name for name, _ in self._learner.network(self._slots[slot]).named_parameters()]
        self._give(slot, weights, _mixed_moments(first, second, [shares[name] for name in trained]))

    def renew(self, slot: int, rng: np.random.Generator) -> None:
        """Fresh weights and a fresh optimiser."""
        network = build_network(self._learner.network(self._slots[slot]).spec, int(rng.integers(2**63)))
        self._give(slot, network.state_dict(), {**self._optimizer(slot), "state": {}})

    def set_genome(self, slot: int, niche: Niche, genome: Genome) -> None:
        """In force from the next gradient step, and in the runners from the next push."""
        name = self._slots[slot]
        traits = self._learner.network(name).traits.keys() & genome.keys()
        self._learner.network(name).set_traits({trait: genome[trait] for trait in traits})
        self._learner.set_hyperparameters(name, **{gene: genome[gene] for gene in genome.keys() - traits})

    def genome(self, slot: int) -> Genome:
        """What is in force, read back from optimiser and network (traits as float32)."""
        name = self._slots[slot]
        return {**self._learner.hyperparameters(name).genome, **self._learner.network(name).traits}

    def _weights(self, slot: int) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = self._learner.network(self._slots[slot]).state_dict()
        return weights

    def _optimizer(self, slot: int) -> dict[str, object]:
        state: dict[str, object] = self._learner.get_optimizer(self._slots[slot]).state_dict()
        return copy.deepcopy(state)

    def _give(self, slot: int, weights: dict[str, Tensor], optimizer: dict[str, object]) -> None:
        name = self._slots[slot]
        self._learner.network(name).load_state_dict(weights)
        self._learner.get_optimizer(name).load_state_dict(optimizer)
        self._learner.forget(name)


def _mixed_moments(first: dict[str, object], second: dict[str, object], shares: list[float]) -> dict[str, object]:
    """Adam's moments mixed as the weights were; the first parent's where either has none yet."""
    one, other = first["state"], second["state"]
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    if one.keys() != other.keys() or len(one) != len(shares):
        return first
    mixed = {
        index: {
            name: _mixed(value, other[index][name], shares[index]) if name != "step" else value
            for name, value in entry.items()
        }
        for index, entry in one.items()
    }
    return {**first, "state": mixed}


def _mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """`share` of one and the rest of the other; who has no share adds nothing, not even NaN."""
    if share in (0.0, 1.0):
        return one if share else other
    return share * one + (1.0 - share) * other
