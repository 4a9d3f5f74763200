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
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.checkpoints import read_checkpoint
from agents.learned_policy import load_policy
from agents.rllib.algorithm import BuddyTrainer

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    "--set", "training.iterations=2", "--set", "training.num_worlds=2", "--set", "num_rounds=8",
    "--set", "training.rounds_per_iteration=8", "--set", "training.checkpoint_every=1",
    "--set", "training.user_buddy.members=2", "--set", "training.goal_buddy.members=3",
    "--set", "training.evolution.every=1", "--set", "training.evolution.ready_after=1",
    "--set", "training.evolution.traits=surrogate",
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
    assert "Members alive in the end" in done.stdout
    closing = done.stdout.splitlines()[-1]
    assert all(name in closing for name in ("lineage.png", "genomes-user.png", "population/README.md"))
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr
    return folder


def test_a_run_leaves_what_the_readme_promises(finished: Path) -> None:
    names = {path.name.split(".")[0] for path in finished.iterdir()}
    assert {"config", "progress", "events", "checkpoints", "scores", "learning_curve", "population"} <= names
    assert {"lineage", "genomes-user", "genomes-goal", "traits-user", "finals"} <= names
    scores = json.loads((finished / "scores.json").read_text())
    assert 0 < scores["user_buddies"]["oracle"]["normalised_regret"] < scores["user_buddies"]["random"][
        "normalised_regret"
    ]
    first = json.loads((finished / "progress.jsonl").read_text().splitlines()[0])
    named = {"normalised_regret", "regret", "welfare", "misinformation", "exposure_gini", "steps_per_second"}
    assert named <= set(first)


def test_the_table_names_everybody_alive_and_marks_the_champions(finished: Path) -> None:
    """As population.json does, whose scores come from the worlds of the tables above; who won the final is champion."""
    final = json.loads((finished / "finals.jsonl").read_text())
    scores = json.loads((finished / "scores.json").read_text())
    rows = (finished / "scores.txt").read_text().partition("Members alive")[2].splitlines()
    members = json.loads((finished / "population" / "population.json").read_text())["members"]
    alive = [member for member in members if member["status"] == "alive"]
    assert len(alive) == 5
    for member in alive:
        row = next(row.split() for row in rows if row.startswith(member["name"] + " "))
        assert ("champion" in row) == member["champion"]
        assert member["niche"] in row
        metric = "normalised_regret" if member["side"] == "user_buddy" else "advantage_over_scripts"
        assert f"{member['scores'][metric]:.3f}" in row
        if member["champion"]:
            assert scores["champions"][member["side"]] == member["name"]
            assert final[member["side"]][member["name"]] == max(final[member["side"]].values())
    champion = next(m for m in alive if m["champion"] and m["side"] == "user_buddy")
    measured = scores["user_buddies"]["trained, deterministic"]["normalised_regret"]
    assert champion["scores"]["normalised_regret"] == measured


def test_the_figures_are_in_tensorboard_too(finished: Path) -> None:
    board: Any = EventAccumulator(str(finished)).Reload()
    assert set(board.Tags()["images"]) == {"lineage", "genomes-user", "genomes-goal", "traits-user"}
    assert "user_0/fitness" in board.Tags()["scalars"]


def test_a_member_is_loaded_from_the_population_and_compared_by_its_id(finished: Path, tmp_path: Path) -> None:
    """RUN is the champion of each side, RUN:goal-1 that one member; both play the same worlds."""
    members = json.loads((finished / "population" / "population.json").read_text())["members"]
    best = next(m for m in members if m["champion"] and m["side"] == "user_buddy")
    other = next(m for m in members if not m["champion"] and m["side"] == "goal_buddy" and m["status"] == "alive")
    assert load_policy(finished / "population", "goal_buddy", member=other["id"]).side == "goal_buddy"
    names, scores = [f"{finished}:{member['name']}" for member in (best, other)], tmp_path / "scores.json"
    done = run("evaluate.py", str(finished), *names, "--worlds", "4", "--episodes", "1", "--json", str(scores))
    assert done.status == 0, done.stderr
    users, goals = (json.loads(scores.read_text())[side] for side in ("user_buddies", "goal_buddies"))
    assert users[f"{finished}, deterministic"] == users[f"{names[0]}, deterministic"]
    assert set(goals) == {str(finished), f"{finished}, deterministic", names[1], f"{names[1]}, deterministic"}


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


@pytest.mark.parametrize(
    ("member", "message"),
    [("user-999", "no member user-999; alive: user-"), ("usr-1", "names no member of"), ("", "names no member of")],
)
def test_a_member_that_is_not_there_is_explained(finished: Path, member: str, message: str) -> None:
    failed = run("evaluate.py", f"{finished}:{member}")
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
    saved = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert saved == ["iteration-000000.ckpt", "iteration-000001.ckpt"]  # as it began, and as it was interrupted
    monkeypatch.setattr(BuddyTrainer, "train_iteration", original)
    assert run("train.py", "--resume", str(folder)).status == 0
    ours, theirs = (
        read_checkpoint(path / "checkpoints" / "iteration-000002.ckpt")["members"]["goal_0"]["weights"]
        for path in (folder, finished)
    )
    assert all((ours[name] == theirs[name]).all() for name in theirs)
