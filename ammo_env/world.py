"""The world: E worlds stepped as one, every array with the batch axis first.

`World.step` is the story of one round. Both sides act at once on what they were last shown: slates are
formed, humans answer, everything is judged against the hidden preferences, new creations are published,
beliefs absorb the answers that have arrived, events happen and preferences move, and the next candidates are
retrieved. The world owns its random stream.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from ammo_env import attention, creations, memory, rewards
from ammo_env.aipp import Question
from ammo_env.arrays import Array, Draws
from ammo_env.composition import move_in
from ammo_env.config import AmmoConfig
from ammo_env.life import Witness
from ammo_env.listeners import Arrival
from ammo_env.memory import Impression
from ammo_env.settings import ConfigError
from ammo_env.space import MetaSpace
from ammo_env.stage import Stage
from ammo_env.state import Actions, Judgement, Round, State, restore, snapshot


class World(Stage):
    """E worlds of one configuration.

    Call `reset(seed)`, then `step(actions)` until `state.now` is the number of rounds. `arrays` is the array
    door (NumPy by default); a door whose `draws(seed)` returns another stream injects its noise. `space`
    replaces the MetaSpace that the configuration names (closed-form tests, worlds of one's own).
    """

    def __init__(
        self, config: AmmoConfig, num_envs: int = 1, arrays: Any = None, space: MetaSpace | None = None
    ) -> None:
        super().__init__(config, num_envs, arrays, space)
        self._state: State | None = None
        self._draws: Draws | None = None

    @property
    def state(self) -> State:
        """The state, hidden parts included. Raises `RuntimeError` before the first reset."""
        if self._state is None:
            raise RuntimeError("the world has no state yet: call reset() first")
        return self._state

    def reset(self, seed: int | None = None) -> None:
        """Begin new episodes. A seed starts the random stream anew; None continues it (at first: entropy)."""
        if seed is not None or self._draws is None:
            self._draws = self.arrays.draws(seed)
        if self.composition is not None:
            self.seats = self.composition.seats_at(0)
        self._state = self.begin(self._draws)
        self._show()

    def step(self, actions: Actions, witness: Witness | None = None) -> Round:
        """One round of every world; `witness` is asked what goal buddies see before newborns come (`Life.turn`)."""
        state, candidates, score = self.state, self.state.candidates, self.state.score
        slates = attention.form_slates(self.arrays, candidates, actions.positions)
        impression, judgement = self._ask_and_judge(slates)
        published = self._publish(actions)
        heard = self._learn(impression)
        terms = self._reward_terms(judgement, published, heard)
        self._move_humans(impression)
        state.now += 1
        self._regroup()
        passing = self.life.turn(self._draws, state, self.seats, witness) if self.life else ()
        self._move_on(actions)
        self._show()
        totals = {side: reduce(add, parts.values()) for side, parts in terms.items()}
        return Round(
            state.now - 1, candidates, score, slates.items, impression, judgement, published, terms, totals, *passing
        )

    def texts(self) -> list[list[str]]:
        """[E][C] the live creations as sentences. Raises `ConfigError` where they are not written."""
        if self.writing is None:
            raise ConfigError("these creations are vectors without words: set goal_buddies.creations=written")
        return self.writing.texts(self.state.corpus.sentence)

    def get_state(self) -> dict[str, Any]:
        """A deep copy of everything that a continuation depends on."""
        assert self._draws is not None or self.state
        return {"state": snapshot(self.state), "draws": self._draws.get_state() if self._draws else None}

    def set_state(self, saved: dict[str, Any]) -> None:
        """Go on from a `get_state` of a world of the same configuration. Raises `ValueError` for another's."""
        if not isinstance(saved, dict) or not {"state", "draws"} <= saved.keys():
            raise ValueError("this is not a saved state: it must come from get_state()")
        state = restore(saved["state"])
        self.check(state)
        self._state = state
        if self.composition is not None:
            self.seats = self.composition.seats_at(state.now)
        self._draws = self._draws or self.arrays.draws(0)
        self._draws.set_state(saved["draws"])

    def _ask_and_judge(self, slates: attention.Slates) -> tuple[Impression, Judgement]:
        """Impressions go out to the humans; the slates are scored against what nobody observes."""
        arrays, state, corpus = self.arrays, self.state, self.state.corpus
        row = slates.items + self.world_row
        utility = arrays.take(state.utility, slates.items + self.human_row)
        error = arrays.take(corpus.grounding_error, row)
        subspace = arrays.take(self.seats.subspace_of_creation, slates.items)
        creator = arrays.take(self.seats.owner, slates.items)
        vectors, felt = arrays.take_rows(corpus.vectors, row), utility
        if self.interests is not None:
            own = state.own["interests"]
            felt, state.own["interests"] = self.interests.meet(own, state.q, vectors, slates.filled)
        question = Question(felt, error, slates.filled, subspace, creator)
        feedback = self.aipp.ask(self._draws, question, state.own)
        provenance = arrays.take(corpus.provenance, row)
        impression = Impression(
            item=slates.items,
            vectors=vectors,
            creator=creator,
            provenance=provenance,
            assumed_bait=state.bait_guess[..., None] * provenance,
            filled=slates.filled,
            feedback=feedback,
        )
        best, worst = arrays.extremes(state.utility, self.config.attention.num_slots)
        value = rewards.slate_value(arrays, worst, utility, slates.filled)
        visibility = rewards.visibility(arrays, slates.items, slates.filled, self.num_live)
        corpus.popularity = memory.DECAY * corpus.popularity + (1.0 - memory.DECAY) * visibility
        by_shelf = visibility.reshape(self.num_envs, self.num_goals, -1).sum(axis=-1)
        memory.consume(arrays, state.memory, impression, by_shelf)
        return impression, Judgement(
            utility=state.utility,
            shown_utility=utility,
            grounding_error=error,
            best=best,
            regret=rewards.regret(best, value),
            visibility=visibility,
            shelf_error=corpus.shelf_error,
            production=self._production(),
        )

    def _production(self) -> Array | None:
        """What the quality of each shelf costs [E, G]; None where it costs nothing."""
        weights = self.config.rewards
        if not weights.production_price:
            return None
        made = self.state.corpus.vectors
        return rewards.production_cost(self.arrays, made, weights.production_exponent, self.num_goals)

    def _publish(self, actions: Actions) -> Array:
        """New creations reach the shelves; returns who published [E, G]."""
        state, config = self.state, self.config
        scale, norm = config.goal_buddies.steering_scale, config.goal_buddies.norm
        made = creations.create(self.arrays, state.anchors, self.seats, actions.steering, scale, norm)
        made, sentence = self.writing.write(state.entity, made) if self.writing else (made, None)
        nearest, error = self.seats.nearest_fact(made, state.added_facts)
        return creations.publish(
            self.arrays, self._draws, state.corpus, (actions.steering, made, nearest, error), actions.willing,
            config.goal_buddies, config.observations.provenance_noise, state.now + 1, sentence,
        )  # fmt: skip

    def _learn(self, impression: Impression) -> Array:
        """Answers that arrive now reach beliefs and memory; returns their mean per human [E, U]."""
        arrays, state, xp = self.arrays, self.state, self.arrays.xp
        state.under_way = [*state.under_way, impression][-1 - self.aipp.latencies[-1] :]
        total, count, arrivals = 0.0, 0.0, []
        for latency in self.aipp.latencies:
            if latency >= len(state.under_way):
                continue
            sent = state.under_way[-1 - latency]
            arrived = self.aipp.arrives_after(sent.feedback, latency)
            state.beliefs = self.belief.absorb(state.beliefs, sent, arrived)
            market = self.config.observations.goal_view == "market"
            group = self.seats.liked_group(sent.creator, sent.feedback.subspace) if market else sent.creator
            answers, number = memory.hear(arrays, state.memory, sent, arrived, group)
            total, count = total + answers, count + number
            arrivals.append(Arrival(sent, arrived, latency))
        for name, listener in self.listeners.items():
            state.own[name] = listener.hear(state, state.own[name], arrivals)
        if isinstance(count, float):
            return arrays.zeros(self.num_envs, self.num_humans)
        return total / xp.maximum(count, 1.0)

    def _reward_terms(
        self, judgement: Judgement, published: Array, heard: Array
    ) -> dict[str, dict[str, Array]]:
        """side -> term -> [E, N], each already weighted."""
        weights = self.config.rewards
        if weights.user_buddy == "regret":
            own = ("regret", judgement.regret * (-1.0 / self.config.attention.num_slots))
        else:
            own = ("feedback", heard)
        visibility = self.state.memory.goal_visibility
        terms = {"visibility": visibility, "grounding": -weights.honesty_price * judgement.shelf_error}
        if weights.energy_price:
            terms["energy"] = -weights.energy_price * self.arrays.xp.astype(published, self.arrays.float32)
        if judgement.production is not None:
            terms["production"] = -weights.production_price * judgement.production
        return {
            "user_buddy": {own[0]: rewards.group_mixture(self.arrays, own[1], weights.societal)},
            "goal_buddy": terms,
        }

    def _move_humans(self, seen: Impression) -> None:
        """Hidden preferences move, and with them what counts as grounded; beliefs know how fast they grow stale."""
        state, facts = self.state, self.state.added_facts
        for name, force in self.forces.items():
            state.q, state.own[name] = force.move(self._draws, state, state.own[name], seen)
        if state.added_facts is not facts:
            creations.reground(self.arrays, state.corpus, self.seats, state.added_facts)
        state.beliefs = self.belief.forget(state.beliefs)

    def _regroup(self) -> None:
        """Subspaces merge and split by the schedule."""
        if self.composition is None:
            return
        before, self.seats = self.seats, self.composition.seats_at(self.state.now)
        if self.seats is not before:
            move_in(self.arrays, self.state.corpus, before, self.seats, self.state.added_facts)

    def _move_on(self, actions: Actions) -> None:
        """User buddies go to the subspaces of their choice."""
        if self.travel is not None:
            own = self.state.own
            own["travel"] = self.travel.move(own["travel"], actions.destination, self.seats)

    def _show(self) -> None:
        """The next candidates, and the utilities that the next round will be judged by."""
        state, xp = self.state, self.arrays.xp
        state.utility = xp.matmul(state.q, state.corpus.vectors.mT)
        if self.interests is not None:
            state.utility = self.interests.utility(state.own["interests"], state.utility, state.corpus.vectors)
        if self.knowing is not None:
            state.beliefs = self.knowing.told(state.q)
        state.candidates, state.score = self.index.show(self._draws, state, self.seats)
        if self.travel is not None:
            state.own["travel"] = self.travel.look(state.own["travel"], state, self.seats)
