"""Where a run's results live: one new folder per run that opens with its configuration. Nothing that was
written is ever lost: a folder that holds something is refused, and no file in it is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

CONFIG_FILE = "config.yaml"
DEFAULT_ROOT = Path("runs")


def create_run(
    config: Mapping[str, Any], scenario: str, seed: int, out: Path | None = None, root: Path = DEFAULT_ROOT
) -> Path:
    """Make the folder of a new run, write its `config.yaml`, return the folder.

    Args: `config` is plain data (`model_dump(mode="json")`). Without `out` the folder is
    `<root>/<scenario>-seed<N>`, or the first free of `-2`, `-3`, … after it. Raises FileExistsError when
    `out` is a file or a folder that already holds something.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    folder = _next_free(root, f"{_plain(scenario)}-seed{seed}") if out is None else _claim(out)
    with (folder / CONFIG_FILE).open("x", encoding="utf-8") as file:
        file.write(text)
    return folder


def open_run(folder: Path) -> dict[str, Any]:
    """The configuration of an existing run, to resume or evaluate it. Raises FileNotFoundError if there is
    none.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {CONFIG_FILE} in it")
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def _claim(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    if (out / CONFIG_FILE).exists():
        raise FileExistsError(f"{out} already holds a run; continue it with --resume, or name another --out")
    if any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name another --out")
    return out


def _next_free(root: Path, name: str) -> Path:
    """Making the folder is what claims it, so two runs that start together get two folders."""
    root.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count never ends")


def _plain(scenario: str) -> str:
    """A scenario's name or its file's, as part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(scenario).name.removesuffix(".yaml").removesuffix(".yml")) or "run"
