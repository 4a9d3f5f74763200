"""The map of what traits are worth: its best place, its members, and where its numbers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from agents.checkpoints import write_checkpoint
from agents.evolution.genome import TRAITS, Genome
from agents.evolution.surrogate import Surrogate
from agents.trait_figures import draw_trait_map, read_surrogates, trait_figure, trait_map


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    """Verdicts without noise on a bowl with its top at optimism 3 and guess .25."""
    own, rng = Surrogate(TRAITS), np.random.default_rng(0)
    for iteration in range(30):
        people: list[Genome] = [{"optimism": 4 * rng.random(), "bait_guess": rng.random()} for _ in range(4)]
        own.add([
            (4 * iteration + i, one, -0.01 * (one["optimism"] - 3) ** 2 - 0.4 * (one["bait_guess"] - 0.25) ** 2, 9.0)
            for i, one in enumerate(people)
        ])  # fmt: skip
    return own


def dots(figure: Figure, panel: int) -> dict[str, Any]:
    """Label -> coordinates [N, 2] of what is marked in a panel."""
    found = [c for c in figure.axes[panel].collections if isinstance(c, PathCollection)]
    return {str(c.get_label()): np.asarray(c.get_offsets()) for c in found}


def test_both_panels_mark_the_best_place_the_members_and_the_champion(surrogate: Surrogate) -> None:
    lived: list[Genome] = [{"optimism": 0.0, "bait_guess": 0.1}, {"optimism": 2.5, "bait_guess": 0.3}]
    figure = draw_trait_map(surrogate, "user_buddy", lived, lived[1])
    for panel in (0, 1):
        marked = dots(figure, panel)
        np.testing.assert_allclose(marked["best place"], [[0.25, 3.0]], atol=0.11)
        np.testing.assert_allclose(marked["a member that lived"], [[0.1, 0.0], [0.3, 2.5]])
        np.testing.assert_allclose(marked["champion"], [[0.3, 2.5]])
        axes = figure.axes[panel]
        assert axes.get_xlim() == (0.0, 1.0)
        assert axes.get_ylim() == (0.0, 4.0)
        assert "guess at bait" in axes.get_xlabel()
        assert "optimism" in axes.get_ylabel()


def test_a_map_of_nothing_is_drawn_flat(tmp_path: Path) -> None:
    """A run that was too short to compare anybody, and a side without a champion."""
    path = trait_map(tmp_path / trait_figure("user_buddy"), Surrogate(TRAITS), "user_buddy", [], None)
    assert path.name == "traits-user.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_surrogates_are_read_from_a_checkpoint(surrogate: Surrogate, tmp_path: Path) -> None:
    """Of the sides that have one."""
    states = {"user_buddy": {"surrogate": surrogate.state()}, "goal_buddy": {"surrogate": None}}
    write_checkpoint(tmp_path / "a.ckpt", {"evolution": {"populations": states}})
    found = read_surrogates(tmp_path / "a.ckpt")
    assert list(found) == ["user_buddy"]
    assert found["user_buddy"].state() == surrogate.state()
