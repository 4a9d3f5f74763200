"""The picture of a round (`render_mode="rgb_array"` and `"human"`): the only file of the world that draws.

It is imported when the first picture is asked for, so that nobody else pays for matplotlib.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.text import Annotation
from numpy.typing import NDArray

from ammo_env.scene import Atlas, Scene, make_atlas, make_scene
from ammo_env.vector import VectorEnv

SIZE, DPI = (11.0, 7.5), 100  # 1100 x 750 pixels
COLORS = ("#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#7f7f7f")
GOLD, INK, BELIEF, SLATE, NEWS = "#ffd21f", "#222222", "#b8860b", "#555555", "#d62728"
FEW_REGIONS = 4
REGION = 2.2  # standard deviations of a subspace's facts that its region reaches
MOST_HUMANS = 8  # slates of more humans than these are a tangle
WRAP = 40  # characters in a line of the notes
HOW_TO_READ = (
    "Places on the page are a flat map of the MetaSpace: near is similar, and what lies between regions mixes them."
)


class Picture:
    """Draws world 0 of an environment, round by round."""

    def __init__(self, env: VectorEnv) -> None:
        self._env, self._atlas = env, make_atlas(env.world)
        self._window: Any = None

    def array(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], drawn off-screen; pyplot is not touched."""
        figure = Figure(figsize=SIZE, dpi=DPI)
        canvas: Any = FigureCanvasAgg(figure)
        self._paint(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def show(self) -> None:
        """The same in a window, which stays until `close`."""
        from matplotlib import pyplot  # chooses a windowing toolkit, which needs the display

        if self._window is None or not pyplot.fignum_exists(self._window.number):
            self._window = pyplot.figure("AMMO", figsize=SIZE, dpi=DPI)
            pyplot.show(block=False)
        self._window.clear()
        self._paint(self._window)
        self._window.canvas.draw()
        self._window.canvas.flush_events()

    def close(self) -> None:
        """Takes the window down, if there is one."""
        if self._window is not None:
            from matplotlib import pyplot

            pyplot.close(self._window)
            self._window = None

    def _paint(self, figure: Figure) -> None:
        scene, config = make_scene(self._atlas, self._env), self._env.config
        axes = figure.add_axes((0.01, 0.01, 0.70, 0.91))
        axes.set_axis_off()
        axes.set_aspect("equal", adjustable="datalim")
        _draw_ground(axes, self._atlas, scene)
        _draw_humans(axes, scene)
        _draw_creations(axes, scene)
        axes.autoscale_view()
        axes.apply_aspect()
        _keep_inside(axes)
        figure.text(0.015, 0.955, _headline(scene), fontsize=13, weight="bold", color=INK, va="center")
        notes = _notes(scene, config.description)
        figure.text(0.73, 0.91, notes, fontsize=10, color=INK, va="top", linespacing=1.45)
        handles = _handles(scene)
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.715, 0.02), frameon=False, fontsize=10,
                      labelspacing=0.85, handlelength=2.2)  # fmt: skip


def _color(subspace: int) -> str:
    return COLORS[subspace % len(COLORS)]


def _draw_ground(axes: Axes, atlas: Atlas, scene: Scene) -> None:
    """Subspaces as coloured regions with their names at the rim, facts, and the news."""
    middle = atlas.facts.mean(axis=0)
    for number, name in enumerate(atlas.names):
        own, color = atlas.facts[atlas.subspace == number], _color(number)
        centre, spread = own.mean(axis=0), np.cov(own.T) if len(own) > 1 else np.zeros((2, 2))
        lengths, turns = np.linalg.eigh(spread)
        width, height = 2 * REGION * np.sqrt(np.maximum(lengths, 1e-6))
        angle = float(np.degrees(np.arctan2(turns[1, 0], turns[0, 0])))
        axes.add_patch(Ellipse((centre[0], centre[1]), width, height, angle=angle, color=color, alpha=0.12, lw=0))
        axes.plot(*own.T, ".", color=color, alpha=0.4, markersize=4, zorder=2)
        outward = _label_direction(centre - middle, len(atlas.names))
        rim = centre + (1.12 * REGION * np.sqrt(outward @ spread @ outward) + 0.03) * outward
        axes.text(rim[0], rim[1], textwrap.fill(name, 20), color=color, weight="bold", fontsize=11, ha="center",
                  va="center", bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 1}, zorder=9)  # fmt: skip
        axes.update_datalim([rim])
    axes.plot(*scene.added.T, "D", color="white", markeredgecolor=INK, markersize=6, zorder=5, ls="")
    axes.plot(*scene.events.T, marker=(8, 1, 0), ls="", color=NEWS, markersize=18, alpha=0.8, zorder=5)


def _label_direction(outward: NDArray[Any], regions: int) -> NDArray[Any]:
    """Where a region's name stands from its middle: above or below few regions, outside of many."""
    if regions <= FEW_REGIONS:
        return np.array([0.0, 1.0 if outward[1] >= -1e-9 else -1.0])
    return np.asarray(outward / max(float(np.linalg.norm(outward)), 1e-9))


def _keep_inside(axes: Axes) -> None:
    """Names that stand out of the map are moved in."""
    frame, back = axes.get_window_extent(), axes.transData.inverted()
    for text in axes.texts:
        if isinstance(text, Annotation):
            continue
        box = text.get_window_extent()
        shift = max(frame.x0 - box.x0, 0.0) - max(box.x1 - frame.x1, 0.0)
        x, y = axes.transData.transform(text.get_position())
        text.set_position(tuple(back.transform((x + shift, y))))


def _draw_creations(axes: Axes, scene: Scene) -> None:
    """Every shelf: its creations, joined to the newest one, which bears the number of who made them."""
    newest = np.take_along_axis(scene.creations, scene.newest[:, None, None], 1)  # [G, 1, 2]
    for number in np.unique(scene.subspace):
        own, color = scene.subspace == number, _color(int(number))
        axes.plot(*_lines(newest[own], scene.creations[own]), color=color, lw=0.9, alpha=0.6, zorder=3)
        for marker, which in (("o", ~scene.doubtful[own]), ("^", scene.doubtful[own])):
            axes.plot(*scene.creations[own][which].T, marker, color=color, markersize=7.5, markeredgecolor="white",
                      mew=0.6, zorder=6)  # fmt: skip
    published = newest[list(scene.published), 0]
    axes.plot(*published.T, "o", color="none", markeredgecolor=INK, mew=1.6, markersize=13, zorder=7)
    for goal, name in enumerate(scene.names):
        box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": _color(int(scene.subspace[goal])), "lw": 1.0}
        axes.annotate(str(name), newest[goal, 0], xytext=(9, 9), textcoords="offset points", fontsize=8, ha="center",
                      va="center", bbox=box, zorder=12)  # fmt: skip


def _draw_humans(axes: Axes, scene: Scene) -> None:
    """What humans prefer, what their user buddies believe, and what they are shown."""
    stars, some = scene.preferences[:, None], slice(MOST_HUMANS)
    axes.plot(*_lines(stars[some], scene.slates[some]), color=SLATE, lw=0.8, alpha=0.35, zorder=4)
    axes.plot(*_lines(stars, scene.beliefs[:, None]), color=BELIEF, lw=1.6, ls=(0, (2, 1)), zorder=9)
    axes.plot(*scene.beliefs.T, "*", color="white", markeredgecolor=BELIEF, mew=1.4, markersize=13, zorder=10)
    axes.plot(*scene.preferences.T, "*", color=GOLD, markeredgecolor=INK, mew=0.9, markersize=19, zorder=11)


def _lines(start: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    """[N, 1, 2], [N, S, 2] -> [2, 3 N S]: lines from each start to its ends, broken by NaN."""
    ends = np.stack([np.broadcast_to(start, end.shape), end, np.full(end.shape, np.nan)], axis=2)
    return np.asarray(ends.reshape(-1, 2).T)


def _headline(scene: Scene) -> str:
    parts = [f"round {scene.now} of {scene.rounds}"]
    if scene.regret is not None and scene.misinformation is not None:
        parts += [
            f"normalised regret {scene.regret:.2f}",
            f"misinformation {scene.misinformation:.0%} of what is shown",
            f"{len(scene.published)} published",
        ]
    return "   ·   ".join(parts)


def _notes(scene: Scene, description: str) -> str:
    said = [description, HOW_TO_READ]
    if scene.regret is not None:
        said.append(f"Published: {', '.join(str(scene.names[goal]) for goal in scene.published) or 'nobody'}")
    if scene.retired:
        said.append(f"Retired and replaced: {scene.retired}")
    if len(scene.preferences) > MOST_HUMANS:
        said.append(f"Slates are those of the first {MOST_HUMANS} humans.")
    return "\n\n".join(textwrap.fill(text, WRAP) for text in said if text)


def _handles(scene: Scene) -> list[Line2D]:
    """The legend: only what is there."""

    def mark(label: str, marker: Any, color: str = "#888888", size: float = 8, **more: Any) -> Line2D:
        return Line2D([], [], marker=marker, ls="", color=color, markersize=size, label=label, **more)

    handles = [
        mark("fact (colour: subspace)", ".", size=7),
        mark("creation, joined to the newest,\nnumbered by its goal buddy", "o"),
        mark("creation far from every fact:\nmisinformation", "^"),
        mark("published in this round", "o", "none", 12, markeredgecolor=INK, mew=1.6),
        mark("what a human prefers (hidden)", "*", GOLD, 17, markeredgecolor=INK),
        mark("what its user buddy believes", "*", "white", 13, markeredgecolor=BELIEF, mew=1.4),
        Line2D([], [], color=BELIEF, lw=1.6, ls=(0, (2, 1)), label="how far the belief is off"),
        Line2D([], [], color=SLATE, lw=1, alpha=0.6, label="slate: what the human is shown"),
    ]
    handles += [mark("news (direction of an event)", (8, 1, 0), NEWS, 14)] * bool(len(scene.events))
    return handles + [mark("fact that news added", "D", "white", 6, markeredgecolor=INK)] * bool(len(scene.added))
