"""The card of a trained population: what it is, how it was trained, who is in it, and how to load one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.evolution.genome import TRAITS
from agents.provenance import Provenance, plain

CARD = "README.md"
_FALLBACK = {"user_buddy": ("USER_BASELINES", "greedy"), "goal_buddy": ("GOAL_BASELINES", "chaser")}
_VARIABLES = {"user_buddy": "users", "goal_buddy": "goals"}


def write_card(folder: Path, provenance: Provenance, members: Sequence[Mapping[str, Any]]) -> Path:
    """Write the card of the population in `folder`; `members` are the entries of its index."""
    path = folder / CARD
    path.write_text(card(folder, provenance, members), encoding="utf-8")
    return path


def card(folder: Path, provenance: Provenance, members: Sequence[Mapping[str, Any]]) -> str:
    """The card as Markdown."""
    sides = list(dict.fromkeys(entry["side"] for entry in members))
    return "\n".join([
        f"# A population trained on `{provenance.scenario}`",
        "",
        *_summary(provenance, members),
        "",
        "## How it was trained",
        "",
        *_training(provenance),
        "",
        "## Members",
        "",
        *[line for side in sides for line in _table(side, [e for e in members if e["side"] == side])],
        *_reading(sides),
        "",
        "## How to load one",
        "",
        *_loading(folder, provenance, sides, members),
        "",
    ])  # fmt: skip


def _summary(provenance: Provenance, members: Sequence[Mapping[str, Any]]) -> list[str]:
    alive = {side: sum(e["side"] == side and e["status"] == "alive" for e in members) for side in _VARIABLES}
    frozen = len(members) - sum(alive.values())
    return [
        f"{_count(alive['user_buddy'], 'user buddy', 'user buddies')} (they fill a human's attention slots) and "
        f"{_count(alive['goal_buddy'], 'goal buddy', 'goal buddies')} (they publish creations) that learned against "
        f"each other in AMMO, with {_count(frozen, 'frozen past champion', 'frozen past champions')} in the hall of "
        "fame.",
        "",
        f"Scenario `{provenance.scenario}`: {provenance.config.description}",
    ]  # fmt: skip


def _training(provenance: Provenance) -> list[str]:
    evolution = provenance.config.training.evolution
    cycle = f"a cycle every {evolution.every} iterations" if evolution.enabled else "off"
    changed = [f"  - `{key}` = `{plain(value)}`" for key, value in provenance.differences.items()]
    return [
        "```",
        provenance.command,
        "```",
        "",
        f"- {provenance.iterations} iterations, {provenance.agent_steps:,} agent steps (decisions learned from), "
        f"seed {provenance.config.training.seed}",
        f"- evolution: {cycle}",
        f"- settings that differ from the scenario `{provenance.reference}`:" + ("" if changed else " none"),
        *changed,
    ]


def _table(side: str, members: Sequence[Mapping[str, Any]]) -> list[str]:
    metrics = list(dict.fromkeys(metric for entry in members for metric in entry.get("scores", {})))
    traits = [trait for trait in TRAITS if any(trait in entry["genome"] for entry in members)]
    words = [name.replace("_", " ") for name in (*metrics, *traits)]
    headers = ["member", "", "niche", "generation", "parents", "fitness", *words]
    rows = []
    for entry in members:
        scores, parents = entry.get("scores", {}), " + ".join(str(parent) for parent in entry["parents"])
        standing = "**champion**" if entry["champion"] else "hall of fame" if entry["status"] != "alive" else ""
        numbers = [_number(entry["fitness"]), *(_number(scores.get(metric)) for metric in metrics),
                   *(_number(entry["genome"].get(trait)) for trait in traits)]  # fmt: skip
        rows.append([f"[{entry['name']}]({entry['file']})", standing, entry["niche"], str(entry["generation"]),
                     parents or "founder", *numbers])  # fmt: skip
    lines = [headers, ["---"] * len(headers), *rows]
    return [f"### {side.replace('_', ' ').capitalize().removesuffix('y')}ies", "",
            *("| " + " | ".join(line) + " |" for line in lines), ""]  # fmt: skip


def _reading(sides: Sequence[str]) -> list[str]:
    lines = [
        "The number in a name is the member's id, given once and never again. *Fitness* is AiPP's verdict against the "
        "mean of the living of the same side, so it compares members of one table only; in the hall of fame it is that "
        "of the day of admission. The champion of a side is the best of its living members in a final on the people of "
        "the training. The other scores come from the worlds of the run's final evaluation, acting "
        "deterministically; – was not measured:",
        "",
    ]
    if "user_buddy" in sides:
        lines += ["- *normalised regret*: random slate = 1, best slate = 0",
                  "- *optimism*, *bait guess*: traits, the weight of doubt beside belief, and what ungrounded content "
                  "is taken to add to an answer"]  # fmt: skip
    if "goal_buddy" in sides:
        lines += ["- *reward*: per round, in one seat among scripts",
                  "- *advantage over scripts*: that, less the mean of the scripts in the same seats"]  # fmt: skip
    return [
        *lines,
        "",
        "Niches: *exploiters* learn from their reward alone; *explorers* are paid for novelty too; *adaptive* members "
        "see the running history of their own actions and outcomes.",
    ]


def _loading(
    folder: Path, provenance: Provenance, sides: Sequence[str], members: Sequence[Mapping[str, Any]]
) -> list[str]:
    scripts = [side for side in _VARIABLES if side not in sides]
    imports = [f"from agents.baselines import {_FALLBACK[side][0]}" for side in scripts]
    changed = provenance.differences.items()
    settings = {key: value for key, value in changed if not key.startswith(("training.", "actions."))}
    settings |= {f"actions.{side}": kind for side, kind in provenance.actions.items()}
    makers = {
        side: f'load_policy(folder, "{side}")  # the champion' if side in sides
        else '{}["{}"]()  # a script: nobody learned on this side'.format(*_FALLBACK[side])
        for side in _VARIABLES
    }  # fmt: skip
    example = next((entry for entry in members if not entry["champion"]), members[0] if members else None)
    by_id = [] if example is None else [
        f'another = load_policy(folder, "{example["side"]}", member={example["id"]})  # any member by its id'
    ]  # fmt: skip
    return [
        "From the project's folder; it takes torch, but not ray. An adaptive member remembers, so let it act in every "
        "round of an episode.",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        *imports,
        "from agents.learned_policy import load_policy",
        "from agents.policy import take_turn",
        "from ammo_env import metaspace_v0",
        "",
        f"folder = Path({str(folder)!r})  # this folder",
        *(f"{variable} = {makers[side]}" for side, variable in _VARIABLES.items()),
        *by_id,
        "",
        f"env = metaspace_v0.vec_env(num_envs=16, scenario={provenance.reference!r}, **{settings!r})",
        "observations, _ = env.reset(0)" if "user_buddy" in scripts
        else 'observations, _ = env.reset(0, {"bait_guess": users.bait_guess})  # it believes by a guess of its own',
        "rng = np.random.default_rng(0)",
        "while not env.is_over:",
        "    actions = {p.side: p.act(take_turn(env, observations, p.side), rng) for p in (users, goals)}",
        "    observations, rewards, *_ = env.step(actions)",
        "last = env.measure()  # of the last round",
        'print("normalised regret:", last["regret"].mean() / last["random_regret"].mean())',
        "```",
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
