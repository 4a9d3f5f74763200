"""Events: exogenous shifts of subspaces, which pull what humans prefer and may become facts.

In every round and subspace N ~ Poisson(rate) events happen. They are one piece of news, N times as strong: a direction
d = unit(fact + spread * noise) near a random fact of the subspace. What runs in a subspace is one vector

    v' = decay v + N strength d        (0 once |v| is under FAINT of one event's strength)

whose direction and length are those of the running event; old and new news add up. In every round it pulls each human:

    q' = unit(q + pull * sum_m nearness_m v_m),    nearness_m = max(0, q . centre_m), or 1 for everybody

The goal buddies of the subspace see v (observations.py), in either goal view: news is nobody's business secret. User
buddies and beliefs are not told, and see a shift only through answers.
With `fact_slots` the news becomes a fact of the subspace for the rest of the episode, at d, while there is a free slot.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ammo_env.arrays import Array, FloatArray, normalise
from ammo_env.config import AmmoConfig
from ammo_env.forces import Own, force
from ammo_env.memory import Impression
from ammo_env.space import MetaSpace
from ammo_env.state import State

FAINT = 0.01  # share of one event's strength below which an event is over


class Events:
    """Its own arrays: `running` [E, M, D] is v; with fact slots `facts` [E, M, B, D] and `known` [E, M], how many of
    them an event has filled. An empty slot repeats a fact of the space, so that it is never nearer than that."""

    def __init__(self, arrays: Any, config: AmmoConfig, space: MetaSpace) -> None:
        self._arrays, self._setting = arrays, config.events
        facts, mask = space.facts, space.fact_mask
        self._facts = arrays.asarray(facts)
        self._number = arrays.asarray(mask.sum(axis=1), arrays.float32)  # [M]
        order = np.argsort(~mask, axis=1, kind="stable")  # places of the facts that are there, first
        self._place = arrays.asarray(order + facts.shape[1] * np.arange(len(facts))[:, None])  # [M, F] flat
        centre = (facts * mask[..., None]).sum(axis=1)
        self._centre = normalise(arrays, arrays.asarray(centre))  # [M, D]
        self._cumulative = arrays.asarray(poisson_distribution(config.events.rate))

    def begin(self, draws: Any, q: Array) -> Own:
        """Nothing has happened yet."""
        arrays, (envs, _, dim), slots = self._arrays, q.shape, self._setting.fact_slots
        own: Own = {"running": arrays.zeros(envs, len(self._centre), dim)}
        if slots:
            first = arrays.take_rows(self._facts, self._place[:, :1])
            own["facts"] = arrays.zeros(envs, len(first), slots, dim) + first
            own["known"] = arrays.xp.zeros_like(own["running"][..., 0], dtype=arrays.int64)
        return own

    def move(self, draws: Any, state: State, own: Own, seen: Impression) -> tuple[Array, Own]:
        arrays, setting, running = self._arrays, self._setting, own["running"]
        number = self._how_many(draws, len(running))
        news = self._news(draws, len(running))
        running = setting.decay * running + (setting.strength * number)[..., None] * news
        loud = arrays.vecdot(running, running) >= (FAINT * setting.strength) ** 2
        after: Own = {"running": running * loud[..., None]}
        if setting.fact_slots:
            after |= self._become_facts(own, news, number)
        return self._pulled(state.q, after["running"]), after

    def _become_facts(self, own: Own, news: Array, number: Array) -> Own:
        """The next free slot of a subspace with an event takes its direction; the same arrays where none does."""
        arrays = self._arrays
        free = arrays.constant[np.arange, self._setting.fact_slots] == own["known"][..., None]  # [E, M, B]
        filled = free & (number > 0)[..., None]
        if not bool(filled.any()):
            return {"facts": own["facts"], "known": own["known"]}
        facts = arrays.xp.where(filled[..., None], news[:, :, None], own["facts"])
        return {"facts": facts, "known": own["known"] + filled.sum(axis=-1)}

    def _how_many(self, draws: Any, envs: int) -> Array:
        """[E, M] numbers of events: the distribution function of a Poisson variable, inverted at a uniform draw."""
        arrays = self._arrays
        uniform = draws.uniform(envs, len(self._centre))
        return arrays.as_float(uniform[..., None] >= self._cumulative).sum(axis=-1)

    def _news(self, draws: Any, envs: int) -> Array:
        """[E, M, D] directions near a random fact of each subspace."""
        arrays, (subspaces, dim) = self._arrays, self._centre.shape
        pick = arrays.as_int(draws.uniform(envs, subspaces) * self._number)
        row = arrays.constant[np.arange, subspaces] * self._place.shape[1] + pick
        near = arrays.take_rows(self._facts, arrays.take(self._place, row))
        return normalise(arrays, near + self._setting.spread * normalise(arrays, draws.normal(envs, subspaces, dim)))

    def _pulled(self, q: Array, running: Array) -> Array:
        xp = self._arrays.xp
        if self._setting.reach == "all":
            return normalise(self._arrays, q + self._setting.pull * running.sum(axis=1, keepdims=True))
        nearness = xp.clip(xp.matmul(q, self._centre.mT), 0.0, None)  # [E, U, M]
        return normalise(self._arrays, q + self._setting.pull * xp.matmul(nearness, running))


def poisson_distribution(rate: float) -> FloatArray:
    """P(N <= n) for n = 0, 1, ... until it is 1 in float32, so that N is how many of them a uniform draw reaches."""
    term, total, table = math.exp(-rate), 0.0, []
    while np.float32(total + term) < 1.0:
        total += term
        table.append(total)
        term *= rate / len(table)
    return np.asarray(table, dtype=np.float32)


@force("events")
def _events(arrays: Any, config: AmmoConfig, space: MetaSpace) -> Events | None:
    return None if config.events.rate == 0.0 else Events(arrays, config, space)
