"""Ray without its noise: no usage report, no banner, no log lines, and no cluster where none is needed.

RLlib stores its configuration in Ray's object store on every build, which starts a cluster (about 4 s and 650 MB)
even when everything runs in this process. Without remote runners the store is only a detour, so `no_cluster`
replaces `ray.put` by the identity for as long as a call lasts; a contract test watches that no cluster comes up.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")

import ray

T = TypeVar("T")

_LOGGERS = ("ray", "ray.rllib", "ray.tune", "ray.train", "ray.data", "ray._private", "ray._common")


@contextmanager
def quietly() -> Iterator[None]:
    """Silence ray's loggers (errors stay) and its deprecation warnings about itself while the block runs."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"ray\.")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.|gymnasium\.")
        yield


@contextmanager
def no_cluster(wanted: bool = True) -> Iterator[None]:
    """While the block runs, `ray.put(x)` is x. Does nothing if not `wanted`, or if a cluster is already up."""
    if not wanted or ray.is_initialized():
        yield
        return
    original = ray.put
    ray.put = _identity
    try:
        yield
    finally:
        ray.put = original


def _identity(value: T, **_: object) -> T:
    return value
