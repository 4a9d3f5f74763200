"""A trained population as a folder that can be moved, copied and given away: one file per member, and an index.

    population/
      README.md           what it is (agents.population_card)
      population.json     the index: every member, for programs
      members/user-7.ckpt the living
      hall/user-3.ckpt    the hall of fame: past champions as they were when they were admitted

A member's file is a checkpoint (`agents.checkpoints`: data, nothing that runs) and complete in itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents.census import Resident, find
from agents.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from agents.evolution.members import Member, Niche
from agents.networks import NetworkSpec

POPULATION, INDEX, SUFFIX = "population", "population.json", ".ckpt"
_FOLDERS = {False: "members", True: "hall"}  # frozen or not


def write_population(
    folder: Path,
    everybody: Sequence[Resident],
    about: Mapping[str, Any],
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write all members and the index, replacing a population that was there.

    Args:
        folder: made if need be.
        everybody: the living and the frozen.
        about: what the index says of the whole, before its "members".
        known: file of a member (`file_of`) → more about it, e.g. {"scores": {"normalised_regret": .17}}.
    """
    entries = []
    for resident in everybody:
        name = file_of(resident)
        write_checkpoint(folder / name, _packed(resident))
        entries.append({**described(resident), "file": name, **(known or {}).get(name, {})})
    text = json.dumps({**about, "members": entries}, indent=1, allow_nan=False)
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    listed = {folder / entry["file"] for entry in entries}
    for place in _FOLDERS.values():
        for path in (folder / place).glob(f"*{SUFFIX}"):
            if path not in listed:
                path.unlink()


def read_member(path: Path, side: str, member: int | None = None) -> Resident:
    """A member by id, the living before the frozen, or without an id the champion.

    `path`: a population's folder, a run's folder with one in it, or one member's file. Raises `CheckpointError`.
    """
    if path.is_file():
        resident = _unpacked(path)
        return find([resident], side, resident.member.id if member is None else member, path)
    folder = path if (path / INDEX).is_file() or not (path / POPULATION).is_dir() else path / POPULATION
    entries = read_index(folder)["members"]
    own = [entry for entry in entries if entry["side"] == side]
    for entry in own:
        if entry["champion"] if member is None else entry["id"] == member:
            return _unpacked(folder / entry["file"])
    return find([_unpacked(folder / entry["file"]) for entry in own], side, member, folder)  # says who there is


def read_index(folder: Path) -> dict[str, Any]:
    """What `population.json` says. Raises `CheckpointError` where there is none or it is spoilt."""
    path = folder / INDEX
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no population (no {INDEX}): name a run's folder {POPULATION}/, which is "
                              "written when its training ends, or one of its checkpoints")
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is damaged ({error}): resume the run to write it again") from None
    return index


def file_of(resident: Resident) -> str:
    """Where a member's file is in the folder: "members/user-7.ckpt", "hall/user-7.ckpt"."""
    return f"{_FOLDERS[resident.frozen]}/{resident.name}{SUFFIX}"


def described(resident: Resident) -> dict[str, Any]:
    """A member as JSON can hold it, weights left out; null is unknown."""
    member = resident.member
    return {
        "name": resident.name,
        "side": resident.side,
        "id": member.id,
        "status": "hall of fame" if resident.frozen else "alive",
        "champion": resident.champion,
        "slot": member.slot,
        "niche": str(member.niche),
        "uses_history": resident.adaptive and resident.spec.history_size > 0,
        "generation": member.generation,
        "parents": list(member.parents),
        "born": member.born,
        "died": member.died,
        "genome": dict(member.genome),
        "fitness": resident.fitness if math.isfinite(resident.fitness) else None,
        "satisfaction": resident.satisfaction if math.isfinite(resident.satisfaction) else None,
    }


def _packed(resident: Resident) -> dict[str, Any]:
    return {
        "resident": {
            "side": resident.side,
            "frozen": resident.frozen,
            "champion": resident.champion,
            "fitness": resident.fitness,
            "satisfaction": resident.satisfaction,
            "member": {**asdict(resident.member), "niche": str(resident.member.niche)},
        },
        "spec": resident.spec.model_dump(mode="json"),
        "weights": dict(resident.weights),
    }


def _unpacked(path: Path) -> Resident:
    tree = read_checkpoint(path)
    try:
        own = dict(tree["resident"])
        member = own.pop("member")
        member = Member(**{**member, "niche": Niche(member["niche"]), "parents": tuple(member["parents"])})
        return Resident(member=member, spec=NetworkSpec.model_validate(tree["spec"]), weights=tree["weights"], **own)
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} is no member of a population that this version can read: {error!r}") from error
