"""The configuration: defaults, how overrides find their key, what is frozen, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ammo_env.config import AmmoConfig
from ammo_env.settings import ConfigError, apply_overrides, build, dotted_keys

SIZES = {
    "knowledge.dim": 32,
    "knowledge.num_subspaces": 4,
    "goal_buddies.num_goal_buddies": 16,
    "goal_buddies.shelf_size": 4,
    "goal_buddies.steering_dim": 8,
    "humans.num_humans": 8,
    "attention.num_candidates": 16,
    "attention.num_slots": 4,
    "episode.num_rounds": 64,
}


def made(overrides: dict[str, Any]) -> AmmoConfig:
    return build(AmmoConfig, apply_overrides(AmmoConfig, {}, overrides))


def value_of(config: AmmoConfig, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize(("key", "size"), SIZES.items())
def test_the_default_sizes(key: str, size: int) -> None:
    """D=32, M=4, G=16, L=4, A=8, U=8, K=16, S=4, T=64."""
    assert value_of(AmmoConfig(), key) == size


def test_every_setting_has_a_description_and_a_unique_dotted_key() -> None:
    keys = dotted_keys(AmmoConfig)
    assert len(keys) == len(set(keys)) >= 50
    for section in AmmoConfig.model_fields.values():
        assert section.annotation is not None
        for name, field in getattr(section.annotation, "model_fields", {}).items():
            assert field.description, f"'{name}' has no description"


@pytest.mark.parametrize(
    "override", [{"num_slots": 3}, {"attention.num_slots": 3}, {"attention": {"num_slots": 3}}]
)
def test_three_ways_to_name_a_setting_are_one(override: dict[str, Any]) -> None:
    config = made(override)
    assert config.attention.num_slots == 3
    assert config == made({"attention.num_slots": 3})
    assert config.attention.num_candidates == 16


def test_overrides_merge_into_what_is_there() -> None:
    """A nested mapping changes only what it names; later overrides win over the file."""
    values = {"aipp": {"noise": 1.0, "subspaces": {0: {"bait": 0.1}}}}
    merged = apply_overrides(AmmoConfig, values, {"aipp": {"subspaces": {0: {"latency": 2}}}, "bait": 0.7})
    config = build(AmmoConfig, merged)
    assert (config.aipp.noise, config.aipp.bait) == (1.0, 0.7)
    assert config.aipp.of_subspace(0).model_dump(include={"bait", "latency", "noise"}) == {
        "bait": 0.1, "latency": 2, "noise": 1.0}  # fmt: skip
    assert config.aipp.of_subspace(1).bait == 0.7
    assert values == {"aipp": {"noise": 1.0, "subspaces": {0: {"bait": 0.1}}}}, "the input is left alone"


def test_a_single_subspace_can_be_named_by_a_dotted_key() -> None:
    config = made({"aipp.subspaces.1.noise": 0.125})
    assert (config.aipp.of_subspace(0).noise, config.aipp.of_subspace(1).noise) == (0.5, 0.125)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AmmoConfig().attention.num_slots = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "modes"),
    [
        ({}, ("slate", "nudge")),
        ({"continuous": True}, ("scores", "gains")),
        ({"continuous": True, "actions.goal_buddy": "steer"}, ("scores", "steer")),
        ({"actions.goal_buddy": "gains"}, ("slate", "gains")),
        ({"continuous": True, "actions.user_buddy": "slate"}, ("slate", "gains")),
    ],
)
def test_action_kinds_follow_continuous_unless_a_side_is_set(
    overrides: dict[str, Any], modes: tuple[str, str]
) -> None:
    actions = made(overrides).actions
    assert (actions.user_mode, actions.goal_mode) == modes


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"num_slotz": 2}, ["unknown setting 'num_slotz'", "nearest is 'attention.num_slots'"]),
        ({"attention.num_slotz": 2}, ["'attention.num_slotz'", "nearest is 'attention.num_slots'"]),
        ({"attention": {"num_slotz": 2}}, ["'attention.num_slotz'", "nearest is 'attention.num_slots'"]),
        ({"attenton": {"num_slots": 2}}, ["unknown setting 'attenton'", "nearest is 'attention'"]),
        ({"aipp.subspaces.0.nois": 2.0}, ["'aipp.subspaces.0.nois'", "nearest is 'aipp.subspaces.0.noise'"]),
        ({"user_buddy": "slate"}, ["ambiguous", "rewards.user_buddy or actions.user_buddy", "whole key"]),
        ({"num_slots": 17}, ["attention.num_slots=17 > attention.num_candidates=16", "lower num_slots"]),
        ({"num_candidates": 65}, ["attention.num_candidates=65 > 64 live creations", "add creations"]),
        ({"latent_interests": 1}, ["latent_interests=1 >= humans.interests=1", "raise interests"]),
        ({"dim": 7}, ["goal_buddies.steering_dim=8 > knowledge.dim=7", "lower steering_dim or raise dim"]),
        ({"aipp.subspaces.4.noise": 0.1}, ["subspace 4", "there are 4 (0..3)"]),
        ({"num_slots": 0}, ["attention.num_slots", "greater than or equal to 1", "got 0"]),
        ({"drift_rho": 1.01}, ["humans.drift_rho", "less than or equal to 1", "got 1.01"]),
        ({"drift_rho": float("nan")}, ["humans.drift_rho", "finite", "got nan"]),
        ({"bait": float("inf")}, ["aipp.bait", "finite", "got inf"]),
        ({"num_slots": "4"}, ["attention.num_slots", "valid integer", "got '4'"]),
        ({"num_slots": 4.0}, ["attention.num_slots", "valid integer", "got 4.0"]),
        ({"num_slots": True}, ["attention.num_slots", "valid integer", "got True"]),
        ({"noise": "high"}, ["aipp.noise", "valid number", "got 'high'"]),
        ({"fresh": "oldest"}, ["attention.fresh", "'random' or 'newest'", "got 'oldest'"]),
        ({"attention": 3}, ["attention", "valid dictionary", "got 3"]),
        ({"continuous": "yes"}, ["actions.continuous", "valid boolean", "got 'yes'"]),
        ({"aipp.subspaces": {0: {"noise": -1.0}}}, ["aipp.subspaces.0.noise", "greater than or equal to 0"]),
    ],
)
def test_what_cannot_be_is_an_error_that_names_cause_and_fix(
    overrides: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(overrides)
    for part in parts:
        assert part in str(caught.value)


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        made({"num_slots": "4", "noise": -1.0, "dim": 1})
    assert len(str(caught.value).splitlines()) == 3
