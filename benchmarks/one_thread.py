"""The command line of a benchmark that measures CPU time: --quick, and one thread whatever the shell says."""

from __future__ import annotations

import argparse
import os
import sys


def asked_for_quick(description: str | None, means: str) -> bool:
    """Reads the command line; starts the program anew where its linear algebra would use more than one thread.

    description: a docstring, whose first line is shown; means: what --quick leaves out.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    parser.add_argument("--quick", action="store_true", help=means)
    quick: bool = parser.parse_args().quick
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read by the linear algebra library when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    return quick
