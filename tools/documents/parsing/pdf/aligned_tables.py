"""Tables without rules: rows whose numbers are in columns, as in financial statements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qwenbelt.tools.documents.model import Box, Page, Table
from qwenbelt.tools.documents.parsing.cells import Cell, cells_of
from qwenbelt.tools.documents.parsing.pdf.page_text import Written

MIN_DATA_ROWS = 3
MAX_GAP = 2.6  # of a row's height; a wider gap ends a table
MAX_LABEL = 110  # characters of a row that only names what follows
MAX_HEADER_ROWS = 5
_LEADER = re.compile(r"\.{4,}|(?:\. ){4,}|…{2,}|·{4,}")
_CONTENTS = re.compile(r"^\s*(?:table of )?contents|^\s*目\s*[录錄次]|^\s*index\s*$", re.I | re.M)


@dataclass(slots=True)
class _Candidate:
    """A written row, seen as cells."""

    written: Written
    cells: list[Cell]

    @property
    def is_data(self) -> bool:
        numbers = sum(c.is_number for c in self.cells)
        return len(self.cells) >= 2 and numbers >= 1 and any(c.is_number for c in self.cells[1:])

    @property
    def is_label(self) -> bool:
        return len(self.cells) <= 2 and sum(len(c.text) for c in self.cells) <= MAX_LABEL


def aligned_tables(page: Page, written: Sequence[Written]) -> list[Table]:
    """Returns tables of aligned numbers among the rows that ruled tables left."""
    if sum(len(w.row.fragments) > 1 for w in written) < MIN_DATA_ROWS:
        return []
    candidates = [_Candidate(w, cells_of(w.row.fragments)) for w in written]
    tables: list[Table] = []
    for first, last in _blocks(candidates):
        top = _with_header(candidates, first, tables[-1].end if tables else -1)
        table = _table(page, candidates, top, last)
        if table is not None and not _is_contents(page, table):
            tables.append(table)
    return tables


def _blocks(candidates: list[_Candidate]) -> Iterator[tuple[int, int]]:
    """Yields first and last row of each stretch that is dense with rows of numbers."""
    first = last = -1
    data = pending = 0
    for number, row in enumerate(candidates):
        if first >= 0 and (pending > 3 or not _follows(candidates[number - 1], row)):
            if data >= MIN_DATA_ROWS:
                yield first, last
            first, data = -1, 0
        if row.is_data:
            first = number if first < 0 else first
            last, data, pending = number, data + 1, 0
        elif first >= 0:
            pending += 1 if row.is_label else 9
    if first >= 0 and data >= MIN_DATA_ROWS:
        yield first, last


def _follows(above: _Candidate, below: _Candidate) -> bool:
    one, two = above.written.row, below.written.row
    height = max(one.height, two.height)
    return one.column == two.column and -height < two.top - one.bottom < MAX_GAP * height


def _with_header(candidates: list[_Candidate], first: int, floor: int) -> int:
    """Returns the first row of the header that is above a block."""
    left = min(c.x0 for c in candidates[first].cells)
    numbers = [c.x0 for c in candidates[first].cells[1:]]
    edge = min(numbers) if numbers else left
    top = first
    while top > 0 and first - top < MAX_HEADER_ROWS:
        row = candidates[top - 1]
        if row.written.start < floor or not _follows(row, candidates[top]):
            break
        rightmost = max(c.x1 for c in row.cells)
        is_header = rightmost > edge and (len(row.cells) > 1 or row.cells[0].x0 > left + 40)
        if not is_header or any(len(c.text) > 60 for c in row.cells[1:]):
            break
        top -= 1
    return top


def _table(page: Page, candidates: list[_Candidate], first: int, last: int) -> Table | None:
    rows = candidates[first : last + 1]
    columns = _columns(rows)
    if not columns:
        return None
    values = [_place(row.cells, columns) for row in rows]
    used = [0, *(n for n in range(1, len(columns) + 1) if any(v[n] for v in values))]
    if len(used) < 2:
        return None
    box = rows[0].written.row.box
    for row in rows[1:]:
        box = box.union(row.written.row.box)
    return Table(
        page.number,
        Box(*box).rounded(),
        [[value[n] for n in used] for value in values],
        caption=_caption(candidates, first),
        ruled=False,
        start=rows[0].written.start,
        end=rows[-1].written.end,
    )


def _columns(rows: list[_Candidate]) -> list[tuple[float, float]]:
    """Returns the edges of the columns right of the labels, from the numbers' places."""
    spans = sorted(
        (c.x0, c.x1) for r in rows if r.is_data for c in r.cells if c.is_number and c.text
    )
    columns: list[tuple[float, float]] = []
    for x0, x1 in spans:
        if columns and x0 < columns[-1][1] - 1:
            columns[-1] = (columns[-1][0], max(columns[-1][1], x1))
        else:
            columns.append((x0, x1))
    left = min(c.x0 for r in rows for c in r.cells)
    labels = any(not r.cells[0].is_number and r.is_data for r in rows)
    return columns if not labels else [c for c in columns if c[0] > left + 5]


def _place(cells: list[Cell], columns: list[tuple[float, float]]) -> list[str]:
    """Puts cells into columns; column 0 holds the labels."""
    values = [""] * (len(columns) + 1)
    for cell in cells:
        middle = (cell.x0 + cell.x1) / 2
        shares = [min(cell.x1, x1) - max(cell.x0, x0) for x0, x1 in columns]
        if not cell.is_number and cell.x1 > columns[0][0] > cell.x0 and middle < columns[0][0]:
            place = 0  # a long label that reaches into the first column
        elif max(shares) > 0:
            place = next(n for n, share in enumerate(shares) if share > 0) + 1
        elif middle < columns[0][0]:
            place = 0
        else:
            nearest = min(columns, key=lambda c: abs((c[0] + c[1]) / 2 - middle))
            place = columns.index(nearest) + 1
        values[place] = f"{values[place]} {cell.text}".strip()
    return values


def _caption(candidates: list[_Candidate], first: int) -> str:
    """Returns the one or two short lines above a table."""
    lines: list[str] = []
    for number in range(first - 1, max(first - 3, -1), -1):
        row = candidates[number].written
        text = row.row.text
        near = candidates[number + 1].written.row.top - row.row.bottom
        if len(text) > 140 or not -2 < near < 3 * row.row.height or candidates[number].is_data:
            break
        if text.endswith((".", ";", ",")) or not row.opens:
            break
        lines.insert(0, text)
    return " / ".join(lines)


def _is_contents(page: Page, table: Table) -> bool:
    """Returns whether a block is a table of contents: titles and rising page numbers."""
    if sum(bool(_LEADER.search(cell)) for row in table.rows for cell in row) >= 2:
        return True
    numbers = [row[-1] for row in table.rows if row[-1]]
    rising = all(n.isdigit() and len(n) <= 4 for n in numbers) and numbers == sorted(
        numbers, key=int
    )
    return rising and len(table.rows[0]) <= 3 and bool(_CONTENTS.search(page.text[:400]))
