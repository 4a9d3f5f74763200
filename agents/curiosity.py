"""Novelty: the reward of explorers for going where nobody is, from what a buddy itself can see.

    user buddies   mean of 1 − e·(what the human recently saw) over the slate, in [0, 2]
    goal buddies   ‖last creation − supply‖/(2√A) in steering coordinates, in [0, 1]: distance from where the
                   subspace's creations are on average; without a market view, from the nearest fact
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ammo_env.observations import CANDIDATE_FEATURES, Layout

_NOVELTY = CANDIDATE_FEATURES.index("novelty")


def chosen_candidates(actions: Tensor, slots: int, shown: int) -> Tensor:
    """[B, S] positions of the candidates that user buddies chose: slates [B, S] or [B], or the S best of scores [B, K]
    as the world takes them, clipped to their box and ties in order; K = `shown`. Destinations behind them are left out.
    """
    chosen = actions.flatten(1) if actions.dim() > 1 else actions.unsqueeze(-1)
    if chosen.dtype.is_floating_point:
        chosen = chosen[:, :shown].clamp(-1.0, 1.0).argsort(dim=-1, descending=True, stable=True)
    return chosen[:, :slots]


def chosen_features(layout: Layout, obs: Tensor, actions: Tensor, slots: int) -> Tensor:
    """[B, S, Fc] features of the candidates that user buddies seeing `obs` [B, F] chose by `actions`."""
    shown, features = layout.shapes["candidates"]
    table = obs[:, : shown * features].unflatten(-1, (shown, features))
    chosen = chosen_candidates(actions, slots, shown).unsqueeze(-1).expand(-1, -1, features)
    return torch.gather(table, 1, chosen)


def slate_novelty(layout: Layout, obs: Tensor, actions: Tensor, slots: int) -> Tensor:
    """[B] of user buddies that saw `obs` and chose `actions`."""
    return chosen_features(layout, obs, actions, slots)[..., _NOVELTY].mean(-1)


def creation_novelty(layout: Layout, obs: Tensor) -> Tensor:
    """[B] of goal buddies by the observation [B, F] that follows their action."""
    crowd = "supply" if "supply" in layout.slices else "fact"
    away = obs[:, layout.slices["last"]] - obs[:, layout.slices[crowd]]
    distance: Tensor = torch.linalg.vector_norm(away, dim=-1)
    return distance / (2.0 * math.sqrt(away.shape[-1]))
