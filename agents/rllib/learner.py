"""Learning: PPO for every member on its own rows, each row exactly `epochs` times.

RLlib's stock loop draws minibatches of all modules together and goes on until the longest batch is covered, which
over-trains members with few rows. Members share no weights, so here each is trained alone. Hyper-parameters live
per member and are read at every step: what is set (by evolution, or after a restore) is in force from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.policy.sample_batch import MultiAgentBatch
from torch import Tensor

from agents.networks import BuddyNetwork
from agents.rllib.modules import ACTION_MASK
from agents.training_settings import Hyperparameters, SideSettings, TrainingSettings

COLUMNS = (
    Columns.OBS, ACTION_MASK, Columns.ACTIONS, Columns.ACTION_LOGP, Postprocessing.ADVANTAGES,
    Postprocessing.VALUE_TARGETS,
)


class BuddyLearner(PPOTorchLearner):  # type: ignore[misc]
    """PPO on the batches of `BatchedRunner`; `config.learner_config_dict` holds "settings" and "sides" by member."""

    def build(self) -> None:
        """Build networks and optimisers; called by RLlib."""
        self._hyperparameters: dict[str, Hyperparameters] = {}
        self._waiting: dict[str, list[Any]] = {}  # rows gathered for a member's next update
        self.last_terms: dict[str, float] = {}
        self._settings: TrainingSettings = self.config.learner_config_dict["settings"]
        self._generator = torch.Generator().manual_seed(self._settings.seed)
        _keep_freed_memory()
        super().build()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One Adam per member, registered without a schedule: RLlib would overwrite its learning rate otherwise."""
        own = self._settings.hyperparameters(self.config.learner_config_dict["sides"][module_id])
        self._hyperparameters[module_id] = own
        parameters = self.get_parameters(self._module[module_id])
        optimizer = torch.optim.Adam(parameters, lr=own.learning_rate, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=parameters)

    def hyperparameters(self, module_id: str) -> Hyperparameters:
        """The values in force; the learning rate is read back from the optimiser."""
        rate = self.get_optimizer(module_id).param_groups[0]["lr"]
        return replace(self._hyperparameters[module_id], learning_rate=float(rate))

    def set_hyperparameters(self, module_id: str, **values: float) -> None:
        """Change some; unknown names raise TypeError."""
        self._hyperparameters[module_id] = replace(self._hyperparameters[module_id], **values)
        for group in self.get_optimizer(module_id).param_groups:
            group["lr"] = self._hyperparameters[module_id].learning_rate

    def has_diverged(self, module_id: str) -> bool:
        """Was no gradient of its last update a number?"""
        return self.last_terms.get(f"{module_id}/skipped") == 1.0

    def forget(self, module_id: str) -> None:
        """Somebody else lives in this slot from now on: what the one before gathered and achieved is not its own."""
        self._waiting.pop(module_id, None)
        self.last_terms = {n: value for n, value in self.last_terms.items() if not n.startswith(f"{module_id}/")}

    def update(self, batch: MultiAgentBatch | None = None, training_data: Any = None, **kwargs: Any) -> Any:
        """Gather every member's rows of the batch and train those whose update is due; returns RLlib's metrics."""
        batch = training_data.batch if batch is None else batch
        self._weights_seq_no += 1
        for module_id in sorted(batch.policy_batches):
            waiting = self._waiting.setdefault(module_id, [])
            waiting.append(self._taken(batch.policy_batches[module_id]))
            if len(waiting) == self._side(module_id).update_every:
                rows = self._rows(module_id, waiting)
                waiting.clear()
                self._log(module_id, self._train_member(module_id, rows))
        self.after_gradient_based_update(timesteps=kwargs.get("timesteps") or {})
        return self.metrics.reduce()

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Mapping[str, Tensor], fwd_out: Mapping[str, Tensor]
    ) -> Tensor:
        """PPO's loss (Schulman et al. 2017) on one minibatch of a member."""
        return self._loss(module_id, batch, fwd_out, _spread(batch[Postprocessing.VALUE_TARGETS]))[0]

    def training_state(self) -> dict[str, Any]:
        """Everything that a continuation depends on: weights, optimisers, hyper-parameters, minibatch stream."""
        return {
            "generator": self._generator.get_state(),
            "waiting": self._waiting,
            "terms": dict(self.last_terms),
            "members": {
                name: {
                    "weights": self.network(name).state_dict(),
                    "optimizer": self.get_optimizer(name).state_dict(),
                    "hyperparameters": asdict(self.hyperparameters(name)),
                }
                for name in self._hyperparameters
            },
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Load what `training_state` gave; hyper-parameters come last, so that no optimiser state overrules them."""
        self._generator.set_state(state["generator"])
        self._waiting = {name: list(parts) for name, parts in state["waiting"].items()}
        self.last_terms = dict(state["terms"])
        for name, member in state["members"].items():
            self.network(name).load_state_dict(member["weights"])
            self.get_optimizer(name).load_state_dict(member["optimizer"])
            self.set_hyperparameters(name, **member["hyperparameters"])

    def network(self, module_id: str) -> BuddyNetwork:
        """A member's network."""
        network: BuddyNetwork = self.module[module_id].unwrapped().network
        return network

    def _taken(self, played: Any) -> Any:
        """What is kept of one iteration's batch of a member until its update."""
        return {name: played[name].to(self._device) for name in COLUMNS}

    def _rows(self, module_id: str, gathered: list[Any]) -> dict[str, Tensor]:
        """The rows of an update, out of what `_taken` kept."""
        return {name: torch.cat([part[name] for part in gathered]) for name in COLUMNS}

    def _side(self, module_id: str) -> SideSettings:
        return self._settings.side(self.config.learner_config_dict["sides"][module_id])

    def _train_member(self, module_id: str, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        module, optimizer = self.module[module_id], self.get_optimizer(module_id)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = self._hyperparameters[module_id].grad_clip
        history: list[dict[str, Tensor]] = []
        spread = _spread(rows[Postprocessing.VALUE_TARGETS])
        size = self._side(module_id).minibatch
        for chosen in minibatches(len(rows[Columns.OBS]), size, self._settings.epochs, self._generator):
            minibatch = {name: column[chosen] for name, column in rows.items()}
            loss, terms = self._loss(module_id, minibatch, module.forward_train(minibatch), spread)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            terms["gradient_norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit)
            finite = terms["gradient_norm"].isfinite()
            if bool(finite):  # a diverged member must not take the whole run with it
                optimizer.step()
            terms["skipped"] = 1.0 - finite.float()
            history.append(terms)
        return {name: torch.stack([terms[name] for terms in history]).mean() for name in history[0]}

    def _loss(
        self, module_id: str, batch: Mapping[str, Tensor], fwd_out: Mapping[str, Tensor], spread: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss, its terms detached). Rows without a choice (log π pinned to 0) count only for the value.

        The value loss is relative to `spread`, the variance of its targets, so that the scale of the rewards is of no
        consequence (advantages are standardised already): 1 is what a constant achieves.
        """
        own, network = self._hyperparameters[module_id], self.network(module_id)
        distribution = network.spec.distribution(fwd_out[Columns.ACTION_DIST_INPUTS])
        actions, before = batch[Columns.ACTIONS], batch[Columns.ACTION_LOGP]
        free = (before != 0).to(before.dtype)
        count = free.sum().clamp(min=1)
        log_ratio = distribution.log_prob(actions) - before
        ratio, advantages = log_ratio.exp(), batch[Postprocessing.ADVANTAGES]
        gain = torch.min(advantages * ratio, advantages * ratio.clamp(1 - own.clip, 1 + own.clip))
        policy_loss = -(gain * free).sum() / count
        entropy = (distribution.entropy(actions) * free).sum() / count
        value_loss = (fwd_out[Columns.EMBEDDINGS] - batch[Postprocessing.VALUE_TARGETS]).square().mean() / spread
        loss = policy_loss + own.value_weight * value_loss - own.entropy * entropy
        with torch.no_grad():
            terms = {
                "policy_loss": policy_loss.detach(),
                "value_loss": value_loss.detach(),
                "entropy": entropy.detach(),
                "kl": ((ratio - 1 - log_ratio) * free).sum() / count,
                "clipped": (((ratio - 1).abs() > own.clip) * free).sum() / count,
                "explained_variance": 1 - value_loss,
            }
        return loss, terms

    def _log(self, module_id: str, terms: Mapping[str, Tensor | float]) -> None:
        for name, value in terms.items():
            self.last_terms[f"{module_id}/{name}"] = float(value)
            self.metrics.log_value((module_id, name), float(value), window=1)


def _spread(targets: Tensor) -> Tensor:
    return targets.var(correction=0).clamp(min=1e-8)


def _keep_freed_memory() -> None:
    """Free one large block, after which glibc keeps freed blocks of up to its size instead of returning them.

    Otherwise every activation of a minibatch (1 MB) is fresh memory, and its page faults cost an eighth of the time.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def minibatches(rows: int, size: int, epochs: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row indices of every gradient step: each epoch is one permutation cut into equal parts of about `size`.

    Every row comes exactly once per epoch, and no part is a small remainder that would get a full step.
    """
    parts = max(1, round(rows / size))
    for _ in range(epochs):
        yield from torch.randperm(rows, generator=generator).tensor_split(parts)
