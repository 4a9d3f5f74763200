"""RLlib's view of our networks: a module around each, and an RLlib distribution around each action distribution.

With these, the same network and the same slate distribution run on the batched path and on RLlib's stock path. On
the stock path no mask arrives beside the observation, so goal buddies treat every round as one they may publish in;
the world ignores what they cannot pay for.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.distribution import Distribution
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from torch import Tensor

from agents.distributions import ActionDistribution
from agents.networks import BuddyNetwork, NetworkSpec, build_network

ACTION_MASK = "action_mask"


class BuddyModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """One member's network as an RLModule; `model_config` holds `spec` (a `NetworkSpec` as a dict) and `seed`."""

    network: BuddyNetwork

    def setup(self) -> None:
        """Build the network; called by RLlib."""
        self.network = build_network(NetworkSpec.model_validate(self.model_config["spec"]), self.model_config["seed"])

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        inputs, values = self.network(batch[Columns.OBS], batch.get(ACTION_MASK))
        # RLlib hands EMBEDDINGS back to `compute_values`, which saves the second pass through the trunk.
        return {Columns.ACTION_DIST_INPUTS: inputs, Columns.EMBEDDINGS: values}

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """[B] values."""
        if embeddings is not None:
            return embeddings
        values: Tensor = self.network(batch[Columns.OBS], batch.get(ACTION_MASK))[1]
        return values

    def get_train_action_dist_cls(self) -> type[Distribution]:
        """The distribution class of this module's action kind."""
        return rllib_distribution(self.network.spec)

    get_exploration_action_dist_cls = get_train_action_dist_cls
    get_inference_action_dist_cls = get_train_action_dist_cls


def rllib_distribution(spec: NetworkSpec) -> type[Distribution]:
    """An RLlib distribution class bound to one network's action kind."""
    return type("BuddyDistribution", (_BuddyDistribution,), {"spec": spec})


class _BuddyDistribution(Distribution):  # type: ignore[misc]
    """Adapts `ActionDistribution` to RLlib's interface, which asks for an entropy without naming the actions."""

    spec: NetworkSpec

    def __init__(self, distribution: ActionDistribution) -> None:
        self._distribution = distribution
        self._actions: Tensor | None = None

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> _BuddyDistribution:
        return cls(cls.spec.distribution(logits))

    def sample(self, *, sample_shape: Any = None, **kwargs: Any) -> Tensor:
        return self._distribution.sample()

    rsample = sample

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        self._actions = value
        return self._distribution.log_prob(value)

    def entropy(self, **kwargs: Any) -> Tensor:
        # RLlib's losses ask for log-probabilities first; the slate's entropy estimate runs along those actions.
        actions = self._distribution.sample() if self._actions is None else self._actions
        return self._distribution.entropy(actions)

    def kl(self, other: Distribution, **kwargs: Any) -> Tensor:
        raise NotImplementedError("train with use_kl_loss=False: PPO's clipping does without the divergence")

    def to_deterministic(self) -> _BuddyDistribution:
        return _Deterministic(self._distribution)

    @staticmethod
    def required_input_dim(space: Any, **kwargs: Any) -> int:
        raise NotImplementedError("the network fixes the size of its distribution inputs")


class _Deterministic(_BuddyDistribution):
    def sample(self, *, sample_shape: Any = None, **kwargs: Any) -> Tensor:
        return self._distribution.mode()
