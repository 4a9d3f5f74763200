"""Best response by gradient: a goal buddy that takes the market to be what it sees and climbs the reward it expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.aims import Aimed, scalar, seen, sees_supply
from agents.policy import Turn

Floats = NDArray[Any]


@dataclass(frozen=True)
class BelievedMarket:
    """What a goal buddy takes its reward to be, as a function of where it stands (steering coordinates, [E, G, A]).

        reward(s) = weight * softmax share of near(s) - price * error(s)
        near(x) = -kappa^2 |x - demand|^2 / 2          the cosine with demand, up to a constant
        share   = exp(near(s) / T) / (exp(near(s) / T) + rivals exp(near(supply) / T))
        error(s) = sqrt(kappa^2 |s - fact|^2 + rest^2)   rest: what steering cannot reach
    """

    demand: Floats  # [E, G, A]
    fact: Floats  # [E, G, A]
    supply: Floats  # [E, G, A]
    liked: Floats  # [E, G, 1] 1 where demand is known, else 0: no share to win
    rest: Floats  # [E, G] distance to the fact that no steering removes
    weight: float  # visibility that the seats of one subspace share
    rivals: int
    price: float  # lambda
    scale: float  # kappa
    temperature: float

    def reward(self, s: Floats) -> Floats:
        """[E, G]"""
        reward: Floats = self.weight * self.liked[..., 0] * self._share(s) - self.price * self._error(s)
        return reward

    def gradient(self, s: Floats) -> Floats:
        """Of the reward in s, [E, G, A]."""
        share, error = self._share(s)[..., None], self._error(s)[..., None]
        pull = self.weight * self.liked * share * (1.0 - share) / self.temperature * (self.demand - s)
        slope: Floats = self.scale**2 * (pull - self.price * (s - self.fact) / error)
        return slope

    def _share(self, s: Floats) -> Floats:
        ahead = (self._near(s) - self._near(self.supply)) / self.temperature
        share: Floats = 1.0 / (1.0 + self.rivals * np.exp(-np.clip(ahead, -60.0, 60.0)))
        return share

    def _near(self, x: Floats) -> Floats:
        near: Floats = -0.5 * self.scale**2 * np.square(x - self.demand).sum(axis=-1)
        return near

    def _error(self, s: Floats) -> Floats:
        error: Floats = np.sqrt(self.scale**2 * np.square(s - self.fact).sum(axis=-1) + self.rest**2)
        return error


class BestResponse(Aimed):
    """Gradient ascent on the reward that it believes in (`BelievedMarket`), from its last publication, within the box.

    Demand, supply, the nearest fact and its own last error are what it observes; where rivals are not seen it takes
    them to be where it is itself. The others are taken to stay where they are.
    """

    MIN_REST = 0.05  # keeps the gradient of the error finite at the fact itself

    def __init__(self, temperature: float = 0.1, steps: int = 40, rate: float = 0.1) -> None:
        self.temperature, self.steps, self.rate = temperature, steps, rate

    def believe(self, turn: Turn) -> BelievedMarket:
        """The market as one's observations show it."""
        config, last, fact = turn.env.config, seen(turn, "last"), seen(turn, "fact")
        subspaces, scale = config.knowledge.num_subspaces, config.goal_buddies.steering_scale
        reached = scale**2 * np.square(last - fact).sum(axis=-1)
        rest = np.sqrt(np.maximum(scalar(turn, "last_error") ** 2 - reached, self.MIN_REST**2))
        return BelievedMarket(
            demand=seen(turn, "demand"),
            fact=fact,
            supply=seen(turn, "supply") if sees_supply(turn) else last,
            liked=(scalar(turn, "demand_near") != 0.0).astype(np.float32)[..., None],
            rest=rest,
            weight=config.attention.num_slots / subspaces,
            rivals=max(round(config.goal_buddies.num_goal_buddies / subspaces) - 1, 1),
            price=config.rewards.honesty_price,
            scale=scale,
            temperature=self.temperature,
        )

    def aim(self, turn: Turn) -> Floats:
        market, s = self.believe(turn), seen(turn, "last")
        for _ in range(self.steps):
            s = (s + self.rate * market.gradient(s)).clip(-1.0, 1.0)
        return s
