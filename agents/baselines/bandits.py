"""User-side baselines: bandits, friends, and the all-knowing oracle. Each scores the candidates it is shown; the S best
scores fill the slate, in whatever action kind the environment uses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evolution.genome import FADING
from agents.policy import Turn

TIE_BREAK = 1e-6  # utility units: equal scores are broken at random, not by retrieval order


class ScorePolicy:
    """A user-side policy given by a score per candidate [E, U, K] and, where user buddies travel, per destination."""

    side = "user_buddy"

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        raise NotImplementedError

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        """[E, U, P]; the best open subspace is visited next. Unless it says otherwise that of the best believed
        creation."""
        return subspace_feature(turn, "value")

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        places = turn.env.config.num_destinations
        if not places:
            return self._slates(turn, rng)
        slates = self._slates(replace(turn, mask=turn.mask[..., :-places]), rng)
        leading = self.destination_scores(turn, rng)
        leading = np.where(turn.mask[..., -places:], leading + TIE_BREAK * rng.random(leading.shape), -np.inf)
        chosen = leading.argmax(axis=-1)[..., None]
        if turn.env.config.actions.user_mode == "scores":
            asked = np.where(np.arange(places) == chosen, 1.0, -1.0).astype(np.float32)
            return np.concatenate([slates, asked], axis=-1)
        return np.concatenate([slates.reshape(*chosen.shape[:2], -1), chosen], axis=-1)

    def _slates(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        scores = self.scores(turn, rng)
        scores = np.where(turn.mask, scores + TIE_BREAK * rng.random(scores.shape), -np.inf)
        attention = turn.env.config.attention
        if turn.env.config.actions.user_mode == "scores":
            bounded = scores / (1.0 + np.abs(scores))  # monotone into [-1, 1]: the same slate
            return np.where(turn.mask, bounded, -1.0).astype(np.float32)
        best = np.argsort(-scores, axis=-1)[..., : attention.num_slots]
        return best[..., 0] if attention.num_slots == 1 else best


def feature(turn: Turn, name: str) -> NDArray[Any]:
    layout = turn.env.observation_layouts["user_buddy"]
    table: NDArray[Any] = layout.block(turn.obs, "candidates")
    return table[..., layout.candidate_features.index(name)]


def subspace_feature(turn: Turn, name: str) -> NDArray[Any]:
    """[E, U, P] of a traveller: "here", "value" or "doubt" of every subspace."""
    layout, places = turn.env.observation_layouts["user_buddy"], turn.env.config.num_destinations
    context: NDArray[Any] = layout.block(turn.obs, "context")
    first = layout.features["context"].index(f"{name}_0")
    return context[..., first : first + places]


def left(turn: Turn) -> float:
    """The share of the episode that is left: 1 in the first round, 1/T in the last."""
    return 1.0 - turn.env.world.state.now / turn.env.config.episode.num_rounds


def faded(turn: Turn) -> float:
    """The share of optimism that is left: 1 in the first round, a little over 1 - `FADING` in the last."""
    return 1.0 - FADING * (1.0 - left(turn))


class RandomSlate(ScorePolicy):
    """A uniformly random slate of the candidates shown."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return rng.random(turn.mask.shape)

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return rng.random((*turn.mask.shape[:2], turn.env.config.num_destinations))


class Greedy(ScorePolicy):
    """The S largest q_hat . e."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return feature(turn, "score")


class Softmax(ScorePolicy):
    """Plackett-Luce over q_hat . e / temperature (Gumbel top-S)."""

    def __init__(self, temperature: float = 0.1) -> None:
        self.temperature = temperature

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return feature(turn, "score") + self.temperature * rng.gumbel(size=turn.mask.shape)

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        value = subspace_feature(turn, "value")
        return value + self.temperature * rng.gumbel(size=value.shape)


class EpsilonGreedy(ScorePolicy):
    """Slot by slot: the largest q_hat . e left, or with probability epsilon any candidate left, each as likely."""

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        left = np.where(turn.mask, feature(turn, "score") + TIE_BREAK * rng.random(turn.mask.shape), -np.inf)
        ranks, slots = np.zeros(turn.mask.shape), turn.env.config.attention.num_slots
        for place in range(slots):
            lots = np.where(np.isfinite(left), rng.random(left.shape), -np.inf).argmax(axis=-1)
            chance = rng.random(lots.shape) < self.epsilon
            chosen = np.where(chance, lots, left.argmax(axis=-1))[..., None]
            np.put_along_axis(ranks, chosen, slots - place, axis=-1)
            np.put_along_axis(left, chosen, -np.inf, axis=-1)
        return ranks


class FriendsOfFriends(ScorePolicy):
    """q_hat . e + weight * endorsement: what the neighbours' humans have just liked comes first.

    Where humans have no neighbours (`social.network`) it is greedy.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        score = feature(turn, "score")
        if "endorsement" not in turn.env.observation_layouts["user_buddy"].candidate_features:
            return score
        return score + self.weight * feature(turn, "endorsement")


class LinUCB(ScorePolicy):
    """q_hat . e + width * sd(q . e). Source: Li et al. 2010; the posterior is the environment's belief."""

    def __init__(self, width: float = 0.5) -> None:
        self.width = width

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return feature(turn, "score") + self.width * feature(turn, "uncertainty")

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return subspace_feature(turn, "value") + self.width * subspace_feature(turn, "doubt")


class FadingLinUCB(LinUCB):
    """LinUCB whose width falls linearly, by the share `FADING` over the episode, as the optimism of user buddies does:
    what an answer teaches is worth the rounds that are left to use it in."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return self._now(turn).scores(turn, rng)

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        return self._now(turn).destination_scores(turn, rng)

    def _now(self, turn: Turn) -> LinUCB:
        return LinUCB(self.width * faded(turn))


class Thompson(ScorePolicy):
    """theta . e with theta ~ N(q_hat, width^2 * covariance), one draw per human and round (Agrawal & Goyal
    2013).

    Reads the buddy's own belief and the shown candidates' vectors from the world, nothing hidden.
    """

    def __init__(self, width: float = 1.0) -> None:
        self.width = width

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        world, to_numpy = turn.env.world, turn.env.arrays.to_numpy
        state = world.state
        mean = to_numpy(state.beliefs.mean)
        noise = turn.env.arrays.asarray(rng.standard_normal(mean.shape, dtype=np.float32))
        drawn = to_numpy(world.belief.draw(state.beliefs, noise))
        theta = mean + self.width * (drawn - mean)
        shown = to_numpy(state.corpus.vectors).reshape(-1, theta.shape[-1])[
            to_numpy(state.candidates + world.world_row)
        ]
        sampled: NDArray[Any] = np.vecdot(shown, theta[:, :, None, :])
        return sampled

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        value, doubt = subspace_feature(turn, "value"), subspace_feature(turn, "doubt")
        return value + self.width * doubt * rng.standard_normal(value.shape)


class Oracle(ScorePolicy):
    """All-knowing: the S largest true e.q of the candidates shown. Looks at hidden state."""

    def scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        world, to_numpy = turn.env.world, turn.env.arrays.to_numpy
        return np.take_along_axis(to_numpy(world.state.utility), to_numpy(world.state.candidates), -1)

    def destination_scores(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        """The sum of the S largest true e.q of every subspace."""
        world, to_numpy = turn.env.world, turn.env.arrays.to_numpy
        utility, where = to_numpy(world.state.utility), to_numpy(world.seats.subspace_of_creation)
        inside = where == np.arange(turn.env.config.num_destinations)[:, None]  # [P, C]
        ranked = -np.sort(-np.where(inside, utility[:, :, None], -1.0), axis=-1)
        return np.asarray(ranked[..., : turn.env.config.attention.num_slots].sum(axis=-1))
