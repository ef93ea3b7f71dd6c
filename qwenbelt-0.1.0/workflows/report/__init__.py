"""The main job: PDFs and a question in, a report with checked citations and figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwenbelt.workflows.report.checking import Check, check_report
    from qwenbelt.workflows.report.job import ReportResult, report

__all__ = ["Check", "ReportResult", "check_report", "report"]

_HOME = {"Check": "checking", "check_report": "checking", "ReportResult": "job", "report": "job"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
