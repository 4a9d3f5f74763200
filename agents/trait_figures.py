"""What traits are worth, as the surrogate of a population sees it when a run ends: a map, and how sure it is of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from agents.census import member_word
from agents.checkpoints import read_checkpoint
from agents.evolution.genome import TRAITS, Genome
from agents.evolution.surrogate import Surrogate
from agents.lineage_figures import SIDE_WORDS

STEPS = 41  # places along each trait
LEVELS = (0.0, 0.01, 0.02, 0.04, 0.07, 0.11, 0.17, 0.25, 0.4, 0.6, 0.8, 1.0)  # shares of the extreme: dense near 0
_MEANING = {"optimism": "optimism (weight of doubt)", "bait_guess": "guess at bait"}


def read_surrogates(checkpoint: Path) -> dict[str, Surrogate]:
    """Side -> what its verdicts say of traits; only sides whose children's traits come from it.

    Raises `CheckpointError` for a file that is none."""
    found: dict[str, Surrogate] = {}
    for side, state in read_checkpoint(checkpoint)["evolution"]["populations"].items():
        if state["surrogate"] is not None:
            found[side] = Surrogate(TRAITS)
            found[side].load(state["surrogate"])
    return found


def trait_map(path: Path, surrogate: Surrogate, side: str, lived: Sequence[Genome], champion: Genome | None) -> Path:
    """Draw the map to a PNG: `lived` are the genomes of all members that ever were, `champion` the best in the end."""
    draw_trait_map(surrogate, side, lived, champion).savefig(path, format="png", dpi=150)
    return path


def draw_trait_map(surrogate: Surrogate, side: str, lived: Sequence[Genome], champion: Genome | None) -> Figure:
    """The figure of `trait_map`, of two traits: expected fitness against the best place, and its standard deviation."""
    shares = np.linspace(0.0, 1.0, STEPS)
    places = np.stack(np.meshgrid(shares, shares, indexing="ij"), axis=-1).reshape(-1, 2)
    mean, covariance = surrogate.posterior(places)
    # Only differences were ever observed, so the best place is the origin of both panels.
    best = int(mean.argmax())
    variance = np.diag(covariance) + covariance[best, best] - 2.0 * covariance[best]
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _draw_panel(figure, left, surrogate, mean - mean[best], "fitness, against the best place", "viridis")
    _draw_panel(figure, right, surrogate, np.sqrt(np.maximum(variance, 0.0)), "standard deviation of that", "cividis_r")
    top = {
        name: gene.at(float(share)) for (name, gene), share in zip(surrogate.ranges.items(), places[best], strict=True)
    }
    for axes in (left, right):
        _draw_members(axes, lived, champion, top)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False, ncols=3)
    figure.suptitle(f"{SIDE_WORDS[side]}: what the verdicts of the run say of traits", fontsize="large")
    return figure


def trait_figure(side: str) -> str:
    """The file of one side's map: "traits-user.png"."""
    return f"traits-{member_word(side)}.png"


def _draw_panel(figure: Figure, axes: Axes, surrogate: Surrogate, values: Any, title: str, colours: str) -> None:
    across, up = ([gene.at(share) for share in np.linspace(0.0, 1.0, STEPS)] for gene in surrogate.ranges.values())
    extreme = max(values, key=abs) or 1e-3
    levels = np.sort(extreme * np.array(LEVELS)) + 0.0  # no "-0.000"
    norm = BoundaryNorm(levels, 256)
    shown = axes.contourf(across, up, values.reshape(STEPS, STEPS).T, levels=levels, cmap=colours, norm=norm)
    figure.colorbar(shown, ax=axes, format="%.2g", ticks=levels)
    horizontal, vertical = (_MEANING.get(name, name) for name in surrogate.ranges)
    axes.set(title=title, xlabel=horizontal, ylabel=vertical)


def _draw_members(axes: Axes, lived: Sequence[Genome], champion: Genome | None, best: Genome) -> None:
    horizontal, vertical = best
    axes.scatter([genome[horizontal] for genome in lived], [genome[vertical] for genome in lived], s=14, color="white",
                 edgecolor="black", linewidth=0.6, label="a member that lived", zorder=3)  # fmt: skip
    axes.scatter([best[horizontal]], [best[vertical]], marker="x", s=70, color="black", linewidth=2, label="best place",
                 zorder=4)  # fmt: skip
    if champion is not None:
        axes.scatter([champion[horizontal]], [champion[vertical]], marker="*", s=190, color="tab:red",
                     edgecolor="white", label="champion", zorder=5)  # fmt: skip
