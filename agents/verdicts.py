"""AiPP as the evaluation function of evolution, eval(θ_user, θ_goal): what a round says of every seat.

    path           user buddy                                      goal buddy
    satisfaction   1 − R(S, q)/mean R̄, against the truth           reward of the seat
    engagement     mean answer given to its slate                  visibility of its shelf
    accuracy       −|q − q̂|                                        mean true utility of its shelf to the humans

All of it looks at hidden state, as a judge may; nothing of it is ever observed by a buddy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammo_env.vector import VectorEnv


def judge(env: VectorEnv) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Side → path → [E, N] of the last round. Raises `RuntimeError` before the first round."""
    happened, to_numpy = env.last_round, env.arrays.to_numpy
    if happened is None:
        raise RuntimeError("nothing to judge yet: step() first")
    judged, feedback = happened.judgement, happened.impression.feedback
    answered = to_numpy(feedback.answered)
    answers = (to_numpy(feedback.value) * answered).sum(-1) / np.maximum(answered.sum(-1), 1)
    usual = max(float(to_numpy(judged.random_regret).mean()), 1e-9)
    state, shape = env.world.state, (env.num_envs, env.num_agents["goal_buddy"], -1)
    gap = np.linalg.norm(to_numpy(state.q) - to_numpy(state.beliefs.mean), axis=-1)
    return {
        "user_buddy": {
            "satisfaction": 1.0 - to_numpy(judged.regret) / usual,
            "engagement": answers,
            "accuracy": -gap,
        },
        "goal_buddy": {
            "satisfaction": to_numpy(happened.rewards["goal_buddy"]),
            "engagement": to_numpy(judged.visibility).reshape(shape).sum(-1),
            "accuracy": to_numpy(judged.utility).mean(1).reshape(shape).mean(-1),
        },
    }


class Tally:
    """Sums of verdicts by player over the judged rounds of a sample, for both sides.

    Players are indices as in `agents.matchmaking.assign_seats`; scripted seats are left out.

    Args:
        players: side → number of player indices P (living slots and places of the hall).
    """

    def __init__(self, players: dict[str, int]) -> None:
        self._players = players
        self.seats = {side: np.zeros(count) for side, count in players.items()}
        self.sums: dict[str, dict[str, NDArray[np.float64]]] = {side: {} for side in players}
        shapes = {side: (players[side], players[other]) for side, other in _pairs(players)}
        self.outcomes = {side: (np.zeros(shape), np.zeros(shape)) for side, shape in shapes.items()}
        """side → (sum of satisfaction · share of the opponent in its world, sum of that share), each [P, O]."""

    def add(self, holders: dict[str, NDArray[np.int64]], verdicts: dict[str, dict[str, NDArray[np.float64]]]) -> None:
        """One judged round: side → [E, N] players, and side → path → [E, N]."""
        present = {side: _by_world(held, self._players[side], None) for side, held in holders.items()}
        for side, other in _pairs(self._players):
            self.seats[side] += present[side].sum(0)
            held, count = holders[side], self._players[side]
            for path, values in verdicts[side].items():
                sums = self.sums[side].setdefault(path, np.zeros(count))
                by_world = _by_world(held, count, values)
                sums += by_world.sum(0)
                if path == "satisfaction":
                    met = present[other] / holders[other].shape[1]
                    total, weight = self.outcomes[side]
                    total += by_world.T @ met
                    weight += present[side].T @ met

    def means(self, side: str, player: int) -> dict[str, float]:
        """Path → mean over the player's seats and judged rounds; empty where it had none."""
        seats = self.seats[side][player]
        return {path: float(sums[player] / seats) for path, sums in self.sums[side].items()} if seats else {}

    def forget(self, side: str, player: int) -> None:
        """Whoever played as this player is no longer there to be judged."""
        here = np.arange(self._players[side]) != player
        # New arrays: those that came from another process are read-only.
        self.seats[side] = np.where(here, self.seats[side], 0.0)
        self.sums[side] = {path: np.where(here, sums, 0.0) for path, sums in self.sums[side].items()}
        for judged, (total, weight) in self.outcomes.items():
            still = here[:, None] if judged == side else here
            self.outcomes[judged] = np.where(still, total, 0.0), np.where(still, weight, 0.0)

    def merged(self, other: Tally) -> Tally:
        """Both together (of two runners)."""
        result = Tally(self._players)
        for side in self._players:
            result.seats[side] = self.seats[side] + other.seats[side]
            paths = self.sums[side].keys() | other.sums[side].keys()
            zero = np.zeros(self._players[side])
            result.sums[side] = {
                path: self.sums[side].get(path, zero) + other.sums[side].get(path, zero) for path in sorted(paths)
            }
            (total, weight), (more, number) = self.outcomes[side], other.outcomes[side]
            result.outcomes[side] = (total + more, weight + number)
        return result


def _pairs(players: dict[str, int]) -> list[tuple[str, str]]:
    one, other = players
    return [(one, other), (other, one)]


def _by_world(held: NDArray[np.int64], players: int, values: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """[E, P] sums of `values` [E, N] (or counts) over the seats of each player in each world."""
    table = np.zeros((len(held), players))
    world, seat = np.nonzero(held >= 0)
    np.add.at(table, (world, held[world, seat]), 1.0 if values is None else values[world, seat])
    return table
