"""A sealed call on its way through the scheduler."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.background import result_call
from qwenbelt.agents.runtime.execution import Execution
from qwenbelt.agents.runtime.outcome import CallOutcome
from qwenbelt.agents.runtime.resource_queue import Ticket
from qwenbelt.tools.base import ToolContext


@dataclass(slots=True, eq=False)
class ScheduledCall:
    """A sealed call on its way.

    Attributes:
        error: why it cannot run, found when it was sealed.
        needs: what its arguments name as results of earlier calls.
        values: the arguments as read.
        arguments: the same, checked by the tool.
        key: equal for calls that may share one execution; "" for none.
        successor: the job that took its place when the call changed after it was sealed.
        parent: the job whose code made the call, or None.
        written: the call as the model wrote it.
        has_started_other: whether it goes on in the background, as another job.
    """

    call: ToolCall
    sealed: float
    context: ToolContext
    error: Exception | None = None
    tool: Any = None
    needs: list[Any] = field(default_factory=list)
    values: dict[str, Any] | str = ""
    arguments: Any = None
    key: str = ""
    ticket: Ticket | None = None
    task: asyncio.Task[CallOutcome] | None = None
    started: float | None = None
    execution: Execution | None = None
    successor: ScheduledCall | None = None
    parent: ScheduledCall | None = None
    written: ToolCall | None = None
    has_started_other: bool = False

    @property
    def parent_id(self) -> str:
        """The id of the call that made this one from code, or ""."""
        return self.parent.call.id if self.parent is not None else ""


def moved_behind(job: ScheduledCall) -> ScheduledCall:
    """Returns the job that goes on in the background, with the place of the one that began."""
    inner = replace(job, call=result_call(job.call), parent=job, task=None, needs=[])
    job.ticket, job.has_started_other = None, True
    return inner
