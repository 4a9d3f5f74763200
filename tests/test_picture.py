"""Pictures of the MetaSpace: what is drawn is where it should be, in every mode, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from pettingzoo.test.render_test import render_test

from agents.gymnasium_door import buddy_env
from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.env import MetaSpaceEnv
from ammo_env.metrics import MISINFORMATION
from ammo_env.picture import Picture
from ammo_env.scene import Scene, make_atlas, make_scene, page_axes
from ammo_env.settings import ConfigError
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]


def played(config: AmmoConfig, rounds: int, num_envs: int = 1) -> VectorEnv:
    env = VectorEnv(config, num_envs)
    env.reset(0)
    rng = np.random.default_rng(0)
    slots, shown = config.attention.num_slots, config.attention.num_candidates
    for _ in range(rounds):
        slates = rng.permuted(np.tile(np.arange(shown), (num_envs, env.num_agents["user_buddy"], 1)), axis=-1)
        moves = np.ones((num_envs, env.num_agents["goal_buddy"]), int)
        env.step({"user_buddy": slates[..., :slots], "goal_buddy": moves})
    return env


def scene_of(env: VectorEnv) -> Scene:
    return make_scene(make_atlas(env.world), env)


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_the_page_separates_groups(groups: int) -> None:
    """Groups of vectors around orthogonal centres: on the page every vector is nearest to its own group's middle."""
    rng = np.random.default_rng(groups)
    facts = [np.eye(12)[g] + 0.1 * rng.standard_normal((20, 12)) for g in range(groups)]
    axes = page_axes(facts)
    assert axes.shape == (12, 2)
    middles = np.stack([(own @ axes).mean(axis=0) for own in facts])
    for number, own in enumerate(facts):
        distance = np.linalg.norm((own @ axes)[:, None] - middles, axis=-1)
        assert (distance.argmin(axis=1) == number).all()
    assert np.linalg.matrix_rank(axes) == 2


def test_a_scene_is_the_world_on_the_page(small_config: MakeConfig) -> None:
    env = played(small_config(), 3)
    atlas, state = make_atlas(env.world), env.world.state
    scene = make_scene(atlas, env)
    assert atlas.names == ("subspace 0", "subspace 1")
    assert len(atlas.facts) == 12
    np.testing.assert_allclose(scene.creations.reshape(10, 2), atlas.place(state.corpus.vectors[0]))
    np.testing.assert_allclose(scene.preferences, state.q[0].astype(np.float64) @ atlas.axes)
    np.testing.assert_array_equal(scene.doubtful.reshape(-1), state.corpus.grounding_error[0] > MISINFORMATION)
    assert scene.slates.shape == (4, 2, 2)
    assert (scene.now, scene.rounds, scene.subspace.tolist()) == (3, 8, [0, 1, 0, 1, 0])
    measured = env.measure()
    assert scene.misinformation == pytest.approx(float(measured["misinformation_rate"][0]), abs=1e-6)
    assert env.last_round is not None
    assert len(scene.published) == int(env.last_round.published.sum())


def test_before_the_first_round_nothing_is_shown(small_config: MakeConfig) -> None:
    scene = scene_of(played(small_config(), 0))
    assert np.isnan(scene.slates).all()
    assert (scene.regret, scene.misinformation, scene.published) == (None, None, ())


@pytest.mark.parametrize(
    "settings",
    [
        {"subspaces": {"composed": [[0, 1]], "schedule": [{"round": 2, "split": 0}]}},
        {"events": {"rate": 2.0, "fact_slots": 3}},
        {"life": {"viability": 9.0, "grace": 1}},
        {"knowledge.num_subspaces": 1},
        {"humans.num_humans": 12},
        {"knowledge.compress": 8, "aipp.latency": 9},
    ],
)
def test_every_feature_can_be_drawn(settings: dict[str, Any], small_config: MakeConfig) -> None:
    """A picture with ink in it, and what features add is in the scene."""
    env = played(small_config(settings), 3)
    image = Picture(env).array()
    assert image.shape == (750, 1100, 3)
    assert image.dtype == np.uint8
    assert (image < 250).any(axis=-1).mean() > 0.05
    scene = scene_of(env)
    assert (len(scene.events) > 0) == (len(scene.added) > 0) == ("events" in settings)
    assert (scene.retired > 0) == ("life" in settings)
    assert max(scene.names) > 4 or "life" not in settings


def test_arrays_come_without_pyplot_and_are_the_same_again(small_config: MakeConfig) -> None:
    env = MetaSpaceEnv(small_config(), "rgb_array")
    env.reset(seed=0)
    before = pyplot.get_fignums()
    one, two = env.render(), env.render()
    np.testing.assert_array_equal(one, two)
    assert pyplot.get_fignums() == before
    env.close()
    env.close()


def test_the_world_does_not_load_matplotlib_for_itself() -> None:
    code = "import sys; from ammo_env import metaspace_v0; e = metaspace_v0.parallel_env(); e.reset(seed=0); "
    code += "print('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_window_without_a_display_is_an_error(small_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is then not among the modes, so that checkers which try all modes do not trip over it."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    env = MetaSpaceEnv(small_config(), "human")
    assert env.metadata["render_modes"] == ["ansi", "rgb_array"]
    with pytest.raises(ConfigError, match="needs a display"):
        env.reset(seed=0)
    monkeypatch.setenv("MPLBACKEND", "qtagg")
    assert MetaSpaceEnv(small_config()).metadata["render_modes"] == ["ansi", "rgb_array", "human"]


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_a_window_follows_the_world_and_is_closed(small_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a canvas off-screen in the place of a window: one figure, painted at reset and at every step."""
    matplotlib.use("agg")
    monkeypatch.setattr("ammo_env.view.has_display", lambda: True)
    painted: list[int] = []
    paint = Picture._paint

    def counted(self: Picture, figure: Figure) -> None:
        painted.append(id(figure))
        paint(self, figure)

    monkeypatch.setattr(Picture, "_paint", counted)
    before = pyplot.get_fignums()
    env = MetaSpaceEnv(small_config(), "human")
    env.reset(seed=0)
    for _ in range(2):
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    assert env.render() is None
    assert (len(painted), len(set(painted))) == (4, 1)
    assert len(pyplot.get_fignums()) == len(before) + 1
    env.close()
    assert pyplot.get_fignums() == before


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("display", [True, False])
def test_pettingzoo_s_render_test(display: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ammo_env.view.has_display", lambda: display)
    small: dict[str, Any] = {"num_humans": 2, "num_goal_buddies": 4, "num_subspaces": 2}
    make: Any = partial(metaspace_v0.env, **small)
    render_test(make)


def test_the_gymnasium_door_draws_too() -> None:
    for side in ("user_buddy", "goal_buddy"):
        env = buddy_env(side, render_mode="rgb_array")
        env.reset(seed=0)
        assert env.render().shape == (750, 1100, 3)
        env.close()
    with pytest.raises(ConfigError, match="render_mode 'svg' is not known"):
        buddy_env("user_buddy", render_mode="svg")
