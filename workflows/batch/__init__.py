"""Many runs as durable workflows: killed and started again, they resume where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.batch.job import BatchProgress, batch
    from qwenbelt.workflows.batch.tasks import TaskOptions

__all__ = [
    "BatchProgress",
    "TaskOptions",
    "batch",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.batch.job": (
            "BatchProgress",
            "batch",
        ),
        "qwenbelt.workflows.batch.tasks": ("TaskOptions",),
    },
)
