"""The model of a report, before it is written as Markdown, PDF and JSON."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.language import Language
from qwenbelt.tools.documents.disagreement import Disagreement
from qwenbelt.tools.documents.grounding import GroundingCheck
from qwenbelt.workflows.report.prose import Node
from qwenbelt.workflows.report.strings import say

PageBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class ReportCitation:
    """A numbered reference to words on a page.

    Attributes:
        n: its number in the report, from 1.
        file: the document's name.
        page: from 1.
        quote: the words.
        box: where they are, in points from the page's top left, or None.
        verified: whether they were found on that page.
        label: the page's printed label, where it is another than its number.
        lines: the box of each line of the words, for marking them.
        crop: a picture of the passage, as a path inside the report's folder, or "".
        crop_box: what the picture shows of the page, as `box`.
    """

    n: int
    file: str
    page: int
    quote: str
    box: PageBox | None = None
    verified: bool = True
    label: str = ""
    lines: tuple[PageBox, ...] = ()
    crop: str = ""
    crop_box: PageBox | None = None

    def place(self, language: Language) -> str:
        """Returns "p. 3", or "p. iii (sheet 3)" where another label is printed there."""
        key = "labelled_page" if self.label else "page"
        return say(key, language, page=self.page, label=self.label)

    def to_dict(self) -> dict[str, Any]:
        """Returns the entry of `citations.json`."""
        return {
            "n": self.n,
            "file": self.file,
            "page": self.page,
            "quote": self.quote,
            "box": list(self.box) if self.box is not None else None,
            "verified": self.verified,
            "label": self.label or None,
            "crop": self.crop or None,
            "crop_box": list(self.crop_box) if self.crop_box is not None else None,
        }


@dataclass(frozen=True)
class ReportStep:
    """One tool call of the run; times are seconds from the run's beginning."""

    name: str
    arguments: str
    started: float
    finished: float
    ok: bool


@dataclass(frozen=True)
class SourceFile:
    """A document that the report is about."""

    name: str
    path: Path
    pages: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportProvenance:
    """How a report was made.

    Attributes:
        model: the model's name, or None for an extractive report.
        agent: "fncall" or "react", or "" without a model.
        scripted: whether the model's replies were written in advance.
        model_calls: requests to the model.
        side_by_side: the most tool calls that ran at the same time.
        seconds: how long the run took.
    """

    model: str | None = None
    agent: str = ""
    scripted: bool = False
    model_calls: int = 0
    side_by_side: int = 0
    seconds: float = 0.0


@dataclass
class ReportDocument:
    """A report: prose with numbered citations and figures, and how it was made.

    Attributes:
        question: what was asked.
        language: of the headings and labels.
        blocks: the body, as `prose` reads it; figures have `path` inside the report's folder.
        citations: the sources behind the numbers in the body, ascending.
        files: the documents.
        steps: the tool calls, in the order in which they began.
        made: how the report was made.
        notes: what a reader should know, one line each.
        title: the heading; the question when empty.
        grounded: whether what the model wrote is on the pages that it cites; without it, the
            blocks are passages of the documents and not what the model wrote.
        checks: what became of each claim of the model.
        disagreements: figures that the documents state differently, found by comparing them.
        differing: a sentence on each of these, as inline nodes.
    """

    question: str
    language: Language
    blocks: list[Node]
    citations: list[ReportCitation]
    files: list[SourceFile]
    steps: list[ReportStep] = field(default_factory=list)
    made: ReportProvenance = field(default_factory=ReportProvenance)
    notes: list[str] = field(default_factory=list)
    title: str = ""
    grounded: bool = True
    checks: list[GroundingCheck] = field(default_factory=list)
    disagreements: tuple[Disagreement, ...] = ()
    differing: list[list[Node]] = field(default_factory=list)
    date: datetime.date = field(default_factory=datetime.date.today)

    @property
    def figures(self) -> list[Node]:
        """The figure blocks of the body, in reading order."""
        return [block for block in self.blocks if block["kind"] == "figure"]
