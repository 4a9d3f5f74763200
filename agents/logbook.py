"""The record of a run: every scalar goes to TensorBoard, for eyes, and to `progress.jsonl`, for programs. A
line is on disk before `write` returns, and a record is only ever appended to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from matplotlib.image import imread
from torch.utils.tensorboard import SummaryWriter

from agents.json_lines import open_to_append, read_lines

PROGRESS_FILE = "progress.jsonl"


class Logbook:
    """Appends scalars to the record in `folder`.

    resumed_at: the step of the checkpoint that a resumed run starts from. What an interrupted run had written
    beyond it stays in the files; `read_progress` and TensorBoard show the newer values in its place.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        self._lines = open_to_append(folder / PROGRESS_FILE)
        purge = None if resumed_at is None else resumed_at + 1
        self._board: Any = SummaryWriter(str(folder), purge_step=purge)

    def write(self, step: int, scalars: Mapping[str, float], prefix: str = "") -> None:
        """One line of scalars at `step`, named `prefix/name` when there is a prefix; NaN and infinity become
        null.
        """
        named = {f"{prefix}/{name}" if prefix else name: float(value) for name, value in scalars.items()}
        values = {name: value if math.isfinite(value) else None for name, value in named.items()}
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in named.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def picture(self, step: int, name: str, path: Path) -> None:
        """Show a PNG in TensorBoard."""
        self._board.add_image(name, imread(path)[..., :3], step, dataformats="HWC")
        self._board.flush()

    def close(self) -> None:
        """End the record."""
        self._lines.close()
        self._board.close()

    def __enter__(self) -> Logbook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_progress(folder: Path) -> list[dict[str, float | None]]:
    """The record of a run: one dict per step, in order, each with "step" and the scalars written at it.

    Where a run was resumed the later lines count. A line torn by a kill is passed over.
    """
    by_step: dict[int, dict[str, float | None]] = {}
    for line in read_lines(folder / PROGRESS_FILE):
        for stale in [step for step in by_step if step > line["step"]]:
            del by_step[stale]
        by_step.setdefault(line["step"], {}).update(line)
    return list(by_step.values())
