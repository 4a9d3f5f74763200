"""Metrics: what a round was like, each a pure function with its formula, range and empty case.

`measure` gives every metric of one round by name, [E]; `Meter` adds rounds up to episodes. Ratios of sums, never means
of ratios: normalised regret = sum_t R / sum_t R_bar, so random = 1 and a best slate = 0 in every scenario.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import Array, FloatArray
from ammo_env.memory import DECAY
from ammo_env.state import Round, State

# A creation farther than this from its nearest fact counts as misinformation: half the distance of strangers at 60
# degrees, and about twice the distance at which an honest goal buddy is born.
MISINFORMATION = 0.5
LIKE_MINDED = 0.5  # cosine from which on two humans are of one mind: 60 degrees
NOTHING_CONSUMED = 1e-4  # a mean of unit vectors this short is a rounding error of 0


def gini(shares: Array) -> FloatArray:
    """Gini coefficient along the last axis of non-negative shares [..., n], in [0, 1 - 1/n]; 0 where all are 0.

    G = sum_i (2i - n - 1) x_(i) / (n sum x), i = 1..n ascending.
    """
    x = np.sort(np.asarray(shares, dtype=np.float64), axis=-1)
    n = x.shape[-1]
    total = x.sum(axis=-1)
    weighted = (x * (2 * np.arange(1, n + 1) - n - 1)).sum(axis=-1)
    return np.where(total > 0, weighted / np.where(total > 0, n * total, 1.0), 0.0).astype(np.float32)


def intra_slate_diversity(vectors: Array, filled: Array) -> FloatArray:
    """Mean of 1 - e.e' over pairs of filled slots, [..., S, D] -> [...], in [0, 2]; 0 with fewer than two items."""
    count = filled.sum(axis=-1).astype(np.float64)
    together = slate_sum(vectors, filled)
    pairs = count * (count - 1.0)
    similar = np.vecdot(together, together) - (np.vecdot(vectors, vectors) * filled).sum(axis=-1)
    return np.where(pairs > 0, 1.0 - similar / np.where(pairs > 0, pairs, 1.0), 0.0).astype(np.float32)


def slate_sum(vectors: Array, filled: Array) -> Array:
    """Sum of the filled slots' vectors, [..., S, D] -> [..., D]."""
    return np.matmul(filled.astype(vectors.dtype)[..., None, :], vectors)[..., 0, :]


def polarisation(q: Array) -> FloatArray:
    """Mean over pairs of humans of (1 - q.q')/2: [E, U, D] -> [E], 0 = all agree, 1/2 = unrelated; 0 for one human."""
    people = q.shape[-2]
    if people < 2:
        return np.zeros(q.shape[0], dtype=np.float32)
    together = q.sum(axis=-2)
    similar = (np.vecdot(together, together) - np.vecdot(q, q).sum(axis=-1)) / (people * (people - 1))
    return np.asarray(0.5 * (1.0 - similar), dtype=np.float32)


def consensus(q: Array) -> FloatArray:
    """Largest share of a world's humans that one of them speaks for: [E, U, D] -> [E], in [1/U, 1].

    Human u speaks for v (u included) where q_u.q_v >= LIKE_MINDED. Two opposite camps of equal size have 1/2, and so
    has polarisation; many scattered opinions have 1/U at a polarisation of 1/2 too.
    """
    alike = np.matmul(q, np.swapaxes(q, -1, -2)) >= LIKE_MINDED
    return np.asarray((alike | np.eye(q.shape[-2], dtype=np.bool_)).mean(axis=-1).max(axis=-1), dtype=np.float32)


def neighbour_similarity(q: Array, friends: Array) -> FloatArray:
    """Mean q_u.q_v over the neighbours v of each human, by their weights [E, U, U], then over the humans that have any:
    [E] in [-1, 1]; 0 where nobody has a neighbour."""
    alike = (np.matmul(q, np.swapaxes(q, -1, -2)) * friends).sum(axis=-1)
    return mean_where(alike, friends.sum(axis=-1) > 0)


def mean_where(values: Array, present: Array) -> FloatArray:
    """Mean of `values` [E, ...] over what is present, per world [E]; 0 where nothing is."""
    axes = tuple(range(1, values.ndim))
    count = present.sum(axis=axes)
    total = (values * present).sum(axis=axes)
    return np.asarray(total / np.maximum(count, 1), dtype=np.float32)


def serendipity(utility: Array, believed: Array, vectors: Array, consumed: Array, filled: Array) -> FloatArray:
    """How much better than expected what was shown is: mean over the filled slots of

        max(0, u(e) - max(0, q_hat.e, e.c))

    utility u and believed q_hat.e [E, U, S], before the answers; vectors [E, U, S, D]; consumed [E, U, D], what the
    human recently saw, of which c is the direction (0 where it saw nothing). -> [E] in [0, 1], 0 for empty slates.
    An item counts as far as it is relevant and neither the belief nor the recent consumption suggests it: the form of
    Murakami, Mori & Orihara 2008, max(prediction - primitive prediction, 0), with the truth in place of the prediction
    and the two expectations as the primitive one (Ge, Delgado-Battenfeld & Jannach 2010 judge what a primitive model
    does not predict by its usefulness; survey: Kaminskas & Bridge 2016).
    """
    length = np.linalg.norm(consumed, axis=-1, keepdims=True)
    direction = np.where(length > NOTHING_CONSUMED, consumed / np.maximum(length, NOTHING_CONSUMED), 0.0)
    expected = np.maximum(np.maximum(believed, np.vecdot(vectors, direction[:, :, None, :])), 0.0)
    return mean_where(np.maximum(utility - expected, 0.0), filled)


def generations(since: Array, now: int, retired: Array) -> dict[str, FloatArray]:
    """Births in a round, and who lives after it; per world [E].

    births: goal buddies that were born, one for each that `retired` [E, G]. survival: share of the first generation
    (born in round 0 by `since` [E, G]) that is still alive. age: mean rounds since birth of the living.
    """
    return {
        "births": retired.sum(axis=-1).astype(np.float32),
        "survival": (since == 0).mean(axis=-1, dtype=np.float32),
        "age": (now - since).mean(axis=-1, dtype=np.float32),
    }


def retrieval_recall(keys: Array, candidates: Array, count: int) -> FloatArray:
    """Share of the `count` creations with the largest keys [E, U, C] that are among the candidates [E, U, K], mean over
    humans: [E] in [0, 1]; 1 where count = 0. Of creations with equal keys one is as good as another."""
    if count == 0:
        return np.ones(len(keys), dtype=np.float32)
    least = np.partition(keys, -count, axis=-1)[..., -count, None]
    found = (np.take_along_axis(keys, candidates, -1) >= least).sum(axis=-1)
    return np.asarray(np.minimum(found, count).mean(axis=-1) / count, dtype=np.float32)


def measure(
    state: State, happened: Round, slots: int, to_numpy: Any, wanted: tuple[Array, int] | None = None
) -> dict[str, FloatArray]:
    """Every metric of the round that has just been played, per world [E]; e.q is that of a human's best interest.

    regret, random_regret, retrieval_regret: means over humans of R, R_bar and of best-of-corpus minus best-of-shown.
    engagement: mean answer given. welfare: mean true e.q of the slots. misinformation: mean grounding error of what
    was seen; misinformation_rate: share of it above `MISINFORMATION`. exposure_gini, coverage: of creators by this
    round's exposure. diversity: within slates. novelty: mean 1 - cos(item, recent consumption before it).
    serendipity: see there. polarisation, consensus: of hidden preferences. preference_gap: mean |q - q_hat|. published:
    share of goal buddies. discoveries (only with several interests): how many awoke, mean over humans,
    0..latent_interests. neighbour_similarity (only with a network): see there. rejected (only with push-back): share of
    humans and creators between whom a rejection stands.
    retrieval_recall (only with an approximate index, `wanted` being what its exact scan goes by): see there, for the
    semantic candidates that the round ended with.
    births, survival, age: see `generations`; where nobody dies 0, 1 and the round.
    """
    judged, impression = happened.judgement, happened.impression
    utility, filled = to_numpy(judged.utility), to_numpy(impression.filled)
    candidates = to_numpy(happened.candidates)
    best_shown = np.sort(np.take_along_axis(utility, candidates, -1), axis=-1)[..., -slots:].sum(axis=-1)
    error, vectors = to_numpy(judged.grounding_error), to_numpy(impression.vectors)
    exposure = to_numpy(judged.visibility)
    envs, goals = happened.published.shape
    by_goal = exposure.reshape(envs, goals, -1).sum(axis=-1)
    # The memory has absorbed this round's slates already: undo that.
    seen = slate_sum(vectors, filled) * ((1.0 - DECAY) / filled.shape[-1])
    before = (to_numpy(state.memory.recent) - seen) / DECAY
    q, believed = to_numpy(state.q), to_numpy(state.beliefs.mean)
    nothing = np.zeros((envs, goals), dtype=np.float32)
    since = to_numpy(state.own["life"]["since"]) if "life" in state.own else nothing
    retired = nothing if happened.retired is None else to_numpy(happened.retired)
    place = (candidates[:, :, None, :] == to_numpy(happened.items)[..., None]).argmax(axis=-1)  # [E, U, S]
    score, shown_utility = np.take_along_axis(to_numpy(happened.score), place, -1), to_numpy(judged.shown_utility)
    found = {"discoveries": to_numpy(state.own["interests"]["found"]).mean(axis=-1)} if "interests" in state.own else {}
    if "network" in state.own:
        found["neighbour_similarity"] = neighbour_similarity(q, to_numpy(state.own["network"]["friends"]))
    if "pushback" in state.own:
        found["rejected"] = to_numpy(state.own["pushback"]["barred"]).mean(axis=(1, 2), dtype=np.float32)
    if wanted is not None:
        found["retrieval_recall"] = retrieval_recall(to_numpy(wanted[0]), to_numpy(state.candidates), wanted[1])
    return found | {
        "regret": to_numpy(judged.regret).mean(axis=-1),
        "random_regret": to_numpy(judged.random_regret).mean(axis=-1),
        "retrieval_regret": (to_numpy(judged.best) - best_shown).mean(axis=-1),
        "engagement": mean_where(to_numpy(impression.feedback.value), to_numpy(impression.feedback.answered)),
        "welfare": mean_where(shown_utility, filled),
        "misinformation": mean_where(error, filled),
        "misinformation_rate": mean_where((error > MISINFORMATION).astype(np.float32), filled),
        "exposure_gini": gini(by_goal),
        "coverage": (by_goal > 0).mean(axis=-1, dtype=np.float32),
        "diversity": intra_slate_diversity(vectors, filled).mean(axis=-1),
        "novelty": mean_where(1.0 - np.vecdot(vectors, before[:, :, None, :]), filled),
        "serendipity": serendipity(shown_utility, score, vectors, before, filled),
        "polarisation": polarisation(q),
        "consensus": consensus(q),
        "preference_gap": np.linalg.norm(q - believed, axis=-1).mean(axis=-1),
        "published": to_numpy(happened.published).mean(axis=-1, dtype=np.float32),
        **generations(since, state.now, retired),
    }


class Meter:
    """Adds up rounds of a batch of worlds; `summary` gives one number per metric and per world or over all."""

    def __init__(self) -> None:
        self._rounds: list[dict[str, NDArray[Any]]] = []

    @classmethod
    def joined(cls, meters: list[Meter]) -> Meter:
        """Meters over the same number of rounds, their worlds side by side."""
        if len({len(meter._rounds) for meter in meters}) != 1:
            raise ValueError("only meters over the same number of rounds can be joined, and at least one")
        joined = cls()
        for rows in zip(*(meter._rounds for meter in meters), strict=True):
            joined.add({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
        return joined

    def add(self, metrics: dict[str, FloatArray]) -> None:
        """One round, as `measure` gives it."""
        self._rounds.append(metrics)

    def by_world(self) -> dict[str, NDArray[np.float64]]:
        """Means over the rounds per world, [E]; `regret_late` and `random_regret_late` over their second half."""
        if not self._rounds:
            raise ValueError("nothing was measured: add() a round first")
        table = {name: np.stack([row[name] for row in self._rounds]).astype(np.float64) for name in self._rounds[0]}
        late = len(self._rounds) // 2
        result = {name: rows.mean(axis=0) for name, rows in table.items()}
        return result | {f"{name}_late": table[name][late:].mean(axis=0) for name in ("regret", "random_regret")}

    def summary(self) -> dict[str, float]:
        """One number per metric: the mean over rounds and worlds, and the ratios of sums
        normalised_regret = R / R_bar, normalised_regret_late (second half of the rounds),
        normalised_retrieval_regret (what retrieval alone costs); cumulative_regret is the sum over rounds."""
        result = {name: float(values.mean()) for name, values in self.by_world().items()}
        result["cumulative_regret"] = result["regret"] * len(self._rounds)
        for name, above, below in (
            ("normalised_regret", "regret", "random_regret"),
            ("normalised_regret_late", "regret_late", "random_regret_late"),
            ("normalised_retrieval_regret", "retrieval_regret", "random_regret"),
        ):
            result[name] = result[above] / max(result[below], 1e-9)
        return result
