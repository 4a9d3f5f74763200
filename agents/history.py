"""A seat's own running history: what it did, how that went, and whether the two go together.

Adaptive members see it beside the world's observation, which lets one fixed network adapt to a human or a market that
it has not met (few-shot, without a gradient). It is a function of the seat's own observations and actions alone, so
a policy loaded from a checkpoint rebuilds it as it acts.

With x_t the action's features and y_t its outcome, both known one round later, and means that fade by `FADE`:

    m_x ← mean x,  m_y ← mean y,  c ← mean (x − m_x)(y − m_y),  v_x, v_y ← mean squared deviations
    history = [ c/√(v_x v_y + ε),  m_x,  m_y,  y_t ]                                        2n + 2 numbers per seat

User buddies: x is the mean of the chosen candidates' features, y the mean answer of the round (which the decayed
answer rate gives back). Goal buddies: x is the action, y = visibility − mean grounding error of the shelf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.curiosity import chosen_candidates
from ammo_env.memory import DECAY
from ammo_env.observations import CONTEXT_FEATURES, Layout

FADE = 0.9
_EPSILON = 1e-3
_MEANS = ("action", "outcome", "together", "action_spread", "outcome_spread")


@dataclass(frozen=True)
class HistorySource:
    """Where the raw material of a side's history lies in its flat observation."""

    size: int
    """n, features of an action."""
    time: int
    outcome: tuple[int, ...]
    """Columns: the decayed answer rate, or visibility and shelf error."""
    candidates: tuple[int, int, int] | None = None
    """(K, Fc, S) of a user buddy, whose candidates come first; None for goal buddies."""

    @property
    def length(self) -> int:
        """Numbers that the history adds to an observation."""
        return 2 * self.size + 2


def history_source(side: str, layout: Layout, size: int) -> HistorySource:
    """The source of one side.

    `size`: slots of a user buddy's slate, or numbers of a goal buddy's action (n + 1 with publish; moves of a nudge).
    """
    if side == "user_buddy":
        shown, features = layout.shapes["candidates"]
        context = layout.slices["context"].start
        columns = {name: context + i for i, name in enumerate(CONTEXT_FEATURES)}
        return HistorySource(features - 1, columns["time"], (columns["answer_rate"],), (shown, features, size))
    start, names = layout.slices["scalars"].start, layout.features["scalars"]
    columns = {name: start + i for i, name in enumerate(names)}
    return HistorySource(size, columns["time"], (columns["visibility"], columns["shelf_error"]))


class History:
    """The histories of a number of seats (rows), updated as they are played.

    Call `extended(obs)` once per observation and `acted(obs, actions)` once per action.
    """

    def __init__(self, source: HistorySource, rows: int) -> None:
        self._x: Tensor | None = None
        self.source, self.rows = source, rows
        self._forget()

    def extended(self, obs: Tensor, newborn: Tensor | None = None) -> Tensor:
        """Observations [B, F] with the history behind them [B, F + 2n + 2].

        Time 0 begins a new history in all seats, and so does a new life in those that are `newborn` [B].
        """
        if obs.shape[0] != self.rows or bool((obs[:, self.source.time] == 0).all()):
            self.rows = obs.shape[0]
            self._forget()
        elif self._x is not None:
            self._learn(obs)
            if newborn is not None:
                self._begin(newborn)
        self._rate = obs[:, self.source.outcome[0]]
        spread = self._m["action_spread"] * self._m["outcome_spread"].unsqueeze(-1)
        together = self._m["together"] / (spread + _EPSILON**2).sqrt()
        last = torch.stack([self._m["outcome"], self._y], dim=-1)
        return torch.cat([obs, together, self._m["action"], last], dim=-1)

    def acted(self, obs: Tensor, actions: Tensor) -> None:
        """The seats' actions: slates [B, S], scores [B, K], moves [B], or numbers [B, n], clipped as the world does."""
        source = self.source
        if source.candidates is not None:
            shown, features, slots = source.candidates
            table = obs[:, : shown * features].unflatten(-1, (shown, features))[..., :-1]
            chosen = chosen_candidates(actions, slots, shown)
            self._x = table.gather(1, chosen.unsqueeze(-1).expand(-1, -1, source.size)).mean(1)
        elif actions.dtype.is_floating_point:
            self._x = actions.clamp(-1.0, 1.0)
        else:
            self._x = torch.nn.functional.one_hot(actions.reshape(-1), source.size).to(obs.dtype)

    def state(self) -> dict[str, Any]:
        """Everything that a continuation depends on."""
        return {"rows": self.rows, "x": self._x, "y": self._y, "rate": self._rate, "means": dict(self._m)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.rows, self._x, self._y = state["rows"], state["x"], state["y"]
        self._rate, self._m = state["rate"], dict(state["means"])

    def _forget(self) -> None:
        shape = {"action": self.source.size, "together": self.source.size, "action_spread": self.source.size}
        self._m = {
            name: torch.zeros(self.rows, shape[name]) if name in shape else torch.zeros(self.rows) for name in _MEANS
        }
        self._x = None
        self._y = torch.zeros(self.rows)
        self._rate = torch.zeros(self.rows)

    def _begin(self, newborn: Tensor) -> None:
        """What another did in the seat, and what came of it, is not the newborn's."""
        self._y = self._y.masked_fill(newborn, 0.0)
        self._m = {
            name: mean.masked_fill(newborn if mean.dim() == 1 else newborn.unsqueeze(-1), 0.0)
            for name, mean in self._m.items()
        }

    def _learn(self, obs: Tensor) -> None:
        assert self._x is not None
        if self.source.candidates is not None:
            self._y = (obs[:, self.source.outcome[0]] - DECAY * self._rate) / (1.0 - DECAY)
        else:
            self._y = obs[:, self.source.outcome[0]] - obs[:, self.source.outcome[1]]
        m, x, y = self._m, self._x, self._y
        dx, dy = x - m["action"], y - m["outcome"]
        self._m = {
            "action": m["action"] + (1.0 - FADE) * dx,
            "outcome": m["outcome"] + (1.0 - FADE) * dy,
            "together": FADE * (m["together"] + (1.0 - FADE) * dx * dy.unsqueeze(-1)),
            "action_spread": FADE * (m["action_spread"] + (1.0 - FADE) * dx**2),
            "outcome_spread": FADE * (m["outcome_spread"] + (1.0 - FADE) * dy**2),
        }
