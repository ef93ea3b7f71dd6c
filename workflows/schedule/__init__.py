"""Commands that run by the clock, as durable workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.schedule.book import ScheduleBook, Scheduled
    from qwenbelt.workflows.schedule.runner import ScheduleRunner

__all__ = ["ScheduleBook", "ScheduleRunner", "Scheduled"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.schedule.book": ("ScheduleBook", "Scheduled"),
        "qwenbelt.workflows.schedule.runner": ("ScheduleRunner",),
    },
)
