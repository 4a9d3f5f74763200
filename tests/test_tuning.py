"""The outer search: ranges, mistakes, settings in force after a copy, and a small one from Ctrl-C to the best run."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch

from agents.evolution.genome import LEARNING_GENES
from agents.learned_policy import load_policy
from agents.progress import Progress
from agents.rllib import schedulers
from agents.rllib.tuning import Trial
from agents.run_config import load_run_config
from agents.training import reopen_run
from agents.tuned_system import TunedSystem
from agents.tuning import Search, TrialError, _check_done, reopen_search
from agents.tuning_options import DEFAULT_SEARCH, make_study, parse_search
from agents.tuning_settings import Range, Study

ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "training.num_worlds": 2, "training.rounds_per_iteration": 8, "num_rounds": 8,
    "training.user_buddy.members": 3, "training.goal_buddy.members": 2,
}  # fmt: skip
MakeStudy = Callable[..., Study]


@pytest.fixture
def study() -> MakeStudy:
    """`study(*searches, trials=2)`: of small systems, two intervals of one iteration."""

    def make(*searches: str, **given: Any) -> Study:
        config = load_run_config("default", SMALL)
        return make_study("default", config, searches, {"iterations": 2, "interval": 1, "trials": 2, **given})

    return make


def run(script: str, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = 0
    try:
        importlib.import_module(f"scripts.{script}").main(list(words))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    return status, *capsys.readouterr()


@pytest.mark.parametrize("scale", ["linear", "log", "horizon"])
def test_shares_and_numbers_are_the_same_place(scale: Any) -> None:
    found = Range(low=0.1, high=0.9, scale=scale)
    assert found.at(0.0) == pytest.approx(0.1)
    assert found.at(1.0) == pytest.approx(0.9)
    assert found.share(found.at(0.3)) == pytest.approx(0.3)
    assert found.share(7.0) == pytest.approx(1.0)
    middle = {"linear": 0.5, "log": 0.3, "horizon": 0.7}[scale]  # √(.1·.9), 1 − √(.9·.1)
    assert found.at(0.5) == pytest.approx(middle)
    assert Range(low=1, high=4, whole=True).value(0.4) == 2


def test_the_first_trial_is_as_configured_and_the_others_spread(study: MakeStudy) -> None:
    search = study(trials=5)
    assert list(search.search) == [text.partition("=")[0] for text in DEFAULT_SEARCH]
    first, *others = (search.settings(shares) for shares in search.first_shares())
    assert search.configured(first) == search.config
    for key, found in search.search.items():
        assert sorted(int(4 * found.share(other[key])) for other in others) == [0, 1, 2, 3]
    assert search.first_shares() == study(trials=5).first_shares()
    off = load_run_config("default", {"training.evolution.enabled": False})
    assert not any("evolution" in key for key in parse_search((), off))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--search", "training.user_buddy.learning_rat=1e-3:1e-2"], "nearest is 'training.user_buddy.learning_rate'"),
        (["--search", "learning_rate=1e-3:1e-2"], "ambiguous"),
        (["--search", "training.gamma=0.9"], "KEY=LOW:HIGH"),
        (["--search", "training.gamma=0.9:1.5"], "training.gamma: "),
        (["--search", "training.gamma=0.9:0.8"], "must not be empty"),
        (["--search", "training.gamma=0.8:0.9:loog"], "'linear', 'log' or 'horizon'"),
        (["--search", "training.gamma=0.8:0.999"], "lives in 0.7:0.998"),
        (["--search", "training.epochs=1.5:4"], "training.epochs: "),
        (["--search", "training.user_buddy.members=1:4"], "middle of a run"),
        (["--search", "training.user_buddy.initial_optimism=0:2"], "middle of a run"),
        (["--search", "training.evolution.enabled=0:1"], "training.evolution.enabled"),
        (["--search", "aipp.noise=0.1:1"], "part of the world"),
        (["--trials", "1"], "at least 2 trials"),
        (["--trials", "0"], "trials: "),
        (["--metric", "goal_advantage", "--set", "training.goal_buddy.members=0"], "needs goal buddies that learn"),
        (["--scheduler", "pb2"], "extra 'tune'"),
        (["defalt"], "the nearest is 'default'"),
        (["--resume", "no/such/search"], "no config.yaml"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedulers, "import_pb2_dependencies", lambda: None)
    status, _, stderr = run("tune", *words, "--out", str(tmp_path / "search"), capsys=capsys)
    assert status == 2
    assert message in stderr
    assert not (tmp_path / "search").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    status, _, stderr = run("tune", "--out", str(tmp_path), capsys=capsys)
    assert status == 2
    assert "not empty" in stderr


def test_a_failed_trial_is_named_with_its_cause(study: MakeStudy, tmp_path: Path) -> None:
    trials = [Trial(0, {"iterations": 2}), Trial(1, error="Traceback ...\nValueError: it broke\n")]
    with pytest.raises(TrialError, match=r"trial 1 failed: ValueError: it broke .*tune/trial-1/error.txt.*--resume"):
        _check_done(Search(tmp_path, study()), trials, Progress(1))


def test_pb2_is_made_where_scikit_learn_is(study: MakeStudy) -> None:
    pytest.importorskip("sklearn")
    assert schedulers.make_scheduler(study(scheduler="pb2"))._hyperparam_bounds["training.gamma"] == [0.0, 1.0]


def test_mutations_stay_in_range_and_move(study: MakeStudy) -> None:
    search = study("training.epochs=1:6", "training.gamma=0.8:0.95:horizon")
    rng, shares = np.random.default_rng(0), search.first_shares()[1]
    for _ in range(50):
        moved = schedulers.explored(search, shares, rng)
        assert moved != shares
        assert all(0.0 <= share <= 1.0 for share in moved.values())
        search.configured(search.settings(moved))
        shares = moved


def test_a_copy_learns_with_its_own_settings_on_the_state_of_another(study: MakeStudy, tmp_path: Path) -> None:
    """The trap: a restored state carries the hyper-parameters of the system that it was copied from."""
    search = study(
        "training.user_buddy.learning_rate=5e-4:4e-3:log", "training.gamma=0.8:0.95:horizon", "training.epochs=1:5",
        "training.value_weight=0.1:1", "training.evolution.perturb=1.1:1.5",
    )  # fmt: skip
    shares = search.first_shares()[0]
    donor = TunedSystem(search, shares, tmp_path / "donor")
    donor.trainer.learner.set_hyperparameters("user_1", gamma=0.85)
    population = donor.trainer.evolution.populations["user_buddy"]
    population.lineage.changed(1, {**population.living[1].genome, "gamma": 0.85})
    assert donor.advance()["mutations"] == 0
    donor.save(tmp_path / "saved")

    found = search.search
    own = {
        "training.user_buddy.learning_rate": found["training.user_buddy.learning_rate"].share(2e-3),
        "training.gamma": found["training.gamma"].share(0.95),
        **dict.fromkeys(("training.epochs", "training.value_weight", "training.evolution.perturb"), 1.0),
    }
    copy = TunedSystem(search, own, tmp_path / "copy", tmp_path / "saved")
    for slot in range(3):
        name, before = f"user_{slot}", donor.trainer.learner.hyperparameters(f"user_{slot}")
        learner, after = copy.trainer.learner, copy.trainer.learner.hyperparameters(name)
        assert learner.get_optimizer(name).param_groups[0]["lr"] == pytest.approx(2.0 * before.learning_rate)
        assert 1.0 - after.gamma == pytest.approx(0.5 * (1.0 - before.gamma))  # half as far from 1, as 0.9 → 0.95
        assert after.value_weight == 1.0
        assert (after.novelty, after.entropy) == (before.novelty, before.entropy)
        genome = copy.trainer.evolution.populations["user_buddy"].living[slot].genome
        assert {gene: genome[gene] for gene in LEARNING_GENES} == {n: getattr(after, n) for n in LEARNING_GENES}
        acting = copy.trainer.env_runner._players["user_buddy"].roster.hyperparameters[name]
        assert acting == after
        weights = donor.trainer.learner.network(name).state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in learner.network(name).state_dict().items())
    assert copy.trainer.learner.hyperparameters("goal_0").learning_rate == 2e-3
    assert copy.trainer.evolution.populations["goal_buddy"].settings.perturb == 1.5
    assert copy.trainer.plan.settings.epochs == 5

    result = copy.advance()
    assert result["done"]
    assert result["settings"] == search.settings(own)
    assert [entry["iteration"] for entry in copy.schedule] == [0, 1]
    assert copy.trainer.learner.hyperparameters("user_1").gamma == pytest.approx(0.925)
    copy.save(tmp_path / "again")
    assert reopen_run(tmp_path / "again").config == search.configured(result["settings"])
    for system in (donor, copy):
        system.close()


def test_a_moved_gene_stays_in_its_range(study: MakeStudy, tmp_path: Path) -> None:
    search = study("training.user_buddy.learning_rate=1e-4:1e-2:log")
    low, high = (dict.fromkeys(search.search, share) for share in (0.0, 1.0))
    donor = TunedSystem(search, low, tmp_path / "donor")
    population = donor.trainer.evolution.populations["user_buddy"]
    population.lineage.changed(1, {**population.living[1].genome, "learning_rate": 1e-3})
    donor.save(tmp_path / "saved")
    copy = TunedSystem(search, high, tmp_path / "copy", tmp_path / "saved")
    rates = [copy.trainer.learner.hyperparameters(f"user_{slot}").learning_rate for slot in range(3)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-2])
    for system in (donor, copy):
        system.close()


def test_a_paused_system_goes_on_exactly(study: MakeStudy, tmp_path: Path) -> None:
    search = study()
    shares = search.first_shares()[1]
    system = TunedSystem(search, shares, tmp_path / "one")
    system.advance()
    system.save(tmp_path / "saved")
    straight = system.advance()
    resumed = TunedSystem(search, shares, tmp_path / "two", tmp_path / "saved")
    assert resumed.advance() == straight
    assert (tmp_path / "two" / "events.jsonl").read_text() == (tmp_path / "one" / "events.jsonl").read_text()
    assert len((tmp_path / "two" / "progress.jsonl").read_text().splitlines()) == 2
    for either in (system, resumed):
        either.close()


def test_a_search_is_interrupted_resumed_and_leaves_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In processes of their own, with a home of their own: nothing may be left anywhere else."""
    home, out = tmp_path / "home", tmp_path / "search"
    home.mkdir()
    environment = {
        **os.environ, "HOME": str(home), "MPLCONFIGDIR": matplotlib.get_cachedir(), "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, str(ROOT / "scripts" / "tune.py")]
    words = ["--trials", "2", "--iterations", "4", "--interval", "1", "--out", out.name]
    with subprocess.Popen(
        [*command, "default", *settings, *words], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        record, deadline = out / "progress.jsonl", time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if record.exists() and len(record.read_text().splitlines()) >= 2:
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: ray's processes get it too
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert f"--resume {out.name}" in stderr
    assert "Traceback" not in stderr
    assert "Warning" not in stderr
    assert stdout.splitlines()[2:] == []  # none of ray's tables

    done = subprocess.run(
        [*command, "--resume", out.name], cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "trial  normalised regret  goal advantage  iterations  mutations" in done.stdout
    assert f"train.py --resume {out.name}/best" in done.stdout
    assert list(home.iterdir()) == []
    assert not any(path.is_symlink() for path in out.rglob("*"))

    rows = [line.split() for line in (out / "trials.txt").read_text().splitlines()[2:]]
    assert float(rows[0][1]) <= float(rows[1][1])
    assert [row[3] for row in rows] == ["4", "4"]
    assert any(int(row[4]) > 0 for row in rows)  # the worse of two is replaced by a mutated copy, again and again
    best, search = reopen_run(out / "best"), reopen_search(out)
    assert best.latest().name == "iteration-000004.ckpt"
    assert load_run_config(out / "best.yaml") == best.config
    schedule = json.loads((out / "best" / "schedule.json").read_text())
    assert search.study.configured(schedule[-1]["settings"]) == best.config
    assert load_policy(best.latest(), "user_buddy").side == "user_buddy"
    small = ("--worlds", "2", "--episodes", "1")
    status, stdout, _ = run("evaluate", str(out / "best"), "greedy", *small, capsys=capsys)
    assert status == 0
    assert f"{out / 'best'}, deterministic" in stdout
