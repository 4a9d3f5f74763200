"""The README's promises: its Python runs as written, its scenarios and commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agents.census import residents
from agents.evaluation import Arena, evaluate_user_buddies, scripted_cast
from agents.population_folder import write_population
from agents.run_config import RunConfig
from ammo_env import metaspace_v0
from ammo_env.config import AmmoConfig
from ammo_env.oracles import ORACLES
from ammo_env.scenarios import load_config, scenario_names
from ammo_env.settings import dotted_keys

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)
CSV = [text for language, text in BLOCKS if language == "csv"]
PYTHON: list[str] = [text for language, text in BLOCKS if language == "python"]


def snippet(holding: str) -> str:
    """The Python block of the README that holds some text."""
    return next(text for text in PYTHON if holding in text)


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), names)
    return names


def test_the_table_is_one(tmp_path: Path) -> None:
    """The table of the README makes a world with the settings of its command."""
    path = tmp_path / "food.csv"
    path.write_text(CSV[0], encoding="utf-8")
    env = metaspace_v0.parallel_env(knowledge={"source": "table", "path": str(path), "num_subspaces": 2, "dim": 64})
    env.reset(seed=0)
    assert env.agents


def test_the_pettingzoo_snippet_plays_an_episode(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(snippet("parallel_env"))
    assert names["env"].agents == []
    assert "candidates" in capsys.readouterr().out


def test_the_gymnasium_snippet_plays_an_episode() -> None:
    assert run(snippet("gymnasium.make"))["truncated"]


def test_the_game_snippet_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    run(snippet("softmax_exposure"))
    assert capsys.readouterr().out.split("\n")[:2] == ["[[0.333 0.333 0.333]]", "0.235702"]


def test_the_influence_snippet_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = snippet("social_step")
    run(text)
    assert capsys.readouterr().out.strip() == text.strip().rsplit("# ", 1)[1]


def test_the_oracle_snippet_adds_an_oracle() -> None:
    try:
        run(snippet("@oracle"))
        env = metaspace_v0.vec_env(2, aipp={"kind": "thumbs"})
        env.reset(0)
        env.step({"user_buddy": np.broadcast_to(np.arange(4), (2, 8, 4)), "goal_buddy": np.zeros((2, 16), int)})
        assert env.last_round is not None
        assert set(np.unique(env.last_round.impression.feedback.value)) <= {-1.0, 0.0, 1.0}
    finally:
        ORACLES.pop("thumbs", None)


def test_the_policy_snippet_is_a_policy() -> None:
    newest = run(snippet("class Newest"))["Newest"]()
    config: AmmoConfig = load_config("default", {"actions.goal_buddy": "gains", "num_rounds": 4})
    meters = evaluate_user_buddies({"newest": newest}, scripted_cast(), Arena(config, worlds=4))
    assert 0 < meters["newest"].summary()["normalised_regret"] < 1.5


def test_the_population_snippet_loads_members(
    made_up_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = residents(made_up_run.tree, tmp_path)
    write_population(tmp_path / "runs" / "population-seed0" / "population", everybody, {})
    monkeypatch.chdir(tmp_path)
    member = next(resident.member for resident in everybody if resident.side == "goal_buddy")
    names = run(snippet("load_policy").replace("member=52", f"member={member.id}"))
    assert (names["champion"].side, names["champion"].deterministic) == ("user_buddy", True)
    assert names["another"].side == "goal_buddy"


def test_the_text_snippet_prints_sentences(
    movielens_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMMO_DATA", str(movielens_folder))
    run(snippet("texts()"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24 * 4
    assert all(re.fullmatch(r"\d\.\d\d  .* is a (wonderful )?film from \d{4}\..*", line) for line in lines)


def test_the_text_snippet_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AMMO_DATA", raising=False)
    run(snippet("texts()"))
    assert "knowledge.path" in capsys.readouterr().out


def test_the_settings_that_the_readme_names_exist() -> None:
    known = dotted_keys(RunConfig)
    for key in re.findall(r"(?:--set |`)(training\.(?!py)[\w.]+)", README):
        assert key in known, key


def test_the_scenario_snippet_and_table() -> None:
    text = next(text for language, text in BLOCKS if language == "yaml")
    assert set(yaml.safe_load(text)) == {"description", "goal_buddies", "aipp", "training"}
    for name in scenario_names():
        assert f"| `{name}` | {load_config(name).description} |" in README


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    assert "@@" not in README
