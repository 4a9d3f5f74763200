"""A run that is killed without warning goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

from benchmarks.durability import kill_and_compare


def test_killed_runs_end_like_undisturbed_ones(tmp_path: Path) -> None:
    """Twice with SIGKILL at random moments; `benchmarks/durability.py` does it twenty times."""
    said = kill_and_compare(tmp_path, kills=2, iterations=12, seed=0)
    assert said.startswith("killed 2 times")
    assert "are equal" in said
