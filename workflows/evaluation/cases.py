"""Sets of cases: how each case is asked, and how a record of an attempt is graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

EvalRecord = dict[str, Any]  # what an attempt left: answer, calls, tokens; see `attempts`


@dataclass(frozen=True, slots=True)
class EvalCase:
    """One case of a set.

    Attributes:
        id: names it.
        ask: what is run, ready for JSON; a change of it is a new attempt.
        expect: what grading needs; the model never sees it.
        files: absolute paths of the conversation's files.
        group: the category that it is reported under, or "".
    """

    id: str
    ask: Mapping[str, Any]
    expect: Mapping[str, Any]
    files: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class EvalGrade:
    """Whether an attempt passed, and why not."""

    passed: bool
    detail: str = ""


class EvalSet(Protocol):
    """A benchmark, or a set of one's own.

    Attributes:
        name: as it is called.
        source: where its data and its scorer come from.
        tools: names of the tools that its questions need, unless the case names others.
    """

    name: str
    source: str
    tools: tuple[str, ...]

    def cases(self) -> Sequence[EvalCase]:
        """Returns the cases, those of all groups mixed evenly."""
        ...

    def grade(self, case: EvalCase, record: EvalRecord) -> EvalGrade:
        """Returns whether a record passes; a record without anything in it never does."""
        ...

    def oracle(self, case: EvalCase) -> EvalRecord | None:
        """Returns a record that must pass, or None where it cannot be made from what is known."""
        ...

    def adversarial(self, case: EvalCase) -> EvalRecord:
        """Returns a record that only tries to please the grader, and must not pass."""
        ...


def answer_record(text: str) -> EvalRecord:
    """Returns the record of an attempt that only answered."""
    return {"answer": text, "calls": []}


def in_even_order(cases: Sequence[EvalCase]) -> list[EvalCase]:
    """Orders cases so that any first part of them has all groups alike."""
    groups: dict[str, list[EvalCase]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    # whole rounds: the first of each group, then the second of each ...
    rounds = [
        (place, number, case)
        for number, members in enumerate(groups.values())
        for place, case in enumerate(members)
    ]
    return [case for _, _, case in sorted(rounds, key=lambda entry: entry[:2])]


__all__ = [
    "EvalCase",
    "EvalGrade",
    "EvalRecord",
    "EvalSet",
    "answer_record",
    "in_even_order",
]
