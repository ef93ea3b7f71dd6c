"""Labels for pictures: votes, agreement, a review sheet, training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.labelling.asking import Labeller
    from qwenbelt.workflows.labelling.export import write_all
    from qwenbelt.workflows.labelling.job import LabellingJob
    from qwenbelt.workflows.labelling.labels import Labels

__all__ = [
    "Labeller",
    "LabellingJob",
    "Labels",
    "write_all",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.labelling.asking": ("Labeller",),
        "qwenbelt.workflows.labelling.export": ("write_all",),
        "qwenbelt.workflows.labelling.job": ("LabellingJob",),
        "qwenbelt.workflows.labelling.labels": ("Labels",),
    },
)
