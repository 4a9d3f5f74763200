"""Dealing seats: exact shares in every world, random places, everybody equally often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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


def counted(seats: NDArray[np.int64], players: int) -> NDArray[np.int64]:
    """[E, P] seats of each player in each world."""
    counts: NDArray[np.int64] = (seats[:, :, None] == np.arange(players)).sum(1)
    return counts


def test_with_fewer_seats_than_members_everybody_gets_a_turn() -> None:
    rng, dealings = np.random.default_rng(0), 600
    counts = sum(counted(assign_seats(rng, 1, 4, members=6), 6)[0] for _ in range(dealings))
    assert (abs(counts / dealings - 4 / 6) < 4 * 0.5 / dealings**0.5).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.integers(1, 4).flatmap(
        lambda players: st.lists(
            st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 10)), min_size=players, max_size=players).filter(any),
            min_size=1, max_size=5,
        )
    ),
    st.integers(1, 12), st.integers(1, 9), st.integers(0, 2), st.integers(0, 7), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_weights_are_honoured_to_one_seat_per_world_and_per_row(
    table: list[list[float]], worlds: int, seats: int, scripts: int, first: int, seed: int
) -> None:
    weights = np.array(table)
    rows, players = weights.shape
    dealt = assign_seats(np.random.default_rng(seed), worlds, seats, 1, scripts, 0.3, weights, first)
    learned = seats - (round(0.3 * seats) if scripts else 0)
    counts = counted(dealt, players)
    assert (counts.sum(1) == learned).all()
    shares = weights / weights.sum(1, keepdims=True) * learned
    row = (first + np.arange(worlds)) % rows
    assert (abs(counts - shares[row]) < 1 + 1e-9).all()
    for r in range(rows):
        here = row == r
        assert (abs(counts[here].sum(0) - shares[r] * here.sum()) < 1 + 1e-9).all()
        assert (counts[here][:, weights[r] == 0] == 0).all()


def test_weights_are_honoured_exactly_over_dealings_also_below_one_seat() -> None:
    rng, dealings = np.random.default_rng(0), 3000
    weights = np.array([[0.6, 0.38, 0.02]])
    counts = sum(counted(assign_seats(rng, 2, 4, 3, weights=weights), 3).sum(0) for _ in range(dealings))
    assert (abs(counts / dealings - 8 * weights[0]) < 4 * 0.5 / dealings**0.5).all()


def test_worlds_rotate_over_the_rows_of_weights() -> None:
    only = np.eye(3)  # row r seats player r alone
    for first in range(4):
        seats = assign_seats(np.random.default_rng(0), 7, 5, 3, weights=only, first_row=first)
        assert seats.tolist() == [[(first + world) % 3] * 5 for world in range(7)]


def test_weighted_players_share_the_world_with_scripts() -> None:
    seats = assign_seats(np.random.default_rng(0), 8, 10, 2, scripts=2, share=0.4, weights=np.array([[1.0, 2.0]]))
    assert ((seats < 0).sum(1) == 4).all()
    assert counted(seats, 2).tolist() == [[2, 4]] * 8
    assert (seats == -1).sum() == (seats == -2).sum() == 16
    places = [(seats[:, place] >= 0).mean() for place in range(10)]
    assert len(set(places)) > 1  # the places are shuffled


def test_without_learned_seats_weights_deal_nothing() -> None:
    seats = assign_seats(np.random.default_rng(0), 2, 3, 2, scripts=1, share=1.0, weights=np.ones((1, 2)))
    assert (seats == -1).all()


@pytest.mark.parametrize("row", [[0.0, 0.0], [1.0, -0.1], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_are_no_shares_are_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="weights of players must be finite and not negative"):
        assign_seats(np.random.default_rng(0), 4, 4, 2, weights=np.array([[1.0, 1.0], row]))


def test_nobody_to_deal_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody to fill the seats"):
        assign_seats(np.random.default_rng(0), 1, 4, members=0)


def test_member_ids_are_stable() -> None:
    assert [member_id("user_buddy", 0), member_id("goal_buddy", 3)] == ["user_0", "goal_3"]
    with pytest.raises(ValueError, match="unknown side 'goal'"):
        member_id("goal", 0)
