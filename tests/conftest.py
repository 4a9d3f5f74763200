"""What the tests share: a small world, random play, the scenarios, and the real data where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config, scenario_names
from ammo_env.vector import SIDES, VectorEnv

if TYPE_CHECKING:
    from agents.evolution.genome import Genome
    from agents.evolution.members import Niche
    from agents.rllib.algorithm import BuddyTrainer
    from agents.run_config import RunConfig

Actions = dict[str, NDArray[Any]]

# A world that a test can afford, with every size different from the others.
SMALL: dict[str, Any] = {
    "knowledge.dim": 9,
    "knowledge.num_subspaces": 2,
    "knowledge.facts_per_subspace": 6,
    "knowledge.entities_per_subspace": 8,
    "knowledge.pool_size": 64,
    "knowledge.heldout_size": 16,
    "goal_buddies.num_goal_buddies": 5,
    "goal_buddies.shelf_size": 2,
    "goal_buddies.steering_dim": 3,
    "humans.num_humans": 4,
    "attention.num_candidates": 7,
    "attention.num_slots": 2,
    "episode.num_rounds": 8,
}


def pytest_configure(config: pytest.Config) -> None:
    # PettingZoo's conformance tests announce their own future on import.
    config.addinivalue_line("filterwarnings", "ignore:The old environment creation API:DeprecationWarning")


@pytest.fixture(scope="session")
def small_config() -> Callable[..., AmmoConfig]:
    """`small_config({"section.key": value})`: the small world, with overrides."""

    def make(overrides: dict[str, Any] | None = None) -> AmmoConfig:
        return load_config("default", {**SMALL, **(overrides or {})})

    return make


@pytest.fixture(scope="session")
def small_env(small_config: Callable[..., AmmoConfig]) -> Callable[..., VectorEnv]:
    """`small_env(num_envs, overrides, backend)`: a batch of small worlds, not yet reset."""

    def make(num_envs: int = 3, overrides: dict[str, Any] | None = None, backend: str = "numpy") -> VectorEnv:
        return VectorEnv(small_config(overrides), num_envs, backend)

    return make


@pytest.fixture(scope="session")
def make_trainer(small_config: Callable[..., AmmoConfig]) -> Callable[..., BuddyTrainer]:
    """`make_trainer(world overrides, minibatch=rows, user_buddy={...}, **settings)`: training in three small worlds."""
    from agents.rllib.algorithm import build_algorithm  # ray takes seconds to import
    from agents.rllib.plan import make_plan
    from agents.training_settings import TrainingSettings

    def make(world: dict[str, Any] | None = None, minibatch: int = 16, **settings: Any) -> BuddyTrainer:
        values: dict[str, Any] = {"num_worlds": 3, "rounds_per_iteration": 8, **settings}
        for side in ("user_buddy", "goal_buddy"):
            values[side] = {"members": 1, "minibatch": minibatch, "update_every": 1, **values.get(side, {})}
        return build_algorithm(make_plan(TrainingSettings(**values), small_config(world)))

    return make


@pytest.fixture(scope="session")
def random_actions() -> Callable[[VectorEnv, np.random.Generator], Actions]:
    """`random_actions(env, rng)`: actions [E, N, ...] of both sides, uniform in their spaces."""

    def draw(env: VectorEnv, rng: np.random.Generator) -> Actions:
        actions: Actions = {}
        for side in SIDES:
            space, batch = env.action_spaces[side], (env.num_envs, env.num_agents[side])
            if isinstance(space, spaces.Box):
                actions[side] = rng.uniform(-1.0, 1.0, (*batch, *space.shape)).astype(np.float32)
            else:
                assert isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
                high = int(space.n) if isinstance(space, spaces.Discrete) else int(space.nvec[0])
                actions[side] = rng.integers(high, size=(*batch, *(space.shape or ())))
                if isinstance(space, spaces.MultiDiscrete) and space.nvec[-1] != high:  # destinations
                    actions[side][..., -1] = rng.integers(int(space.nvec[-1]), size=batch)
        return actions

    return draw


def _data_folder(title: str, inner: str, marker: str) -> Path:
    """Real data: in AMMO_DATA, or in ../shared/data beside the repository; skipped where it is in neither."""
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    for folder in (Path(os.environ["AMMO_DATA"]) if "AMMO_DATA" in os.environ else beside, beside):
        for place in (folder, folder / inner):
            if (place / marker).is_file():
                return place
    pytest.skip(f"{title} is not here: set AMMO_DATA to the folder that holds {marker}")


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    return _data_folder("MovieLens 100K", "ml-100k", "u.data")


@pytest.fixture(scope="session")
def lastfm_folder() -> Path:
    return _data_folder("Last.fm 2K", "lastfm-2k", "artists.dat")


class _NoBodies:
    """Weights that nobody keeps."""

    def inherit(self, slot: int, parent: int, noise: float, rng: np.random.Generator) -> None: ...
    def recombine(self, slot: int, parents: tuple[int, int], how: str, rng: np.random.Generator) -> None: ...
    def renew(self, slot: int, rng: np.random.Generator) -> None: ...
    def set_genome(self, slot: int, niche: Niche, genome: Genome) -> None: ...


@dataclass(frozen=True)
class MadeUpRun:
    """What a run with populations leaves behind, without training."""

    config: RunConfig
    tree: dict[str, Any]
    """As a checkpoint holds it."""
    events: list[dict[str, Any]]
    progress: list[dict[str, float | None]]


@pytest.fixture(scope="session")
def made_up_run() -> MadeUpRun:
    """Three user buddies and four goal buddies after forty iterations and ten cycles: weights drawn, verdicts made up.

    The hall of each side holds one member that has retired and one that lives.
    """
    # Here, because most tests have no need of torch and ray, whose import takes seconds.
    from agents.evolution.fitness import Verdict
    from agents.evolution.members import Event, Niche
    from agents.evolution.population import Population
    from agents.league import Frozen
    from agents.matchmaking import member_id
    from agents.networks import build_network
    from agents.rllib.plan import network_spec
    from agents.run_config import load_run_config

    overrides = {
        **SMALL, "actions.user_buddy": "slate", "actions.goal_buddy": "gains", "training.user_buddy.members": 3,
        "training.goal_buddy.members": 4, "training.evolution.every": 4, "training.evolution.ready_after": 3,
        "training.evolution.patience": 1, "training.evolution.margin": 0.0,
    }  # fmt: skip
    config = load_run_config("default", overrides)
    settings, rng = config.training, np.random.default_rng(0)
    events: list[dict[str, Any]] = []
    progress: list[dict[str, float | None]] = [{"step": 100 * i, "iteration": i} for i in range(1, 41)]
    members, populations, halls = {}, {}, {}
    for side in SIDES:
        own = settings.side(side)
        population = Population(
            [own.niche_of(slot) for slot in range(own.members)], settings.hyperparameters(side).genome,
            settings.evolution, seed=1, resident={Niche.EXPLORER: frozenset({"novelty"})},
        )  # fmt: skip
        happened = [(0, event) for event in population.events]
        for row in progress:
            population.observe({slot: Verdict({"satisfaction": rng.normal()}, 10.0) for slot in population.living})
            iteration = int(row["iteration"] or 0)
            for slot, member in population.living.items():
                name = member_id(side, slot)
                row |= {f"{name}/fitness": population.fitness()[slot], f"{name}/member": float(member.id),
                        f"{name}/satisfaction": population.evidence[slot].mean_level}  # fmt: skip
                row |= {f"{name}/genome/{gene}": value for gene, value in member.genome.items()}
            for niche in Niche:
                count = sum(member.niche is niche for member in population.living.values())
                row[f"{side}/niche/{niche}"] = count / own.members
            if iteration % settings.evolution.every == 0:
                happened += [(iteration, event) for event in population.cycle(_NoBodies())]
        spec = network_spec(config.world, settings, side)
        for slot in population.living:
            weights = build_network(spec, seed=slot).state_dict()
            members[member_id(side, slot)] = {"spec": spec.model_dump(mode="json"), "weights": weights}
        dead = [member for member in population.lineage.members if member.died is not None]
        frozen = [*dead[-1:], population.living[0]]
        happened += [
            (38, Event(9, "admitted", member.id, member.slot, str(member.niche), fitness=0.25)) for member in frozen
        ]
        halls[side] = [
            Frozen(m.id, m.slot, str(m.niche), build_network(spec, 100 + m.id).state_dict()).state() for m in frozen
        ]
        populations[side] = population.state()
        for iteration, event in happened:
            module = member_id(side, event.slot)
            events.append({"iteration": iteration, "step": 0, "side": side, "module": module, **event.plain()})
    tree = {
        "iteration": 40, "settings": settings.model_dump(mode="json"), "members": members,
        "evolution": {"populations": populations, "halls": halls},
    }  # fmt: skip
    return MadeUpRun(config, tree, events, progress)


@pytest.fixture(params=scenario_names())
def scenario(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every scenario by name; those on real data are skipped where the data is missing."""
    name: str = request.param
    for data in ("movielens", "lastfm"):
        if name.startswith(data):
            monkeypatch.setenv("AMMO_DATA", str(request.getfixturevalue(f"{data}_folder")))
    return name
