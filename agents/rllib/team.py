"""The learned players of one side acting as one: a single forward pass over all their seats.

Rows are seats in the order of their players. With several players the parameters are stacked and the rows padded to
the longest, because on a CPU the number of small products costs more than their size (`benchmarks/evolution.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agents.networks import BuddyNetwork, build_network


class Team:
    """Networks of the same spec, one per player."""

    def __init__(self, networks: Sequence[BuddyNetwork]) -> None:
        self.networks = list(networks)
        self._together = stacked(self.networks) if len(self.networks) > 1 else None
        self.seat([0] * len(self.networks))

    def refresh(self) -> None:
        """The networks have new weights."""
        if self._together is not None:
            load_stacked(self._together, self.networks)

    def seat(self, counts: Sequence[int]) -> None:
        """Player p holds the next `counts[p]` rows."""
        longest = max(counts, default=0)
        starts = [sum(counts[:player]) for player in range(len(counts))]
        # Padding repeats a player's last row (any row where it has none); what comes of it is dropped.
        last = max(sum(counts) - 1, 0)
        self._padded = torch.tensor(
            [[min(start + min(j, max(count - 1, 0)), last) for j in range(longest)]
             for start, count in zip(starts, counts, strict=True)], dtype=torch.int64,
        ).reshape(len(counts), longest)  # fmt: skip
        self._kept = torch.tensor(
            [player * longest + j for player, count in enumerate(counts) for j in range(count)], dtype=torch.int64
        )
        self._even = len(set(counts)) == 1

    def forward(self, obs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Distribution inputs [B, P] and values [B] of all rows."""
        if self._together is None:
            alone: tuple[Tensor, Tensor] = self.networks[0](obs, mask)
            return alone
        players = len(self.networks)
        if self._even:
            inputs, values = self._together(obs.unflatten(0, (players, -1)), mask.unflatten(0, (players, -1)))
            return inputs.flatten(0, 1), values.flatten()
        inputs, values = self._together(obs[self._padded], mask[self._padded])
        return inputs.flatten(0, 1)[self._kept], values.flatten()[self._kept]


def stacked(networks: Sequence[BuddyNetwork]) -> BuddyNetwork:
    """One network of the same spec with a leading axis of members on its parameters, a copy, for inference.

    It takes observations [M, B, F] and masks [M, B, ...] and gives what each member's own network would give for its
    B rows, in one pass: small products cost more by their number than by their size.
    """
    together = build_network(networks[0].spec, seed=0).requires_grad_(False)
    trained = {name for name, _ in together.named_parameters()}
    for name, value in together.state_dict().items():
        path, _, last = name.rpartition(".")
        room = torch.empty(len(networks), *value.shape, dtype=value.dtype)
        held = nn.Parameter(room, requires_grad=False) if name in trained else room
        setattr(together.get_submodule(path), last, held)
    load_stacked(together, networks)
    return together


def load_stacked(together: BuddyNetwork, networks: Sequence[BuddyNetwork]) -> None:
    """Give a `stacked` network the present weights of its members."""
    own = [network.state_dict() for network in networks]
    with torch.no_grad():
        for name, value in together.state_dict().items():
            torch.stack([weights[name] for weights in own], out=value)
