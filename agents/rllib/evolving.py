"""Evolution in training: two populations over the learner's slots, the league they play in, and their record.

After every sample the populations take in what AiPP said; every `evolution.every` iterations they go through a
cycle, and from then on new genomes, weights and players are in force. Sampling never waits for any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.evolution.fitness import Verdict
from agents.evolution.genome import GENES_OF
from agents.evolution.members import Event, Niche
from agents.evolution.population import Population
from agents.league import Frozen, Hall, Payoffs, seat_weights
from agents.rllib.bodies import LearnerBodies
from agents.rllib.learner import BuddyLearner
from agents.rllib.plan import TrainingPlan
from agents.rllib.roster import SideRoster
from agents.training_settings import SIDES
from agents.verdicts import Tally

# Genes that only one niche has: explorers alone are paid for novelty.
RESIDENT = {Niche.EXPLORER: frozenset({"novelty"})}


class Evolution:
    """The populations of both sides."""

    def __init__(self, plan: TrainingPlan, learner: BuddyLearner) -> None:
        self._plan, self._settings = plan, plan.settings.evolution
        self._bodies = {side: LearnerBodies(learner, plan.slots(side)) for side in SIDES}
        self._learner = learner
        self._halls = {side: Hall(plan.settings.matchmaking.hall_size) for side in SIDES}
        self._payoffs = Payoffs(plan.num_players)
        self.populations = {side: self._found(side) for side in SIDES}
        self._unread: list[tuple[str, Event]] = [
            (side, event) for side, population in self.populations.items() for event in population.events
        ]

    def observe(self, tally: Tally, behaviour: Mapping[str, tuple[float, ...]]) -> None:
        """Take in one iteration's verdicts."""
        self._payoffs.add(tally.outcomes)
        for side, population in self.populations.items():
            population.observe({
                slot: Verdict(tally.means(side, slot), float(tally.seats[side][slot]), behaviour.get(name, ()))
                for slot, name in enumerate(self._plan.slots(side))
            })  # fmt: skip

    def cycle(self, iteration: int) -> None:
        """Go through a cycle if one is due."""
        for side, population in self.populations.items():
            for slot, name in enumerate(self._plan.slots(side)):
                if self._learner.has_diverged(name):  # whatever its actions happen to earn
                    population.condemn(slot)
        last = iteration >= self._plan.settings.iterations  # children born now would never learn
        if not self._settings.enabled or iteration % self._settings.every or last:
            return
        for side, population in self.populations.items():
            champion = population.champion() if len(population.living) > 1 else None
            if champion is not None:
                self._admit(side, champion)
            events = population.cycle(self._bodies[side], 1.0 - iteration / self._plan.settings.iterations)
            self._unread += [(side, event) for event in events]
            for event in events:
                if event.kind != "retired":
                    self._payoffs.forget(side, event.slot)

    def rosters(self) -> dict[str, SideRoster]:
        """What the runners must know before they sample."""
        members = {side: len(self._plan.slots(side)) for side in SIDES}
        halls = {side: len(hall.frozen) for side, hall in self._halls.items()}
        matchmaking = self._plan.settings.matchmaking
        weights = None
        if matchmaking.method != "uniform" or any(halls.values()):
            fitness = {side: list(population.fitness().values()) for side, population in self.populations.items()}
            weights = seat_weights(matchmaking, members, halls, fitness, self._payoffs)
        return {
            side: SideRoster(
                {name: self._learner.hyperparameters(name) for name in self._plan.slots(side)},
                frozenset(
                    self._plan.slots(side)[slot]
                    for slot, member in self.populations[side].living.items()
                    if member.niche is Niche.ADAPTIVE
                ),
                tuple(self._halls[side].frozen),
                weights[side] if weights is not None and members[side] else None,
            )
            for side in SIDES
        }

    def tenants(self) -> dict[str, tuple[int, ...]]:
        """Side → the member's id at every player index: the living by slot, then the hall of fame by place."""
        return {
            side: (*(population.living[slot].id for slot in sorted(population.living)),
                   *(entry.member for entry in self._halls[side].frozen))
            for side, population in self.populations.items()
        }  # fmt: skip

    def report(self) -> dict[str, float]:
        """Flat numbers: fitness, level and genome of every slot's member, its id and generation, and niche shares."""
        report: dict[str, float] = {}
        for side, population in self.populations.items():
            fitness, living = population.fitness(), population.living
            for slot, member in living.items():
                name = self._plan.slots(side)[slot]
                report[f"{name}/fitness"] = fitness[slot]
                report[f"{name}/satisfaction"] = population.evidence[slot].mean_level
                report[f"{name}/member"] = float(member.id)
                report[f"{name}/generation"] = float(member.generation)
                report.update({f"{name}/genome/{gene}": value for gene, value in member.genome.items()})
            for niche in Niche:
                if living:
                    count = sum(member.niche is niche for member in living.values())
                    report[f"{side}/niche/{niche}"] = count / len(living)
        return report

    def news(self) -> list[dict[str, Any]]:
        """Events that were not read yet, as plain data with their side and module id."""
        found = [
            {"side": side, "module": self._plan.slots(side)[event.slot], **event.plain()}
            for side, event in self._unread
        ]
        self._unread = []
        return found

    def state(self) -> dict[str, Any]:
        """Everything that a continuation depends on."""
        return {
            "populations": {side: population.state() for side, population in self.populations.items()},
            "halls": {side: [entry.state() for entry in hall.frozen] for side, hall in self._halls.items()},
            "payoffs": self._payoffs.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; the learner has its weights and hyper-parameters already."""
        for side, population in self.populations.items():
            population.load(state["populations"][side])
            size = self._plan.settings.matchmaking.hall_size
            self._halls[side] = Hall(size, [Frozen(**entry) for entry in state["halls"][side]])
        self._payoffs.load(state["payoffs"])
        self._unread = []

    def _found(self, side: str) -> Population:
        own, slots = self._plan.settings.side(side), self._plan.slots(side)
        genome = {**self._plan.settings.hyperparameters(side).genome, "novelty": own.novelty}
        if side == "user_buddy":
            optimism = self._plan.settings.user_buddy.initial_optimism
            genome |= {"optimism": optimism, "bait_guess": self._plan.world.beliefs.bait_guess}
        seed = int(np.random.SeedSequence([self._plan.settings.seed, 7, SIDES.index(side)]).generate_state(1)[0])
        niches = [own.niche_of(slot) for slot in range(len(slots))]
        population = Population(niches, genome, self._settings, seed, GENES_OF[side], RESIDENT)
        for slot, member in population.living.items():
            self._bodies[side].set_genome(slot, member.niche, member.genome)
        return population

    def _admit(self, side: str, slot: int) -> None:
        member, name = self.populations[side].living[slot], self._plan.slots(side)[slot]
        weights = {key: value.clone() for key, value in self._learner.network(name).state_dict().items()}
        full = len(self._halls[side].frozen) == self._halls[side].size
        if self._halls[side].admit(Frozen(member.id, slot, str(member.niche), weights)):
            places = range(len(self._plan.slots(side)), self._plan.num_players[side])
            for place in places if full else ():  # everybody moved down by one
                self._payoffs.forget(side, place)
            self._unread.append((
                side,
                Event(self.populations[side].cycles + 1, "admitted", member.id, slot, str(member.niche),
                      member.parents, member.genome, self.populations[side].fitness()[slot]),
            ))  # fmt: skip
