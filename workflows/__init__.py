"""What is built of agents: reports, batches, inspections, labels, probes, training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.training import TrainingExample, example_of, rows

__all__ = [
    "TrainingExample",
    "example_of",
    "rows",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.training": (
            "TrainingExample",
            "example_of",
            "rows",
        ),
    },
)
