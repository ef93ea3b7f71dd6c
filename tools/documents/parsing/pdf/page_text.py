"""Fragments, rows and grids become a page's text, with the place of every line."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qwenbelt.tools.documents.model import Box, Page, PageLine, Table
from qwenbelt.tools.documents.parsing.pdf.fragments import TOUCHING, Fragment
from qwenbelt.tools.documents.parsing.pdf.pdfium import Floats
from qwenbelt.tools.documents.parsing.pdf.reading_order import Row, joins_next, reading_rows
from qwenbelt.tools.documents.parsing.pdf.ruled_tables import JOIN, Grid, grid_box

MAX_CELL_CHARACTERS = 1500
_CJK_END = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]$")
_CJK_START = re.compile(r"^[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


class PageText:
    """The text of a page as it grows, and where each piece of it is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.lines: list[PageLine] = []
        self.length = 0

    def add(self, text: str, box: Box | None = None) -> None:
        """Appends text; with a box it is a line of the page."""
        if box is not None and text:
            self.lines.append(PageLine(self.length, self.length + len(text), box))
        self.parts.append(text)
        self.length += len(text)

    def drop_hyphen(self) -> None:
        """Takes back the hyphen that was appended last."""
        self.parts[-1] = self.parts[-1][:-1]
        self.length -= 1
        last = self.lines[-1]
        self.lines[-1] = PageLine(last.start, last.end - 1, last.box)

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self.parts)


class Written(NamedTuple):
    """A row and where its text is in the page's text; `opens` when it begins a paragraph."""

    row: Row
    start: int
    end: int
    opens: bool


def compose(page: Page, fragments: list[Fragment], grids: list[Grid]) -> list[Written]:
    """Fills a page's text, lines and ruled tables; returns the rows outside ruled tables."""
    tables = []
    for grid, cells, left in _filled(grids, fragments):
        fragments = left
        if cells is not None:
            tables.append((grid_box(grid), grid, cells))
    rows = reading_rows(fragments)
    target = PageText()
    written = _write(target, page, rows, tables)
    page.text, page.lines = target.text, target.lines
    return written


Cells = list[list[list[Fragment]]]


def table_cells(grids: Sequence[Grid], fragments: list[Fragment]) -> list[Box]:
    """Returns the cells of those grids that are tables, for cutting fragments at their rules."""
    return [
        cell
        for grid, filled, _ in _filled(grids, fragments)
        if filled is not None
        for row in grid
        for cell in row
        if cell is not None
    ]


def _filled(
    grids: Sequence[Grid], fragments: list[Fragment]
) -> Iterator[tuple[Grid, Cells | None, list[Fragment]]]:
    """Yields each grid with its filled cells, or None, and the fragments that are then left."""
    if not grids:
        return
    outer = np.array([grid_box(grid) for grid in grids])
    x = np.array([(f.x0 + f.x1) / 2 for f in fragments])
    y = np.array([f.middle for f in fragments])
    heights = np.array([f.height for f in fragments])
    held = (x >= outer[:, :1]) & (x < outer[:, 2:3]) & (y >= outer[:, 1:2]) & (y < outer[:, 3:])
    shared = held.sum(0)
    left = np.ones(len(fragments), bool)
    for number, grid in enumerate(grids):
        inside = held[number] & left
        cells, placed = _fill(grid, [(n, fragments[n]) for n in np.flatnonzero(inside).tolist()])
        if cells is not None:
            without = left.copy()
            without[placed] = False
            beside = np.sort(y[without & (shared == held[number])])
            if _is_shading(y[inside], heights[inside], beside):
                cells = None
            else:
                left = without
        yield grid, cells, [fragments[n] for n in np.flatnonzero(left).tolist()]


def _fill(grid: Grid, inside: list[tuple[int, Fragment]]) -> tuple[Cells | None, list[int]]:
    """Puts numbered fragments into the cells of a grid; returns which of them have a place.

    Returns None for cells when the grid is no table: fewer than two rows or columns hold text, or
    one cell holds most of a page.
    """
    cells: Cells = [[[] for _ in row] for row in grid]
    placed: list[int] = []
    tops = [min(c.top for c in row if c is not None) for row in grid]
    for number, fragment in inside:
        place = _cell_of(grid, tops, fragment)
        if place is not None:
            cells[place[0]][place[1]].append(fragment)
            placed.append(number)
    rows = sum(1 for row in cells if any(row))
    columns = sum(1 for column in zip(*cells, strict=True) if any(column))
    longest = max(sum(len(f.text) for f in cell) for row in cells for cell in row)
    if rows < 2 or columns < 2 or longest > MAX_CELL_CHARACTERS:
        return None, placed
    return cells, placed


def _is_shading(inside: Floats, heights: Floats, outside: Floats) -> bool:
    """Returns whether a grid covers only part of each row, like the shaded column of a statement.

    Args:
        inside: where the lines in the grid are, by their middle.
        heights: their heights.
        outside: where the lines beside it are, from the top.
    """
    if not len(outside):
        return False
    reach = 0.12 * heights
    low = np.searchsorted(outside, inside - reach)
    shared = np.r_[outside, np.inf][low] <= inside + reach
    return bool(shared.sum() >= 0.6 * len(inside))


def _holds(box: Box, fragment: Fragment) -> bool:
    x = (fragment.x0 + fragment.x1) / 2
    return box.x0 <= x < box.x1 and box.top <= fragment.middle < box.bottom


def _cell_of(grid: Grid, tops: list[float], fragment: Fragment) -> tuple[int, int] | None:
    for number in range(bisect_right(tops, fragment.middle) - 1, -1, -1):
        for column, cell in enumerate(grid[number]):
            if cell is not None and _holds(cell, fragment):
                return number, column
    return None


def _write(
    target: PageText, page: Page, rows: list[Row], tables: list[tuple[Box, Grid, Cells]]
) -> list[Written]:
    """Writes rows and tables in reading order."""
    waiting = sorted(tables, key=lambda t: t[0].top)
    written: list[Written] = []
    opens = True
    for number, row in enumerate(rows):
        while waiting and _comes_before(waiting[0][0], row):
            _write_table(target, page, *waiting.pop(0))
        following = rows[number + 1] if number + 1 < len(rows) else None
        start = target.length
        _write_row(target, row)
        written.append(Written(row, start, target.length, opens))
        if following is None or any(_comes_before(t[0], following) for t in waiting):
            target.add("\n")
            opens = True
        else:
            opens = _write_joint(target, row, following)
    for table in waiting:
        _write_table(target, page, *table)
    return written


def _comes_before(box: Box, row: Row) -> bool:
    return box.top < row.top and box.x0 < row.right and box.x1 > row.left


def _write_row(target: PageText, row: Row) -> None:
    previous: Fragment | None = None
    for fragment in in_line(row.fragments):
        if previous is not None:
            gap = max(fragment.x0 - previous.x1, previous.x0 - fragment.x1)
            target.add("  " if gap > row.height else " ")
        target.add(fragment.text, Box(fragment.x0, fragment.top, fragment.x1, fragment.bottom))
        previous = fragment


def in_line(fragments: list[Fragment]) -> list[Fragment]:
    """Returns the fragments of a row as they are read: Hebrew and Arabic from the right.

    Numbers and Latin words between them keep their place in such a line; each is read as it is.
    """
    if len(fragments) < 2:
        return fragments
    letters = [c for f in fragments for c in f.text if c.isalpha()]
    if 2 * sum(map(_is_leftward, letters)) <= len(letters):
        return fragments
    found: list[Fragment] = []
    for fragment in reversed(fragments):  # from the right
        if found and _is_joined(fragment, found[-1]):
            found[-1] = _one(fragment, found[-1])
        else:
            found.append(fragment)
    return found


_ENDS = (".", ",", ":", ";", "!", "?")  # of a sentence; what is read last is on the left


def _is_leftward(character: str) -> bool:
    return "\u0590" <= character <= "\u08ff" or "\ufb1d" <= character <= "\ufefc"


def _is_joined(left: Fragment, right: Fragment) -> bool:
    """Returns whether fragments of a leftward line touch, as the parts of "ABC-12" do."""
    if right.x0 - left.x1 > TOUCHING * right.height:
        return False
    if not any(c.isalnum() for c in left.text) and left.text not in _ENDS:
        return False
    return not any(map(_is_leftward, left.text)) and not any(map(_is_leftward, right.text))


def _one(left: Fragment, right: Fragment) -> Fragment:
    """Joins two that touch: a code of letters and digits is read from the left."""
    text = right.text + left.text if left.text in _ENDS else left.text + right.text
    return replace(left, text=text, x1=right.x1, order=right.order, place=right.place)


def _write_joint(target: PageText, row: Row, following: Row) -> bool:
    """Joins a row to the next; returns whether the next one begins a paragraph."""
    if not joins_next(row, following):
        target.add("\n")
        return True
    first, second = row.fragments[0], following.fragments[0]
    if first.hyphen:
        if first.text[-2:-1].islower() and second.text[:1].islower():
            target.drop_hyphen()
    elif first.spaced or not (_CJK_END.search(first.text) and _CJK_START.search(second.text)):
        target.add(" ")
    return False


def _write_table(target: PageText, page: Page, box: Box, grid: Grid, cells: Cells) -> None:
    """Writes the cells; in the table's rows a cell that covers several places fills them all."""
    start = target.length
    values: list[list[str]] = []
    for row in cells:
        values.append([_write_cell(target, cell, first=not n) for n, cell in enumerate(row)])
        target.add("\n")
    end = max(start, target.length - 1)
    columns = [n for n, column in enumerate(zip(*values, strict=True)) if any(column)]
    kept = [n for n, row in enumerate(values) if any(row)]
    for down, across, origin in _covered(grid):
        values[down][across] = values[origin[0]][origin[1]]
    rows = [[values[n][column] for column in columns] for n in kept]
    page.tables.append(Table(page.number, box.rounded(), rows, start=start, end=end))


def _covered(grid: Grid) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yields the places without a cell of their own, and the place of the cell that covers them."""
    tops = [min(c.top for c in row if c is not None) for row in grid]
    lefts = [min(c.x0 for c in column if c is not None) for column in zip(*grid, strict=True)]
    for row, places in enumerate(grid):
        for column, place in enumerate(places):
            if place is None:
                continue
            down = bisect_right(tops, place.bottom - JOIN) - row
            across = bisect_right(lefts, place.x1 - JOIN) - column
            for r in range(row, row + down):
                for c in range(column, column + across):
                    if grid[r][c] is None:
                        yield r, c, (row, column)


def _write_cell(target: PageText, fragments: list[Fragment], *, first: bool) -> str:
    if not fragments:
        return ""
    lines = reading_rows(fragments)
    if not first:
        target.add("  ")
    for number, line in enumerate(lines):
        if number:
            target.add(" ")
        _write_row(target, line)
    return "\n".join(line.text for line in lines)
