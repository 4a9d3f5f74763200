"""Scenarios: every file is a sentence and what differs from the defaults; what is not a scenario is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ammo_env.config import AmmoConfig
from ammo_env.scenarios import load_config, parse_scalar, read_scenario, scenario_folder, scenario_names
from ammo_env.settings import ConfigError

WANTED = {
    "default", "drift", "noisy", "crowded", "clicks", "paper", "scarce", "births", "movielens", "movielens-taste",
    "movielens-text",
}  # fmt: skip
# What makes each scenario, in numbers (DESIGN and the measured starting points).
FACTS: dict[str, dict[str, Any]] = {
    "default": {"aipp.noise": 0.5, "aipp.bait": 0.3, "humans.drift_rho": 1.0},
    "drift": {"humans.drift_rho": 0.98, "aipp.bait": 0.3},
    "noisy": {"aipp.noise": 1.0, "aipp.bait": 0.0},
    "crowded": {"goal_buddies.shelf_size": 16},
    "clicks": {"aipp.kind": "click", "aipp.position_decay": 0.7, "aipp.bait": 0.3},
    "paper": {"knowledge.dim": 1536, "goal_buddies.num_goal_buddies": 16, "humans.num_humans": 16},
    "events": {"events.rate": 0.04, "events.pull": 0.4, "events.fact_slots": 4, "humans.drift_rho": 1.0},
    "latent": {"humans.interests": 3, "humans.latent_interests": 2, "humans.awakening": 0.6},
    "scarce": {"aipp.response": 0.2, "aipp.latency": 5},
    "social": {"social.network": "similar", "attention.social_share": 0.25, "humans.num_humans": 16,
               "social.friedkin_johnsen.neighbour_weight": 0.1, "social.friedkin_johnsen.stubbornness": 0.1},
    "polarised": {"social.network": "random", "social.bounded_confidence.angle": 1.0, "social.num_groups": 2,
                  "social.pushback.rejection_below": 0.4},
    "births": {"life.viability": 0.02, "life.grace": 24, "life.max_births": 24},
    "coin": {"goal_buddies.norm": "free", "attention.num_slots": 1, "knowledge.facts_per_subspace": 2,
             "knowledge.max_interests": 1, "rewards.production_price": 0.25, "rewards.production_exponent": 4.0},
    "job": {"aipp.kind": "choice", "attention.num_slots": 2, "goal_buddies.num_goal_buddies": 32,
            "rewards.honesty_price": 2.0},
    "edu": {"social.exposure.seen_weight": 0.01, "aipp.bait": 0.6, "rewards.honesty_price": 2.0},
    "movielens": {"knowledge.source": "movielens", "knowledge.quality_share": 1.0},
    "movielens-taste": {"knowledge.source": "movielens", "knowledge.quality_share": 0.0},
    "movielens-text": {"knowledge.embedder": "hashing", "goal_buddies.creations": "written"},
}


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_the_scenarios_that_ship() -> None:
    assert set(scenario_names()) >= WANTED
    assert scenario_names() == sorted(scenario_names())


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_is_a_sentence_and_what_differs(name: str) -> None:
    """One line that ends in a full stop; no setting repeats its default; the name and the path load the same."""
    values = read_scenario(name)
    sentence = values["description"]
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) > 30
    defaults = leaves(AmmoConfig().model_dump())
    for key, value in leaves({k: v for k, v in values.items() if k not in ("description", "training")}).items():
        assert value != defaults[key], f"{key}={value} is the default already"
    assert load_config(name) == load_config(scenario_folder() / f"{name}.yaml")


@pytest.mark.parametrize("name", FACTS)
def test_what_makes_each_scenario(name: str) -> None:
    settings = leaves(load_config(name).model_dump())
    assert {key: settings[key] for key in FACTS[name]} == FACTS[name]


def test_overrides_come_on_top_of_the_file() -> None:
    config = load_config("clicks", {"bait": 0.0})
    assert (config.aipp.kind, config.aipp.bait) == ("click", 0.0)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """An empty file is the default world; a training section is not the world's business."""
    (tmp_path / "empty.yaml").write_text("")
    assert load_config(tmp_path / "empty.yaml") == AmmoConfig()
    (tmp_path / "own.yaml").write_text("aipp: {noise: 1e-3}\ntraining: {whatever: 1}\n")
    assert load_config(str(tmp_path / "own.yaml")).aipp.noise == 0.001


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("1e-3", 0.001), ("-2.5E+4", -25000.0), ("1.", 1.0), ("true", True), ("{a: 1}", {"a": 1}),
     ("drift", "drift"), ("e3", "e3"), ("null", None)],
)  # fmt: skip
def test_values_read_as_everyone_means_them(text: str, value: object) -> None:
    parsed = parse_scalar(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("defualt", ["no scenario 'defualt'", "nearest is 'default'", "there are: births, clicks, "]),
        ("movielens_taste", ["nearest is 'movielens-taste'"]),
        ("nowhere/own.yaml", ["no scenario file 'nowhere/own.yaml'"]),
        (None, ["scenario None", "name of a scenario or the path"]),
        (3, ["scenario 3", "name of a scenario or the path"]),
    ],
)
def test_a_scenario_that_is_not_there(name: Any, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(name)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("attention: {num_slots: ", ["is not a YAML file", "line 1"]),
        ("a: b: c", ["is not a YAML file", "line 1"]),
        ("- 1\n- 2", ["must hold settings as 'section: {key: value}'", "[1, 2]"]),
        ("attention: num_slots=2", ["attention", "valid dictionary", "num_slots=2"]),
        ("attention: {num_slots: 2, num_slots: 3}", ["'num_slots' is given twice", "line 1"]),
        ("attention: {num_slot: 2}", ["'attention.num_slot'", "nearest is 'attention.num_slots'"]),
        ("num_slots: 2", ["unknown setting 'num_slots'", "nearest is 'attention.num_slots'"]),
        ("1: 2", ["1", "Keys should be strings"]),
    ],
)
def test_a_file_that_is_not_a_scenario(text: str, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a YAML file"):
        load_config(tmp_path / "own.yaml")
