"""What `render()` gives in each render mode; the picture itself is in `picture.py`, imported when it is first drawn."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

from ammo_env.settings import ConfigError
from ammo_env.vector import VectorEnv

if TYPE_CHECKING:
    from ammo_env.picture import Picture

RENDER_MODES = ("ansi", "rgb_array", "human")
OFF_SCREEN = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})


class View(Protocol):
    """How a world is looked at."""

    def render(self) -> Any: ...
    def follow(self) -> None:
        """Called after every reset and step."""

    def close(self) -> None: ...


class Blind:
    """Nobody looks (render mode None)."""

    def render(self) -> Any:
        return None

    def follow(self) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to release."""


class Telegram(Blind):
    """One line about the round."""

    def __init__(self, env: VectorEnv) -> None:
        self._env = env

    def render(self) -> str:
        env, happened = self._env, self._env.last_round
        now = f"round {env.world.state.now}/{env.config.episode.num_rounds}"
        if happened is None:
            return now
        judged = happened.judgement
        share = float(judged.regret.sum() / max(float(judged.random_regret.sum()), 1e-9))
        return f"{now}: normalised regret {share:.3f}, {int(happened.published.sum())} creations published"


class Painting(Blind):
    """A picture of the MetaSpace as an array."""

    def __init__(self, env: VectorEnv) -> None:
        self._env = env
        self._made: Picture | None = None

    def render(self) -> Any:
        return self._picture().array()

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def _picture(self) -> Picture:
        if self._made is None:
            from ammo_env.picture import Picture  # and with it matplotlib, which takes a second

            self._made = Picture(self._env)
        return self._made


class Window(Painting):
    """The same picture in a window that follows the world."""

    def render(self) -> None:
        if not has_display():
            raise ConfigError("render_mode='human' needs a display, and there is none here: use 'rgb_array' instead")
        self._picture().show()

    def follow(self) -> None:
        self.render()


def make_view(env: VectorEnv, render_mode: str | None) -> View:
    """The view of a render mode. Raises `ConfigError` for an unknown one."""
    if render_mode is None:
        return Blind()
    known = {"ansi": Telegram, "rgb_array": Painting, "human": Window}
    if render_mode not in known:
        raise ConfigError(f"render_mode '{render_mode}' is not known; there are: {list(RENDER_MODES)}")
    return known[render_mode](env)


def available_modes() -> list[str]:
    """The render modes that work on this machine: `human` needs a display."""
    return [mode for mode in RENDER_MODES if mode != "human" or has_display()]


def has_display() -> bool:
    """Can a window be opened here? MPLBACKEND, where it is set, decides."""
    chosen = os.environ.get("MPLBACKEND", "").lower()
    if chosen:
        return chosen not in OFF_SCREEN
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
