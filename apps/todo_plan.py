"""The plan that a model keeps by the tool `todo_list`, as the faces show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qwenbelt.apps.timeline import CallTiming

PLAN_TOOL = "todo_list"
_LINE = re.compile(r"^- \[([ ~x])\] (.*)$")
_STATES: dict[str, Literal["open", "doing", "done"]] = {" ": "open", "~": "doing", "x": "done"}


@dataclass(frozen=True)
class PlanStep:
    """One step of a plan."""

    text: str
    state: Literal["open", "doing", "done"]


def plan_of(call: CallTiming) -> list[PlanStep]:
    """Returns the plan that a finished call wrote down; a subagent's own is none of the run's."""
    if call.name != PLAN_TOOL or call.state != "done" or call.parent:
        return []
    found = (_LINE.match(line) for line in call.result.splitlines())
    return [PlanStep(match[2], _STATES[match[1]]) for match in found if match]


def done_of(steps: Sequence[PlanStep]) -> str:
    """Returns how many steps are done, as `2/5`."""
    return f"{sum(step.state == 'done' for step in steps)}/{len(steps)}"
