"""What evolution did to the numbers: fitness, every hyper-parameter and the shares of the niches, over a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from agents.census import member_word
from agents.evolution.genome import GENES, GENES_OF
from agents.evolution.members import Niche
from agents.lineage_figures import NICHE_COLOURS, SIDE_WORDS, lives_of

Rows = Sequence[Mapping[str, float | None]]
Floats = NDArray[np.float64]
# Dashes tell lines that lie on each other apart, as those of founders do.
_STYLES: Mapping[str, Any] = MappingProxyType(
    {Niche.EXPLOITER: "-", Niche.EXPLORER: (0, (5, 2)), Niche.ADAPTIVE: (0, (1.5, 1.5))}
)
_MEANING = MappingProxyType({
    "learning_rate": "learning rate", "entropy": "entropy bonus", "clip": "PPO clip", "gamma": "discount γ",
    "gae_lambda": "GAE λ", "novelty": "weight of novelty (explorers only)",
    "honesty": "price of untruth, × the world's", "optimism": "trait: optimism (weight of doubt)",
    "bait_guess": "trait: guess at bait",
})  # fmt: skip
_DECADES = [digit * 10.0**power for power in range(-6, 2) for digit in (1, 2, 5)]
_HORIZONS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]
_TICKS = {"log": _DECADES, "horizon": _HORIZONS}
_SATISFACTION = {"user_buddy": "1 − normalised regret", "goal_buddy": "reward per round"}


@dataclass(frozen=True)
class Stretch:
    """The rows in which one member lived in one slot."""

    module: str
    member: int
    niche: str
    rows: Rows

    def column(self, name: str) -> tuple[Floats, Floats]:
        """(iterations, values), NaN for gaps."""
        values = [self.rows[i].get(f"{self.module}/{name}") for i in range(len(self.rows))]
        times = [row.get("iteration") for row in self.rows]
        return _floats(times), _floats(values)


def stretches(progress: Rows, events: Sequence[Mapping[str, Any]], side: str) -> list[Stretch]:
    """The record of one side, cut where another member was born into a slot."""
    niches = {member: life.niche for member, life in lives_of(events, side).items()}
    found: list[Stretch] = []
    for module in _modules(progress, side):
        named = [(row[f"{module}/member"], row) for row in progress if row.get(f"{module}/member") is not None]
        cuts = [i for i in range(1, len(named)) if named[i][0] != named[i - 1][0]]
        for start, stop in zip([0, *cuts], [*cuts, len(named)], strict=True):
            member = int(named[start][0] or 0)
            rows = [row for _, row in named[start:stop]]
            found.append(Stretch(module, member, niches.get(member, Niche.EXPLOITER), rows))
    return found


def genome_curves(
    path: Path,
    progress: Rows,
    events: Sequence[Mapping[str, Any]],
    side: str,
    champion: int | None = None,
) -> Path:
    """Draw the figure of one side to a PNG: `progress` and `events` as a run recorded them, `champion` by id."""
    draw_genome_curves(progress, events, side, champion).savefig(path, format="png", dpi=150)
    return path


def draw_genome_curves(
    progress: Rows, events: Sequence[Mapping[str, Any]], side: str, champion: int | None = None
) -> Figure:
    """The figure of `genome_curves`: a line per member, broken where another is born into its slot."""
    lines = stretches(progress, events, side)
    genes = [gene for gene in GENES_OF[side] if any(_has(line, gene) for line in lines)]
    figure = Figure(figsize=(13, 8.8), layout="constrained")
    grid = GridSpec(3, 12, figure=figure)
    above = [figure.add_subplot(grid[0, 4 * i : 4 * i + 4]) for i in range(3)]
    below = [figure.add_subplot(grid[1 + i // 4, 3 * (i % 4) : 3 * (i % 4) + 3]) for i in range(8)]
    _draw_lines(above[0], lines, "fitness", champion)
    above[0].axhline(0.0, color="0.5", linewidth=0.8, linestyle=":")
    above[0].set(title="fitness, against the side's mean (0)", ylabel="fitness")
    _draw_lines(above[1], lines, "satisfaction", champion)
    above[1].set(title="satisfaction, AiPP's main verdict", ylabel=_SATISFACTION[side])
    _draw_shares(above[2], progress, side)
    for axes, gene in zip(below, genes, strict=False):
        _draw_gene(axes, gene, lines, champion)
    for axes in below[len(genes) :]:
        axes.set_axis_off()
    last = max((row.get("iteration") or 0 for row in progress), default=1)
    for axes in [*above, *below[: len(genes)]]:
        axes.title.set_fontsize("medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(0 if axes is not above[2] else 1, max(last, 2))
        axes.set_xlabel("training iteration", fontsize="small")
    figure.suptitle(f"{SIDE_WORDS[side]}: how the members fared, and the hyper-parameters they learned with",
                    fontsize="large")  # fmt: skip
    figure.legend(handles=_legend(champion, side), loc="outside lower center", frameon=False, ncols=5,
                  title="equal hyper-parameters are drawn side by side", title_fontsize="small")  # fmt: skip
    return figure


def _has(line: Stretch, gene: str) -> bool:
    """Does a member have a gene? Without novelty it is 0."""
    values = line.column(f"genome/{gene}")[1]
    return bool(np.any(values > 0 if gene == "novelty" else ~np.isnan(values)))


def _draw_gene(axes: Axes, gene: str, lines: Sequence[Stretch], champion: int | None) -> None:
    """One hyper-parameter on its own scale, over the range in which it may evolve."""
    shown = [line for line in lines if gene != "novelty" or line.niche == Niche.EXPLORER]
    axes.set_title(_MEANING.get(gene, gene))
    own = GENES[gene]
    if own.scale == "horizon":
        axes.set_yscale("function", functions=(_to_horizon, lambda y: 1 - np.exp(-y)))
    elif own.scale == "log":
        axes.set_yscale("log")
    values = np.concatenate([line.column(f"genome/{gene}")[1] for line in shown])
    low, high = min(own.low, np.nanmin(values)), max(own.high, np.nanmax(values))
    scale = axes.yaxis.get_transform()
    ends = scale.transform(np.array([low, high]))
    axes.set_ylim(*scale.inverted().transform(ends + 0.06 * (ends[1] - ends[0]) * np.array([-1, 1])))
    if own.scale == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(6))
    else:
        axes.set_yticks([tick for tick in _TICKS[own.scale] if low <= tick <= high], minor=False)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", color="0.93", linewidth=0.8)
    _draw_lines(axes, shown, f"genome/{gene}", champion, apart=2.2)


def _to_horizon(discount: Floats) -> Floats:
    """log of 1/(1 − γ)."""
    result: Floats = -np.log(1 - np.minimum(discount, 1 - 1e-9))
    return result


def _draw_lines(
    axes: Axes, lines: Sequence[Stretch], name: str, champion: int | None, apart: float = 0.0
) -> None:
    """A line per stretch; lines of different slots are drawn `apart` points, so that equal ones are all seen."""
    slots = list(dict.fromkeys(line.module for line in lines))
    figure = axes.get_figure()
    assert figure is not None
    for line in lines:
        times, values = line.column(name)
        best = line.member == champion
        colour, style = NICHE_COLOURS[line.niche], _STYLES[line.niche]
        rise = min(apart, 13 / len(slots)) * ((len(slots) - 1) / 2 - slots.index(line.module)) / 72
        place = axes.transData + ScaledTranslation(0, rise, figure.dpi_scale_trans) if apart else axes.transData
        if best:  # an outline
            axes.plot(times, values, color="black", linewidth=4.0, solid_capstyle="butt", zorder=2.5, transform=place)
        axes.plot(times, values, color=colour, linestyle=style, linewidth=1.8, zorder=3 if best else 2, transform=place)
        if times[:1] > 1:  # somebody was born
            axes.plot(times[:1], values[:1], marker="o", markersize=4, color=colour, zorder=3, transform=place)
    axes.margins(y=0.08)


def _draw_shares(axes: Axes, progress: Rows, side: str) -> None:
    rows = [row for row in progress if row.get(f"{side}/niche/{Niche.EXPLOITER}") is not None]
    times = _floats([row.get("iteration") for row in rows])
    shares = [_floats([row.get(f"{side}/niche/{niche}") for row in rows]) for niche in Niche]
    axes.stackplot(times, *shares, colors=[NICHE_COLOURS[niche] for niche in Niche], step="post", linewidth=0)
    axes.set(title="share of every niche", ylabel="share of the members", ylim=(0, 1))


def _legend(champion: int | None, side: str) -> list[Line2D]:
    handles = [
        Line2D([], [], color=NICHE_COLOURS[niche], linestyle=_STYLES[niche], linewidth=1.8, label=str(niche))
        for niche in Niche
    ]
    handles.append(Line2D([], [], color="0.4", marker="o", markersize=3.5, linestyle="none", label="a member is born"))
    if champion is not None:
        label = f"champion in the end ({member_word(side)}-{champion})"
        handles.append(Line2D([], [], color="black", linewidth=3.6, label=label))
    return handles


def _modules(progress: Rows, side: str) -> list[str]:
    """Slots of a side that the record speaks of, by number."""
    prefix = f"{member_word(side)}_"
    found = {name.partition("/")[0] for row in progress for name in row if name.endswith("/member")}
    return sorted((name for name in found if name.startswith(prefix)), key=lambda name: int(name.removeprefix(prefix)))


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
