"""The scripts as a person meets them: a small run, its resumption, a comparison, and every mistake explained."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.checkpoints import read_checkpoint
from agents.rllib.algorithm import BuddyTrainer

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    "--set", "training.iterations=2", "--set", "training.num_worlds=2", "--set", "num_rounds=8",
    "--set", "training.rounds_per_iteration=8", "--set", "training.checkpoint_every=1",
]  # fmt: skip


@dataclass
class Done:
    status: int
    stdout: str
    stderr: str


def run(script: str, *words: str) -> Done:
    """The script's main function in this process: importing torch and ray for every mistake would take minutes."""
    main = importlib.import_module(f"scripts.{script.removesuffix('.py')}").main
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(words))
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "default", *SMALL, "--seed", "0"]
    done = subprocess.run(
        [*command, "--out", str(folder)], capture_output=True, text=True, cwd=elsewhere, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "trained, deterministic" in done.stdout
    assert "thompson=" in done.stdout
    assert "clickbait" in done.stdout
    assert str(folder) in done.stdout
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr
    return folder


def test_a_run_leaves_what_the_readme_promises(finished: Path) -> None:
    names = {path.name.split(".")[0] for path in finished.iterdir()}
    assert {"config", "progress", "events", "checkpoints", "scores", "learning_curve"} <= names
    scores = json.loads((finished / "scores.json").read_text())
    assert 0 < scores["user_buddies"]["oracle"]["normalised_regret"] < scores["user_buddies"]["random"][
        "normalised_regret"
    ]
    first = json.loads((finished / "progress.jsonl").read_text().splitlines()[0])
    named = {"normalised_regret", "regret", "welfare", "misinformation", "exposure_gini", "steps_per_second"}
    assert named <= set(first)


def test_a_finished_run_is_resumed_and_not_overwritten(finished: Path) -> None:
    before = read_checkpoint(sorted((finished / "checkpoints").glob("*.ckpt"))[-1])
    assert run("train.py", "--resume", str(finished)).status == 0
    after = read_checkpoint(sorted((finished / "checkpoints").glob("*.ckpt"))[-1])
    assert before["iteration"] == after["iteration"] == 2
    again = run("train.py", "default", *SMALL, "--out", str(finished))
    assert again.status == 2
    assert "already holds a run" in again.stderr
    assert "--resume" in again.stderr


def test_runs_and_baselines_are_compared_on_another_scenario(finished: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    arguments = (str(finished), "greedy", "truthful", "--scenario", "drift", "--worlds", "4", "--episodes", "1")
    done = run("evaluate.py", *arguments, "--json", str(scores), "--set", "num_rounds=8")
    assert done.status == 0, done.stderr
    assert "'drift'" in done.stdout
    assert set(json.loads(scores.read_text())["user_buddies"]) == {
        str(finished), f"{finished}, deterministic", "greedy"
    }  # fmt: skip
    assert run("evaluate.py", *arguments, "--json", str(scores)).status == 2  # never overwrites


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train.py", ["defalt"], "the nearest is 'default'"),
        ("train.py", ["--set", "trainin.iterations=3"], "training"),
        ("train.py", ["--set", "iteratons=3"], "training.iterations"),
        ("train.py", ["--set", "num_slots=99"], "lower num_slots"),
        ("train.py", ["--set", "num_slots"], "KEY=VALUE"),
        ("train.py", ["--set", "seed=1"], "ambiguous"),
        ("train.py", ["--resume", "no/such/run"], "no config.yaml"),
        ("train.py", ["movielens", "--set", "knowledge.path=no/such/folder"], "no/such/folder"),
        ("evaluate.py", ["gredy"], "'greedy'"),
        ("evaluate.py", ["greedy", "--scenario", "no.yaml"], "no scenario file"),
    ],
)
def test_mistakes_are_explained(script: str, arguments: list[str], message: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")] if script == "train.py" and "--resume" not in arguments else []
    failed = run(script, *arguments, *out)
    assert failed.status == 2
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_damaged_checkpoint_is_named(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    whole = sorted((finished / "checkpoints").glob("*.ckpt"))[-1].read_bytes()
    (folder / "checkpoints" / "iteration-000002.ckpt").write_bytes(whole[: len(whole) // 2])
    failed = run("train.py", "--resume", str(folder))
    assert failed.status == 2
    assert "iteration-000002.ckpt" in failed.stderr
    assert "earlier checkpoint" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_ctrl_c_saves_between_iterations_and_resume_goes_on_as_if_nothing_had_happened(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in iteration 1 of 2, then resumed: the final weights are those of the run that was left alone."""
    folder, original = tmp_path / "run", BuddyTrainer.train_iteration

    def interrupted(trainer: BuddyTrainer) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return original(trainer)

    monkeypatch.setattr(BuddyTrainer, "train_iteration", interrupted)
    stopped = run("train.py", "default", *SMALL, "--seed", "0", "--out", str(folder))
    assert stopped.status == 130
    assert f"--resume {folder}" in stopped.stderr
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["iteration-000001.ckpt"]
    monkeypatch.setattr(BuddyTrainer, "train_iteration", original)
    assert run("train.py", "--resume", str(folder)).status == 0
    ours, theirs = (
        read_checkpoint(path / "checkpoints" / "iteration-000002.ckpt")["members"]["goal_0"]["weights"]
        for path in (folder, finished)
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)
