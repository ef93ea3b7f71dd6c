"""Reading order: columns, rows and paragraphs.

A gutter counts as one between columns of prose only when both sides hold real lines of text;
the columns of a table are short, so tables are read row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.fragments import Fragment

MIN_COLUMN_LINES = 4
MIN_COLUMN_CHARACTERS = 18  # the median line of a column of prose
_SINGLE_COLUMN_SHARE = 0.62  # of the region's width; wider fragments span columns
_MAX_DEPTH = 4


@dataclass(slots=True)
class Row:
    """Fragments on one baseline, from left to right, and the column that they stand in."""

    fragments: list[Fragment]
    left: float = 0.0
    right: float = 0.0
    column: int = 0
    top: float = field(init=False)
    bottom: float = field(init=False)
    height: float = field(init=False)

    def __post_init__(self) -> None:
        self.top = min(f.top for f in self.fragments)
        self.bottom = max(f.bottom for f in self.fragments)
        self.height = max(f.bottom - f.top for f in self.fragments)

    @property
    def x0(self) -> float:
        """Left edge in points."""
        return self.fragments[0].x0

    @property
    def x1(self) -> float:
        """Right edge in points."""
        return max(f.x1 for f in self.fragments)

    @property
    def text(self) -> str:
        """The fragments' text, separated by two spaces where the gap is wide."""
        return "  ".join(f.text for f in self.fragments)

    @property
    def box(self) -> Box:
        """The box around all fragments."""
        return Box(self.x0, self.top, self.x1, self.bottom)


def reading_rows(fragments: list[Fragment]) -> list[Row]:
    """Returns the rows of a page in reading order."""
    rows: list[Row] = []
    for number, region in enumerate(_regions(fragments, 0)):
        left = min(f.x0 for f in region)
        right = max(f.x1 for f in region)
        for members in _rows(region):
            rows.append(Row(members, left, right, number))
    return rows


def _regions(fragments: list[Fragment], depth: int) -> Iterator[list[Fragment]]:
    """Cuts a region into columns where it has them, in reading order."""
    if not fragments:
        return
    gutter = _gutter(fragments) if depth < _MAX_DEPTH and len(fragments) >= 8 else None
    if gutter is None:
        yield fragments
        return
    spanning = [f for f in fragments if f.x0 < gutter[0] - 1 and f.x1 > gutter[1] + 1]
    rest = [f for f in fragments if not (f.x0 < gutter[0] - 1 and f.x1 > gutter[1] + 1)]
    middle = (gutter[0] + gutter[1]) / 2
    for band, spanned in _bands(spanning, rest):
        left = [f for f in band if (f.x0 + f.x1) / 2 <= middle]
        right = [f for f in band if (f.x0 + f.x1) / 2 > middle]
        yield from _regions(left, depth + 1)
        yield from _regions(right, depth + 1)
        if spanned:
            yield spanned


def _bands(
    spanning: list[Fragment], rest: list[Fragment]
) -> Iterator[tuple[list[Fragment], list[Fragment]]]:
    """Yields what stands in columns above each stretch of spanning lines, and those lines."""
    waiting = sorted(rest, key=lambda f: f.middle)
    group: list[Fragment] = []
    for fragment in sorted(spanning, key=lambda f: f.middle):
        above = [f for f in waiting if f.middle < fragment.middle]
        if above and group:
            yield [], group
            group = []
        if above:
            waiting = [f for f in waiting if f.middle >= fragment.middle]
            yield above, []
        group.append(fragment)
    if group:
        yield [], group
    if waiting:
        yield waiting, []


def _gutter(fragments: list[Fragment]) -> tuple[float, float] | None:
    """Returns the edges of the gutter between two columns of prose, or None."""
    left, right = min(f.x0 for f in fragments), max(f.x1 for f in fragments)
    width = right - left
    if width < 150:
        return None
    narrow = [f for f in fragments if f.x1 - f.x0 <= _SINGLE_COLUMN_SHARE * width]
    if len(narrow) < 2 * MIN_COLUMN_LINES:
        return None
    covered = np.zeros(int(width) + 2)
    for f in narrow:
        covered[int(f.x0 - left) : int(np.ceil(f.x1 - left))] += f.height
    for start, end in _free_strips(covered, sum(f.height for f in narrow)):
        edges = (left + start, left + end)
        if _is_prose_both_sides(narrow, edges):
            return edges
    return None


def _free_strips(covered: np.ndarray, total: float) -> list[tuple[int, int]]:
    """Returns nearly empty vertical strips in the middle of a region, widest first."""
    size = len(covered)
    free = covered <= 0.01 * total
    free[: int(size * 0.15)] = False
    free[int(size * 0.85) :] = False
    edges = np.flatnonzero(np.diff(np.r_[0, free.astype(np.int8), 0]))
    strips = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 5]
    return sorted(strips, key=lambda s: s[0] - s[1])[:4]


def _is_prose_both_sides(fragments: list[Fragment], edges: tuple[float, float]) -> bool:
    middle = (edges[0] + edges[1]) / 2
    left = [f for f in fragments if (f.x0 + f.x1) / 2 <= middle]
    right = [f for f in fragments if (f.x0 + f.x1) / 2 > middle]
    return _is_prose(left) and _is_prose(right)


def _is_prose(side: list[Fragment]) -> bool:
    if len(side) < MIN_COLUMN_LINES:
        return False
    width = max(f.x1 for f in side) - min(f.x0 for f in side)
    long = sum(1 for f in side if f.x1 - f.x0 >= 0.55 * width)
    return median(_measure(f.text) for f in side) >= MIN_COLUMN_CHARACTERS and long >= 0.5 * len(
        side
    )


def _measure(text: str) -> int:
    """Returns the length of a text in Latin letters; a Chinese character counts as two."""
    return sum(2 if c >= "\u2e80" else 1 for c in text)


def _rows(fragments: Iterable[Fragment]) -> list[list[Fragment]]:
    """Groups fragments by baseline, from the top."""
    rows: list[list[Fragment]] = []
    centre = height = 0.0
    for fragment in sorted(fragments, key=lambda f: f.middle):
        reach = 0.5 * min(height, fragment.height) if rows else -1.0
        if rows and fragment.middle - centre <= max(reach, 1.0):
            rows[-1].append(fragment)
            centre += (fragment.middle - centre) / len(rows[-1])
        else:
            rows.append([fragment])
            centre, height = fragment.middle, fragment.height
    for row in rows:
        row.sort(key=lambda f: (f.x0, f.order))
    return rows


def joins_next(row: Row, following: Row) -> bool:
    """Says whether the next row goes on with the same paragraph."""
    if row.column != following.column or len(row.fragments) > 1 or len(following.fragments) > 1:
        return False
    first, second = row.fragments[0], following.fragments[0]
    if first.hyphen:
        return True
    gap = following.top - row.bottom
    size = max(row.height, following.height)
    if gap > 0.6 * size or abs(row.height - following.height) > 0.2 * size:
        return False
    reaches = row.right - first.x1 <= max(0.12 * (row.right - row.left), 2 * size)
    starts = second.x0 - row.left <= 0.12 * (row.right - row.left) + size
    return reaches and starts and not _starts_item(second.text)


def _starts_item(text: str) -> bool:
    start = text[:3]
    return start[:1] in "•●▪■–—*·◦‣►(（第" or (start[:1].isdigit() and start[1:2] in ".)、．")
