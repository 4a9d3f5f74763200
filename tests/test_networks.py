"""Networks: what must not matter (order, invalid candidates, global randomness) and how they start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.distributions import PublishGaussian
from agents.history import History
from agents.layers import standardised
from agents.networks import NetworkSpec, build_network
from agents.plackett_luce import MASKED
from agents.rllib.plan import network_spec, side_history
from agents.rllib.team import stacked
from agents.training_settings import TrainingSettings
from ammo_env.config import AmmoConfig
from ammo_env.vector import VectorEnv

FEATURES = ("score", "uncertainty", "age", "valid")
CONTEXT = 3


def user_spec(**changes: Any) -> NetworkSpec:
    values: dict[str, Any] = {
        "side": "user_buddy", "head": "slate", "obs_size": 8 * len(FEATURES) + CONTEXT, "action_size": 3,
        "candidate_features": FEATURES, "context_size": CONTEXT, "hidden": (32, 32),
    }  # fmt: skip
    return NetworkSpec(**{**values, **changes})


def goal_spec(**changes: Any) -> NetworkSpec:
    values = {"side": "goal_buddy", "head": "gains", "obs_size": 11, "action_size": 3, "hidden": (64, 64)}
    return NetworkSpec(**{**values, **changes})


def candidates(rows: int, options: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """([B, K, Fc] all valid, [B, Fx])."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(rows, options, len(FEATURES), generator=generator)
    table[..., -1] = 1
    return table, torch.randn(rows, CONTEXT, generator=generator)


def flat(table: Tensor, context: Tensor) -> Tensor:
    return torch.cat([table.flatten(1), context], -1)


@pytest.mark.parametrize("head", ["slate", "scores"])
@pytest.mark.parametrize("invalid", [0, 3])
def test_shuffled_candidates_give_shuffled_scores_and_the_same_value(head: str, invalid: int) -> None:
    network = build_network(user_spec(head=head, action_size=8), seed=0)
    table, context = candidates(16)
    if invalid:
        table[:, :invalid, -1] = 0
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    inputs, values = network(flat(table, context))
    shuffled, same = network(flat(table[:, order], context))
    blocks = inputs.unflatten(-1, (-1, 8))[..., order].flatten(1)
    torch.testing.assert_close(shuffled, blocks)
    torch.testing.assert_close(same, values)


def test_what_an_invalid_candidate_looks_like_does_not_matter() -> None:
    network = build_network(user_spec(), seed=0)
    table, context = candidates(16)
    mask = torch.ones(16, 8, dtype=torch.bool)
    mask[:, [2, 5]] = False
    inputs, values = network(flat(table, context), mask)
    changed = table.clone()
    changed[:, [2, 5]] = 100.0
    again, same = network(flat(changed, context), mask)
    assert torch.equal(inputs, again)
    assert torch.equal(values, same)
    assert (inputs[:, [2, 5]] == MASKED).all()
    without, value = network(flat(table[:, [0, 1, 3, 4, 6, 7]], context))
    torch.testing.assert_close(inputs[:, [0, 1, 3, 4, 6, 7]], without)
    torch.testing.assert_close(values, value)


def test_the_mask_may_come_from_the_observation() -> None:
    network = build_network(user_spec(), seed=0)
    table, context = candidates(4)
    table[:, 1, -1] = 0
    mask = table[..., -1] > 0.5
    assert torch.equal(network(flat(table, context))[0], network(flat(table, context), mask)[0])


def test_any_number_of_candidates_fits() -> None:
    network = build_network(user_spec(), seed=0)
    assert network(flat(*candidates(2, options=20)))[0].shape == (2, 20)


def test_before_training_a_user_buddy_follows_twice_the_standardised_score() -> None:
    network = build_network(user_spec(), seed=0)
    table, context = candidates(32)
    expected = 2 * standardised(table[..., 0], table[..., -1] > 0)
    assert (network(flat(table, context))[0] - expected).abs().max() < 0.1


def test_standardised_scores() -> None:
    score = torch.tensor([[1.0, 2.0, 3.0, 50.0], [7.0, 9.0, 9.0, 9.0], [4.0, 4.0, 4.0, 4.0]])
    valid = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]) > 0
    root = 1.5**0.5
    expected = torch.tensor([[-root, 0, root, 0], [0.0, 0, 0, 0], [0.0, 0, 0, 0]])
    torch.testing.assert_close(standardised(score, valid), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(standardised(score[:1, :3], valid[:1, :3]), expected[:1, :3], atol=1e-5, rtol=0)


def test_a_wrong_layout_is_named() -> None:
    with pytest.raises(ValueError, match="length 34 is not candidates of 4 features"):
        build_network(user_spec(), seed=0)(torch.zeros(1, 34))


def test_an_untrained_user_buddy_is_a_softmax_over_optimistic_scores() -> None:
    """Logits are sharpness * standardised(score + optimism * (1 - 3/4 time) * uncertainty), within the .1 that
    untrained layers add; a stacked network does the same."""
    network = build_network(user_spec(initial_sharpness=8.0, initial_optimism=1.5, time=1), seed=0)
    table, context = candidates(16)
    optimistic = table[..., 0] + 1.5 * (1.0 - 0.75 * context[..., 1:2]) * table[..., 1]
    centred = optimistic - optimistic.mean(-1, keepdim=True)
    expected = 8.0 * centred / centred.square().mean(-1, keepdim=True).sqrt()
    assert (network(flat(table, context))[0] - expected).abs().max() < 0.1
    together = stacked([network, network])(flat(table, context).expand(2, -1, -1))[0]
    assert (together - expected).abs().max() < 0.1


def test_traits_travel_with_the_weights_and_no_gradient_reaches_them() -> None:
    """Optimism is what the trait says plus what was learned; a stacked network has everybody's own."""
    one, other = (build_network(user_spec(initial_optimism=1.0, initial_bait_guess=0.25), seed=0) for _ in range(2))
    assert one.traits == {"optimism": 1.0, "bait_guess": 0.25}
    other.set_traits({"optimism": 2.5})
    assert other.traits == {"optimism": 2.5, "bait_guess": 0.25}
    table, context = candidates(16)
    assert (one(flat(table, context))[0] - other(flat(table, context))[0]).abs().max() > 0.1
    together = stacked([one, other])
    rows = flat(table, context).expand(2, -1, -1)
    for mine, network in zip(together(rows)[0], (one, other), strict=True):
        torch.testing.assert_close(mine, network(flat(table, context))[0])
    one(flat(table, context))[0].sum().backward()
    trained = dict(one.named_parameters())
    assert "inborn" not in trained
    assert trained["learned_optimism"].grad is not None
    with torch.no_grad():
        trained["learned_optimism"].add_(1.5)
    torch.testing.assert_close(one(flat(table, context))[0], other(flat(table, context))[0], atol=1e-5, rtol=1e-5)
    one.load_state_dict(other.state_dict())
    assert one.traits == other.traits


def test_traits_that_nobody_has_are_refused() -> None:
    with pytest.raises(KeyError, match="traits are optimism, bait_guess, not courage"):
        build_network(user_spec(), seed=0).set_traits({"courage": 1.0})
    creator = build_network(goal_spec(), seed=0)
    assert creator.traits == {}
    with pytest.raises(KeyError, match="a goal_buddy has no traits optimism"):
        creator.set_traits({"optimism": 1.0})


def test_insight_moves_the_value_alone() -> None:
    """The last two numbers of an observation change V and not one logit; with a leading axis of members too."""
    networks = [build_network(user_spec(insight_size=2), seed=seed) for seed in (0, 1)]
    table, context = candidates(16)
    known, told = torch.zeros(16, 2), torch.randn(16, 2, generator=torch.Generator().manual_seed(3))
    plain, more = (torch.cat([flat(table, context), insight], dim=-1) for insight in (known, told))
    for network in networks:
        (logits, value), (same, other) = network(plain), network(more)
        torch.testing.assert_close(same, logits, rtol=0, atol=0)
        assert (other - value).abs().max() > 1e-3
    together = stacked(networks)
    both = together(torch.stack([plain, more]))
    torch.testing.assert_close(both[0][1], networks[1](more)[0])
    torch.testing.assert_close(both[1][1], networks[1](more)[1])


def test_a_user_buddy_is_small() -> None:
    spec = user_spec(candidate_features=("score", "uncertainty", "valid", *"abcdef"), context_size=4)
    assert 6_000 < sum(p.numel() for p in build_network(spec, seed=0).parameters()) < 8_000


def test_scores_lie_inside_their_box() -> None:
    network = build_network(user_spec(head="scores", action_size=8), seed=0)
    table, context = candidates(64)
    table[..., 0] *= 1000
    means = network(flat(table, context))[0][:, :8]
    assert means.abs().max() < 1


def test_a_goal_buddy_starts_centred_wide_and_willing_to_publish() -> None:
    network = build_network(goal_spec(initial_std=0.5, initial_publish=1.0), seed=0)
    distribution = network.spec.distribution(network(torch.randn(64, 11))[0])
    assert isinstance(distribution, PublishGaussian)
    assert distribution.mean.abs().max() < 0.1
    torch.testing.assert_close(distribution.log_std.exp(), torch.full((64, 3), 0.5))
    assert (distribution.publish.sigmoid() - 0.731).abs().max() < 0.02


def test_a_goal_buddys_mask_becomes_the_weight() -> None:
    network = build_network(goal_spec(), seed=0)
    may = torch.tensor([True, False, True])
    inputs, _ = network(torch.randn(3, 11), may)
    assert inputs[:, -1].tolist() == [1, 0, 1]


def test_forbidden_nudges_are_never_made() -> None:
    network = build_network(goal_spec(head="nudge", action_size=6), seed=0)
    mask = torch.tensor([[True, False, True, False, False, True]]).expand(500, -1)
    inputs, _ = network(torch.randn(500, 11), mask)
    drawn = network.spec.distribution(inputs).sample(torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0, 2, 5}


@pytest.mark.parametrize("spec", [user_spec(), user_spec(head="scores"), goal_spec(), goal_spec(head="nudge")])
def test_weights_come_from_the_seed_alone(spec: NetworkSpec) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (build_network(spec, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_every_weight_gets_a_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    for spec, obs in ((user_spec(), flat(*candidates(32))), (goal_spec(), torch.randn(32, 11, generator=generator))):
        network = build_network(spec, seed=0)
        inputs, values = network(obs)
        distribution = spec.distribution(inputs)
        (distribution.log_prob(distribution.sample(generator)).sum() + values.sum()).backward()
        for name, parameter in network.named_parameters():
            if name != "logit.bias":  # a slate's probability does not change when all logits move together
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name


def test_with_neighbours_a_network_reads_the_endorsement(small_config: Callable[..., AmmoConfig]) -> None:
    """One more candidate feature, named in the spec, before `valid`; a member's history has room for it."""
    config = small_config({"social.network": "ring"})
    env = VectorEnv(config, 2)
    spec = network_spec(config, TrainingSettings(), "user_buddy")
    assert spec.candidate_features == env.observation_layouts["user_buddy"].candidate_features
    assert spec.candidate_features[-2:] == ("endorsement", "valid")
    obs = torch.from_numpy(env.reset(seed=0)[0]["user_buddy"]).flatten(0, 1)
    inputs, values = build_network(spec, seed=0)(torch.cat([obs, obs.new_zeros(len(obs), spec.history_size)], -1))
    assert inputs.shape == (8, config.attention.num_candidates)
    assert torch.isfinite(values).all()
    history = History(side_history(config, "user_buddy"), len(obs))
    assert history.extended(obs).shape[1] == obs.shape[1] + history.source.length
    assert history.source.size == len(spec.candidate_features) - 1
