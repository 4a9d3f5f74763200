"""Advantages against a formula written out, and the columns that the learner reads."""

from __future__ import annotations

import pytest
import torch

from agents.networks import NetworkSpec
from agents.rllib.rollout import Rollout, generalised_advantages, joined, standardised

GAMMA, LAMBDA = 0.9, 0.8


def by_hand(rewards: list[float], values: list[float], after: float) -> list[float]:
    """A_t = Σ_k (γλ)^k δ_{t+k} of one episode."""
    following = [*values[1:], after]
    deltas = [r + GAMMA * n - v for r, n, v in zip(rewards, following, values, strict=True)]
    return [sum((GAMMA * LAMBDA) ** k * d for k, d in enumerate(deltas[t:])) for t in range(len(deltas))]


def test_advantages_are_cut_and_bootstrapped_at_boundaries() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(5, 2, generator=generator) for _ in range(2))
    truncated, terminated = torch.tensor([0.7, -0.3]), torch.tensor([0.0, 0.4])
    advantages = generalised_advantages(rewards, values, {2: truncated, 4: terminated}, GAMMA, LAMBDA)
    for row in range(2):
        r, v = rewards[:, row].tolist(), values[:, row].tolist()
        expected = by_hand(r[:3], v[:3], truncated[row].item()) + by_hand(r[3:], v[3:], terminated[row].item())
        assert advantages[:, row].tolist() == pytest.approx(expected, abs=1e-6)


def test_advantages_end_with_a_life_in_one_seat_and_go_on_in_the_others() -> None:
    """Of three seats the first dies after round 1 and again after round 3, the second after the last round of the
    rollout (its boundary value counts for nothing), the third never."""
    generator = torch.Generator().manual_seed(1)
    rewards, values = (torch.randn(6, 3, generator=generator) for _ in range(2))
    after = torch.tensor([0.5, 7.0, -0.2])
    deaths = torch.zeros(6, 3, dtype=torch.bool)
    deaths[1, 0] = deaths[3, 0] = deaths[5, 1] = True
    advantages = generalised_advantages(rewards, values, {5: after}, GAMMA, LAMBDA, retired=deaths)
    lives = [[(0, 2, 0.0), (2, 4, 0.0), (4, 6, 0.5)], [(0, 6, 0.0)], [(0, 6, -0.2)]]
    for seat, parts in enumerate(lives):
        r, v = rewards[:, seat].tolist(), values[:, seat].tolist()
        expected = [a for start, end, bootstrap in parts for a in by_hand(r[start:end], v[start:end], bootstrap)]
        assert advantages[:, seat].tolist() == pytest.approx(expected, abs=1e-6)
    # Nothing that happens after a death reaches the life before it.
    rewards[2:, 0] += 100.0
    changed = generalised_advantages(rewards, values, {5: after}, GAMMA, LAMBDA, retired=deaths)
    assert torch.equal(changed[:2, 0], advantages[:2, 0])


def test_without_discount_the_advantage_is_the_reward_minus_the_value() -> None:
    rewards, values = torch.randn(4, 3), torch.randn(4, 3)
    advantages = generalised_advantages(rewards, values, {3: torch.randn(3)}, 0.0, 0.95)
    torch.testing.assert_close(advantages, rewards - values)


def test_standardising_over_the_rows_that_count() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 1000.0])
    counted = torch.tensor([True, True, True, False])
    assert standardised(values, counted)[:3].tolist() == pytest.approx([-1, 0, 1], abs=1e-6)
    assert (standardised(values, torch.tensor([True, False, False, False])) == 0).all()


SPEC = NetworkSpec(side="goal_buddy", head="gains", obs_size=5, action_size=2, hidden=(4,))


def played(rounds: int, rows: int, seed: int = 0) -> Rollout:
    """A rollout of random numbers, in which the last row may never publish."""
    generator, rollout = torch.Generator().manual_seed(seed), Rollout()
    free = torch.tensor([True] * (rows - 1) + [False])
    for t in range(rounds):
        inputs = torch.cat([torch.randn(rows, 5, generator=generator), free.unsqueeze(-1).float()], -1)
        rollout.obs.append(torch.full((rows, 5), float(t)))
        rollout.mask.append(free)
        rollout.inputs.append(inputs)
        rollout.actions.append(SPEC.distribution(inputs).sample(generator))
        rollout.values.append(torch.randn(rows, generator=generator))
        rollout.rewards.append(torch.randn(rows, generator=generator))
    rollout.boundaries.append((rounds - 1, torch.zeros(rows)))
    return rollout


def test_columns_are_flat_and_their_log_probability_is_that_of_the_draw() -> None:
    rounds, rows = 6, 3
    columns = joined([played(rounds, rows).columns(SPEC, GAMMA, LAMBDA, slice(0, rows))])
    assert {len(column) for column in columns.values()} == {rounds * rows}
    expected = SPEC.distribution(columns["action_dist_inputs"]).log_prob(columns["actions"])
    assert torch.equal(columns["action_logp"], expected)
    assert columns["obs"][:: rows, 0].tolist() == list(range(rounds))
    free = columns["action_mask"]
    assert (columns["action_logp"][~free] == 0).all()
    assert columns["advantages"][free].mean().item() == pytest.approx(0, abs=1e-6)
    assert columns["advantages"][free].std().item() == pytest.approx(1, abs=1e-5)


def test_the_columns_of_a_slice_are_those_rows_alone() -> None:
    rollout = played(4, 5)
    whole = rollout.columns(SPEC, GAMMA, LAMBDA, slice(0, 5))
    part = rollout.columns(SPEC, GAMMA, LAMBDA, slice(1, 3))
    for name, column in whole.items():
        assert torch.equal(part[name], column.unflatten(0, (4, 5))[:, 1:3].flatten(0, 1)), name


def test_joined_columns_stand_behind_each_other_with_advantages_of_one_scale() -> None:
    """An episode of large advantages stays larger than one of small ones."""
    one, other = (played(3, 4, seed).columns(SPEC, GAMMA, LAMBDA, slice(0, 4)) for seed in (0, 1))
    other = {**other, "advantages": other["advantages"] * 100}
    whole = joined([one, other])
    for name in one.keys() - {"advantages"}:
        assert torch.equal(whole[name], torch.cat([one[name], other[name]])), name
    raw = torch.cat([one["advantages"], other["advantages"]])
    torch.testing.assert_close(whole["advantages"], standardised(raw, whole["action_logp"] != 0))
    assert whole["advantages"][12:].std() > 20 * whole["advantages"][:12].std()
