"""The stage: what a batch of worlds is made of, and what an episode begins with.

Every part is an object of its own, made from the configuration; a feature that is off is None, or in no list of a
registry, and costs nothing. What happens on the stage is told by `ammo_env.world`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ammo_env import creations, memory
from ammo_env import endorsement as endorsement  # importing them registers them
from ammo_env import events as events
from ammo_env import gaussian as gaussian
from ammo_env import influence as influence
from ammo_env import norms as norms
from ammo_env import prototypes as prototypes
from ammo_env import pushback as pushback
from ammo_env import subspace_index as subspace_index
from ammo_env import truth as truth
from ammo_env.aipp import Aipp
from ammo_env.arrays import get_arrays, row_starts
from ammo_env.beliefs import AllKnowing, make_belief
from ammo_env.circles import make_guests
from ammo_env.composition import make_composition
from ammo_env.config import AmmoConfig
from ammo_env.forces import FORCES, make_forces
from ammo_env.index import make_index
from ammo_env.interests import make_interests
from ammo_env.life import NAME as LIFE
from ammo_env.life import make_life
from ammo_env.listeners import LISTENERS, make_listeners
from ammo_env.network import make_network
from ammo_env.seats import Seats
from ammo_env.settings import ConfigError
from ammo_env.sources import load_knowledge
from ammo_env.space import Compression, MetaSpace, build_space
from ammo_env.state import State
from ammo_env.travel import make_travel
from ammo_env.writing import make_writing


class Stage:
    """The parts of E worlds of one configuration; nothing of it changes but `seats`, when subspaces merge or split."""

    def __init__(
        self, config: AmmoConfig, num_envs: int = 1, arrays: Any = None, space: MetaSpace | None = None
    ) -> None:
        if not isinstance(num_envs, int) or num_envs < 1:
            raise ConfigError(f"num_envs={num_envs!r}: a batch holds a whole number of worlds, at least one")
        self.config, self.num_envs = config, num_envs
        self.arrays = arrays if arrays is not None else get_arrays("numpy")
        buddies = config.goal_buddies
        self.space, self.compression = (space, None) if space else _make_space(config)
        self.num_goals, self.num_humans = buddies.num_goal_buddies, config.humans.num_humans
        self.num_live = self.num_goals * buddies.shelf_size
        self.composition = make_composition(self.arrays, config, self.space)
        answers = config.aipp
        if self.composition is None:
            self.seats = Seats(self.arrays, self.space, self.num_goals, buddies.shelf_size, norm=buddies.norm)
        else:
            self.space, answers = self.composition.space, self.composition.aipp(config.aipp)
            self.seats = self.composition.seats_at(0)
        self.aipp = Aipp(self.arrays, answers, len(self.space.facts))
        self.writing = make_writing(self.arrays, self.space)
        self._entities, self._pool = map(self.arrays.asarray, (self.space.entities, self.space.preferences))
        self.network = make_network(self.arrays, config, self.space)
        self.forces = make_forces(self.arrays, config, self.space)
        self.listeners = make_listeners(self.arrays, config, self.seats)
        self.interests = make_interests(self.arrays, config, self.space)
        self.life = make_life(self.arrays, config, self._entities, self.writing)
        self.travel = make_travel(self.arrays, config)
        self.index = make_index(self.arrays, config, self.travel)
        self.belief = make_belief(self.arrays, config, self.space, self.aipp)
        # Asked once: whether an object fits a protocol takes as long as a tenth of a round.
        self.knowing = self.belief if isinstance(self.belief, AllKnowing) else None
        self.guests = make_guests(self.arrays, config, self.space, self.belief.remembered)
        # Rows of the flattened [E, C] and [E, U, C]: added to a creation's index they make a gather a `take`.
        self.world_row = self.arrays.constant[row_starts, (num_envs, 1, self.num_live)]
        self.human_row = self.arrays.constant[row_starts, (num_envs, self.num_humans, self.num_live)]

    def begin(self, draws: Any) -> State:
        """The state of new episodes, before anything was retrieved."""
        arrays, config = self.arrays, self.config
        envs, people, dim = self.num_envs, self.num_humans, self.space.dim
        entity = self.seats.settle(draws, envs)
        anchors = arrays.take_rows(self._entities, entity)
        human = self.guests.draw(draws, envs, people)
        q = arrays.take_rows(self._pool, human)
        market = config.observations.goal_view == "market"
        groups = len(self.space.facts) if market else self.num_goals
        noise = config.observations.provenance_noise
        state = State(
            now=0,
            entity=entity,
            anchors=anchors,
            human=human,
            q=q,
            corpus=creations.first_shelf(
                arrays, draws, anchors, self.seats, config.goal_buddies, noise,
                partial(self.writing.write, entity) if self.writing else None,
            ),
            beliefs=self.belief.prior(envs, people),
            bait_guess=arrays.zeros(envs, people) + config.beliefs.bait_guess,
            memory=memory.empty_memory(arrays, envs, people, self.num_goals, groups, dim),
            under_way=[],
            own={} if self.network is None else {"network": self.network.begin(draws, q, human)},
            utility=arrays.zeros(0),
            score=arrays.zeros(0),
            candidates=arrays.zeros(0),
        )
        state.own |= {name: force.begin(draws, q) for name, force in self.forces.items()}
        state.own |= self.aipp.begin(draws, envs, people, self.num_goals)
        state.own |= {name: listener.begin(state) for name, listener in self.listeners.items()}
        if self.interests is not None:
            state.own["interests"] = self.interests.begin(draws, q)
        if self.life is not None:
            state.own[LIFE] = self.life.begin(envs)
        if self.travel is not None:
            state.own["travel"] = self.travel.begin(draws, envs, people, self.seats)
        return state

    def check(self, state: State) -> None:
        """Raises `ValueError` for a state of worlds of another configuration."""
        envs = self.num_envs
        expected = (envs, self.num_humans, self.space.dim), (envs, self.num_live, self.space.dim)
        if (tuple(state.q.shape), tuple(state.corpus.vectors.shape)) != expected:
            raise ValueError(
                f"the saved state is of another configuration: humans {tuple(state.q.shape)} and creations "
                f"{tuple(state.corpus.vectors.shape)}, this world has {expected[0]} and {expected[1]}"
            )
        kept = self.belief.prior(envs, self.num_humans).own
        if {k: v.shape for k, v in state.beliefs.own.items()} != {k: v.shape for k, v in kept.items()}:
            raise ValueError(
                f"the saved state is of another configuration: its belief keeps {sorted(state.beliefs.own)}, "
                f"that of this world ('{self.config.beliefs.model}') {sorted(kept)}, or in other sizes"
            )
        others = {"interests": self.interests, LIFE: self.life, "travel": self.travel}
        present = {*self.forces, *self.listeners, *(name for name, one in others.items() if one is not None)}
        kept_by = state.own.keys() & {*FORCES, *LISTENERS, *others}
        if kept_by != present:
            raise ValueError(
                f"the saved state is of another configuration: what moves and remembers there is {sorted(kept_by)}, in "
                f"this world {sorted(present)}"
            )
        self.aipp.check(state.own)
        if (state.corpus.sentence is None) != (self.writing is None):
            raise ValueError("the saved state is of another configuration: only one of them has written creations")


def _make_space(config: AmmoConfig) -> tuple[MetaSpace, Compression | None]:
    """The MetaSpace that a configuration names, and what compressing it cost where it says so."""
    steering_dim, heldout = config.goal_buddies.steering_dim, config.humans.pool == "heldout"
    written = config.goal_buddies.creations == "written"
    space = build_space(load_knowledge(config.knowledge), steering_dim, heldout, written)
    if config.knowledge.compress is None:
        return space, None
    compression = space.compress(config.knowledge.compress)
    return compression.space, compression
