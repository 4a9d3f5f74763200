"""How should the cycle be set where verdicts are noisy? The real `Population` on a made-up surface, in seconds.

    python benchmarks/cycle.py [--replicates 120] [--iterations 100] [--noise 0.032]

Four user buddies begin at optimism 0 and guess 0. What a member is worth is a bowl that was fitted by eye to bandits on
default (`FadingLinUCB` on a grid of widths and guesses), and a verdict is that plus noise: .032 per iteration is what
members of the arm `off` of benchmarks/evolution.py differ by from one iteration to the next. Learning plays no part.
Columns: regret of the fittest, of the winner of a final (with an error of .004), and of the mean member, over
replicates; members born.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.evolution.fitness import Verdict
from agents.evolution.genome import GENES_OF
from agents.evolution.members import Niche
from agents.evolution.population import Population
from agents.evolution.settings import EvolutionSettings
from agents.report import Cell, table
from agents.statistics import mean_interval
from ammo_env.scenarios import read_scenario

NICHES = (Niche.EXPLOITER, Niche.EXPLORER, Niche.ADAPTIVE, Niche.EXPLOITER)
GENOME = {"learning_rate": 5e-4, "entropy": 3e-4, "clip": 0.2, "gamma": 0.995, "gae_lambda": 0.99, "novelty": 0.05,
          "optimism": 0.0, "bait_guess": 0.0}  # fmt: skip
BASE: dict[str, Any] = {"memory": 0.9}
RECIPE: dict[str, Any] = read_scenario("population")["training"]["evolution"]
VARIANTS: Mapping[str, dict[str, Any]] = {
    "defaults, memory .9": BASE,
    "memory .8": {"memory": 0.8},
    "memory .95": {"memory": 0.95},
    "margin 2": BASE | {"margin": 2.0},
    "margin .5": BASE | {"margin": 0.5},
    "margin 0": BASE | {"margin": 0.0},
    "every 8": BASE | {"every": 8, "ready_after": 8},
    "every 2": BASE | {"every": 2, "ready_after": 2},
    "recombine 0": BASE | {"recombine": 0.0},
    "recombine 1": BASE | {"recombine": 1.0},
    "resample 0": BASE | {"resample": 0.0},
    "resample .2": BASE | {"resample": 0.2},
    "perturb 1.12": BASE | {"perturb": 1.12},
    "perturb 1.5": BASE | {"perturb": 1.5},
    "spread 2": BASE | {"spread": 2.0},
    "margin .5, spread 2": BASE | {"margin": 0.5, "spread": 2.0},
    "margin .5, perturb 1.5": BASE | {"margin": 0.5, "perturb": 1.5},
    "surrogate": BASE | {"traits": "surrogate"},
    "surrogate, margin .5": BASE | {"traits": "surrogate", "margin": 0.5},
    "surrogate, margin .25": BASE | {"traits": "surrogate", "margin": 0.25},
    "configs/population.yaml": RECIPE,
}


class NoBodies:
    """Nobody has weights."""

    def inherit(self, *ignored: Any) -> None: ...
    def recombine(self, *ignored: Any) -> None: ...
    def renew(self, *ignored: Any) -> None: ...
    def set_genome(self, *ignored: Any) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=120)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.032)
    arguments = parser.parse_args()
    rows: list[list[Cell]] = []
    cases = [(name, settings, arguments.noise) for name, settings in VARIANTS.items()]
    for name, settings, noise in [*cases, ("the first, with half the noise", BASE, arguments.noise / 2)]:
        cycle = EvolutionSettings.model_validate(settings)
        found = np.array([evolve(seed, arguments.iterations, noise, cycle) for seed in range(arguments.replicates)])
        rows.append([name, *(mean_interval(column) for column in found.T[:3]), float(found[:, 3].mean())])
    print(table(["cycle", "fittest", "winner of a final", "mean member", "born"], rows, 4))


def evolve(seed: int, iterations: int, noise: float, settings: EvolutionSettings) -> tuple[float, float, float, float]:
    """One population -> regret of its fittest, of the winner of a final and of the mean member; members born."""
    rng = np.random.default_rng([seed, 1])
    resident = {Niche.EXPLORER: frozenset({"novelty"})}
    population = Population(NICHES, GENOME, settings, seed, GENES_OF["user_buddy"], resident)
    for iteration in range(1, iterations + 1):
        population.observe({
            slot: Verdict({"satisfaction": 1.0 - loss + noise * rng.normal()}, 29.0 * 64, (0.0,))
            for slot, loss in losses(population).items()
        })  # fmt: skip
        if iteration % settings.every == 0 and iteration < iterations:
            population.cycle(NoBodies(), 1.0 - iteration / iterations)
    left, champion = losses(population), population.champion()
    winner = min(left, key=lambda slot: left[slot] + 0.004 * rng.normal())
    born = len(population.lineage.members) - len(NICHES)
    return left[champion or 0], left[winner], float(np.mean(list(left.values()))), float(born)


def losses(population: Population) -> dict[int, float]:
    """Slot -> normalised regret by its traits."""
    return {
        slot: 0.118 + 0.0055 * (member.genome["optimism"] - 3.0) ** 2 + 0.4 * (member.genome["bait_guess"] - 0.28) ** 2
        for slot, member in population.living.items()
    }


if __name__ == "__main__":
    main()
