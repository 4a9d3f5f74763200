"""The picture of a lineage: every life, descent and honour of the chronicle is in it, in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import FancyArrowPatch, Rectangle

from agents.lineage_figures import NICHE_COLOURS, draw_lineage_tree, lineage_tree, lives_of


def event(
    iteration: int, kind: str, member: int, slot: int, niche: str, parents: tuple[int, ...] = ()
) -> dict[str, Any]:
    return {"iteration": iteration, "side": "user_buddy", "module": f"user_{slot}", "kind": kind, "member": member,
            "slot": slot, "niche": niche, "parents": list(parents)}  # fmt: skip


EVENTS = [
    event(0, "founded", 0, 0, "exploiter"),
    event(0, "founded", 1, 1, "explorer"),
    event(0, "founded", 2, 2, "adaptive"),
    event(10, "admitted", 2, 2, "adaptive"),
    event(20, "retired", 0, 0, "exploiter"),
    event(20, "recombined", 3, 0, "explorer", (1, 2)),
    event(30, "retired", 1, 1, "explorer"),
    event(30, "inherited", 4, 1, "explorer", (3,)),
]


def test_lives_are_read_from_the_chronicle() -> None:
    lives = lives_of(EVENTS, "user_buddy")
    assert {member: (life.slot, life.born, life.died) for member, life in lives.items()} == {
        0: (0, 0, 20), 1: (1, 0, 30), 2: (2, 0, None), 3: (0, 20, None), 4: (1, 30, None)
    }  # fmt: skip
    assert lives[2].admitted == [10]
    assert lives_of(EVENTS, "goal_buddy") == {}


def test_bars_are_lives_in_the_colour_of_their_niche_and_arrows_are_births() -> None:
    """Five lives, three parents; the champion alone has an outline, as wide as its life."""
    axes = draw_lineage_tree(EVENTS, 40, {"user_buddy": 2}).axes[0]
    bars = {text.get_text(): bar for text, bar in zip(axes.texts, bars_of(axes), strict=True)}
    assert set(bars) == {"0", "1", "2", "3", "4"}
    for member, life in lives_of(EVENTS, "user_buddy").items():
        bar = bars[str(member)]
        assert to_hex(bar.get_facecolor()) == NICHE_COLOURS[life.niche].lower()
        assert bar.get_y() + bar.get_height() / 2 == pytest.approx(life.slot)
        assert bar.get_x() == pytest.approx(life.born, abs=1)
        assert bar.get_x() + bar.get_width() == pytest.approx(life.died or 41, abs=1)
    assert [name for name, bar in bars.items() if to_rgba(bar.get_edgecolor())[3] > 0] == ["2"]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert sorted(str(arrow.get_linestyle()) == "-" for arrow in arrows) == [False, True, True]


def test_retirements_and_honours_stand_where_they_happened() -> None:
    axes = draw_lineage_tree(EVENTS, 40).axes[0]
    marks = {
        marker: [(float(np.asarray(line.get_xdata())[0]), round(float(np.asarray(line.get_ydata())[0])))
                 for line in axes.lines if line.get_marker() == marker]
        for marker in ("x", "*")
    }  # fmt: skip
    assert marks == {"x": [(20.0, 0), (30.0, 1)], "*": [(10.0, 2)]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["user_0", "user_1", "user_2"]


def test_sides_have_panels_of_their_own_and_long_runs_fit(made_up_run: Any, tmp_path: Path) -> None:
    """A number that would not fit into its bar is left out; the picture never grows wider than a screen."""
    figure = draw_lineage_tree(made_up_run.events, 40, {"goal_buddy": 1})
    assert [axes.get_title(loc="left").partition(":")[0] for axes in figure.axes] == ["User buddies", "Goal buddies"]
    born = [event(i, "inherited", i, 0, "explorer", (i - 1,)) for i in range(1, 301)]
    died = [event(i, "retired", i - 1, 0, "explorer") for i in range(1, 301)]
    many = draw_lineage_tree([event(0, "founded", 0, 0, "explorer"), *born, *died], 300)
    assert many.get_figwidth() <= 16
    assert len(bars_of(many.axes[0])) == 301
    assert not many.axes[0].texts
    path = lineage_tree(tmp_path / "lineage.png", made_up_run.events, 40)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000


def bars_of(axes: Any) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]
