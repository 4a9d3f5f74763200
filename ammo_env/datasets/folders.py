"""Where the files of a data set lie (in the folder that a world is told of, or in AMMO_DATA), and what damages them."""

from __future__ import annotations

import os
from pathlib import Path


class DataError(ValueError):
    """A data file that cannot be read: names the file, the line, and what was expected."""


def data_folder(path: str | None, title: str, inner: str, marker: str, source: str) -> Path:
    """The folder that holds the file `marker`: `path`, or else AMMO_DATA, itself or the folder `inner` in it.

    Raises FileNotFoundError where neither is given or there is no such folder; `title` and `source` tell the reader
    what is missing and where it can be had.
    """
    named = path or os.environ.get("AMMO_DATA")
    if not named:
        raise FileNotFoundError(
            f"{title} needs its data: say where it is with --set knowledge.path=<folder> or the environment "
            f"variable AMMO_DATA. {source}"
        )
    folder = Path(named).expanduser()
    within = folder / inner
    found = within if within.is_dir() and not (folder / marker).is_file() else folder
    if not found.is_dir():
        name = "knowledge.path" if path else "AMMO_DATA"
        raise FileNotFoundError(f"{name}: there is no folder {folder}. {source}")
    return found.resolve()
