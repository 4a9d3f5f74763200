"""The league: payoffs by hand, who is met more often, and the hall of fame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.evolution.settings import MatchmakingSettings
from agents.league import Frozen, Hall, Payoffs, seat_weights

USER, GOAL = "user_buddy", "goal_buddy"
NONE = {USER: 0, GOAL: 0}
Floats = NDArray[np.float64]


def table(*rows: list[float]) -> Floats:
    return np.array(rows, dtype=np.float64)


def weights(
    method: str, members: tuple[int, int], halls: tuple[int, int] = (0, 0), payoffs: Payoffs | None = None,
    fitness: tuple[list[float], list[float]] | None = None, **values: Any,
) -> dict[str, Floats]:  # fmt: skip
    settings = MatchmakingSettings.model_validate({"method": method, **values})
    sizes, kept = dict(zip((USER, GOAL), members, strict=True)), dict(zip((USER, GOAL), halls, strict=True))
    scores = fitness or tuple([0.0] * count for count in members)
    payoffs = payoffs or Payoffs({side: sizes[side] + kept[side] for side in sizes})
    return seat_weights(settings, sizes, kept, dict(zip((USER, GOAL), scores, strict=True)), payoffs)


def shares(rows: Floats) -> Floats:
    return np.asarray(rows / rows.sum(1, keepdims=True))


# ---------------------------------------------------------------------------------------------------------------------
# Payoffs


def test_payoffs_are_fading_means_over_shared_seats() -> None:
    payoffs = Payoffs({USER: 1, GOAL: 2})
    payoffs.add({USER: (table([2.0, 3.0]), table([4.0, 3.0])), GOAL: (table([1.0], [2.0]), table([4.0], [3.0]))})
    payoffs.add({USER: (table([1.0, 0.0]), table([1.0, 0.0])), GOAL: (table([0.0], [4.0]), table([1.0], [4.0]))})
    # (.9·2 + 1)/(.9·4 + 1);  (.9·3)/(.9·3)
    np.testing.assert_allclose(payoffs.table(USER), [[2.8 / 4.6, 1.0]])
    np.testing.assert_allclose(payoffs.table(GOAL), [[0.9 / 4.6], [5.8 / 6.7]])


def test_what_was_never_seen_counts_as_the_mean_of_its_row() -> None:
    payoffs = Payoffs({USER: 2, GOAL: 3})
    seen, met = table([3.0, 1.0, 0.0], [0.0, 0.0, 0.0]), table([4.0, 1.0, 0.0], [0.0, 0.0, 0.0])
    payoffs.add({USER: (seen, met)})
    np.testing.assert_allclose(payoffs.table(USER), [[0.75, 1.0, 0.8], [0.0, 0.0, 0.0]])


def test_a_player_is_forgotten_on_both_sides() -> None:
    payoffs = Payoffs({USER: 2, GOAL: 2})
    ones = table([1.0, 1.0], [1.0, 1.0])
    payoffs.add({USER: (ones * 0.5, ones), GOAL: (ones * 0.25, ones)})
    payoffs.add({USER: (table([0.0, 0.5], [0.0, 0.0]), ones * 0.0)})
    payoffs.forget(USER, 0)
    assert payoffs.table(USER).tolist() == [[0.0, 0.0], [0.5, 0.5]]
    state = payoffs.state()
    assert state["weight"][USER].tolist() == [[0.0, 0.0], [0.9, 0.9]]
    assert state["weight"][GOAL].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert payoffs.table(GOAL).tolist() == [[0.25, 0.25], [0.25, 0.25]]  # of the other one, as the mean of the row


def test_the_state_of_payoffs_is_a_copy_that_goes_on_equally() -> None:
    payoffs, ones = Payoffs({USER: 1, GOAL: 2}), table([1.0, 1.0])
    payoffs.add({USER: (ones * 0.5, ones)})
    state, other = payoffs.state(), Payoffs({USER: 1, GOAL: 2})
    payoffs.forget(GOAL, 0)
    assert state["weight"][USER].tolist() == [[1.0, 1.0]]
    other.load(state)
    other.forget(GOAL, 0)
    assert state["weight"][USER].tolist() == [[1.0, 1.0]]
    for one in (payoffs, other):
        one.add({USER: (ones, ones)})
    assert (payoffs.table(USER) == other.table(USER)).all()


# ---------------------------------------------------------------------------------------------------------------------
# Seat weights


def test_uniform_weights_are_equal_and_the_hall_holds_its_share() -> None:
    rows = weights("uniform", (3, 2), halls=(2, 0), hall_share=0.1)
    np.testing.assert_allclose(shares(rows[USER]), [[0.3, 0.3, 0.3, 0.05, 0.05]])
    np.testing.assert_allclose(shares(rows[GOAL]), [[0.5, 0.5]])


def test_the_fitter_have_more_seats_by_their_rank() -> None:
    rows = weights("fitness", (3, 2), halls=(1, 0), fitness=([0.1, -math.inf, 50.0], [1.0, 2.0]), sharpness=2.0,
                   hall_share=0.3)  # fmt: skip
    np.testing.assert_allclose(shares(rows[USER]), [[0.7 * 4 / 14, 0.7 * 1 / 14, 0.7 * 9 / 14, 0.3]])
    np.testing.assert_allclose(shares(rows[GOAL]), [[1 / 5, 4 / 5]])


def test_equals_have_equal_seats() -> None:
    """Before the first verdict nobody is preferred for the number of its slot."""
    rows = weights("fitness", (4, 2), fitness=([0.0, 0.0, 0.0, 0.0], [1.0, 1.0]))
    np.testing.assert_allclose(shares(rows[USER]), [[0.25] * 4])
    np.testing.assert_allclose(shares(rows[GOAL]), [[0.5, 0.5]])
    some = weights("fitness", (3, 0), fitness=([1.0, 1.0, 0.0], []), sharpness=1.0)
    np.testing.assert_allclose(shares(some[USER]), [[2.5 / 6, 2.5 / 6, 1 / 6]])


def met(outcomes: dict[str, Floats]) -> Payoffs:
    payoffs = Payoffs({side: len(values) for side, values in outcomes.items()})
    payoffs.add({side: (values, np.ones_like(values)) for side, values in outcomes.items()})
    return payoffs


def test_hard_opponents_are_met_more_often() -> None:
    """Two user and three goal members: user 0 finds goal 1 hardest, goal 2 half as hard; user 1 finds all equal. To
    every goal member user 1 is the hard one. The focal one of a row has half of its side's seats."""
    user = table([0.9, 0.5, 0.7], [0.6, 0.6, 0.6])
    goal = table([0.2, 0.1], [0.2, 0.1], [0.2, 0.1])
    rows = weights("pfsp", (2, 3), payoffs=met({USER: user, GOAL: goal}), sharpness=2.0)
    assert [rows[side].shape for side in (USER, GOAL)] == [(5, 2), (5, 3)]
    hard = np.array([0.1**2, 1.1**2, 0.6**2])
    np.testing.assert_allclose(shares(rows[GOAL])[:2], [hard / hard.sum(), [1 / 3] * 3])
    np.testing.assert_allclose(shares(rows[USER])[:2], [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(shares(rows[GOAL])[2:], [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    easy = np.array([0.1**2, 1.1**2])
    np.testing.assert_allclose(shares(rows[USER])[2:], [easy / easy.sum()] * 3)


def test_the_hall_is_part_of_prioritised_play_within_its_share() -> None:
    """One living and two frozen goal members; of the frozen the second is the hard one."""
    user, goal = table([0.5, 0.9, 0.1]), table([0.3], [0.3], [0.3])
    rows = weights("pfsp", (1, 1), halls=(0, 2), payoffs=met({USER: user, GOAL: goal}), hall_share=0.2, sharpness=1.0)
    focal_user, focal_goal = shares(rows[GOAL])
    np.testing.assert_allclose(focal_user, [0.8, 0.2 * 0.1 / 1.2, 0.2 * 1.1 / 1.2])
    np.testing.assert_allclose(focal_goal, [0.8, 0.1, 0.1])
    np.testing.assert_allclose(shares(rows[USER]), [[1.0], [1.0]])


def test_without_any_payoff_prioritised_play_is_uniform_but_for_the_focal_one() -> None:
    rows = weights("pfsp", (2, 2))
    np.testing.assert_allclose(shares(rows[USER]), [[0.5, 0.5]] * 4)
    np.testing.assert_allclose(shares(rows[GOAL]), [[0.5, 0.5]] * 4)


def test_where_one_side_is_scripted_nobody_is_prioritised() -> None:
    rows = weights("pfsp", (3, 0))
    np.testing.assert_allclose(shares(rows[USER]), [[1 / 3] * 3])
    assert rows[GOAL].shape == (1, 0)


@pytest.mark.parametrize("method", ["uniform", "fitness", "pfsp"])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_hall_share_holds_in_every_row(method: str, share: float) -> None:
    generator = np.random.default_rng(0)
    payoffs = met({USER: generator.random((5, 4)), GOAL: generator.random((4, 5))})
    rows = weights(method, (3, 2), halls=(2, 2), payoffs=payoffs, hall_share=share,
                   fitness=([0.1, 0.2, 0.3], [0.0, 1.0]))  # fmt: skip
    np.testing.assert_allclose(shares(rows[USER])[:, 3:].sum(1), share, atol=1e-12)
    np.testing.assert_allclose(shares(rows[GOAL])[:, 2:].sum(1), share, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------------
# The hall of fame


def frozen(member: int) -> Frozen:
    return Frozen(member, 0, "exploiter", {"w": torch.tensor([float(member)])})


def test_the_oldest_leaves_a_full_hall() -> None:
    hall = Hall(2)
    assert all(hall.admit(frozen(member)) for member in (5, 3, 8))
    assert [entry.member for entry in hall.frozen] == [3, 8]


def test_nobody_is_admitted_twice() -> None:
    hall = Hall(2, [frozen(1), frozen(2)])
    assert not hall.admit(frozen(1))
    assert [entry.member for entry in hall.frozen] == [1, 2]
    assert hall.admit(frozen(3))
    assert hall.admit(frozen(1))  # who was forgotten may come back
    assert [entry.member for entry in hall.frozen] == [3, 1]


def test_a_hall_without_room_stays_empty() -> None:
    hall = Hall(0, [frozen(1)])
    assert not hall.admit(frozen(2))
    assert hall.frozen == []


def test_a_hall_is_restored_with_the_newest() -> None:
    assert [entry.member for entry in Hall(2, [frozen(1), frozen(2), frozen(3)]).frozen] == [2, 3]
    entry = frozen(4)
    again = Frozen(**entry.state())
    assert again == entry
