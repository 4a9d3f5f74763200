"""How far a long run is: one line with rate and remaining time, redrawn in place in a terminal and printed
now and then, without control characters, everywhere else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

TERMINAL_SECONDS = 0.1
LOG_SECONDS = 5.0
LOG_FORMAT = "{percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class Progress:
    """A progress line: `12% 12.3k/100k [00:12<01:28, 1.02k agent steps/s, regret=0.31]`.

    total, start: work in `unit`s in all, and what a resumed run had done before (it counts for the
    percentage, not for the rate). In a terminal the line is redrawn at most every 0.1 s, elsewhere a line is
    printed at most every 5 s; the last state is always shown.
    """

    def __init__(
        self,
        total: int,
        unit: str = "steps",
        start: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._start, self._done, self._unit = total, start, start, unit
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._began = self._shown = clock()
        self._values: dict[str, float] = {}
        self._width = 0
        self._pending = True

    def update(self, done: int, **values: float) -> None:
        """`done` units are done; `values` (regret=0.31) follow the rate. Shown when the last line is old
        enough.
        """
        self._done, self._pending = done, True
        self._values.update(values)
        if self._clock() - self._shown >= (TERMINAL_SECONDS if self._terminal else LOG_SECONDS):
            self._show()

    def note(self, text: str) -> None:
        """A line of its own that stays: something happened."""
        if self._terminal:
            self._stream.write("\r" + " " * self._width + "\r")
        self._stream.write(text + "\n")
        if self._terminal:
            self._show()
        self._stream.flush()

    def close(self) -> None:
        """Show the last state, once, and end the line."""
        if self._pending:
            self._show()
        if self._terminal:
            self._stream.write("\n")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def line(self) -> str:
        """The current state in words."""
        return tqdm.format_meter(
            n=self._done,
            total=self._total,
            elapsed=self._clock() - self._began,
            initial=self._start,
            unit=f" {self._unit}",
            unit_scale=True,
            postfix=", ".join(f"{name}={value:.3g}" for name, value in self._values.items()),
            bar_format=LOG_FORMAT,
        ).strip()

    def _show(self) -> None:
        text = self.line()
        self._stream.write("\r" + text.ljust(self._width) if self._terminal else text + "\n")
        self._stream.flush()
        self._shown, self._width, self._pending = self._clock(), len(text), False
