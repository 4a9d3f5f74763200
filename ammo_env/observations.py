"""What a buddy may see: the only file that decides it.

Hidden state (q, other humans' data, the true grounding error of others) never enters. Observations are flat
float32 boxes with a published layout (names -> slices and shapes), and features are of order one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

from ammo_env.arrays import Array, row_starts
from ammo_env.config import AmmoConfig
from ammo_env.creations import Corpus
from ammo_env.market import GoalView
from ammo_env.memory import Memory

CANDIDATE_FEATURES = (
    "score",  # q_hat . e
    "uncertainty",  # standard deviation of q . e under the belief
    "novelty",  # 1 - e . (what the human recently saw)
    "creator_answer",  # mean answer of this human to this creator, shrunk to 0 by one pseudo-answer
    "creator_seen",  # log(1 + answers of this human to this creator)
    "age",  # rounds since publication / T
    "popularity",  # decayed share of slates that held it
    "provenance",  # noisy view of the grounding error
    "valid",  # 1 where the candidate may be chosen
)
ENDORSED_FEATURES = (*CANDIDATE_FEATURES[:-1], "endorsement", "valid")  # with a network: what neighbours just liked
CONTEXT_FEATURES = (
    "time",  # round / T
    "answer_rate",  # decayed mean answer
    "belief_uncertainty",  # root of the summed belief variance
    "belief_norm",  # |q_hat|
)
TRAVEL_FEATURES = (  # one each per subspace, where user buddies travel
    "here",  # 1 for the subspace visited
    "value",  # largest q_hat . e of its live creations
    "doubt",  # root mean variance of q . e over them
)
GOAL_SCALARS = (
    "visibility",  # own share of slates in the last round, summed over the shelf
    "exposure",  # decayed mean of that
    "answer",  # decayed mean answer to own items
    "energy",  # energy / cap
    "age",  # rounds since the last publication / T
    "last_error",  # grounding error of the last publication
    "shelf_error",  # mean grounding error of the shelf: what the honesty price is paid on
    "time",  # round / T
    "demand_near",  # cosine of anchor and demand
)
MARKET_SCALARS = (*GOAL_SCALARS, "rivalry")  # cosine of demand and supply
EVENT_SCALARS = ("event_strength",)  # of the event that runs in its subspace, in units of `events.strength` = 1


@dataclass(frozen=True)
class Layout:
    """Where each named block of a flat observation lies: `obs[..., slices[name]]` of shape `shapes[name]`."""

    shapes: dict[str, tuple[int, ...]]
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def slices(self) -> dict[str, slice]:
        start, result = 0, {}
        for name, shape in self.shapes.items():
            result[name] = slice(start, start + prod(shape))
            start += prod(shape)
        return result

    @property
    def size(self) -> int:
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def candidate_features(self) -> tuple[str, ...]:
        return self.features["candidates"]

    def block(self, obs: Array, name: str) -> Array:
        """The block `name` of observations [..., size], unflattened to [..., *shape]."""
        return obs[..., self.slices[name]].reshape(*obs.shape[:-1], *self.shapes[name])


def user_layout(num_candidates: int, endorsed: bool = False, destinations: int = 0) -> Layout:
    """Observation of a user buddy: per-candidate features [K, Fc], then a context [Fx].

    `endorsed`: candidates have the feature "endorsement", before "valid"; so it is where humans have neighbours.
    `destinations`: how many subspaces a user buddy may travel to; the context then ends with what it sees of them.
    """
    features = ENDORSED_FEATURES if endorsed else CANDIDATE_FEATURES
    travelled = tuple(f"{name}_{m}" for name in TRAVEL_FEATURES for m in range(destinations))
    context = (*CONTEXT_FEATURES, *travelled)
    return Layout(
        {"candidates": (num_candidates, len(features)), "context": (len(context),)},
        {"candidates": features, "context": context},
    )


def goal_layout(steering_dim: int, market: bool, events: bool = False) -> Layout:
    """Observation of a goal buddy: vectors in steering coordinates (supply only with `market`, the running event only
    with `events`), scalars."""
    names = ("last", "demand", "supply", "fact") if market else ("last", "demand", "fact")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*names, *("event",) * events), (steering_dim,))
    scalars = (*(MARKET_SCALARS if market else GOAL_SCALARS), *EVENT_SCALARS * events)
    return Layout({**shapes, "scalars": (len(scalars),)}, {"scalars": scalars})


def side_layout(config: AmmoConfig, side: str) -> Layout:
    """Observation of one buddy of a side in the worlds of a configuration."""
    if side == "user_buddy":
        return user_layout(config.attention.num_candidates, config.social.connected, config.num_destinations)
    market = config.observations.goal_view == "market"
    return goal_layout(config.goal_buddies.steering_dim, market, config.events.rate > 0)


@dataclass
class CandidateView:
    """The candidates as gathered once for a round."""

    flat: Array  # [E, U, K] flat creation index e * C + c
    vectors: Array  # [E, U, K, D], a copy
    score: Array  # [E, U, K] q_hat . e
    creator: Array  # [E, U, K]
    endorsement: Array | None = None  # [E, U, K] by the neighbours' humans; None without a network
    subspaces: Array | None = None  # [E, U, 3P] what a traveller sees of all subspaces; None where nobody travels


def observe_user_buddies(
    arrays: Any,
    corpus: Corpus,
    memory: Memory,
    belief: tuple[Array, Array],
    spread: Callable[[Array], Array],
    view: CandidateView,
    now: int,
    rounds: int,
) -> Array:
    """[E, U, K * Fc + Fx] float32; belief = (mean, variance), each [E, U, D]; `spread` gives the standard deviation of
    q.e [E, U, K] under it, and may overwrite the vectors that it is given.
    """
    xp, take = arrays.xp, arrays.take
    envs, humans, shown = view.flat.shape
    mean, variance = belief
    vectors, record = view.vectors, memory.by_creator
    heard = take(record, view.creator[:, None] + arrays.constant[row_starts, record.shape])  # [E, 2, U, K]
    width = shown * (len(CANDIDATE_FEATURES) + (view.endorsement is not None))
    size = len(CONTEXT_FEATURES) + (0 if view.subspaces is None else view.subspaces.shape[-1])
    obs = arrays.empty(envs, humans, width + size)
    features = obs[..., :width].reshape(envs, humans, shown, -1)  # a view
    features[..., 0] = view.score
    features[..., 2] = 1.0 - xp.matmul(vectors, memory.recent[..., None])[..., 0]
    features[..., 1] = spread(vectors)
    features[..., 3] = heard[:, 0] / (heard[:, 1] + 1.0)
    features[..., 4] = xp.log1p(heard[:, 1])
    features[..., 5] = (now - take(corpus.born, view.flat)) * (1.0 / rounds)
    features[..., 6] = take(corpus.popularity, view.flat)
    features[..., 7] = take(corpus.provenance, view.flat)
    if view.endorsement is not None:
        features[..., 8] = view.endorsement
    features[..., -1] = 1.0
    context = obs[..., width:]
    context[..., 0] = now / rounds
    context[..., 1] = memory.answer_rate
    context[..., 2] = xp.sqrt(variance.sum(axis=-1))
    context[..., 3] = xp.sqrt(arrays.vecdot(mean, mean))
    if view.subspaces is not None:
        context[..., len(CONTEXT_FEATURES) :] = view.subspaces
    return obs


def observe_goal_buddies(
    arrays: Any, corpus: Corpus, memory: Memory, view: GoalView, energy_cap: float, now: int, rounds: int
) -> Array:
    """[E, G, size] float32 by `goal_layout`."""
    envs, goals, axes = corpus.steering.shape
    places = corpus.born.shape[1] // goals
    newest = (corpus.oldest - 1) % places + arrays.constant[row_starts, (envs, goals, places)][..., 0]
    shown = (corpus.steering, view.demand, view.supply, view.fact, view.event)
    vectors = [v for v in shown if v is not None]
    scalars = [
        memory.goal_visibility,
        memory.goal_exposure,
        memory.goal_answers,
        corpus.energy * (1.0 / energy_cap),
        (now - arrays.take(corpus.born, newest)) * (1.0 / rounds),
        arrays.take(corpus.grounding_error, newest),
        corpus.shelf_error,
        now / rounds,
        view.demand_near,
    ]
    scalars += [scalar for scalar in (view.rivalry, view.event_strength) if scalar is not None]
    width = axes * len(vectors)
    obs = arrays.empty(envs, goals, width + len(scalars))
    for number, vector in enumerate(vectors):
        obs[..., number * axes : (number + 1) * axes] = vector
    for number, scalar in enumerate(scalars):
        obs[..., width + number] = scalar
    return obs
