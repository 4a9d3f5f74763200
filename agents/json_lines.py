"""Records that are only ever appended to, one JSON object per line, by runs that may be killed at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


def open_to_append(path: Path) -> TextIO:
    """The file, ready for its next line: half a line that a killed run left at its end is ended first."""
    file = path.open("a", encoding="utf-8")
    if file.tell() > 0:
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            torn = written.read() != b"\n"
        if torn:
            file.write("\n")
    return file


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in order. A line torn by a kill is passed over."""
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            continue
        yield line
