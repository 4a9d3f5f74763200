"""Draws a round to a PNG: `python -m agents.metaspace_picture FILE [--scenario NAME] [--rounds N] [--seed N]`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from agents.gymnasium_door import user_buddy_env
from ammo_env.vector import VectorEnv


def picture_of(scenario: str, rounds: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """uint8 [H, W, 3]: linucb=3 in the user seats (the first shows the first candidates), the default scripts."""
    env = user_buddy_env(scenario, user_buddies="linucb=3", render_mode="rgb_array")
    env.reset(seed=seed)
    for _ in range(rounds):
        env.step(_first(env.vector))
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = env.render()
    return image


def _first(env: VectorEnv) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]] | int:
    slots = env.config.attention.num_slots
    return 0 if slots == 1 else np.arange(slots)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--scenario", default="default")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    imsave(arguments.file, picture_of(arguments.scenario, arguments.rounds, arguments.seed))


if __name__ == "__main__":
    main()
