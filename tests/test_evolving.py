"""Evolution in training: populations over a real learner, from the verdicts of real worlds to the next update."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.evolution.genome import GENES, LEARNING_GENES
from agents.evolution.members import Event, Niche
from agents.evolution.population import Population
from agents.history import History
from agents.rllib.algorithm import BuddyTrainer
from agents.rllib.bodies import LearnerBodies
from agents.rllib.checkpoint import resume_training, save_training
from agents.rllib.players import SidePlayers
from agents.rllib.rollout import Rollout

USER, GOAL = SIDES = ("user_buddy", "goal_buddy")
MakeTrainer = Callable[..., BuddyTrainer]

# Somebody is replaced in nearly every cycle, and every operator is used.
RESTLESS = {"every": 1, "ready_after": 1, "margin": 0.0, "patience": 1, "migration": 0.5, "resample": 0.3}


def teeming(make_trainer: MakeTrainer, world: Mapping[str, Any] | None = None, **settings: Any) -> BuddyTrainer:
    """Three user and two goal members of all niches, in restless evolution."""
    values: dict[str, Any] = {
        "user_buddy": {"members": 3}, "goal_buddy": {"members": 2, "scripted_share": 0.2}, "evolution": RESTLESS,
        "matchmaking": {"hall_size": 2, "hall_share": 0.25}, **settings,
    }  # fmt: skip
    return make_trainer(dict(world or {}), **values)


def players(trainer: BuddyTrainer, side: str) -> SidePlayers:
    found: SidePlayers = trainer.env_runner._players[side]
    return found


def records(trainer: BuddyTrainer, side: str) -> list[tuple[Rollout, Mapping[str, slice]]]:
    """The rollouts of the last sample, and who had which rows in them."""
    return [(record, own) for record, own in players(trainer, side).record.rollouts if record.obs]


def plant(trainer: BuddyTrainer, side: str, slot: int, **genes: float) -> int:
    """Give a member other genes; returns its id."""
    population, bodies = trainer.evolution.populations[side], LearnerBodies(trainer.learner, trainer.plan.slots(side))
    member = population.plant(slot, {**population.living[slot].genome, **genes}, bodies)
    trainer.push_weights()
    return member.id


def weights(trainer: BuddyTrainer) -> dict[str, Tensor]:
    return {
        f"{member}.{name}": value.clone()
        for member in trainer.plan.specs
        for name, value in trainer.learner.network(member).state_dict().items()
    }


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit, through dicts, lists, arrays and tensors; NaN equals NaN."""
    if isinstance(left, Mapping):
        return isinstance(right, Mapping) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return isinstance(right, (list, tuple)) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (np.ndarray, Tensor)):
        return type(left) is type(right) and np.array_equal(np.asarray(left), np.asarray(right), equal_nan=True)
    return bool(left == right or (left != left and right != right))


def without_times(report: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if "second" not in name}


# ---------------------------------------------------------------------------------------------------------------------
# What members learn with


def check_in_force(trainer: BuddyTrainer) -> None:
    """Lineage, learner, optimiser and runner agree on every member."""
    for side in SIDES:
        roster = players(trainer, side).roster
        for slot, member in trainer.evolution.populations[side].living.items():
            name = trainer.plan.slots(side)[slot]
            in_force = LearnerBodies(trainer.learner, trainer.plan.slots(side)).genome(slot)
            assert in_force == pytest.approx(member.genome, rel=1e-6)
            assert {name: in_force[name] for name in LEARNING_GENES} == {n: member.genome[n] for n in LEARNING_GENES}
            groups = trainer.learner.get_optimizer(name).param_groups
            assert [group["lr"] for group in groups] == [member.genome["learning_rate"]]
            assert roster.hyperparameters[name] == trainer.learner.hyperparameters(name)
            assert (name in roster.adaptive) is (member.niche is Niche.ADAPTIVE)
            acting = trainer.env_runner.module[name].network.state_dict()
            assert same(trainer.learner.network(name).state_dict(), acting)


def test_a_cycle_knows_what_share_of_the_run_is_left(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four iterations; there is no cycle after the last."""
    told: list[float] = []

    def cycle(self: Population, bodies: object, left: float) -> list[Event]:
        told.append(left)
        return []

    monkeypatch.setattr(Population, "cycle", cycle)
    trainer = teeming(make_trainer, iterations=4)
    for _ in range(4):
        trainer.train_iteration()
    assert told == [0.75, 0.75, 0.5, 0.5, 0.25, 0.25]


def test_genomes_are_in_force_in_learner_and_runner_through_every_cycle(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer, user_buddy={"members": 4}, goal_buddy={"members": 4, "scripted_share": 0.2})
    check_in_force(trainer)
    kinds: list[str] = []
    for _ in range(12):
        trainer.train_iteration()
        check_in_force(trainer)
        kinds += [event["kind"] for event in trainer.evolution.news()]
    assert {"inherited", "recombined", "retired", "admitted"} <= set(kinds)
    for side in SIDES:
        for member in trainer.evolution.populations[side].living.values():
            assert member.genome.keys() == (GENES if side == USER else LEARNING_GENES).keys()
            for name, value in member.genome.items():
                gene = GENES[name]
                assert gene.low <= value <= gene.high or (name == "novelty" and value == 0.0)


def test_founders_differ_from_the_configured_genome_but_for_the_first(make_trainer: MakeTrainer) -> None:
    """Whatever their genomes, they begin with the same weights; traits are beside the weights."""
    trainer = make_trainer(
        user_buddy={"members": 6, "learning_rate": 4e-3, "novelty": 0.3}, gamma=0.8, evolution={"common_founder": True}
    )
    living = trainer.evolution.populations[USER].living
    assert [member.niche for member in living.values()] == [Niche.EXPLOITER, Niche.EXPLORER, Niche.ADAPTIVE] * 2
    for slot, member in living.items():
        own = (member.genome["learning_rate"], member.genome["gamma"], member.genome["novelty"])
        assert (own[:2] == (4e-3, 0.8)) is (slot == 0)
        assert (own[2] > 0) is (member.niche is Niche.EXPLORER)
        assert (member.genome["bait_guess"] == member.genome["optimism"] == 0.0) is (slot == 0)
    networks = [dict(trainer.learner.network(f"user_{slot}").named_parameters()) for slot in range(6)]
    assert all(torch.equal(networks[0][name], other[name]) for other in networks[1:] for name in other)
    assert len({tuple(trainer.learner.network(f"user_{slot}").traits.values()) for slot in range(6)}) == 6


def test_without_a_common_founder_all_begin_with_weights_of_their_own(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(user_buddy={"members": 2}, evolution={"common_founder": False})
    one, other = (trainer.learner.network(name).state_dict() for name in ("user_0", "user_1"))
    assert not same(one, other)


def test_every_member_discounts_by_its_own_gamma(make_trainer: MakeTrainer) -> None:
    """Without discount the value target is the reward itself; the other members keep theirs."""
    one, other = (make_trainer(user_buddy={"members": 3}) for _ in range(2))
    plant(one, USER, 0, gamma=0.0)
    left, right = one.env_runner.sample().policy_batches, other.env_runner.sample().policy_batches
    record, own = records(one, USER)[0]
    rewards = torch.stack(record.rewards)
    torch.testing.assert_close(left["user_0"]["value_targets"], rewards[:, own["user_0"]].flatten())
    assert not torch.allclose(left["user_1"]["value_targets"], rewards[:, own["user_1"]].flatten(), atol=1e-3)
    for name in ("obs", "actions", "values"):
        assert torch.equal(left["user_0"][name], right["user_0"][name])
    assert not torch.allclose(left["user_0"]["advantages"], right["user_0"]["advantages"], atol=1e-2)
    for name in ("user_1", "user_2", "goal_0"):
        assert torch.equal(left[name]["advantages"], right[name]["advantages"])


def test_a_side_may_look_farther_than_the_other(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(gamma=0.8, gae_lambda=0.9, user_buddy={"gamma": 0.99}, goal_buddy={"gae_lambda": 0.0})
    own = {name: trainer.learner.hyperparameters(name) for name in ("user_0", "goal_0")}
    assert {name: (h.gamma, h.gae_lambda) for name, h in own.items()} == {"user_0": (0.99, 0.9), "goal_0": (0.8, 0.0)}


def test_every_member_has_its_own_lambda(make_trainer: MakeTrainer) -> None:
    """λ = 0: the target is r + γ V of the next round."""
    trainer = make_trainer(user_buddy={"members": 2}, evolution={"spread": 1.0})
    plant(trainer, USER, 1, gae_lambda=0.0)
    batch = trainer.env_runner.sample().policy_batches
    record, own = records(trainer, USER)[0]
    (end, after), = record.boundaries
    assert end == 7
    following = torch.stack([*record.values[1:], after])
    expected = torch.stack(record.rewards) + trainer.plan.settings.gamma * following
    torch.testing.assert_close(batch["user_1"]["value_targets"], expected[:, own["user_1"]].flatten())
    assert not torch.allclose(batch["user_0"]["value_targets"], expected[:, own["user_0"]].flatten(), atol=1e-3)


def test_only_explorers_are_paid_for_novelty_and_nobody_is_judged_by_it(make_trainer: MakeTrainer) -> None:
    settings: dict[str, Any] = {
        "user_buddy": {"members": 3}, "goal_buddy": {"members": 3, "scripted_share": 0.2}, "evolution": {"spread": 1.0},
    }  # fmt: skip
    one, other = (make_trainer({"num_slots": 2}, **settings) for _ in range(2))
    for side in SIDES:
        plant(one, side, 1, novelty=0.5)
        plant(other, side, 1, novelty=0.25)
    for trainer in (one, other):
        trainer.env_runner.sample()
    for side, explorer in ((USER, "user_1"), (GOAL, "goal_1")):
        ((left, own),), ((right, _),) = records(one, side), records(other, side)
        judged, rewards = torch.stack(left.judged), torch.stack(left.rewards)
        assert torch.equal(judged, torch.stack(right.judged))
        for name, rows in own.items():
            bonus = (rewards - judged)[:, rows]
            if name == explorer:
                assert bonus.min() >= -1e-6
                assert bonus.mean() > 0.01
                half = (torch.stack(right.rewards) - judged)[:, rows]
                torch.testing.assert_close(bonus, 2 * half, atol=1e-5, rtol=1e-4)
            else:
                assert (bonus == 0).all()
        assert one.env_runner.report()[f"{explorer}/reward"] == pytest.approx(judged[:, own[explorer]].mean().item())


def test_honesty_multiplies_the_price_of_errors_in_what_is_trained_on(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(goal_buddy={"members": 2, "scripted_share": 0.2, "niches": ("exploiter",)})
    plant(trainer, GOAL, 0, honesty=1.0)
    plant(trainer, GOAL, 1, honesty=2.0)
    spy = _errors(trainer)
    trainer.env_runner.sample()
    ((record, own),) = records(trainer, GOAL)
    extra = torch.stack(record.rewards) - torch.stack(record.judged)
    assert (extra[:, own["goal_0"]] == 0).all()
    errors = torch.stack(spy)[:, players(trainer, GOAL)._seats.rows][:, own["goal_1"]]
    assert errors.min() >= 0
    assert errors.mean() > 0.01
    torch.testing.assert_close(extra[:, own["goal_1"]], -errors, atol=1e-6, rtol=0)


def _errors(trainer: BuddyTrainer) -> list[Tensor]:
    """The mean grounding error of every shelf [E·G] in every round that the runner plays from now on."""
    env, seen = trainer.env_runner.env, []
    step = env.step

    def spied(actions: Any) -> Any:
        result = step(actions)
        seen.append(torch.from_numpy(env.last_round.judgement.shelf_error.copy()).flatten())
        return result

    env.step = spied
    return seen


# ---------------------------------------------------------------------------------------------------------------------
# Who sees what


@pytest.mark.parametrize("rounds", [8, 5])
def test_only_adaptive_members_see_a_history(make_trainer: MakeTrainer, rounds: int) -> None:
    """The others see zeros there, through migration from niche to niche also in mid-episode."""
    trainer = teeming(
        make_trainer, evolution={**RESTLESS, "migration": 1.0}, rounds_per_iteration=rounds, user_buddy={"members": 4},
        goal_buddy={"members": 4, "scripted_share": 0.2},
    )  # fmt: skip
    moved = 0
    for _ in range(10):
        niches = {side: trainer.evolution.populations[side].niches() for side in SIDES}
        trainer.train_iteration()
        for side in SIDES:
            length, slots = trainer.plan.histories[side].length, trainer.plan.slots(side)
            adaptive = {slots[slot] for slot in niches[side].get(Niche.ADAPTIVE, [])}
            assert trainer.plan.specs[slots[0]].history_size == length
            for record, own in records(trainer, side):
                history = torch.stack(record.obs)[..., -length:]
                for name in slots:
                    seen = history[:, own[name]]
                    if name not in adaptive:
                        assert (seen == 0).all(), (side, name)
                    elif len(seen) > 1 and seen.shape[1]:
                        assert (seen != 0).any(), (side, name)
            moved += niches[side] != trainer.evolution.populations[side].niches()
    assert moved > 3


@pytest.mark.parametrize("becomes", [False, True])
def test_an_adaptive_member_sees_the_history_of_its_own_seat(make_trainer: MakeTrainer, becomes: bool) -> None:
    """Rebuilt from the records alone, through an iteration that ends in mid-episode; who is born into the niche there
    sees at once the history of the seat that it took over."""
    trainer = make_trainer(
        rounds_per_iteration=5, user_buddy={"members": 3}, goal_buddy={"members": 3, "scripted_share": 0.0}
    )
    trainer.env_runner.sample()
    first = {side: records(trainer, side) for side in SIDES}
    if becomes:
        for side in SIDES:
            own = players(trainer, side)
            own.enrol(replace(own.roster, adaptive=frozenset(trainer.plan.slots(side))))
    trainer.env_runner.sample()
    for side in SIDES:
        slots, length = trainer.plan.slots(side), trainer.plan.histories[side].length
        (before, own_rows), (after, same_rows) = first[side][0], records(trainer, side)[0]
        assert own_rows == same_rows
        assert (len(before.obs), len(after.obs)) == (5, 3)
        for name in slots:
            history, rows = History(trainer.plan.histories[side], 0), own_rows[name]
            for part, sees in ((before, name == slots[2]), (after, name == slots[2] or becomes)):
                for obs, actions in zip(part.obs, part.actions, strict=True):
                    expected = history.extended(obs[rows, :-length])
                    assert torch.equal(obs[rows, -length:], expected[:, -length:] * float(sees))
                    history.acted(expected, actions[rows])
            assert (expected[:, -length:] != 0).any()


# ---------------------------------------------------------------------------------------------------------------------
# The league


def test_the_hall_plays_as_it_was_and_does_not_learn(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer)
    seen: dict[tuple[str, int], Any] = {}
    for _ in range(8):
        before = {side: trainer.evolution.populations[side].champion() for side in SIDES}
        trainer.train_iteration()
        for side in SIDES:
            for entry in trainer.evolution._halls[side].frozen:
                kept = seen.setdefault((side, entry.member), copy.deepcopy(dict(entry.weights)))
                assert same(kept, dict(entry.weights))
    assert len(seen) > 2
    assert before
    batch = trainer.env_runner.sample()
    assert set(batch.policy_batches) <= set(trainer.plan.specs)
    for side in SIDES:
        own, hall = players(trainer, side), trainer.evolution._halls[side].frozen
        slots, seats = trainer.plan.slots(side), own.holders
        assert len(hall) == 2
        assert own.num_players == len(slots) + 2
        assert (seats >= len(slots)).any(), "nobody of the hall was seated"
        rows = sum(len(batch.policy_batches[name]) for name in slots if name in batch.policy_batches)
        assert rows == 8 * ((seats >= 0) & (seats < len(slots))).sum()
        assert own._team is not None
        for place, entry in enumerate(hall):
            assert same(own._team.networks[len(slots) + place].state_dict(), dict(entry.weights))


def test_the_hall_takes_the_champion_as_it_is_when_it_is_admitted(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer, evolution={**RESTLESS, "every": 2})
    trainer.train_iteration()
    assert [entry for side in SIDES for entry in trainer.evolution._halls[side].frozen] == []
    trainer.train_iteration()
    events = [event for event in trainer.evolution.news() if event["kind"] == "admitted"]
    assert [event["side"] for event in events] == list(SIDES)
    for event in events:
        (entry,) = trainer.evolution._halls[event["side"]].frozen
        assert (entry.member, entry.slot, entry.niche) == (event["member"], event["slot"], event["niche"])
        assert event["cycle"] == 1
        # Nothing moved since: whoever is admitted does not retire in the same cycle.
        assert same(dict(entry.weights), trainer.learner.network(event["module"]).state_dict())
        network = trainer.learner.network(event["module"])
        assert all(entry.weights[n].data_ptr() != p.data_ptr() for n, p in network.state_dict().items())


def test_payoffs_of_the_dead_are_forgotten(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer)
    for _ in range(6):
        trainer.train_iteration()
        born = [e for e in trainer.evolution.news() if e["kind"] in ("inherited", "recombined")]
        state = trainer.evolution.state()["payoffs"]["weight"]
        for event in born:
            other = SIDES[1 - SIDES.index(event["side"])]
            assert (state[event["side"]][event["slot"]] == 0).all()
            assert (state[other][:, event["slot"]] == 0).all()
        for side in SIDES:
            fresh = {event["slot"] for event in born if event["side"] == side}
            for slot in range(len(trainer.plan.slots(side))):
                if slot not in fresh:
                    assert state[side][slot].sum() > 0


def test_rows_of_seat_weights_belong_together_and_all_get_their_turn(make_trainer: MakeTrainer) -> None:
    """Two worlds, three rows: in a world both sides go by the same row, and every row is played over the episodes."""
    trainer = make_trainer(num_worlds=2, user_buddy={"members": 3}, goal_buddy={"members": 3, "scripted_share": 0.2})
    for side in SIDES:
        own = players(trainer, side)
        own.enrol(replace(own.roster, weights=np.eye(3)))
    met = set()
    for _ in range(12):
        trainer.env_runner.sample()
        users, goals = (players(trainer, side).holders for side in SIDES)
        for world in range(2):
            assert {*goals[world][goals[world] >= 0].tolist()} == {*users[world].tolist()}
            met.add(int(users[world, 0]))
    assert met == {0, 1, 2}


@pytest.mark.parametrize("method", ["uniform", "fitness", "pfsp"])
@pytest.mark.parametrize("hall", [0, 2])
def test_three_and_two_members_train_under_every_matchmaking(make_trainer: MakeTrainer, method: str, hall: int) -> None:
    trainer = teeming(
        make_trainer, rounds_per_iteration=5, matchmaking={"method": method, "hall_size": hall, "hall_share": 0.2}
    )
    before = weights(trainer)
    for _ in range(6):
        report = trainer.train_iteration()
        assert all(np.isfinite(value) for name, value in report.items() if "/satisfaction" not in name)
    assert all(value.isfinite().all() for value in weights(trainer).values())
    assert not same(before, weights(trainer))
    assert trainer.evolution.populations[USER].lineage.members[3:]


@pytest.mark.parametrize("kinds", [("slate", "gains"), ("scores", "steer"), ("slate", "nudge")])
@pytest.mark.parametrize("world", [{}, {"num_slots": 1, "goal_view": "own_feedback"}])
def test_populations_train_with_every_action_kind(
    make_trainer: MakeTrainer, kinds: tuple[str, str], world: dict[str, Any]
) -> None:
    user, goal = kinds
    trainer = teeming(make_trainer, {"actions.user_buddy": user, "actions.goal_buddy": goal, **world})
    for _ in range(3):
        report = trainer.train_iteration()
        assert all(np.isfinite(value) for name, value in report.items() if "/satisfaction" not in name)
    check_in_force(trainer)


def test_a_side_of_scripts_has_no_population(make_trainer: MakeTrainer) -> None:
    for method in ("uniform", "pfsp"):
        trainer = make_trainer(
            user_buddy={"members": 2}, goal_buddy={"members": 0}, evolution=RESTLESS, matchmaking={"method": method}
        )
        for _ in range(3):
            report = trainer.train_iteration()
        assert trainer.evolution.populations[GOAL].living == {}
        assert not any(name.startswith(("goal_0", "goal_buddy/niche")) for name in report)
        assert len(trainer.evolution.populations[USER].lineage.members) > 2


def test_scripts_may_hold_every_seat_of_a_population(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(
        user_buddy={"members": 3, "scripted_share": 1.0, "scripts": ("greedy",)}, goal_buddy={"members": 2},
        evolution=RESTLESS,
    )  # fmt: skip
    before = weights(trainer)
    report = trainer.train_iteration()
    assert report["goal_0/reward"] is not None
    assert "user_0/reward" not in report
    after = weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("user"))


# ---------------------------------------------------------------------------------------------------------------------
# Who lives and who dies


def test_a_planted_learning_rate_of_one_retires_within_its_patience(make_trainer: MakeTrainer) -> None:
    """Goal buddies where every move costs honesty. On the user side a network that such a rate wrecks may live on as a
    good policy, by its skip from the belief's scores; on neither does anything of it reach the others."""
    trainer = make_trainer(
        {"rewards.honesty_price": 5.0, "goal_buddies.publish_cost": 0.0, "goal_buddies.steering_scale": 2.0},
        num_worlds=16, minibatch=32, measure_every=1,
        evolution={"every": 4, "ready_after": 4, "patience": 2, "migration": 0.0},
        user_buddy={"members": 2, "niches": ("exploiter",)},
        goal_buddy={"members": 4, "niches": ("exploiter",), "scripted_share": 0.0, "initial_publish": 3.0},
    )  # fmt: skip
    bad = {side: plant(trainer, side, 1, learning_rate=1.0) for side in SIDES}
    for _ in range(4 * 2):
        report = trainer.train_iteration()
        others = [value for name, value in report.items() if not name.startswith(("user_1/", "goal_1/"))]
        assert np.isfinite(others).all()
    lineage = trainer.evolution.populations[GOAL].lineage
    assert lineage[bad[GOAL]].died == 2
    child = lineage.living[1]
    assert child.parents
    assert bad[GOAL] not in child.parents
    assert child.genome["learning_rate"] <= GENES["learning_rate"].high
    assert all(value.isfinite().all() for value in weights(trainer).values())
    check_in_force(trainer)
    assert all(np.isfinite(v) for name, v in trainer.train_iteration().items() if not name.startswith("user_1/"))


def test_everybody_believes_by_a_guess_of_its_own(make_trainer: MakeTrainer) -> None:
    """Members, the hall of fame and scripts; a new guess is in force from the next sample on, also in mid-episode."""
    trainer = teeming(
        make_trainer, {"beliefs.bait_guess": 0.2}, rounds_per_iteration=4,
        user_buddy={"members": 2, "scripted_share": 0.25, "scripts": ("greedy",)}, evolution={**RESTLESS, "every": 100},
    )  # fmt: skip
    for guess in (0.5, 0.7):
        plant(trainer, USER, 1, bait_guess=guess)
        trainer.train_iteration()
        side, env = players(trainer, USER), trainer.env_runner.env
        own = [trainer.learner.network(name).traits["bait_guess"] for name in ("user_0", "user_1")]
        assert own == pytest.approx([0.2, guess])
        held = side.holders
        assert {-1, 0, 1} <= set(held.ravel().tolist())
        expected = np.where(held == 1, guess, 0.2)
        np.testing.assert_allclose(env.world.state.bait_guess, expected, rtol=1e-6)


def test_who_distrusts_honest_answers_retires(make_trainer: MakeTrainer) -> None:
    """Without bait in the world a guess of 4 turns beliefs against whatever is far from the facts. No gradient could
    mend that: selection does, and its children do not inherit it."""
    trainer = make_trainer(
        {"aipp.bait": 0.0, "aipp.noise": 0.1, "observations.provenance_noise": 0.0, "goal_buddies.steering_scale": 2.0},
        num_worlds=24, measure_every=1, user_buddy={"members": 4, "niches": ("exploiter",)},
        goal_buddy={"members": 0, "scripts": ("random_script",)},
        evolution={"every": 4, "ready_after": 4, "patience": 2, "migration": 0.0},
    )  # fmt: skip
    bad = plant(trainer, USER, 1, bait_guess=4.0)
    for _ in range(4 * 3):
        trainer.train_iteration()
    lineage = trainer.evolution.populations[USER].lineage
    assert lineage[bad].died is not None
    assert all(bad not in member.parents for member in lineage.members)
    assert all(member.genome["bait_guess"] <= GENES["bait_guess"].high for member in lineage.living.values())


@pytest.mark.parametrize("kinds", [("slate", "gains"), ("scores", "steer"), ("slate", "nudge")])
def test_a_diverged_member_does_not_stop_the_run_nor_spoil_the_others(
    make_trainer: MakeTrainer, kinds: tuple[str, str]
) -> None:
    """Weights of NaN: its actions are harmless, its rows stay its own, nobody inherits from it, and it is replaced."""
    user, goal = kinds
    trainer = teeming(
        make_trainer, {"actions.user_buddy": user, "actions.goal_buddy": goal}, rounds_per_iteration=5,
        evolution={**RESTLESS, "migration": 0.0, "patience": 2},
    )  # fmt: skip
    trainer.train_iteration()
    ids = {}
    for side, name in ((USER, "user_2"), (GOAL, "goal_1")):
        ids[side] = trainer.evolution.populations[side].living[int(name[-1])].id
        for parameter in trainer.learner.network(name).parameters():
            with torch.no_grad():
                parameter.fill_(torch.nan)
    trainer.push_weights()
    trainer.evolution.news()
    for _ in range(3):
        report = trainer.train_iteration()
        assert all(np.isfinite(v) for name, v in report.items() if not name.startswith(("user_2/", "goal_1/")))
        assert not any(
            event["kind"] == "admitted" and event["member"] == ids[event["side"]] for event in trainer.evolution.news()
        )
    for side in SIDES:
        lineage = trainer.evolution.populations[side].lineage
        assert lineage[ids[side]].died is not None
        assert not any(ids[side] in member.parents for member in lineage.members)
    assert all(value.isfinite().all() for value in weights(trainer).values())


def test_one_member_each_trains_alike_whether_evolution_is_on_or_off(make_trainer: MakeTrainer) -> None:
    on, off = (make_trainer(evolution={**RESTLESS, "enabled": enabled}) for enabled in (True, False))
    for _ in range(4):
        assert without_times(on.train_iteration()) == without_times(off.train_iteration())
    left, right = on.training_state(), off.training_state()
    for part in ("members", "learner", "runners"):
        assert same(left[part], right[part])


def test_without_evolution_the_same_members_live_for_ever(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer, evolution={**RESTLESS, "enabled": False})
    for _ in range(4):
        trainer.train_iteration()
    for side in SIDES:
        population = trainer.evolution.populations[side]
        assert [member.id for member in population.living.values()] == list(range(len(population.lineage.members)))
        assert all(evidence.iterations == 4 for evidence in population.evidence.values())
    assert {event["kind"] for event in trainer.evolution.news()} == {"founded"}


def test_events_are_told_once(make_trainer: MakeTrainer) -> None:
    trainer = teeming(make_trainer)
    founded = trainer.evolution.news()
    assert [(event["module"], event["kind"], event["member"]) for event in founded] == [
        ("user_0", "founded", 0), ("user_1", "founded", 1), ("user_2", "founded", 2), ("goal_0", "founded", 0),
        ("goal_1", "founded", 1),
    ]  # fmt: skip
    assert trainer.evolution.news() == []
    told = []
    for _ in range(6):
        trainer.train_iteration()
        told += trainer.evolution.news()
    for side in SIDES:
        lineage = trainer.evolution.populations[side].lineage
        born = [e["member"] for e in told if e["side"] == side and e["kind"] in ("inherited", "recombined")]
        assert born == [member.id for member in lineage.members if member.born > 0]
        died = [e["member"] for e in told if e["side"] == side and e["kind"] == "retired"]
        assert sorted(died) == [member.id for member in lineage.members if member.died is not None]


# ---------------------------------------------------------------------------------------------------------------------
# Going on


@pytest.mark.parametrize(("method", "rounds"), [("pfsp", 8), ("pfsp", 5), ("fitness", 5), ("uniform", 5)])
def test_a_resumed_population_is_bit_equal_to_one_that_never_stopped(
    make_trainer: MakeTrainer, tmp_path: Path, method: str, rounds: int
) -> None:
    """Weights, optimisers, genomes, evidence, surrogate, strikes, lineage, hall, payoffs, histories, worlds and random
    streams, also where an iteration ends in mid-episode, and rows wait for the next update."""
    values: dict[str, Any] = {
        "evolution": {**RESTLESS, "every": 2, "patience": 2, "weight_noise": 0.01, "traits": "surrogate"},
        "rounds_per_iteration": rounds,
        "matchmaking": {"method": method, "hall_size": 2, "hall_share": 0.3},
        "goal_buddy": {"members": 2, "update_every": 2, "scripted_share": 0.2, "niches": ("adaptive", "explorer")},
    }  # fmt: skip
    straight, stopped = (teeming(make_trainer, **values) for _ in range(2))
    reports = [without_times(straight.train_iteration()) for _ in range(9)]
    for _ in range(5):
        stopped.train_iteration()
    save_training(stopped, tmp_path / "a.ckpt")
    assert stopped.evolution._halls[USER].frozen
    resumed = resume_training(tmp_path / "a.ckpt")
    check_in_force(resumed)
    assert same(resumed.training_state(), stopped.training_state())
    again = [without_times(resumed.train_iteration()) for _ in range(4)]
    assert same(again, reports[5:])
    assert same(resumed.training_state(), straight.training_state())
    assert len(straight.evolution.populations[USER].lineage.members) > 3


def test_a_state_from_before_the_first_iteration_starts_the_same_run(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    fresh = teeming(make_trainer)
    save_training(fresh, tmp_path / "a.ckpt")
    resumed = resume_training(tmp_path / "a.ckpt")
    for _ in range(3):
        assert same(without_times(fresh.train_iteration()), without_times(resumed.train_iteration()))
    assert same(fresh.training_state(), resumed.training_state())
