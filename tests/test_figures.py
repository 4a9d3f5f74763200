"""Learning curves: what is drawn is what was measured, between its anchors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from agents.figures import Curve, draw_learning_curve, learning_curve
from agents.statistics import mean_interval

STEPS = np.array([0.0, 100.0, 200.0])
SCORES = np.array([[0.9, 0.5, 0.2], [0.8, 0.6, 0.25], [1.0, 0.4, 0.15]])


def heights(figure: Figure) -> dict[float, str]:
    """Horizontal lines over the whole width: height -> label."""
    lines = [line for line in figure.axes[0].lines if np.array_equal(np.asarray(line.get_xdata()), [0, 1])]
    return {float(np.asarray(line.get_ydata())[0]): str(line.get_label()) for line in lines}


def test_anchors_and_baselines_are_horizontal_lines() -> None:
    """Random at 1, oracle at 0, and the baseline to beat with its number."""
    figure = draw_learning_curve({"ppo": Curve(STEPS, SCORES)}, {"best bandit": 0.21})
    assert set(heights(figure)) == {1.0, 0.0, 0.21}
    assert heights(figure)[0.21] == "best bandit 0.21"
    assert {text.get_text() for text in figure.axes[0].texts} == {"random", "oracle"}


def test_the_curve_is_the_mean_and_the_band_its_interval() -> None:
    """Mean over three seeds; the band's outline holds the ends of the 95 % t-intervals."""
    figure = draw_learning_curve({"ppo": Curve(STEPS, SCORES)})
    line = next(line for line in figure.axes[0].lines if line.get_label() == "ppo")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [0.9, 0.5, 0.2])
    outline = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    for step, column in zip(STEPS, SCORES.T, strict=True):
        interval = mean_interval(column)
        drawn = outline[outline[:, 0] == step, 1]
        assert (drawn.min(), drawn.max()) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_band() -> None:
    """A band of width zero would claim certainty."""
    figure = draw_learning_curve({"ppo": Curve(STEPS, SCORES[0])})
    assert not figure.axes[0].collections


def test_the_file_is_a_png_of_the_figure(tmp_path: Path) -> None:
    """1050 × 675 pixels, and not blank."""
    path = learning_curve(tmp_path / "curve.png", {"ppo": Curve(STEPS, SCORES)}, {"greedy": 0.29}, title="x")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (1050, 675)
    assert len(data) > 10_000


def test_scores_that_do_not_match_the_steps_are_refused() -> None:
    """Transposed scores would be drawn as another experiment."""
    with pytest.raises(ValueError, match=r"'ppo' has scores \(2, 4\) for steps \(3,\)"):
        draw_learning_curve({"ppo": Curve(STEPS, np.zeros((2, 4)))})
