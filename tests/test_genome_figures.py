"""Curves of fitness and hyper-parameters: each line one member's, broken at births, on the scale of its gene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.evolution.genome import GENES
from agents.evolution.members import Niche
from agents.genome_figures import draw_genome_curves, genome_curves, stretches
from agents.lineage_figures import lives_of


def panel(figure: Figure, word: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title().startswith(word))


def curves(axes: Axes) -> list[Any]:
    """Lines of members, without the marks of births, outlines and rules."""
    return [line for line in axes.lines if line.get_marker() == "None" and line.get_linewidth() == 1.8]


def test_the_record_is_cut_where_another_member_is_born(made_up_run: Any) -> None:
    """Every member that lived for an iteration has one stretch, of its own niche, genome constant within."""
    for side in ("user_buddy", "goal_buddy"):
        lives = lives_of(made_up_run.events, side)
        found = stretches(made_up_run.progress, made_up_run.events, side)
        assert sorted(s.member for s in found) == sorted(m for m, life in lives.items() if life.born < 40)
        for stretch in found:
            times, rates = stretch.column("genome/learning_rate")
            life = lives[stretch.member]
            assert (stretch.module, stretch.niche) == (life.module, life.niche)
            assert (times[0], times[-1]) == (life.born + 1, life.died or 40)
            assert len(set(rates)) == 1


def test_every_panel_shows_every_member(made_up_run: Any) -> None:
    figure = draw_genome_curves(made_up_run.progress, made_up_run.events, "goal_buddy")
    lived = stretches(made_up_run.progress, made_up_run.events, "goal_buddy")
    explorers = sum(stretch.niche == Niche.EXPLORER for stretch in lived)
    for word in ("fitness", "satisfaction", "learning rate", "entropy", "PPO clip", "discount", "GAE", "price"):
        assert len(curves(panel(figure, word))) == len(lived), word
    assert len(curves(panel(figure, "weight of novelty"))) == explorers
    assert panel(figure, "learning rate").get_yscale() == "log"


def test_a_side_shows_its_own_genes(made_up_run: Any) -> None:
    """Traits are a user buddy's, the price of untruth a goal buddy's; a trait of 0 is drawn, on its whole range."""
    first = {"genome/optimism": 0.0, "genome/bait_guess": 0.0}
    progress = [{**row, **{f"user_0/{name}": value for name, value in first.items()}} for row in made_up_run.progress]
    titles = {}
    for side in ("user_buddy", "goal_buddy"):
        figure = draw_genome_curves(progress, made_up_run.events, side)
        titles[side] = [axes.get_title() for axes in figure.axes]
        if side == "user_buddy":
            low, high = panel(figure, "trait: guess").get_ylim()
            assert low < 0.0
            assert high > 1.0
    assert not any(title.startswith("price") for title in titles["user_buddy"])
    assert any(title.startswith("price") for title in titles["goal_buddy"])
    assert not any(title.startswith("trait") for title in titles["goal_buddy"])


def test_niche_shares_fill_the_panel(made_up_run: Any) -> None:
    figure = draw_genome_curves(made_up_run.progress, made_up_run.events, "user_buddy")
    areas = panel(figure, "share").collections
    assert len(areas) == len(Niche)
    heights = [np.asarray(area.get_paths()[0].vertices)[:, 1].max() for area in areas]
    assert max(heights) == pytest.approx(1.0)


def test_a_value_out_of_range_and_a_gap_are_drawn(made_up_run: Any) -> None:
    """A planted learning rate of 1 stretches the axis; a broken member's fitness (null) is a gap."""
    name = "goal_0"
    progress = [{**row, f"{name}/genome/learning_rate": 1.0, f"{name}/fitness": None} for row in made_up_run.progress]
    figure = draw_genome_curves(progress, made_up_run.events, "goal_buddy")
    low, high = panel(figure, "learning rate").get_ylim()
    assert low < GENES["learning_rate"].low
    assert high > 1.0
    assert any(np.isnan(line.get_ydata()).all() for line in curves(panel(figure, "fitness")))


def test_the_champion_is_outlined_and_named(made_up_run: Any, tmp_path: Path) -> None:
    member = stretches(made_up_run.progress, made_up_run.events, "user_buddy")[0].member
    figure = draw_genome_curves(made_up_run.progress, made_up_run.events, "user_buddy", member)
    outlines = [line for line in panel(figure, "fitness").lines if line.get_color() == "black"]
    assert len(outlines) == 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"champion in the end (user-{member})" in legend
    path = genome_curves(tmp_path / "g.png", made_up_run.progress, made_up_run.events, "user_buddy", member)
    assert path.read_bytes().startswith(b"\x89PNG")
