"""The result of parsing any format: pages with text, lines with boxes, tables and notes.

Boxes are `(x0, top, x1, bottom)` in points from the top left of the page as it is displayed.
Offsets count characters of `Page.text`; `end` is exclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in points from the top left of the displayed page."""

    x0: float
    top: float
    x1: float
    bottom: float

    def union(self, other: Box) -> Box:
        """Returns the smallest box that holds both."""
        return Box(
            min(self.x0, other.x0),
            min(self.top, other.top),
            max(self.x1, other.x1),
            max(self.bottom, other.bottom),
        )

    def rounded(self) -> Box:
        """Returns the box to a hundredth of a point."""
        return Box(*(round(v, 2) for v in self))


class PageLine(NamedTuple):
    """A stretch of `Page.text` that is on one line of the page."""

    start: int
    end: int
    box: Box


class Heading(NamedTuple):
    """A section's title, where it starts in the page's text, and its level from 1."""

    start: int
    level: int
    title: str


@dataclass(slots=True)
class Table:
    """A table's cells as text, row by row.

    Attributes:
        page: the page's number, from 1.
        box: where it is, or None in formats without places.
        rows: its cells; every row has the same length.
        caption: the caption or heading that is above or below it, or "".
        ruled: whether rules draw its grid; else its columns were found by alignment.
        start: where its text begins in the page's text.
        end: where it ends.
    """

    page: int
    box: Box | None
    rows: list[list[str]]
    caption: str = ""
    ruled: bool = True
    start: int = 0
    end: int = 0


class PagePicture(NamedTuple):
    """A part of a page that a model is to read.

    Attributes:
        box: where it is; None for the whole page, of which nothing else is kept then.
        png: what it shows.
    """

    box: Box | None
    png: bytes


@dataclass(slots=True)
class Page:
    """One page, or in formats without pages one screenful between headings.

    Attributes:
        number: from 1.
        width: in points; 0 in formats without places.
        height: in points.
        text: in reading order; paragraphs are separated by newlines.
        lines: where the text is, ordered by `start` and by `end`.
        tables: in reading order.
        headings: titles of sections that begin on the page.
        captions: captions of figures.
        notes: what was left out, guessed or hidden on it, one line each (see `notes`).
        label: the page number that is printed or that readers show, where it is another.
        pictures: what a model is to read of it; only while a document is taken in.
    """

    number: int
    width: float = 0.0
    height: float = 0.0
    text: str = ""
    lines: Sequence[PageLine] = ()
    tables: list[Table] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    label: str = ""
    pictures: list[PagePicture] = field(default_factory=list)

    def boxes(self, start: int, end: int) -> list[Box]:
        """Returns the boxes of the lines that hold characters `start` to `end`, cut to size.

        Where a line is only partly covered, its box is cut in proportion to the characters.
        """
        return [box.rounded() for box in self._boxes(start, end)]

    def _boxes(self, start: int, end: int) -> list[Box]:
        found = []
        ends = getattr(self.lines, "ends", None)  # of lines as they are stored
        if ends is not None:
            first = bisect_right(ends, start)
        else:
            first = bisect_right(self.lines, start, key=lambda line: line.end)
        for at in range(first, len(self.lines)):
            line = self.lines[at]
            if line.start >= end:
                break
            if line.end <= line.start:
                continue
            length = line.end - line.start
            width = line.box.x1 - line.box.x0
            left = max(0, start - line.start) / length
            right = min(length, end - line.start) / length
            x0, x1 = line.box.x0 + width * left, line.box.x0 + width * right
            found.append(Box(x0, line.box.top, x1, line.box.bottom))
        return found

    def box(self, start: int, end: int) -> Box | None:
        """Returns the box around characters `start` to `end`, or None without places."""
        boxes = self._boxes(start, end)
        if not boxes:
            return None
        around = boxes[0]
        for other in boxes[1:]:
            around = around.union(other)
        return around.rounded()
