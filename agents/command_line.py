"""How a script fails: one line that names the cause and the fix, and no traceback for what can be put right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agents.checkpoints import CheckpointError
from ammo_env.datasets.folders import DataError
from ammo_env.settings import ConfigError

EXPECTED = (ConfigError, CheckpointError, DataError, FileExistsError, FileNotFoundError, NotADirectoryError)


@contextmanager
def explained() -> Iterator[None]:
    """Turn expected errors into one line on standard error and exit status 2; Ctrl-C into status 130."""
    try:
        yield
    except EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
