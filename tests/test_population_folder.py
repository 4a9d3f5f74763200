"""A population as a folder: whole, movable, readable by id and by program, and its card true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.census import Resident, residents
from agents.checkpoints import CheckpointError
from agents.learned_policy import load_policy
from agents.population_card import write_card
from agents.population_folder import INDEX, file_of, read_index, read_member, write_population
from agents.provenance import Provenance
from agents.run_config import load_run_config, parse_settings
from agents.training_settings import SIDES

KINDS = {"user_buddy": "slate", "goal_buddy": "gains"}


@pytest.fixture
def everybody(made_up_run: Any) -> list[Resident]:
    return residents(made_up_run.tree, Path("a.ckpt"))


@pytest.fixture
def folder(made_up_run: Any, everybody: list[Resident], tmp_path: Path) -> Path:
    """The population of the made-up run in its folder, with a card."""
    place, provenance = tmp_path / "population", Provenance("default", made_up_run.config, KINDS, 40, 12345)
    scores = {"scores": {"normalised_regret": 0.25}}
    write_population(place, everybody, provenance.about, {file_of(everybody[0]): scores})
    write_card(place, provenance, read_index(place)["members"])
    return place


def same(one: Resident, other: Resident) -> bool:
    equal = all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
    return equal and repr(one) == repr(other)  # in words, because an unknown fitness (NaN) equals nothing


def test_every_member_comes_back_whole_by_its_id_also_after_a_move(everybody: list[Resident], folder: Path) -> None:
    """From the folder, from the run's folder, and from its own file alone; without an id it is the champion."""
    moved = Path(shutil.move(folder, folder.parent / "given away"))
    run = folder.parent / "run"
    shutil.copytree(moved, run / "population")
    alive = {(r.side, r.member.id) for r in everybody if not r.frozen}
    for resident in everybody:
        if not resident.frozen or (resident.side, resident.member.id) not in alive:
            assert same(read_member(moved, resident.side, resident.member.id), resident)
            assert same(read_member(run, resident.side, resident.member.id), resident)
        alone = Path(shutil.copy(moved / file_of(resident), run / "x.ckpt"))
        assert same(read_member(alone, resident.side), resident)
        if resident.champion:
            assert same(read_member(moved, resident.side), resident)


def test_policies_are_loaded_from_it(everybody: list[Resident], folder: Path) -> None:
    for resident in everybody[:3]:
        policy = load_policy(folder, "user_buddy", member=resident.member.id)
        assert policy.adaptive == resident.adaptive
        assert all(torch.equal(v, resident.weights[name]) for name, v in policy.network.state_dict().items())
        alone = load_policy(str(folder / file_of(resident)), "user_buddy")
        assert alone.adaptive == resident.adaptive


def test_the_index_is_json_that_says_everything(everybody: list[Resident], folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    assert (index["scenario"], index["iterations"], index["agent_steps"], index["seed"]) == ("default", 40, 12345, 0)
    for entry, resident in zip(index["members"], everybody, strict=True):
        assert (folder / entry["file"]).is_file()
        assert (entry["id"], entry["slot"], entry["niche"]) == (
            resident.member.id, resident.member.slot, resident.member.niche
        )  # fmt: skip
        assert entry["parents"] == list(resident.member.parents)
        assert entry["genome"] == dict(resident.member.genome)
        assert (entry["fitness"] is None) == resident.frozen  # nobody judges the frozen
    assert index["members"][0]["scores"] == {"normalised_regret": 0.25}
    assert sum(entry["champion"] for entry in index["members"]) == 2


def test_writing_again_leaves_nobody_of_before(everybody: list[Resident], folder: Path) -> None:
    """And no other file is touched."""
    (folder / "members" / "notes.txt").write_text("mine")
    write_population(folder, everybody[:1], {})
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert left == sorted([INDEX, "README.md", "members/notes.txt", file_of(everybody[0])])


def test_mistakes_are_explained(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no member goal-99; alive: goal-\d+"):
        load_policy(folder, "goal_buddy", member=99)
    with pytest.raises(CheckpointError, match=r"holds no population \(no population.json\).*or one of its checkpoints"):
        load_policy(folder / "members", "goal_buddy")
    own = next((folder / "members").glob("user-*.ckpt"))
    with pytest.raises(CheckpointError, match="holds no member goal"):
        load_policy(own, "goal_buddy")
    own.write_bytes(own.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="not a complete checkpoint"):
        load_policy(own, "user_buddy")
    (folder / INDEX).write_text("{")
    with pytest.raises(CheckpointError, match=r"population\.json is damaged"):
        load_policy(folder, "user_buddy")


def test_the_cards_code_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.S)
    names: dict[str, Any] = {}
    exec(compile(code[0], "README.md", "exec"), names)
    assert names["env"].is_over
    assert names["env"].config.episode.num_rounds == 8  # the world that it was trained in
    assert "normalised regret" in capsys.readouterr().out


def test_the_cards_command_trains_the_same(made_up_run: Any, folder: Path) -> None:
    command = re.findall(r"```\n(python .*?)\n```", (folder / "README.md").read_text())[0]
    words = shlex.split(command)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert load_run_config(words[2], parse_settings(settings)) == made_up_run.config


def test_the_card_lists_everybody_with_links_that_lead_somewhere(everybody: list[Resident], folder: Path) -> None:
    text = (folder / "README.md").read_text()
    links = re.findall(r"\[([\w-]+)\]\(([^)]+)\)", text)
    assert links == [(resident.name, file_of(resident)) for resident in everybody]
    assert all((folder / target).is_file() for _, target in links)
    assert text.count("**champion**") == len(SIDES)
    assert load_run_config("default").description in text
    assert "40 iterations, 12,345 agent steps" in text
