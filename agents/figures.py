"""Figures of results. Every learning curve is drawn between its anchors, random = 1 and oracle = 0, and
against the baselines it has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from agents.statistics import as_scores, mean_interval

ANCHORS: Mapping[str, float] = MappingProxyType({"random": 1.0, "oracle": 0.0})
NO_BASELINES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Curve:
    """Scores over training: steps [X] and scores [R, X], one row per seed (or [X] for one seed)."""

    steps: ArrayLike
    scores: ArrayLike


def learning_curve(
    path: Path,
    curves: Mapping[str, Curve],
    baselines: Mapping[str, float] = NO_BASELINES,
    anchors: Mapping[str, float] = ANCHORS,
    title: str = "",
    xlabel: str = "environment steps",
    ylabel: str = "normalised regret",
) -> Path:
    """Draw curves (name -> Curve) to a PNG: mean over seeds with a 95 % t-band, baselines and anchors as
    lines.
    """
    figure = draw_learning_curve(curves, baselines, anchors)
    axes = figure.axes[0]
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    figure.savefig(path, format="png", dpi=150)
    return path


def draw_learning_curve(
    curves: Mapping[str, Curve],
    baselines: Mapping[str, float] = NO_BASELINES,
    anchors: Mapping[str, float] = ANCHORS,
) -> Figure:
    """The figure of `learning_curve` before it is written. Raises ValueError when scores and steps do not
    match.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, (name, curve) in enumerate(curves.items()):
        _draw_curve(axes, name, curve, f"C{index}")
    for index, (name, value) in enumerate(baselines.items(), start=len(curves)):
        axes.axhline(value, color=f"C{index}", linestyle="--", linewidth=1, label=f"{name} {value:.3g}")
    for name, value in anchors.items():
        axes.axhline(value, color="0.5", linestyle=":", linewidth=1)
        place = ("axes fraction", "data")
        axes.annotate(name, (1, value), xycoords=place, color="0.5", ha="right", va="bottom")
    axes.legend(loc="best", frameon=False, fontsize="small")
    return figure


def _draw_curve(axes: Axes, name: str, curve: Curve, color: str) -> None:
    steps = np.asarray(curve.steps, dtype=np.float64)
    scores = np.atleast_2d(np.asarray(curve.scores, dtype=np.float64))  # [R, X]
    if scores.shape[1:] != steps.shape:
        raise ValueError(f"curve '{name}' has scores {scores.shape} for steps {steps.shape}: not [R, X], [X]")
    intervals = [mean_interval(column) for column in as_scores(scores).T]
    axes.plot(steps, [interval.estimate for interval in intervals], color=color, label=name)
    if len(scores) > 1:
        low, high = [interval.low for interval in intervals], [interval.high for interval in intervals]
        axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
