"""Reading order: columns (see `columns`), rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from qwenbelt.tools.documents.model import Box
from qwenbelt.tools.documents.parsing.pdf.columns import blocks, find_gutter, side
from qwenbelt.tools.documents.parsing.pdf.fragments import Fragment
from qwenbelt.tools.documents.parsing.pdf.written_order import (
    in_written_order,
    is_consistent,
    is_tabular,
    written_lines,
)

_MAX_DEPTH = 12
_TURNS = 4  # between two regions that were written together
_LINES_IN_TURN = 1.4  # at the least, by average


@dataclass(slots=True)
class Row:
    """Fragments on one baseline, from left to right, and the column that they are in."""

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
    regions = list(_regions(fragments, 0))
    if len(regions) > 1 and is_consistent(fragments):
        regions.sort(key=lambda region: median(f.order for f in region))
        regions = _with_panels_joined(regions)
    for number, region in enumerate(regions):
        left = min(f.x0 for f in region)
        right = max(f.x1 for f in region)
        for members in _region_rows(region):
            rows.append(Row(members, left, right, number))
    return rows


def _with_panels_joined(regions: list[list[Fragment]]) -> list[list[Fragment]]:
    """Joins regions that the producer wrote in turns, some lines of each at a time.

    Panels of slides and rows of a table with cells of several lines are written so; columns that
    are written row by row are not, and stay apart.
    """
    joined: list[list[Fragment]] = []
    for region in regions:
        both = [*joined[-1], *region] if joined else region
        if joined and _is_in_turns(joined[-1], region):
            joined[-1] = both
        else:
            joined.append(region)
    return joined


def _is_in_turns(one: list[Fragment], other: list[Fragment]) -> bool:
    sides = {f.place: 0 for f in one} | {f.place: 1 for f in other}
    lines = [sides[line[0].place] for line in written_lines([*one, *other])]
    turns = 1 + sum(a != b for a, b in pairwise(lines))
    return turns >= _TURNS and len(lines) >= _LINES_IN_TURN * turns


def _region_rows(region: list[Fragment]) -> list[list[Fragment]]:
    rows = _rows(region)
    if _is_written_down(rows) or is_tabular(rows):
        return rows
    written = in_written_order(region)
    if written is None:
        return rows
    for line in written:
        line.sort(key=lambda f: (f.x0, f.order))
    return written


def _is_written_down(rows: list[list[Fragment]]) -> bool:
    """Returns whether the producer wrote row after row, as it does most pages."""
    last = -1
    for row in rows:
        orders = [f.order for f in row]
        if min(orders) < last:
            return False
        last = max(orders)
    return True


def _regions(fragments: list[Fragment], depth: int) -> Iterator[list[Fragment]]:
    """Cuts a region into columns where it has them, in reading order."""
    if not fragments:
        return
    rows = _rows(fragments)
    gutter = find_gutter(rows) if depth < _MAX_DEPTH else None
    if gutter is None:
        yield fragments
        return
    yield from _regions([f for row in rows[: gutter.first] for f in row], depth + 1)
    band = [f for row in rows[gutter.first : gutter.last + 1] for f in row]
    spanning = [f for f in band if side(f, gutter) == 0]
    for part, spanned in _bands(spanning, [f for f in band if side(f, gutter)]):
        for block in blocks(part, gutter):
            yield from _regions([f for f in block if side(f, gutter) < 0], depth + 1)
            yield from _regions([f for f in block if side(f, gutter) > 0], depth + 1)
        if spanned:
            yield spanned
    yield from _regions([f for row in rows[gutter.last + 1 :] for f in row], depth + 1)


def _bands(
    spanning: list[Fragment], rest: list[Fragment]
) -> Iterator[tuple[list[Fragment], list[Fragment]]]:
    """Yields what is in columns above each stretch of spanning lines, and those lines."""
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
    """Returns whether the next row continues the paragraph."""
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
