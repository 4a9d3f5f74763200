"""The batched face: E worlds as arrays by side, for trainers and for anyone who wants speed.

Observations are built here from the world's state by `observations.py`, and each side's action kind is
translated into what a world understands.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ammo_env import observations, steering
from ammo_env.arrays import Array, FloatArray, get_arrays
from ammo_env.config import AmmoConfig
from ammo_env.market import look_around
from ammo_env.metrics import measure
from ammo_env.observations import CandidateView, Layout
from ammo_env.space import MetaSpace
from ammo_env.spaces import action_space, observation_space
from ammo_env.state import Actions, Round
from ammo_env.validation import bait_guess_of, check_actions, check_seed, checked_guess
from ammo_env.world import World

SIDES = ("user_buddy", "goal_buddy")
SIDE_SET = frozenset(SIDES)


class VectorEnv:
    """E worlds stepped together; see `metaspace_v0.vec_env`.

    obs[side] float32 [E, N, F]; rewards[side] float32 [E, N]; terminations, truncations bool [E]. All worlds
    start and truncate together after `episode.num_rounds` rounds; `reset(None)` then begins the next episodes
    on the same random stream. `space` replaces the MetaSpace that the configuration names. `last_round` holds
    everything that happened in the last round, hidden quantities included.

    Where goal buddies may retire (`config.life`), N counts seats: row g is whoever holds seat g. Worlds go on, so
    `terminations` stays False; infos["retired"]["goal_buddy"] bool [E, G] says whose life ended with the round.
    obs is what those see who act next, newborns included; infos["final_obs"][side] is the same but for the retired,
    whose last observation it holds. A return or an advantage must not reach across a retirement.
    """

    def __init__(
        self,
        config: AmmoConfig,
        num_envs: int = 1,
        backend: str = "numpy",
        device: str = "cpu",
        space: MetaSpace | None = None,
    ) -> None:
        self.config, self.num_envs = config, num_envs
        self.world = World(config, num_envs, get_arrays(backend, device), space)
        self.arrays = self.world.arrays
        self.num_agents = {"user_buddy": self.world.num_humans, "goal_buddy": self.world.num_goals}
        self.observation_layouts: dict[str, Layout] = {side: observations.side_layout(config, side) for side in SIDES}
        self.observation_spaces = {side: observation_space(self.observation_layouts[side]) for side in SIDES}
        self.action_spaces = {side: action_space(config, side) for side in SIDES}
        self.last_round: Round | None = None

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Begin new episodes in all worlds -> obs, infos (infos["action_mask"][side]).

        options={"bait_guess": ...} is what `assume` takes. Raises `ConfigError` for a misspelt one.
        """
        check_seed(seed)
        own = bait_guess_of(options)
        guess = None if own is None else self._checked_guess(own)
        self.world.reset(seed)
        if guess is not None:
            self.world.state.bait_guess = guess
        self._anchor()
        self.last_round = None
        return self._observe(), {"action_mask": self.action_masks()}

    def assume(self, bait_guess: Any) -> None:
        """What user buddies take ungrounded content to add to the answers that they ask for from now on.

        bait_guess: utility per unit of provenance, one number, or [U] or [E, U]; until a reset, which brings back
        `beliefs.bait_guess`. Raises `ValueError` for other shapes and for what is no finite number.
        """
        self.world.state.bait_guess = self._checked_guess(bait_guess)

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array], Array, Array, dict[str, Any]]:
        """One round of every world; actions by side, in the shapes of DESIGN's action kinds.

        Raises `ValueError` for a missing side, a wrong shape or an action out of range, and `RuntimeError`
        before the first reset or after the end.
        """
        obs, happened = self.play(actions)
        never = np.zeros(self.num_envs, dtype=np.bool_)
        infos = {"action_mask": self.action_masks(), "reward_terms": happened.reward_terms}
        if happened.retired is not None:
            infos["retired"] = {"goal_buddy": happened.retired}
            infos["final_obs"] = obs | {"goal_buddy": self.final_goal_obs(obs, happened)}
        return obs, happened.rewards, never, never | self.is_over, infos

    def play(self, actions: dict[str, Array]) -> tuple[dict[str, Array], Round]:
        """`step` without the wrapping: observations, and what happened."""
        if self.is_over:
            raise RuntimeError("the episode is over: call reset() before the next step()")
        understood = self._translate(actions)
        self.last_round = None  # lets go of large arrays before the next ones are made
        self.last_round = self.world.step(understood, self._observe_goals)
        if self.last_round.last_seen is not None:  # somebody sits at another entity now
            self._anchor()
        return self._observe(), self.last_round

    def final_goal_obs(self, obs: dict[str, Array], happened: Round) -> Array:
        """[E, G, F] what followed the round for the goal buddies that acted in it."""
        if happened.retired is None or happened.last_seen is None:
            return obs["goal_buddy"]
        return self.arrays.xp.where(happened.retired[..., None], happened.last_seen, obs["goal_buddy"])

    def newborn(self) -> Array | None:
        """[E, G] bool: which seats' holders have not acted yet; None where nobody is ever born (`config.life`)."""
        return self.world.life.newborn(self.world.state) if self.world.life else None

    @property
    def is_over(self) -> bool:
        """Have all rounds of the episode been played?"""
        return self.world.state.now >= self.config.episode.num_rounds

    def measure(self) -> dict[str, FloatArray]:
        """Every metric of the last round, per world [E]; see `ammo_env.metrics`."""
        if self.last_round is None:
            raise RuntimeError("nothing to measure yet: step() first")
        slots = self.config.attention.num_slots
        wanted = self.world.index.wanted(self.world.state, self.world.seats)
        return measure(self.world.state, self.last_round, slots, self.arrays.to_numpy, wanted)

    def get_state(self) -> dict[str, Any]:
        """Everything that a continuation depends on, as plain dicts and arrays."""
        return self.world.get_state()

    def set_state(self, saved: dict[str, Any]) -> dict[str, Array]:
        """Go on from a `get_state` of the same configuration -> the observations at that point."""
        self.world.set_state(saved)
        self._anchor()
        self.last_round = None
        return self._observe()

    def may_publish(self) -> Array:
        """[E, G] bool: which goal buddies have the energy for one publication."""
        return self.world.state.corpus.energy >= self.config.goal_buddies.publish_cost

    def action_masks(self) -> dict[str, Array]:
        """Masks of the coming round: user_buddy [E, U, K], or [E, U, K + P] with destinations; goal_buddy [E, G, moves]
        for nudges, or [E, G]."""
        config = self.config
        valid = self.world.state.candidates >= 0  # all of them: there are never fewer creations than candidates
        if config.num_destinations:
            open_now = self.world.seats.open & (valid[..., :1])
            valid = self.arrays.xp.concat([valid, open_now], axis=-1)
        able = self.may_publish()
        if config.actions.goal_mode == "nudge":
            moves = self.arrays.constant[np.arange, steering.num_nudges(config.goal_buddies.steering_dim)]
            able = able[..., None] | (moves == steering.HOLD)
        return {"user_buddy": valid, "goal_buddy": able}

    def _translate(self, actions: dict[str, Array]) -> Actions:
        config, arrays = self.config, self.arrays
        if not isinstance(actions, Mapping) or actions.keys() != SIDE_SET:
            given = tuple(actions) if isinstance(actions, Mapping) else type(actions).__name__
            raise ValueError(f"step() needs a dict of actions by side {SIDES}, got {given}")
        positions, chosen = self._checked("user_buddy", actions), self._checked("goal_buddy", actions)
        destination = None
        if config.num_destinations:
            positions, destination = self._parted(positions)
        if config.actions.user_mode == "scores":
            positions = arrays.top_k(positions, config.attention.num_slots)
        elif config.attention.num_slots == 1:
            positions = positions.reshape(self.num_envs, -1, 1)
        if config.actions.goal_mode == "steer":
            steered, willing = steering.from_steer(arrays, chosen)
        else:
            last, view = self.world.state.corpus.steering, self._goal_view
            if config.actions.goal_mode == "gains":
                steered, willing = steering.from_gains(arrays, chosen, view.demand, view.fact, last)
            else:
                step = config.goal_buddies.nudge_step
                steered, willing = steering.from_nudges(arrays, chosen, view.demand, view.fact, last, step)
        return Actions(positions, steered, willing, destination)

    def _parted(self, actions: Array) -> tuple[Array, Array]:
        """A traveller's actions -> slates or scores, and where to next [E, U]."""
        if self.config.actions.user_mode == "slate":
            return actions[..., :-1], actions[..., -1]
        shown = self.config.attention.num_candidates
        return actions[..., :shown], actions[..., shown:].argmax(axis=-1)

    def _checked_guess(self, guess: Any) -> Array:
        return checked_guess(self.arrays, guess, (self.num_envs, self.num_agents["user_buddy"]))

    def _checked(self, side: str, actions: dict[str, Array]) -> Array:
        batch = (self.num_envs, self.num_agents[side])
        return check_actions(self.arrays, side, actions[side], self.action_spaces[side], batch)

    def _anchor(self) -> None:
        """The goal buddies' anchors in the steering coordinates of their subspaces, which a schedule may change."""
        self._seats = self.world.seats
        self._anchored = self._seats.project(self.world.state.anchors)

    def _observe(self) -> dict[str, Array]:
        world, state, arrays = self.world, self.world.state, self.arrays
        flat = state.candidates + world.world_row
        view = CandidateView(
            flat=flat,
            vectors=arrays.take_rows(state.corpus.vectors, flat),
            score=state.score,
            creator=arrays.take(world.seats.owner, state.candidates),
            endorsement=self._endorsement(),
            subspaces=None if world.travel is None else world.travel.seen(state.own["travel"]),
        )
        belief, spread = (state.beliefs.mean, state.beliefs.variance), partial(world.belief.spread, state.beliefs)
        rounds = self.config.episode.num_rounds
        return {
            "user_buddy": observations.observe_user_buddies(
                arrays, state.corpus, state.memory, belief, spread, view, state.now, rounds
            ),
            "goal_buddy": self._observe_goals(),
        }

    def _observe_goals(self) -> Array:
        world, state, config = self.world, self.world.state, self.config
        if world.seats is not self._seats:
            self._anchor()
        self._goal_view = look_around(self.arrays, world.seats, state, self._anchored, config)
        return observations.observe_goal_buddies(
            self.arrays, state.corpus, state.memory, self._goal_view,
            config.goal_buddies.energy_cap, state.now, config.episode.num_rounds,
        )  # fmt: skip

    def _endorsement(self) -> Array | None:
        """[E, U, K] how much the neighbours' humans just liked the candidates; None without a network."""
        state, arrays = self.world.state, self.arrays
        if "endorsement" not in state.own:
            return None
        endorsed = state.own["endorsement"]["endorsed"]
        return arrays.take(endorsed, state.candidates + self.world.human_row)
