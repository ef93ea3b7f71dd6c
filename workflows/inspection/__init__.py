"""Safety inspection of pictures and videos by a vision model: marked copies and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.inspection.asking import Inspector
    from qwenbelt.workflows.inspection.job import InspectionJob
    from qwenbelt.workflows.inspection.report import write_pdf
    from qwenbelt.workflows.inspection.rules import load_rules
    from qwenbelt.workflows.inspection.sources import find_sources

__all__ = [
    "InspectionJob",
    "Inspector",
    "find_sources",
    "load_rules",
    "write_pdf",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.inspection.asking": ("Inspector",),
        "qwenbelt.workflows.inspection.job": ("InspectionJob",),
        "qwenbelt.workflows.inspection.report": ("write_pdf",),
        "qwenbelt.workflows.inspection.rules": ("load_rules",),
        "qwenbelt.workflows.inspection.sources": ("find_sources",),
    },
)
