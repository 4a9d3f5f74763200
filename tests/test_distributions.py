"""Action distributions against enumeration, Monte Carlo and torch's own."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from agents.distributions import MaskedGaussian, PublishGaussian, action_distribution
from agents.plackett_luce import MASKED, MaskedCategorical, PlackettLuce


def all_slates(options: int, slots: int) -> Tensor:
    return torch.tensor(list(itertools.permutations(range(options), slots)))


def logits_of(options: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(options, generator=generator, dtype=torch.float64) * 1.5


def by_hand(logits: Tensor, slate: Tensor) -> Tensor:
    """log π of one slate, slot by slot."""
    left, total = list(range(len(logits))), logits.new_zeros(())
    for choice in slate.tolist():
        total = total + logits[choice] - torch.logsumexp(logits[left], 0)
        left.remove(choice)
    return total


@pytest.mark.parametrize(("options", "slots"), [(5, 1), (5, 3), (4, 4), (6, 2)])
def test_slate_log_prob_is_exact_and_sums_to_one(options: int, slots: int) -> None:
    logits, slates = logits_of(options), all_slates(options, slots)
    log_probs = PlackettLuce(logits.expand(len(slates), -1), slots).log_prob(slates)
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)
    expected = torch.stack([by_hand(logits, slate) for slate in slates])
    torch.testing.assert_close(log_probs, expected, atol=1e-12, rtol=0)


def test_slate_samples_follow_the_log_prob() -> None:
    draws = 200_000
    logits, slates = logits_of(4, seed=1), all_slates(4, 2)
    exact = PlackettLuce(logits.expand(len(slates), -1), 2).log_prob(slates).exp()
    drawn = PlackettLuce(logits.float().expand(draws, -1), 2).sample(torch.Generator().manual_seed(3))
    counts = (drawn.unsqueeze(1) == slates).all(-1).double().mean(0)
    error = (exact * (1 - exact) / draws).sqrt()
    assert ((counts - exact).abs() < 4 * error).all()


def test_a_slate_never_repeats_and_never_holds_an_invalid_candidate() -> None:
    logits = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    logits[:, [1, 4, 6]] = MASKED
    drawn = PlackettLuce(logits, 4).sample(torch.Generator().manual_seed(1))
    assert all(len(set(slate)) == 4 for slate in drawn.tolist())
    assert set(drawn.unique().tolist()) == {0, 2, 3, 5, 7}


@pytest.mark.parametrize("valid", [[2], [1, 4], [0, 2, 5]])
def test_with_too_few_candidates_the_other_slots_repeat_and_count_for_nothing(valid: list[int]) -> None:
    logits = torch.full((600, 6), MASKED, dtype=torch.float64)
    logits[:, valid] = logits_of(len(valid))
    distribution = PlackettLuce(logits, 4)
    drawn = distribution.sample(torch.Generator().manual_seed(0))
    assert all(sorted(slate[: len(valid)]) == valid for slate in drawn.tolist())
    assert (drawn[:, len(valid) :] == drawn[:, :1]).all()
    positions = torch.tensor([[valid.index(c) for c in slate[: len(valid)]] for slate in drawn.tolist()])
    alone = PlackettLuce(logits[:, valid], len(valid)).log_prob(positions)
    torch.testing.assert_close(distribution.log_prob(drawn), alone)


def test_without_any_candidate_the_slate_is_zeros_and_certain() -> None:
    logits = torch.full((3, 5), MASKED, requires_grad=True)
    distribution = PlackettLuce(logits, 2)
    drawn = distribution.sample()
    assert (drawn == 0).all()
    total = distribution.log_prob(drawn) + distribution.entropy(drawn)
    assert (total == 0).all()
    total.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_mode_is_the_largest_logits_in_order_and_the_likeliest_slate() -> None:
    logits, slates = logits_of(6), all_slates(6, 3)
    mode = PlackettLuce(logits.unsqueeze(0), 3).mode()[0]
    assert mode.tolist() == logits.argsort(descending=True)[:3].tolist()
    log_probs = PlackettLuce(logits.expand(len(slates), -1), 3).log_prob(slates)
    assert slates[log_probs.argmax()].tolist() == mode.tolist()


@pytest.mark.parametrize("masked", [[], [1]])
def test_slate_entropy_and_its_gradient_are_right_in_expectation(masked: list[int]) -> None:
    start = logits_of(5, seed=2)
    start[masked] = MASKED
    slates = torch.tensor([s.tolist() for s in all_slates(5, 3) if not set(s.tolist()) & set(masked)])

    logits = start.clone().requires_grad_()
    log_probs = PlackettLuce(logits.expand(len(slates), -1), 3).log_prob(slates)
    exact = -(log_probs.exp() * log_probs).sum()
    (exact_gradient,) = torch.autograd.grad(exact, logits)

    logits = start.clone().requires_grad_()
    estimates = PlackettLuce(logits.expand(len(slates), -1), 3).entropy(slates)
    mean = (log_probs.detach().exp() * estimates).sum()
    (gradient,) = torch.autograd.grad(mean, logits)
    assert mean.item() == pytest.approx(exact.item(), abs=1e-12)
    torch.testing.assert_close(gradient, exact_gradient, atol=1e-12, rtol=0)


def test_gradients_stay_finite_beside_masked_candidates() -> None:
    logits = torch.randn(64, 6)
    logits[:, 2] = MASKED
    logits[:10, 1:] = MASKED
    logits.requires_grad_()
    distribution = PlackettLuce(logits, 3)
    drawn = distribution.sample()
    (distribution.log_prob(drawn) + distribution.entropy(drawn)).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, 2] == 0).all()


def test_more_slots_than_candidates_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_slots=4"):
        PlackettLuce(torch.zeros(1, 3), 4)


def test_the_masked_categorical_is_torchs_over_the_valid_options() -> None:
    logits = logits_of(5).unsqueeze(0).repeat(4, 1)
    logits[:, 3] = MASKED
    actions = torch.tensor([0, 1, 2, 4])
    reference = torch.distributions.Categorical(logits=logits)
    own = MaskedCategorical(logits)
    torch.testing.assert_close(own.log_prob(actions), reference.log_prob(actions))
    torch.testing.assert_close(own.entropy(actions), reference.entropy())
    assert 3 not in MaskedCategorical(logits[:1].expand(2000, -1)).sample().tolist()


def test_the_masked_gaussian_counts_only_unmasked_numbers() -> None:
    mean, log_std = torch.randn(7, 4), torch.randn(7, 4) * 0.3
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0]).expand(7, 4)
    own = MaskedGaussian(torch.cat([mean, log_std, weight], -1))
    reference = torch.distributions.Normal(mean, log_std.exp())
    actions = own.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(own.log_prob(actions), (reference.log_prob(actions) * weight).sum(-1))
    torch.testing.assert_close(own.entropy(actions), (reference.entropy() * weight).sum(-1))
    assert torch.equal(own.mode(), mean)


def publish_inputs(rows: int, logit: float, weight: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    mean, log_std = torch.randn(rows, 3, generator=generator), torch.full((rows, 3), -0.7)
    return torch.cat([mean, log_std, torch.full((rows, 1), logit), torch.full((rows, 1), weight)], -1)


def test_publishing_is_a_bernoulli_times_a_gaussian() -> None:
    inputs = publish_inputs(6, logit=0.4)
    own = PublishGaussian(inputs)
    where = torch.distributions.Normal(inputs[:, :3], inputs[:, 3:6].exp())
    whether = torch.distributions.Bernoulli(logits=inputs[:, 6])
    numbers = torch.randn(6, 3)
    published = torch.cat([numbers, torch.ones(6, 1)], -1)
    held = torch.cat([numbers, -torch.ones(6, 1)], -1)
    torch.testing.assert_close(
        own.log_prob(published), whether.log_prob(torch.ones(6)) + where.log_prob(numbers).sum(-1)
    )
    torch.testing.assert_close(own.log_prob(held), whether.log_prob(torch.zeros(6)))
    chance = inputs[:, 6].sigmoid()
    torch.testing.assert_close(own.entropy(held), whether.entropy() + chance * where.entropy().sum(-1))


def test_who_may_not_publish_has_nothing_to_learn_from() -> None:
    inputs = publish_inputs(6, logit=0.4, weight=0.0).requires_grad_()
    own = PublishGaussian(inputs)
    actions = own.sample()
    total = own.log_prob(actions) + own.entropy(actions)
    assert (total == 0).all()
    total.sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, :7] == 0).all()


def test_publish_samples_follow_their_probabilities() -> None:
    draws = 100_000
    inputs = publish_inputs(1, logit=1.0).expand(draws, -1)
    actions = PublishGaussian(inputs).sample(torch.Generator().manual_seed(0))
    chance = torch.sigmoid(torch.tensor(1.0)).item()
    share = (actions[:, 3] > 0).double().mean().item()
    assert abs(share - chance) < 4 * (chance * (1 - chance) / draws) ** 0.5
    standard = (actions[:, :3] - inputs[:, :3]) / inputs[:, 3:6].exp()
    assert standard.mean(0).abs().max().item() < 4 / draws**0.5
    assert (standard.std(0) - 1).abs().max().item() < 4 / (2 * draws) ** 0.5


@pytest.mark.parametrize(
    ("head", "width"), [("slate", 6), ("nudge", 6), ("scores", 18), ("gains", 8), ("steer", 18)]
)
def test_draws_come_from_the_generator_alone(head: str, width: int) -> None:
    distribution = action_distribution(head, torch.randn(16, width), num_slots=2)  # type: ignore[arg-type]
    before = torch.random.get_rng_state()
    first, second = (distribution.sample(torch.Generator().manual_seed(0)) for _ in range(2))
    other = distribution.sample(torch.Generator().manual_seed(1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_head_is_named() -> None:
    with pytest.raises(ValueError, match="unknown action kind 'jump'"):
        action_distribution("jump", torch.zeros(1, 2))  # type: ignore[arg-type]
