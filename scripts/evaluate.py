"""Compare trained runs and baselines: `python scripts/evaluate.py RUN[:MEMBER]|BASELINE ... [--scenario NAME]`.

A RUN is a folder that train.py wrote: the champion of each side, the best of its final. RUN:user-7 is the user buddy
with id 7 of that run, RUN:goal-3 a goal buddy, alive or in the hall of fame. A BASELINE is random, greedy,
epsilon_greedy[=epsilon], softmax[=temperature], linucb[=width], fading_linucb[=width], thompson[=width], shapley,
friends_of_friends or oracle on the user side; random_script, truthful, chaser, clickbait, stubborn, copycat or
best_response on the goal side.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two threads fight over small products

from agents.command_line import explained
from agents.contestants import line_up
from agents.evaluation import Arena
from agents.run_config import parse_settings
from agents.scoreboard import scoreboard


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestants", nargs="+", metavar="RUN[:MEMBER]|BASELINE", help="who is compared")
    parser.add_argument("--scenario", help="where; the first RUN's own world without it, or default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the world")
    parser.add_argument("--episodes", type=int, default=2, help="episodes of 64 worlds each")
    parser.add_argument("--worlds", type=int, default=64, help="worlds stepped at once")
    parser.add_argument("--seed", type=int, default=0, help="seed of worlds and draws")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores here too; never overwrites")
    arguments = parser.parse_args(words)
    if min(arguments.episodes, arguments.worlds) < 1:
        parser.error("--episodes and --worlds must be at least 1")
    with explained():
        line = line_up(arguments.contestants, arguments.scenario, parse_settings(arguments.set))
        arena = Arena(line.world, arguments.worlds, arguments.episodes, arguments.seed)
        board = scoreboard(line.scenario, line.user_buddies, line.goal_buddies, arena)
        print(board.text())
        if arguments.json:
            with arguments.json.open("x", encoding="utf-8") as file:
                json.dump(board.raw, file, indent=1)
            print(f"\nscores: {arguments.json}")


if __name__ == "__main__":
    main()
