"""The main job: PDFs and a question in, a report with checked citations and figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.report.checking import Check, ReportCheck, check_report
    from qwenbelt.workflows.report.job import ReportResult, report

__all__ = ["Check", "ReportCheck", "ReportResult", "check_report", "report"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.report.checking": (
            "Check",
            "ReportCheck",
            "check_report",
        ),
        "qwenbelt.workflows.report.job": (
            "ReportResult",
            "report",
        ),
    },
)
