"""Members and their lineage: ids are never used again, parents are older, and one member lives in a slot."""

from __future__ import annotations

import json

import pytest

from agents.evolution.members import Event, Lineage, Member, Niche

GENOME = {"rate": 0.25}


@pytest.fixture
def family() -> Lineage:
    """Two founders; the second retires in cycle 3, and both become the parents of its successor, who retires too."""
    lineage = Lineage()
    lineage.born(0, Niche.EXPLOITER, GENOME, (), 0)
    lineage.born(1, Niche.EXPLORER, GENOME, (), 0)
    lineage.retired(1, 3)
    lineage.born(1, Niche.EXPLORER, {"rate": 0.1 + 0.2}, (0, 1), 3)
    lineage.retired(1, 4)
    lineage.born(1, Niche.ADAPTIVE, GENOME, (2,), 4)
    return lineage


def test_ids_count_up_and_are_never_used_again(family: Lineage) -> None:
    assert [member.id for member in family.members] == [0, 1, 2, 3]
    family.retired(0, 5)
    family.retired(1, 5)
    assert family.born(0, Niche.EXPLOITER, GENOME, (), 5).id == 4
    assert [member.id for member in family.members if member.died is None] == [4]


def test_parents_are_older_so_ancestry_is_a_forest(family: Lineage) -> None:
    for member in family.members:
        assert all(parent < member.id for parent in member.parents)
        assert all(family[parent].born <= member.born for parent in member.parents)
    assert [member.generation for member in family.members] == [0, 0, 1, 2]
    assert [member.parents for member in family.members] == [(), (), (0, 1), (2,)]


def test_one_member_lives_in_each_slot(family: Lineage) -> None:
    assert {slot: member.id for slot, member in family.living.items()} == {0: 0, 1: 3}
    assert [(member.born, member.died) for member in family.members] == [(0, None), (0, 3), (3, 4), (4, None)]


def test_the_living_are_in_the_order_of_their_slots() -> None:
    lineage = Lineage()
    for slot in (2, 0, 1):
        lineage.born(slot, Niche.EXPLOITER, GENOME, (), 0)
    assert list(lineage.living) == [0, 1, 2]


def test_a_birth_in_a_taken_slot_is_refused(family: Lineage) -> None:
    with pytest.raises(ValueError, match="slot 1 is taken by member 3: retire it first"):
        family.born(1, Niche.EXPLORER, GENOME, (0,), 5)
    assert len(family.members) == 4


def test_a_parent_that_never_lived_is_refused(family: Lineage) -> None:
    family.retired(0, 5)
    with pytest.raises(ValueError, match=r"parents that never lived: \[4\]"):
        family.born(0, Niche.EXPLORER, GENOME, (4,), 5)
    assert list(family.living) == [1]


def test_nobody_retires_from_an_empty_slot(family: Lineage) -> None:
    family.retired(0, 5)
    for slot in (0, 7):
        with pytest.raises(KeyError):
            family.retired(slot, 6)
    assert family[0].died == 5


def test_a_member_keeps_its_own_copy_of_its_genome(family: Lineage) -> None:
    genome = {"rate": 1.0}
    family.retired(0, 5)
    member = family.born(0, Niche.EXPLOITER, genome, (), 5)
    genome["rate"] = 2.0
    assert member.genome == family[member.id].genome == {"rate": 1.0}


def test_a_planted_genome_changes_nothing_else(family: Lineage) -> None:
    before = family.living[1]
    changed = family.changed(1, {"rate": 9.0})
    assert changed == Member(before.id, 1, before.niche, {"rate": 9.0}, before.parents, before.generation, before.born)
    assert family.living[1] == family[before.id] == changed


def test_the_state_survives_json(family: Lineage) -> None:
    restored = Lineage.from_state(json.loads(json.dumps(family.state())))
    assert restored.members == family.members
    assert restored.living == family.living
    assert all(type(member.niche) is Niche for member in restored.members)
    for lineage in (family, restored):
        lineage.retired(0, 9)
    assert restored.born(0, Niche.EXPLOITER, GENOME, (3,), 9) == family.born(0, Niche.EXPLOITER, GENOME, (3,), 9)


def test_events_are_plain_data() -> None:
    event = Event(3, "recombined", 2, 1, "explorer", (0, 1), GENOME, None)
    assert json.loads(json.dumps(event.plain())) == event.plain() == {
        "cycle": 3, "kind": "recombined", "member": 2, "slot": 1, "niche": "explorer", "parents": [0, 1],
        "genome": GENOME, "fitness": None,
    }  # fmt: skip
