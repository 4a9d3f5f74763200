"""Which subspaces there are in which round: what a schedule of merges and splits means, without any vector.

Parts are what is never divided: the subspaces of the space, the composed ones, and the halves of those that a split
divides. In every phase each part belongs to one subspace, which has the number of its first part: merging 0 and 1
makes 0 of them and leaves no 1. Splitting what was merged restores its parts; splitting anything else divides it in
two, the first half keeping the number and the second taking the next one that was never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The parts P of a world and its phases."""

    composed: tuple[tuple[int, ...], ...]  # parts M, M + 1, ...: the union of which subspaces each is
    halved: tuple[int, ...]  # the parts after those: of which part each is the second half
    starts: tuple[int, ...]  # first round of every phase, 0 first
    subspace: tuple[tuple[int, ...], ...]  # phase -> part -> the number of its subspace

    @property
    def num_parts(self) -> int:
        return len(self.subspace[0])

    @property
    def origin(self) -> tuple[int, ...]:
        """Part -> the subspace of the space whose settings (AiPP) it takes: the first that it is made of."""
        base = self.num_parts - len(self.halved) - len(self.composed)
        result = [*range(base), *(parts[0] for parts in self.composed)]
        for parent in self.halved:
            result.append(result[parent])
        return tuple(result)


@dataclass(frozen=True)
class Step:
    """One change, at the beginning of a round: either several subspaces become one, or one becomes several."""

    round: int
    merge: tuple[int, ...]
    split: int | None


def make_plan(num_subspaces: int, composed: Sequence[Sequence[int]], steps: Sequence[Step], num_rounds: int) -> Plan:
    """The plan of a schedule. Raises `ValueError`, which says why, for one that cannot be."""
    for parts in composed:
        if len(set(parts)) < max(len(parts), 2) or not all(0 <= part < num_subspaces for part in parts):
            raise ValueError(
                f"subspaces.composed: {list(parts)} must name two or more different subspaces of 0..{num_subspaces - 1}"
            )
    state = _State(num_subspaces, len(composed))
    starts, phases = [0], [list(state.of_part)]
    for step in steps:
        if step.round < starts[-1]:
            raise ValueError(f"subspaces.schedule: round {step.round} comes after round {starts[-1]}; put it in order")
        if step.round >= num_rounds:
            raise ValueError(
                f"subspaces.schedule: round {step.round} is never played, the episode has {num_rounds} rounds "
                f"(0..{num_rounds - 1})"
            )
        state.apply(step)
        if step.round > starts[-1]:
            starts.append(step.round)
            phases.append([])
        phases[-1] = list(state.of_part)
    for phase in phases:  # before it was divided, both halves were where their whole was
        missing = state.halved[len(phase) - num_subspaces - len(composed) :]
        for parent in missing:
            phase.append(phase[parent])
    return Plan(
        tuple(tuple(parts) for parts in composed),
        tuple(state.halved),
        tuple(starts),
        tuple(tuple(phase) for phase in phases),
    )


class _State:
    """The subspaces as changes follow one another."""

    def __init__(self, base: int, composed: int) -> None:
        self._base, self._composed = base, composed
        self.of_part = list(range(base + composed))
        self.halved: list[int] = []
        self._merged: dict[int, list[list[tuple[int, list[int]]]]] = {}  # number -> what it was merged of, latest last

    def apply(self, step: Step) -> None:
        for number in (*step.merge, *(() if step.split is None else (step.split,))):
            if number not in self.of_part:
                raise ValueError(
                    f"subspaces.schedule, round {step.round}: there is no subspace {number} then, only "
                    f"{', '.join(map(str, sorted(set(self.of_part))))}"
                )
        if step.split is None:
            self._merge(step)
        else:
            self._split(step.split, step.round)

    def _merge(self, step: Step) -> None:
        if len(set(step.merge)) < max(len(step.merge), 2):
            raise ValueError(
                f"subspaces.schedule, round {step.round}: merge {list(step.merge)} must name two or more different "
                "subspaces"
            )
        first = step.merge[0]
        parts = [(number, [p for p, of in enumerate(self.of_part) if of == number]) for number in step.merge]
        self._merged.setdefault(first, []).append(parts)
        self.of_part = [first if of in step.merge else of for of in self.of_part]

    def _split(self, number: int, when: int) -> None:
        if self._merged.get(number):
            for part_number, parts in self._merged[number].pop():
                for part in parts:
                    self.of_part[part] = part_number
        elif self._base <= number < self._base + self._composed:
            raise ValueError(
                f"subspaces.schedule, round {when}: subspace {number} is composed, and its parts are there beside it: "
                "split one of them"
            )
        else:
            self.halved.append(number)
            self.of_part.append(len(self.of_part))
