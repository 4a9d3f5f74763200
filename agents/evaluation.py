"""Evaluation: every policy of a side on the same worlds, the same opponents and the same random numbers.

User buddies are judged by normalised regret (random slate = 1, best slate = 0). Visibility is zero-sum over creators,
so goal buddies are judged by the *seat advantage*: the reward that a policy earns in one seat of a world, against
what scripts earn in the same seat of the same world. Where goal buddies die in mid-episode, a policy keeps its seat: it
plays all the lives there, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines import DEFAULT_CAST, GOAL_BASELINES, GRIDS, USER_BASELINES
from agents.baselines.sceptic import Sceptic
from agents.matchmaking import assign_seats
from agents.policy import Policy, Turn, guess_of, take_turn
from ammo_env.config import AmmoConfig
from ammo_env.metrics import Meter
from ammo_env.vector import VectorEnv

Tick = Callable[[int], None]  # told how many episodes have just been played
# Streams of random numbers that never meet: what is tuned on is not evaluated on.
EVALUATION, TUNING = 1, 2


@dataclass(frozen=True)
class Arena:
    """Where and how long to evaluate: `worlds` worlds at once, `episodes` times, all from one seed."""

    config: AmmoConfig
    worlds: int = 64
    episodes: int = 1
    seed: int = 0
    stream: int = EVALUATION

    def env(self) -> VectorEnv:
        return VectorEnv(self.config, self.worlds)

    def seeds(self) -> tuple[int, np.random.Generator]:
        """Seed of the worlds, and the generator of the policies' draws and seats."""
        words = np.random.SeedSequence([self.seed, self.stream]).generate_state(2)
        return int(words[0]), np.random.default_rng(int(words[1]))


class Cast(Policy):
    """Several policies of one side, each in its own seats (`holders` [E, N] of indices)."""

    def __init__(self, side: str, players: Sequence[Policy]) -> None:
        self.side, self._players = side, players
        self.holders: NDArray[np.int64] = np.zeros((1, 1), dtype=np.int64)

    def guesses(self, env: VectorEnv) -> NDArray[np.float64]:
        """[E, N] the bait guess of whoever holds a seat."""
        return np.array([guess_of(player, env.config) for player in self._players])[self.holders]

    def act(self, turn: Turn, rng: np.random.Generator) -> NDArray[Any]:
        actions: NDArray[Any] | None = None
        for index, player in enumerate(self._players):
            chosen = player.act(turn, rng)  # every player draws, so that a change of seats changes no random number
            actions = np.array(chosen) if actions is None else actions
            actions[self.holders == index] = chosen[self.holders == index]
        assert actions is not None, "a cast needs at least one player"
        return actions


def scripted_cast() -> dict[str, Policy]:
    """Four goal-side scripts, a quarter of the seats each: the opponents wherever nothing else is said."""
    return {name: GOAL_BASELINES[name]() for name in DEFAULT_CAST}


def evaluate_user_buddies(
    policies: Mapping[str, Policy], goals: Mapping[str, Policy], arena: Arena, tick: Tick | None = None
) -> dict[str, Meter]:
    """Each policy in all user seats, with `goals` dealt equally to the goal seats -> one `Meter` per policy, whose
    "worlds" are the worlds of all episodes."""
    env, results = arena.env(), {}
    for name, policy in policies.items():
        seed, rng = arena.seeds()
        episodes: list[Meter] = []
        for episode in range(arena.episodes):
            cast = Cast("goal_buddy", list(goals.values()))
            cast.holders = assign_seats(rng, env.num_envs, env.num_agents["goal_buddy"], len(goals))
            episodes.append(Meter())
            _play(env, policy, cast, seed + episode, rng, partial(_measure, env, episodes[-1]))
            if tick:
                tick(1)
        results[name] = Meter.joined(episodes)
    return results


def evaluate_goal_buddies(
    policies: Mapping[str, Policy],
    goals: Mapping[str, Policy],
    user_buddy: Policy,
    arena: Arena,
    tick: Tick | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Each policy in one focal seat per world (rotating over seats), `goals` in the others, `user_buddy` in all user
    seats -> mean reward per round of the focal seat, [worlds * episodes]; entry i is the same world for all policies.
    """
    env, results = arena.env(), {}
    seats = np.arange(env.num_envs) % env.num_agents["goal_buddy"]
    for name, policy in policies.items():
        seed, rng = arena.seeds()
        rewards: list[NDArray[np.float64]] = []
        for episode in range(arena.episodes):
            cast = Cast("goal_buddy", [*goals.values(), policy])
            cast.holders = assign_seats(rng, env.num_envs, env.num_agents["goal_buddy"], len(goals))
            cast.holders[np.arange(env.num_envs), seats] = len(goals)
            rewards.append(np.zeros(env.num_envs))
            _play(env, user_buddy, cast, seed + episode, rng, partial(_earn, env, seats, rewards[-1]))
            if tick:
                tick(1)
        results[name] = np.concatenate(rewards) / arena.config.episode.num_rounds
    return results


@dataclass(frozen=True)
class Tuned:
    """The best setting of a baseline on the tuning stream."""

    name: str  # as `make_user_baseline` reads it: "softmax=0.1"
    normalised_regret: float


def make_user_baseline(text: str) -> Policy:
    """A user-side baseline by name, with its one argument after "=", and a bait guess of its own after a comma:
    "greedy", "softmax=0.15", "linucb=2,bait_guess=0.3".

    Raises `ValueError` for an unknown name or a bad argument.
    """
    text, comma, guess = text.partition(",bait_guess=")
    if comma:
        return Sceptic(make_user_baseline(text), _number(guess, f"{text},bait_guess={guess}"))
    name, _, value = text.partition("=")
    if name not in USER_BASELINES:
        raise ValueError(f"no user-side baseline '{name}'; there are: {', '.join(USER_BASELINES)}")
    if not value:
        return USER_BASELINES[name]()
    if name not in GRIDS:
        raise ValueError(f"baseline '{name}' takes no argument, but got '{text}'")
    return USER_BASELINES[name](**{GRIDS[name][0]: _number(value, text)})


def tune_bandits(
    arena: Arena, goals: Mapping[str, Policy], tick: Tick | None = None, guesses: Sequence[float] = ()
) -> dict[str, Tuned]:
    """The best setting of every bandit with a parameter, by normalised regret on the arena's worlds.

    Use an arena of the TUNING stream, so that the evaluation is on other worlds. Where what is compared with it has
    found a guess at bait of its own, the best setting is tried with each of `guesses`, and all settings with the best.
    """
    best: dict[str, Tuned] = {}
    for name, (_, values) in GRIDS.items():
        settings = [f"{name}={value:g}" for value in values]
        found = [_best(settings, goals, arena, tick)]
        if guesses:
            found.append(_best([f"{found[0].name},bait_guess={guess:g}" for guess in guesses], goals, arena, tick))
            guess = found[1].name.partition(",")[2]
            found.append(_best([f"{setting},{guess}" for setting in settings], goals, arena, tick))
        best[name] = min(found, key=lambda tuned: tuned.normalised_regret)
    return best


def num_tuning_episodes(arena: Arena, guesses: Sequence[float] = ()) -> int:
    """How often `tune_bandits` ticks."""
    passes = 2 if guesses else 1
    return arena.episodes * sum(passes * len(values) + len(guesses) for _, values in GRIDS.values())


def _best(names: Sequence[str], goals: Mapping[str, Policy], arena: Arena, tick: Tick | None) -> Tuned:
    scored = evaluate_user_buddies({name: make_user_baseline(name) for name in names}, goals, arena, tick)
    ranking = [Tuned(name, meter.summary()["normalised_regret"]) for name, meter in scored.items()]
    return min(ranking, key=lambda tuned: tuned.normalised_regret)


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"'{value}' in '{text}' is not a number") from None


def _measure(env: VectorEnv, meter: Meter) -> None:
    meter.add(env.measure())


def _earn(env: VectorEnv, seats: NDArray[np.int64], total: NDArray[np.float64]) -> None:
    """Adds the last round's reward of one goal seat per world to `total` [E], in place."""
    assert env.last_round is not None
    total += env.arrays.to_numpy(env.last_round.rewards["goal_buddy"])[np.arange(env.num_envs), seats]


def _play(
    env: VectorEnv, user: Policy, goal: Policy, seed: int, rng: np.random.Generator, after: Callable[[], None]
) -> None:
    """One episode in all worlds; `after` is called after every round."""
    obs, _ = env.reset(seed, {"bait_guess": guess_of(user, env.config)})
    for _ in range(env.config.episode.num_rounds):
        chosen = {p.side: p.act(take_turn(env, obs, p.side), rng) for p in (user, goal)}
        obs = env.step(chosen)[0]
        after()
