"""Baselines of both sides by name: what a trained policy is compared with, and whom it meets in training."""

from __future__ import annotations

from collections.abc import Callable

from agents.baselines.aims import Copycat, Stubborn
from agents.baselines.bandits import (
    EpsilonGreedy,
    FadingLinUCB,
    FriendsOfFriends,
    Greedy,
    LinUCB,
    Oracle,
    RandomSlate,
    ScorePolicy,
    Softmax,
    Thompson,
)
from agents.baselines.best_response import BestResponse
from agents.baselines.mediator import ShapleyMediator
from agents.baselines.scripts import RandomScript, Script
from agents.policy import Policy

__all__ = [
    "DEFAULT_CAST", "GOAL_BASELINES", "GRIDS", "USER_BASELINES", "BestResponse", "Copycat", "EpsilonGreedy",
    "FadingLinUCB", "FriendsOfFriends", "Greedy", "LinUCB", "Maker", "Oracle", "RandomScript", "RandomSlate",
    "ScorePolicy", "Script", "ShapleyMediator", "Softmax", "Stubborn", "Thompson",
]  # fmt: skip

Maker = Callable[..., Policy]
USER_BASELINES: dict[str, Maker] = {
    "random": RandomSlate,
    "greedy": Greedy,
    "epsilon_greedy": EpsilonGreedy,
    "softmax": Softmax,
    "linucb": LinUCB,
    "fading_linucb": FadingLinUCB,
    "thompson": Thompson,
    "shapley": ShapleyMediator,
    "friends_of_friends": FriendsOfFriends,
    "oracle": Oracle,
}
GOAL_BASELINES: dict[str, Maker] = {
    "random_script": RandomScript,
    "truthful": lambda: Script(0.0, 1.0),
    "chaser": lambda: Script(1.0, 0.0),
    "clickbait": lambda: Script(1.0, -1.0),
    "stubborn": Stubborn,
    "copycat": Copycat,
    "best_response": BestResponse,
}
# The goal-side scripts that share the seats wherever nothing else is said.
DEFAULT_CAST = ("random_script", "truthful", "chaser", "clickbait")
# What is tuned per scenario before anything is called the best bandit: name -> (argument, values).
GRIDS: dict[str, tuple[str, tuple[float, ...]]] = {
    "epsilon_greedy": ("epsilon", (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)),
    "softmax": ("temperature", (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)),
    "linucb": ("width", (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)),
    "fading_linucb": ("width", (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)),
    "thompson": ("width", (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)),
}
