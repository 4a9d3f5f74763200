"""The forest of a run: who lived in which slot and when, who descends from whom, and who was honoured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerPatch
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.patheffects import withStroke

from agents.evolution.members import Niche

# Colours that the colour-blind can tell apart (Okabe and Ito).
NICHE_COLOURS: Mapping[str, str] = MappingProxyType(
    {Niche.EXPLOITER: "#56B4E9", Niche.EXPLORER: "#E69F00", Niche.ADAPTIVE: "#4DB892"}
)
SIDE_WORDS: Mapping[str, str] = MappingProxyType({"user_buddy": "User buddies", "goal_buddy": "Goal buddies"})
NOBODY: Mapping[str, int] = MappingProxyType({})
_INK, _ARROW, _DASHES = "0.15", "0.25", (0, (3, 2))
_HALF = 0.27  # half the height of a life's bar, in lanes
_LEGIBLE = 0.07  # inches that a digit takes


@dataclass
class Life:
    """One member's life in its slot."""

    member: int
    slot: int
    module: str
    niche: str
    born: float
    parents: tuple[int, ...]
    died: float | None = None
    admitted: list[float] = field(default_factory=list)


def lives_of(events: Sequence[Mapping[str, Any]], side: str) -> dict[int, Life]:
    """Member → life, from a chronicle (`agents.chronicle.read_events`)."""
    lives: dict[int, Life] = {}
    for event in (event for event in events if event["side"] == side):
        member, iteration = event["member"], float(event["iteration"])
        if event["kind"] == "retired":
            lives[member].died = iteration
        elif event["kind"] == "admitted":
            lives[member].admitted.append(iteration)
        else:
            parents = tuple(event["parents"])
            lives[member] = Life(member, event["slot"], event["module"], event["niche"], iteration, parents)
    return lives


def lineage_tree(
    path: Path, events: Sequence[Mapping[str, Any]], iterations: int, champions: Mapping[str, int] = NOBODY
) -> Path:
    """Draw the forest of every side to a PNG.

    Args:
        path: where to.
        events: of the chronicle.
        iterations: how long the run was.
        champions: side → id of the member that is the fittest in the end.
    """
    draw_lineage_tree(events, iterations, champions).savefig(path, format="png", dpi=150)
    return path


def draw_lineage_tree(
    events: Sequence[Mapping[str, Any]], iterations: int, champions: Mapping[str, int] = NOBODY
) -> Figure:
    """The figure of `lineage_tree`: a lane per slot, a bar per life, an arrow from parent to child."""
    forests = {side: lives for side in SIDE_WORDS if (lives := lives_of(events, side))}
    lanes = [1 + max(life.slot for life in lives.values()) for lives in forests.values()]
    cycles = sorted({event["iteration"] for event in events if event["iteration"] > 0})
    gap = float(min(np.diff([0, *cycles]), default=iterations))  # between cycles
    width = float(np.clip(0.42 * iterations / gap, 8, 16))
    gap = min(gap, 0.5 * iterations / width)  # no mark strays further from its place than half an inch
    figure = Figure(figsize=(width, 1.35 + sum(0.75 + 0.52 * lane for lane in lanes)), layout="constrained")
    panels = figure.subplots(max(len(forests), 1), 1, sharex=True, squeeze=False, height_ratios=lanes or None)[:, 0]
    for axes, (side, lives) in zip(panels, forests.items(), strict=False):
        _draw_forest(axes, lives, iterations, gap, champions.get(side), iterations / (width - 1.2))
        axes.set_title(f"{SIDE_WORDS[side]}: {len(lives)} members lived in {max(axes.get_yticks()) + 1:.0f} slots",
                       loc="left", fontsize="medium")  # fmt: skip
    panels[-1].set_xlabel("training iteration")
    figure.suptitle("Lineage: a bar is a member's life, its number the member's id", fontsize="large")
    figure.legend(**_legend(), loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def _draw_forest(
    axes: Axes, lives: Mapping[int, Life], iterations: int, gap: float, champion: int | None, inch: float
) -> None:
    """One side. `gap`: iterations between cycles; `inch`: iterations that an inch shows, roughly."""
    end = iterations + 0.6 * gap  # the living go on beyond the last cycle
    for life in lives.values():
        legible = _LEGIBLE * (len(str(life.member)) + 0.5) * inch
        _draw_life(axes, life, end, gap, life.member == champion, legible)
    for number, life in enumerate(sorted(lives.values(), key=lambda life: (life.born, life.slot))):
        for place, parent in enumerate(life.parents):
            _draw_descent(axes, lives[parent], life, gap, (0.12 + 0.08 * (number % 4)) * gap, main=place == 0)
    modules = {life.slot: life.module for life in lives.values()}
    axes.set_yticks(sorted(modules), [modules[slot] for slot in sorted(modules)])
    axes.set(xlim=(-0.2 * gap, end + 0.2 * gap), ylim=(max(modules) + 0.6, -0.6), ylabel="slot")
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= iterations])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_life(axes: Axes, life: Life, end: float, gap: float, champion: bool, legible: float) -> None:
    """A bar; its number where the bar is at least `legible` long."""
    stop = end if life.died is None else life.died
    start = life.born + 0.08 * gap * bool(life.born)
    colour = NICHE_COLOURS[life.niche]
    axes.add_patch(Rectangle((start, life.slot - _HALF), stop - start, 2 * _HALF, facecolor=colour, zorder=2,
                             edgecolor=_INK if champion else "none", linewidth=2.0))  # fmt: skip
    if stop - start > legible:
        axes.text((start + stop) / 2, life.slot, str(life.member), ha="center", va="center", fontsize="small", zorder=5,
                  weight="bold" if champion else "normal",
                  path_effects=[withStroke(linewidth=3, foreground=colour)])  # fmt: skip
    if life.died is not None:
        axes.plot([stop], [life.slot], marker="x", color=_INK, markersize=5, markeredgewidth=1.5, zorder=4)
    for honoured in life.admitted:
        axes.plot([honoured], [life.slot - _HALF], marker="*", color="gold", markersize=10, markeredgecolor=_INK,
                  markeredgewidth=0.6, zorder=6, clip_on=False)  # fmt: skip


def _draw_descent(axes: Axes, parent: Life, child: Life, gap: float, shift: float, main: bool) -> None:
    """An arrow from the parent's bar, shortly before the birth, to the beginning of the child's bar."""
    down = 1 if child.slot > parent.slot else -1
    begin = (child.born - shift, parent.slot + down * _HALF)
    finish = (child.born + (0.12 if main else 0.34) * gap, child.slot - down * _HALF)
    axes.plot(*begin, marker="o", color=_ARROW, markersize=2.5, zorder=3)
    axes.add_patch(FancyArrowPatch(
        begin, finish, arrowstyle="-|>", mutation_scale=8, color=_ARROW, linewidth=1.1 if main else 0.9,
        linestyle="-" if main else _DASHES, shrinkA=0, shrinkB=0, zorder=3,
        connectionstyle=f"arc3,rad={0.06 * down}",
    ))  # fmt: skip


class _ArrowHandler(HandlerPatch):
    """Draws an arrow as an arrow in the legend."""

    def create_artists(self, legend: Any, orig_handle: Any, xdescent: float, ydescent: float, width: float,
                       height: float, fontsize: float, trans: Any) -> list[Any]:  # fmt: skip
        arrow = FancyArrowPatch((0, height / 2), (width, height / 2), arrowstyle="-|>", mutation_scale=8,
                                color=_ARROW, linestyle=orig_handle.get_linestyle(), shrinkA=0, shrinkB=0)  # fmt: skip
        arrow.set_transform(trans)
        return [arrow]


def _legend() -> dict[str, Any]:
    niches = {str(niche): Patch(color=colour) for niche, colour in NICHE_COLOURS.items()}
    mark: dict[str, Any] = {"linestyle": "none", "markeredgecolor": _INK}
    handles: dict[str, Any] = {
        **niches,
        "champion in the end": Patch(facecolor="white", edgecolor=_INK, linewidth=2),
        "parent → child (weights, genome)": FancyArrowPatch((0, 0), (1, 0)),
        "second parent (recombined)": FancyArrowPatch((0, 0), (1, 0), linestyle=_DASHES),
        "retired": Line2D([], [], marker="x", markeredgewidth=1.5, **mark),
        "admitted to the hall of fame": Line2D([], [], marker="*", markersize=10, color="gold", **mark),
    }
    return {
        "handles": list(handles.values()), "labels": list(handles), "handler_map": {FancyArrowPatch: _ArrowHandler()}
    }  # fmt: skip
