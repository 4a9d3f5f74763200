"""Players of one side in one forward pass: each gets what its own network would give it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.networks import BuddyNetwork, NetworkSpec, build_network
from agents.rllib.team import Team, load_stacked, stacked

CANDIDATES, FEATURES, CONTEXT = 6, ("score", "uncertainty", "valid"), 3

SPECS: dict[str, dict[str, Any]] = {
    "slate": {"side": "user_buddy", "action_size": 2},
    "scores": {"side": "user_buddy", "action_size": CANDIDATES},
    "gains": {"side": "goal_buddy", "action_size": 3},
    "steer": {"side": "goal_buddy", "action_size": 4},
    "nudge": {"side": "goal_buddy", "action_size": 5},
}
heads = pytest.mark.parametrize("head", SPECS)


def networks(head: str, players: int, seed: int = 0) -> list[BuddyNetwork]:
    """Networks with every parameter moved away from where it starts."""
    user = SPECS[head]["side"] == "user_buddy"
    size = CANDIDATES * len(FEATURES) + CONTEXT if user else 9
    shape = {"candidate_features": FEATURES, "context_size": CONTEXT} if user else {}
    spec = NetworkSpec(head=head, obs_size=size, hidden=(16, 8), **shape, **SPECS[head])
    generator, made = torch.Generator().manual_seed(seed), []
    for player in range(players):
        network = build_network(spec, player).requires_grad_(False)
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        made.append(network)
    return made


def turn(head: str, rows: int, seed: int = 0, all_valid: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if SPECS[head]["side"] == "user_buddy":
        obs = torch.randn(rows, CANDIDATES * len(FEATURES) + CONTEXT, generator=generator)
        shape: tuple[int, ...] = (rows, CANDIDATES)
    else:
        obs = torch.randn(rows, 9, generator=generator)
        shape = (rows, SPECS[head]["action_size"]) if head == "nudge" else (rows,)
    mask = torch.rand(shape, generator=generator) > (-1.0 if all_valid else 0.3)
    return obs, mask


def alone(own: Sequence[BuddyNetwork], counts: Sequence[int], obs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    inputs, values, start = [], [], 0
    for network, count in zip(own, counts, strict=True):
        if count:
            part = network(obs[start : start + count], mask[start : start + count])
            inputs.append(part[0])
            values.append(part[1])
        start += count
    return torch.cat(inputs), torch.cat(values)


@heads
@pytest.mark.parametrize("all_valid", [True, False])
@pytest.mark.parametrize(
    "counts", [[4, 4, 4], [1, 1], [5, 2, 3], [3, 0, 2], [0, 4], [4, 0, 0], [0, 0, 1], [7]]
)
def test_together_is_as_each_alone(head: str, counts: list[int], all_valid: bool) -> None:
    own = networks(head, len(counts))
    team = Team(own)
    team.seat(counts)
    obs, mask = turn(head, sum(counts), all_valid=all_valid)
    inputs, values = team.forward(obs, mask)
    expected, worth = alone(own, counts, obs, mask)
    torch.testing.assert_close(inputs, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(values, worth, atol=1e-5, rtol=0)


@heads
@pytest.mark.parametrize("players", [1, 2])
def test_without_any_seat_nothing_comes_out(head: str, players: int) -> None:
    """Where scripts hold all seats."""
    team = Team(networks(head, players))
    team.seat([0] * players)
    inputs, values = team.forward(*turn(head, 0))
    assert len(inputs) == len(values) == 0


@heads
def test_players_do_not_see_each_others_rows(head: str) -> None:
    team = Team(networks(head, 3))
    team.seat([2, 3, 1])
    obs, mask = turn(head, 6, all_valid=True)
    before, _ = team.forward(obs, mask)
    changed = obs.clone()
    changed[2:5] += 1.0
    after, _ = team.forward(changed, mask)
    assert torch.equal(before[[0, 1, 5]], after[[0, 1, 5]])
    assert not torch.equal(before[2:5], after[2:5])


@heads
def test_new_weights_are_in_force_after_a_refresh(head: str) -> None:
    own = networks(head, 3)
    team = Team(own)
    counts = [2, 1, 4]
    team.seat(counts)
    obs, mask = turn(head, 7)
    stale, _ = team.forward(obs, mask)
    for network, other in zip(own, networks(head, 3, seed=9), strict=True):
        network.load_state_dict(other.state_dict())
    assert torch.equal(team.forward(obs, mask)[0], stale)
    team.refresh()
    torch.testing.assert_close(team.forward(obs, mask)[0], alone(own, counts, obs, mask)[0], atol=1e-5, rtol=0)


def test_seats_may_be_dealt_again() -> None:
    own = networks("slate", 2)
    team = Team(own)
    for counts in ([1, 5], [3, 3], [6, 0]):
        team.seat(counts)
        obs, mask = turn("slate", 6, seed=counts[0])
        torch.testing.assert_close(team.forward(obs, mask)[0], alone(own, counts, obs, mask)[0], atol=1e-5, rtol=0)


def test_one_diverged_player_does_not_spoil_the_others() -> None:
    """NaN weights stay in their own rows."""
    own = networks("slate", 3)
    for parameter in own[1].parameters():
        parameter.fill_(torch.nan)
    team = Team(own)
    team.seat([2, 3, 1])
    obs, mask = turn("slate", 6, all_valid=True)
    inputs, values = team.forward(obs, mask)
    assert inputs[2:5].isnan().all()
    assert torch.cat([inputs[:2], inputs[5:]]).isfinite().all()
    assert values.isnan().tolist() == [False, False, True, True, True, False]


@heads
def test_stacked_parameters_are_copies_and_need_no_gradient(head: str) -> None:
    own = networks(head, 2)
    together = stacked(own)
    names = dict(own[0].named_parameters())
    assert {name: tuple(p.shape) for name, p in together.named_parameters()} == {
        name: (2, *p.shape) for name, p in names.items()
    }
    assert not any(parameter.requires_grad for parameter in together.parameters())
    for network in own:
        network.requires_grad_(True)
    obs, mask = turn(head, 2)
    before = together(obs.unsqueeze(1), mask.unsqueeze(1))[0]
    with torch.no_grad():
        for parameter in own[0].parameters():
            parameter.add_(1.0)
    assert torch.equal(together(obs.unsqueeze(1), mask.unsqueeze(1))[0], before)
    load_stacked(together, own)
    assert not torch.equal(together(obs.unsqueeze(1), mask.unsqueeze(1))[0], before)
    assert not together(obs.unsqueeze(1), mask.unsqueeze(1))[0].requires_grad
