"""Acting from a checkpoint: exactly as in training, and only where it fits."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.census import find, take_census
from agents.checkpoints import CheckpointError
from agents.distributions import PublishGaussian
from agents.evolution.members import Niche
from agents.evolution.settings import EvolutionSettings
from agents.learned_policy import LearnedPolicy, load_policy, policy_of
from agents.plackett_luce import PlackettLuce
from agents.policy import Turn
from agents.rllib.algorithm import BuddyTrainer, build_algorithm
from agents.rllib.checkpoint import save_training
from agents.rllib.plan import make_plan
from agents.rllib.players import SidePlayers
from agents.training_settings import SIDES, GoalSideSettings, TrainingSettings, UserSideSettings
from ammo_env.config import AmmoConfig
from ammo_env.vector import VectorEnv

MakeConfig = Callable[..., AmmoConfig]
KINDS = {"actions.user_buddy": "slate", "actions.goal_buddy": "gains"}


@pytest.fixture(scope="module")
def trained(small_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[BuddyTrainer, Path]:
    """A run of two iterations and its checkpoint."""
    settings = TrainingSettings(
        num_worlds=2, rounds_per_iteration=5, user_buddy=UserSideSettings(members=1),
        goal_buddy=GoalSideSettings(members=1),
    )  # fmt: skip
    trainer = build_algorithm(make_plan(settings, small_config()))
    for _ in range(2):
        trainer.train_iteration()
    path = tmp_path_factory.mktemp("run") / "a.ckpt"
    save_training(trainer, path)
    return trainer, path


@pytest.fixture(scope="module")
def populated(small_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[BuddyTrainer, Path]:
    """Three members of each side, one per niche, and a hall of fame with somebody in it."""
    settings = TrainingSettings(
        num_worlds=3, rounds_per_iteration=6, user_buddy=UserSideSettings(members=3),
        goal_buddy=GoalSideSettings(members=3, update_every=1), evolution=EvolutionSettings(every=2, ready_after=1),
    )  # fmt: skip
    trainer = build_algorithm(make_plan(settings, small_config(KINDS)))
    for _ in range(4):
        trainer.train_iteration()
    path = tmp_path_factory.mktemp("run") / "b.ckpt"
    save_training(trainer, path)
    return trainer, path


def every_row(actions: torch.Tensor, held: Any) -> torch.Tensor:
    """The actions of the held seats at their places among all seats."""
    rows = torch.zeros(held.size, *actions.shape[1:], dtype=actions.dtype)
    if actions.dtype == torch.int64:  # any legal slate
        rows += torch.arange(actions.shape[-1])
    rows[torch.from_numpy(held).flatten()] = actions
    return rows


def turn_of(env: VectorEnv, obs: dict[str, Any], infos: dict[str, Any], side: str) -> Turn:
    return Turn(obs[side], infos["action_mask"][side], env)


@pytest.mark.parametrize(("side", "member"), [("user_buddy", "user_0"), ("goal_buddy", "goal_0")])
def test_it_acts_exactly_as_in_training(trained: tuple[BuddyTrainer, Path], side: str, member: str) -> None:
    """The runner's stored distribution inputs, observation by observation, come out of the loaded policy bit by bit."""
    trainer, path = trained
    policy = load_policy(path, side)
    network = policy.network
    assert policy.network.traits == trainer.learner.network(member).traits
    assert getattr(policy, "bait_guess", None) == policy.network.traits.get("bait_guess")
    batch = trainer.env_runner.sample().policy_batches[member]
    rows = len(batch["obs"]) // trainer.plan.settings.rounds_per_iteration
    with torch.no_grad():
        for start in range(0, len(batch["obs"]), rows):
            chunk = slice(start, start + rows)
            inputs, values = network(batch["obs"][chunk], batch["action_mask"][chunk])
            assert torch.equal(inputs, batch["action_dist_inputs"][chunk])
            assert torch.equal(values, batch["values"][chunk])


@pytest.mark.parametrize("side", SIDES)
def test_every_niche_and_the_hall_act_as_in_training_over_a_whole_episode(
    populated: tuple[BuddyTrainer, Path], side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer's own players take their modes; each loaded policy, by itself, does the same in its seats.

    Its memory is its own: built from the same observations and its own actions, from the first round on.
    """
    trainer, path = populated
    for kind in (PlackettLuce, PublishGaussian):
        monkeypatch.setattr(kind, "sample", lambda self, generator=None: self.mode())
    plan, env, rng = trainer.plan, trainer.plan.make_worlds(), np.random.default_rng(0)
    sides: dict[str, SidePlayers] = {}
    for name in SIDES:
        networks = {slot: trainer.learner.network(slot) for slot in plan.slots(name)}
        sides[name] = SidePlayers(plan, name, networks, env)
        sides[name].enrol(trainer.evolution.rosters()[name])
        count = env.num_envs * env.num_agents[name]
        sides[name].seat(np.arange(count).reshape(env.num_envs, -1) % sides[name].num_players)
    living = [load_policy(path, side, slot, deterministic=True) for slot in range(3)]
    hall = [policy_of(resident, True) for resident in take_census(path) if resident.side == side and resident.frozen]
    assert hall
    assert {policy.adaptive for policy in living} == {True, False}
    obs, infos = env.reset(3)
    for _ in range(env.config.episode.num_rounds):
        turns: dict[str, Turn] = {name: turn_of(env, obs, infos, name) for name in SIDES}
        with torch.no_grad():
            actions: dict[str, Any] = {name: sides[name].act(turns[name], torch.Generator(), rng) for name in SIDES}
        for player, policy in enumerate([*living, *hall]):
            held = sides[side].holders == player
            assert held.any()
            np.testing.assert_allclose(policy.act(turns[side], rng)[held], actions[side][held], rtol=0, atol=1e-5)
            if player < len(living):  # what the hall does is not recorded
                record, rows = sides[side].record.rollouts[-1][0], sides[side]._seats.own[plan.slots(side)[player]]
                distribution = policy.network.spec.distribution(record.inputs[-1][rows])
                chances = policy.distribution(turns[side]).log_prob(every_row(record.actions[-1][rows], held))
                expected = distribution.log_prob(record.actions[-1][rows])
                torch.testing.assert_close(chances[torch.from_numpy(held).flatten()], expected, rtol=0, atol=1e-5)
        obs, _, _, _, infos = env.step(actions)


@pytest.mark.parametrize("side", SIDES)
def test_only_adaptive_members_remember_and_only_within_an_episode(
    populated: tuple[BuddyTrainer, Path], side: str
) -> None:
    """In the first round memory is empty; later it matters; the next episode begins as the first did."""
    trainer, path = populated
    network, rng = load_policy(path, side, 2).network, np.random.default_rng(0)
    for adaptive in (True, False):
        policy, blank = LearnedPolicy(network, True, adaptive), LearnedPolicy(network, True)
        others = load_policy(path, next(other for other in SIDES if other != side), 0)
        env, differs = trainer.plan.make_worlds(), []
        for seed in (0, 1):
            obs, infos = env.reset(seed)
            for _ in range(4):
                turn = turn_of(env, obs, infos, side)
                actions = policy.act(turn, rng)
                taken = torch.from_numpy(actions).flatten(0, 1)
                chances = [p.distribution(turn).log_prob(taken) for p in (policy, blank)]
                differs.append(not torch.equal(*chances))
                others_do = others.act(turn_of(env, obs, infos, others.side), rng)
                obs, _, _, _, infos = env.step({side: actions, others.side: others_do})
        assert differs == [False, adaptive, adaptive, adaptive] * 2


def test_memories_of_two_environments_do_not_mix(populated: tuple[BuddyTrainer, Path]) -> None:
    """Played in turns or one after the other, and looked at twice per round: the same actions."""
    trainer, path = populated

    def play(policy: LearnedPolicy, envs: list[VectorEnv], in_turns: bool) -> list[Any]:
        seen: list[list[Any]] = [[] for _ in envs]
        goals = load_policy(path, "goal_buddy", 0, deterministic=True)
        state = [env.reset(seed) for seed, env in enumerate(envs)]
        order = [i for _ in range(5) for i in range(2)] if in_turns else [0] * 5 + [1] * 5
        for i in order:
            turns: dict[str, Turn] = {side: turn_of(envs[i], *state[i], side) for side in SIDES}
            if in_turns:
                policy.distribution(turn_of(envs[i], *state[i], "user_buddy"))
            actions = {p.side: p.act(turns[p.side], np.random.default_rng(0)) for p in (policy, goals)}
            seen[i].append(actions["user_buddy"])
            obs, _, _, _, infos = envs[i].step(actions)
            state[i] = obs, infos
        return seen

    one, other = (
        play(load_policy(path, "user_buddy", 2), [trainer.plan.make_worlds() for _ in range(2)], in_turns)
        for in_turns in (True, False)
    )
    np.testing.assert_array_equal(one, other)


def test_a_copy_travels_without_memories(populated: tuple[BuddyTrainer, Path]) -> None:
    """As scripted policies do to remote runners."""
    trainer, path = populated
    policy, env = load_policy(path, "user_buddy", 2, deterministic=True), trainer.plan.make_worlds()
    turn = turn_of(env, *env.reset(0), "user_buddy")
    first = policy.act(turn, np.random.default_rng(0))
    copy = pickle.loads(pickle.dumps(policy))
    assert (copy.adaptive, copy.deterministic) == (True, True)
    np.testing.assert_array_equal(copy.act(turn, np.random.default_rng(0)), first)


def test_without_a_number_it_is_the_champion(populated: tuple[BuddyTrainer, Path]) -> None:
    trainer, path = populated
    for side in SIDES:
        slot = trainer.evolution.populations[side].champion()
        assert slot is not None
        assert find(take_census(path), side, None, path).member.slot == slot
        chosen, weights = load_policy(path, side), trainer.learner.network(trainer.plan.slots(side)[slot]).state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in chosen.network.state_dict().items())
        assert chosen.adaptive == (trainer.evolution.populations[side].living[slot].niche is Niche.ADAPTIVE)


@pytest.mark.parametrize("side", SIDES)
def test_actions_are_legal_and_come_from_the_given_stream(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig, side: str
) -> None:
    env = VectorEnv(small_config(KINDS), 3)
    obs, infos = env.reset(0)
    policy, turn = load_policy(trained[1], side), turn_of(env, obs, infos, side)
    before = torch.random.get_rng_state()
    one, same, other = (policy.act(turn, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.shape[:2] == (3, env.num_agents[side])
    assert all(env.action_spaces[side].contains(action) for action in one.reshape(-1, one.shape[-1]))


def test_deterministic_is_the_mode_and_draws_nothing(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig
) -> None:
    env = VectorEnv(small_config(KINDS), 3)
    obs, infos = env.reset(0)
    turn, rng = turn_of(env, obs, infos, "user_buddy"), np.random.default_rng(0)
    policy = load_policy(trained[1], "user_buddy", deterministic=True)
    actions = policy.act(turn, rng)
    assert (actions.reshape(-1, 2) == policy.distribution(turn).mode().numpy()).all()
    assert rng.random() == np.random.default_rng(0).random()


def test_a_user_buddy_fits_more_candidates_and_other_slates(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig
) -> None:
    policy = load_policy(trained[1], "user_buddy")
    for slots, shape in ((3, (2, 4, 3)), (1, (2, 4))):
        env = VectorEnv(small_config({**KINDS, "num_candidates": 9, "num_slots": slots}), 2)
        obs, infos = env.reset(0)
        actions = policy.act(turn_of(env, obs, infos, "user_buddy"), np.random.default_rng(0))
        assert actions.shape == shape
        goals = load_policy(trained[1], "goal_buddy").act(
            turn_of(env, obs, infos, "goal_buddy"), np.random.default_rng(0)
        )
        env.step({"user_buddy": actions, "goal_buddy": goals})


@pytest.mark.parametrize(
    ("side", "changes", "message"),
    [
        ("goal_buddy", {"goal_buddies.steering_dim": 2}, r"length \d+, the environment gives \d+: use the goal_view"),
        ("goal_buddy", {"actions.goal_buddy": "nudge"}, "trained with 'gains' actions, the environment takes 'nudge'"),
        ("user_buddy", {"actions.user_buddy": "scores"}, "trained with 'slate' actions"),
    ],
)
def test_where_it_does_not_fit_it_says_so(
    trained: tuple[BuddyTrainer, Path], small_config: MakeConfig, side: str, changes: dict[str, Any], message: str
) -> None:
    env = VectorEnv(small_config({**KINDS, **changes}), 1)
    obs, infos = env.reset(0)
    with pytest.raises(ValueError, match=message):
        load_policy(trained[1], side).act(turn_of(env, obs, infos, side), np.random.default_rng(0))


def test_a_missing_member_is_named(trained: tuple[BuddyTrainer, Path]) -> None:
    with pytest.raises(CheckpointError, match="holds no member goal_4: it has goal_0, user_0"):
        load_policy(trained[1], "goal_buddy", member=4)


def test_acting_needs_no_ray(trained: tuple[BuddyTrainer, Path]) -> None:
    program = (
        "import sys; from pathlib import Path; from agents.learned_policy import load_policy; "
        f"load_policy(Path({str(trained[1])!r}), 'user_buddy'); assert 'ray' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
