"""Train both sides in a scenario: `python scripts/train.py [CONFIG] [--set a.b=c ...] [--seed N] [--out DIR]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two threads fight over small products

from agents.command_line import explained
from agents.run_config import load_run_config, parse_settings
from agents.training import Run, closing, finish, reopen_run, start_run, train


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train goal buddies and user buddies against each other.")
    parser.add_argument("config", nargs="?", default="default", help="a scenario's name, or the path of a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, e.g. aipp.noise=1")
    parser.add_argument("--seed", type=int, help="seed of the training")
    parser.add_argument("--out", type=Path, help="folder of the run; a new one under runs/ without it")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in DIR")
    arguments = parser.parse_args(words)
    with explained():
        run = reopen_run(arguments.resume) if arguments.resume else _new_run(arguments)
        print(f"{run.scenario}: {run.config.description}\nresults go to {run.folder}", flush=True)
        train(run, resume=arguments.resume is not None)
        print(f"\n{finish(run).text()}\n\n{closing(run)}")


def _new_run(arguments: argparse.Namespace) -> Run:
    overrides = parse_settings(arguments.set)
    if arguments.seed is not None:
        overrides["training.seed"] = arguments.seed
    return start_run(load_run_config(arguments.config, overrides), Path(arguments.config).stem, arguments.out)


if __name__ == "__main__":
    main()
