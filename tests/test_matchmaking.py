"""Dealing seats: exact shares in every world, random places, everybody equally often."""

from __future__ import annotations

import numpy as np
import pytest

from agents.matchmaking import assign_seats, member_id


def test_every_world_has_the_same_share_of_scripts() -> None:
    seats = assign_seats(np.random.default_rng(0), 12, 16, members=1, scripts=4, share=0.5)
    assert seats.shape == (12, 16)
    assert ((seats < 0).sum(1) == 8).all()
    assert all((seats == -1 - j).sum() == 12 * 2 for j in range(4))


def test_members_and_scripts_play_equally_often_up_to_one_seat() -> None:
    seats = assign_seats(np.random.default_rng(0), 10, 7, members=3, scripts=2, share=0.4)
    counts = [(seats == holder).sum() for holder in (0, 1, 2)]
    assert ((seats < 0).sum(1) == 3).all()
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == 40
    assert (seats == -1).sum() == (seats == -2).sum() == 15


def test_places_are_random_and_come_from_the_generator() -> None:
    one, same = (assign_seats(np.random.default_rng(0), 50, 8, 1, 1, 0.5) for _ in range(2))
    assert (one == same).all()
    by_seat = (one < 0).mean(0)
    assert (abs(by_seat - 0.5) < 4 * 0.5 / 50**0.5).all()


@pytest.mark.parametrize(
    ("members", "scripts", "share", "scripted"),
    [(1, 0, 0.5, 0), (0, 2, 0.0, 6), (2, 1, 0.0, 0), (2, 1, 1.0, 6)],
)
def test_the_edges(members: int, scripts: int, share: float, scripted: int) -> None:
    seats = assign_seats(np.random.default_rng(0), 3, 6, members, scripts, share)
    assert ((seats < 0).sum(1) == scripted).all()


def test_nobody_to_deal_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody to fill the seats"):
        assign_seats(np.random.default_rng(0), 1, 4, members=0)


def test_member_ids_are_stable() -> None:
    assert [member_id("user_buddy", 0), member_id("goal_buddy", 3)] == ["user_0", "goal_3"]
    with pytest.raises(ValueError, match="unknown side 'goal'"):
        member_id("goal", 0)
