"""Run folders: new by default, never overwritten, readable again."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runs import CONFIG_FILE, create_run, open_run

CONFIG = {"aipp": {"noise": 1e-05, "kind": "rating"}, "training": {"hidden": [64, 64], "resume": None}}


def test_the_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    """Also 1e-05, which YAML 1.1 likes to read as a word."""
    folder = create_run(CONFIG, "default", 0, tmp_path / "deep" / "out")
    assert folder == tmp_path / "deep" / "out"
    assert open_run(folder) == CONFIG


def test_default_folders_take_the_next_free_name(tmp_path: Path) -> None:
    """Three runs of one scenario and seed 0, and one of another seed."""
    names = [create_run(CONFIG, "drift", 0, root=tmp_path / "runs").name for _ in range(3)]
    assert names == ["drift-seed0", "drift-seed0-2", "drift-seed0-3"]
    assert create_run(CONFIG, "drift", 7, root=tmp_path / "runs").name == "drift-seed7"


def test_a_scenario_file_gives_its_name(tmp_path: Path) -> None:
    """A path with odd characters becomes one folder under the root."""
    folder = create_run(CONFIG, "../my worlds/noisy world.yaml", 1, root=tmp_path)
    assert folder == tmp_path / "noisy-world-seed1"


def test_a_folder_with_a_run_is_refused_and_kept(tmp_path: Path) -> None:
    """The message names both ways on, and the first configuration stands."""
    folder = create_run(CONFIG, "default", 0, tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"out already holds a run.*--resume.*--out"):
        create_run({"aipp": {}}, "default", 0, folder)
    assert open_run(folder) == CONFIG


def test_any_other_occupied_place_is_refused_untouched(tmp_path: Path) -> None:
    """Somebody's notes, or a file of that name."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not empty.*--out"):
        create_run(CONFIG, "default", 0, tmp_path)
    with pytest.raises(FileExistsError, match=r"is a file.*--out"):
        create_run(CONFIG, "default", 0, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_accepted(tmp_path: Path) -> None:
    """A folder made beforehand is no run."""
    assert create_run(CONFIG, "default", 0, tmp_path) == tmp_path
    assert (tmp_path / CONFIG_FILE).is_file()


def test_opening_what_is_no_run_says_so(tmp_path: Path) -> None:
    """The error names the folder and what is missing."""
    with pytest.raises(FileNotFoundError, match=r"holds no run.*config\.yaml"):
        open_run(tmp_path)
