"""Search for training settings by training many systems: `python scripts/tune.py [CONFIG] [--search KEY=LOW:HIGH]`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two threads fight over small products

from agents.command_line import explained
from agents.run_config import load_run_config, parse_settings
from agents.tuning import Search, TrialError, finish_search, next_steps, reopen_search, run_search, start_search
from agents.tuning_options import DEFAULT_SEARCH, make_study


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Search for settings by training many systems, the best copied on.")
    parser.add_argument("config", nargs="?", default="default", help="a scenario's name, or the path of a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all systems")
    parser.add_argument("--search", action="append", default=[], metavar="KEY=LOW:HIGH[:log|:horizon]",
                        help=f"a setting to search, in place of {', '.join(DEFAULT_SEARCH)}")  # fmt: skip
    parser.add_argument("--trials", type=int, help="systems; 8 without it")
    parser.add_argument("--iterations", type=int, help="of every system; training.iterations without it")
    parser.add_argument("--interval", type=int, help="iterations between comparisons; 10 without it")
    parser.add_argument("--scheduler", choices=("pbt", "pb2", "none"), help="population-based training (the default), "
                        "population-based bandits, or a random search")  # fmt: skip
    parser.add_argument("--metric", choices=("normalised_regret", "goal_advantage"), help="what is to become good")
    parser.add_argument("--seed", type=int, help="seed of the search and of all systems")
    parser.add_argument("--out", type=Path, help="folder of the search; a new one under runs/ without it")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with the search in DIR")
    arguments = parser.parse_args(words)
    with explained():
        search = reopen_search(arguments.resume) if arguments.resume else _new_search(arguments)
        study, folder = search.study, search.folder
        print(f"{study.scenario}: {study.trials} systems of {study.iterations} iterations, compared by {study.metric} "
              f"every {study.interval}\nresults go to {folder}", flush=True)  # fmt: skip
        try:
            print(f"\n{finish_search(search, run_search(search))}\n\n{next_steps(search)}")
        except TrialError as error:
            sys.exit(f"error: {error}")


def _new_search(arguments: argparse.Namespace) -> Search:
    overrides = parse_settings(arguments.set)
    if arguments.seed is not None:
        overrides["training.seed"] = arguments.seed
    given = {name: getattr(arguments, name) for name in ("trials", "iterations", "interval", "scheduler", "metric")}
    config = load_run_config(arguments.config, overrides)
    study = make_study(Path(arguments.config).stem, config, arguments.search, given)
    return start_search(study, arguments.out)


if __name__ == "__main__":
    main()
