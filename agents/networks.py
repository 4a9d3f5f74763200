"""The two learning networks, in plain torch: what acts from a checkpoint needs nothing else.

A user buddy scores its candidates with one shared network, so that shuffling the candidates shuffles the scores and
nothing else (Zaheer et al. 2017), and any number of candidates fits. A goal buddy turns its flat observation into
gains. Each network has a value head on the same trunk, and puts out *distribution inputs* (see `distributions`).
Inputs are of order 1 already (`ammo_env.observations`), so nothing is standardised by running statistics, which
would have to be restored exactly. Weights are drawn from a generator that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from agents.distributions import ActionDistribution, Head, action_distribution
from agents.evolution.genome import FADING, TRAITS
from agents.layers import linear, pool, standardised
from agents.plackett_luce import MASKED


class NetworkSpec(BaseModel):
    """Everything that rebuilds a network; plain data, stored beside the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: str
    head: Head
    obs_size: int
    """F, length of one flat observation."""
    action_size: int
    """S of a slate; K of scores; number of moves of a nudge; continuous numbers of gains or steer."""
    candidate_features: tuple[str, ...] = ()
    """Names of the Fc columns of a candidate ("score" and "valid" are used); empty for goal buddies."""
    context_size: int = 0
    """Fx, length of the context after the candidates, history included."""
    time: int = 0
    """Which number of the context is the share of the episode that is over (user buddies)."""
    history_size: int = 0
    """Numbers at the end of an observation that come from the seat's own history (`agents.history`); 0 in the eyes of
    members that are not adaptive."""
    destinations: int = 0
    """P, subspaces that a user buddy may visit next; 0 where it does not travel."""
    insight_size: int = 0
    """Numbers at the very end of an observation that only the value looks at (`agents.insight`); 0 where none do."""
    hidden: tuple[int, ...]
    initial_std: float = 0.5
    initial_sharpness: float = 2.0
    """Inverse temperature of the candidates' standardised scores at the start (user buddies)."""
    initial_optimism: float = 0.0
    """Trait at the start: weight of a candidate's uncertainty beside its score (user buddies)."""
    initial_bait_guess: float = 0.0
    """Trait at the start: what provenance is taken to add to an answer (user buddies)."""
    initial_publish: float = 1.0
    """Publish logit at the start."""

    def distribution(self, inputs: Tensor) -> ActionDistribution:
        """The action distribution over rows of distribution inputs."""
        return action_distribution(self.head, inputs, self.action_size, self.destinations)


class BuddyNetwork(nn.Module):
    """What every network offers: `forward(obs [B, F], mask) -> (distribution inputs [B, P], values [B])`."""

    spec: NetworkSpec

    @property
    def traits(self) -> dict[str, float]:
        """What no gradient changes, by name (`agents.evolution.genome.TRAITS`); nothing for goal buddies."""
        return {}

    def set_traits(self, values: Mapping[str, float]) -> None:
        """Give it other traits; names that it does not have raise `KeyError`."""
        if values:
            raise KeyError(f"a {self.spec.side} has no traits {', '.join(sorted(values))}")

    def forward(self, obs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class CandidateNetwork(BuddyNetwork):
    """A user buddy: one score per candidate.

        h_k = relu(E₂ relu(E₁ [c_k, x])),  pooled = [mean_k h_k, max_k h_k, x] over valid candidates,
        logit_k = w·relu(H h_k + P pooled) + skip·(o_k − mean o)/sd o,
        o_k = score_k + (trait + learned optimism)·(1 − FADING·time)·uncertainty_k
        value = v·relu(V pooled)

    Where user buddies travel, destinations have logits from the pooled state, with a skip of their own from what each
    subspace is believed to hold: w'·relu(T pooled) + skip'·(value_m − mean value)/sd value.

    Before any training the policy is a softmax over optimistic scores, a strong baseline (LinUCB whose width fades:
    what an answer teaches is worth the rounds that are left to use it in). Where a belief knows well what it does not
    know, exploring pays too late for a gradient to find it from a greedy start.
    The value may know more than the policy: what `agents.insight` says of hidden preferences enters V alone, so that
    acting needs none of it (an asymmetric critic: Pinto et al. 2018).
    Distribution inputs: [B, K] masked logits (slate), or [B, 3K] means, log sd, weights (scores); K + P with travel.
    """

    inborn: Tensor  # [2] the traits, in the order of TRAITS

    def __init__(self, spec: NetworkSpec, generator: torch.Generator) -> None:
        super().__init__()
        self.spec = spec
        self._score = spec.candidate_features.index("score")
        self._uncertainty = spec.candidate_features.index("uncertainty")
        self._valid = spec.candidate_features.index("valid")
        wide, gain = spec.hidden[-1], math.sqrt(2)
        widths = (len(spec.candidate_features) + spec.context_size, *spec.hidden)
        self.encoder = nn.ModuleList(
            linear(before, after, gain, generator) for before, after in pairwise(widths)
        )
        self.raise_candidate = linear(wide, wide, gain, generator, bias=False)
        self.raise_pooled = linear(2 * wide + spec.context_size, wide, 1.0, generator)
        self.logit = linear(wide, 1, 0.01, generator)
        self.value_hidden = linear(2 * wide + spec.context_size + spec.insight_size, wide, gain, generator)
        self.value = linear(wide, 1, 0.1, generator)
        self.skip = nn.Parameter(torch.tensor(spec.initial_sharpness))
        self.learned_optimism = nn.Parameter(torch.tensor(0.0))
        # A buffer: it goes wherever the weights go (as float32), and no optimiser touches it.
        self.register_buffer("inborn", torch.tensor([spec.initial_optimism, spec.initial_bait_guess]))
        if spec.destinations:
            self.travel_hidden = linear(2 * wide + spec.context_size, wide, gain, generator)
            self.travel = linear(wide, spec.destinations, 0.01, generator)
            self.travel_skip = nn.Parameter(torch.tensor(2.0))
        if spec.head == "scores":
            self.log_std = nn.Parameter(torch.tensor(math.log(spec.initial_std)))

    @property
    def traits(self) -> dict[str, float]:
        return dict(zip(TRAITS, self.inborn.tolist(), strict=True))

    def set_traits(self, values: Mapping[str, float]) -> None:
        unknown = values.keys() - TRAITS.keys()
        if unknown:
            raise KeyError(f"traits are {', '.join(TRAITS)}, not {', '.join(sorted(unknown))}")
        self.inborn.copy_(torch.tensor(list((self.traits | dict(values)).values())))

    def forward(self, obs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`mask` [B, K] bool, True where a candidate is valid, or [B, K + P] with destinations; None reads it from the
        observation and allows all destinations."""
        candidates, context, insight = self._unflatten(obs)                         # [B, K, Fc], [B, Fx], [B, I]
        shown = candidates.shape[-2]
        valid = candidates[..., self._valid] > 0.5 if mask is None else mask[..., :shown]              # [B, K]
        # Rows are candidates ([B·K, H]) up to the pooling: in-place steps on a view would copy it in the backward pass.
        crowd = context.unsqueeze(-2).expand(*candidates.shape[:-1], -1)
        rows = torch.cat([candidates, crowd], -1).flatten(-3, -2)
        for layer in self.encoder:
            rows = layer(rows).relu_()
        shape = valid.shape[-2:]
        pooled = torch.cat([*pool(rows.unflatten(-2, shape), valid), context], dim=-1)          # [B, 2H + Fx]
        raised = self.raise_candidate(rows).unflatten(-2, shape) + self.raise_pooled(pooled).unsqueeze(-2)
        optimism = (self.inborn[..., 0] + self.learned_optimism)[..., None, None]
        rest = 1.0 - FADING * context[..., self.spec.time, None]                                       # [B, 1]
        optimistic = candidates[..., self._score] + optimism * rest * candidates[..., self._uncertainty]
        skip = self.skip[..., None, None] * standardised(optimistic, valid)
        logits = self.logit(raised.relu_()).squeeze(-1) + skip                                         # [B, K]
        judged = torch.cat([pooled, insight], dim=-1) if self.spec.insight_size else pooled
        value = self.value(self.value_hidden(judged).relu_()).squeeze(-1)
        if self.spec.destinations:
            leading, allowed = self._destinations(pooled, context, mask)
            logits, valid = torch.cat([logits, leading], dim=-1), torch.cat([valid, allowed], dim=-1)
        return self._inputs(logits, valid), value

    def _destinations(self, pooled: Tensor, context: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """([B, P] logits, [B, P] bool which are allowed)."""
        number, end = self.spec.destinations, context.shape[-1] - self.spec.history_size
        values = context[..., end - 2 * number : end - number]  # behind where it is, before how unsure that is
        allowed = torch.ones_like(values, dtype=torch.bool) if mask is None else mask[..., -number:]
        skip = self.travel_skip[..., None, None] * standardised(values, allowed)
        return self.travel(self.travel_hidden(pooled).relu_()) + skip, allowed

    def _unflatten(self, obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = len(self.spec.candidate_features)
        known = obs.shape[-1] - self.spec.insight_size
        flat = known - self.spec.context_size
        if flat % features:
            raise ValueError(f"an observation of length {obs.shape[-1]} is not candidates of {features} features and "
                             f"a context of {self.spec.context_size}: this network was made for another layout")
        return obs[..., :flat].unflatten(-1, (-1, features)), obs[..., flat:known], obs[..., known:]

    def _inputs(self, logits: Tensor, valid: Tensor) -> Tensor:
        if self.spec.head == "slate":
            return logits.masked_fill(~valid, MASKED)
        # Scores are bounded by the action space: squash, so that the best candidates do not tie at its edge.
        mean = torch.tanh(logits / 4)
        return torch.cat([mean, self.log_std[..., None, None].expand_as(mean), valid.to(mean.dtype)], dim=-1)


class SteeringNetwork(BuddyNetwork):
    """A goal buddy: a multilayer perceptron over the flat observation, and another one for the value.

    A shared trunk failed: whatever the rewards' scale, the value's gradient moved it more than the policy's, and with
    dear honesty the reward fell below that of the untrained network.

    gains, steer: means of n numbers with a log standard deviation that does not depend on the state, a publish logit
    that starts at `initial_publish`; distribution inputs [B, 2n + 2]. nudge: [B, moves] masked logits.
    """

    def __init__(self, spec: NetworkSpec, generator: torch.Generator) -> None:
        super().__init__()
        self.spec = spec
        widths = (spec.obs_size, *spec.hidden)
        self.trunk, self.value_trunk = (
            nn.ModuleList(linear(before, after, math.sqrt(2), generator) for before, after in pairwise(widths))
            for _ in range(2)
        )
        self.continuous = spec.head in ("gains", "steer")
        self.action = linear(widths[-1], spec.action_size + self.continuous, 0.01, generator)
        self.value = linear(widths[-1], 1, 0.1, generator)
        if self.continuous:
            self.log_std = nn.Parameter(torch.full((spec.action_size,), math.log(spec.initial_std)))
            nn.init.constant_(self.action.bias[-1:], spec.initial_publish)

    def forward(self, obs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`mask`: may publish [B] (gains, steer) or allowed moves [B, moves] (nudge), bool; None allows all."""
        hidden, judged = obs, obs
        for layer, judge in zip(self.trunk, self.value_trunk, strict=True):
            hidden, judged = layer(hidden).relu_(), judge(judged).relu_()
        action, value = self.action(hidden), self.value(judged).squeeze(-1)
        if not self.continuous:
            return action if mask is None else action.masked_fill(~mask, MASKED), value
        mean, publish = action[..., :-1], action[..., -1:]
        weight = torch.ones_like(publish) if mask is None else mask.unsqueeze(-1).to(publish.dtype)
        return torch.cat([mean, self.log_std.unsqueeze(-2).expand_as(mean), publish, weight], dim=-1), value


def build_network(spec: NetworkSpec, seed: int) -> BuddyNetwork:
    """The network of a spec, with weights drawn from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    if spec.head in ("slate", "scores"):
        return CandidateNetwork(spec, generator)
    return SteeringNetwork(spec, generator)
