"""A person's review of what a vision model found: decisions, agreement figures, review.csv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbelt.core.lazy import lazy

if TYPE_CHECKING:
    from qwenbelt.workflows.reviewing.agreement import Agreement
    from qwenbelt.workflows.reviewing.inspections import InspectionReview
    from qwenbelt.workflows.reviewing.labels import LabelReview
    from qwenbelt.workflows.reviewing.opening import open_review

__all__ = ["Agreement", "InspectionReview", "LabelReview", "open_review"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "qwenbelt.workflows.reviewing.agreement": ("Agreement",),
        "qwenbelt.workflows.reviewing.inspections": ("InspectionReview",),
        "qwenbelt.workflows.reviewing.labels": ("LabelReview",),
        "qwenbelt.workflows.reviewing.opening": ("open_review",),
    },
)
