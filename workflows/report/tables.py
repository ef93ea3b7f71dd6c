"""Tables as they are in documents, brought into a header and rows; and what can be drawn of one.

Tables in PDFs have headers over several rows, empty columns that come from spanning cells, and
rows that only hold a group's name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenbelt.tools.documents.model import Page, Table
from qwenbelt.tools.plot.numbers import is_number, read_number

LEAST_ROWS, LEAST_NUMERIC = 3, 0.7  # rows with numbers; share of numbers in a numeric column
MOST_BARS, MOST_SERIES, MOST_HEADER = 16, 3, 12
_YEAR = re.compile(r"(?:19|20)\d\d")
SPREAD = 40.0  # columns whose sizes differ by more are not drawn together


@dataclass(frozen=True)
class HeadedTable:
    """A table with one header row.

    Attributes:
        header: the names of the columns.
        rows: the cells, as many in each row as there are columns.
        numeric: the columns that hold numbers.
        caption: its caption or heading, or "".
    """

    header: list[str]
    rows: list[list[str]]
    numeric: tuple[int, ...]
    caption: str = ""

    def csv(self) -> str:
        """Returns the table as CSV."""
        target = io.StringIO()
        csv.writer(target, lineterminator="\n").writerows([self.header, *self.rows])
        return target.getvalue()

    def chart(self) -> dict[str, Any] | None:
        """Returns arguments of `plot` that draw the table, or None if it has no numbers to draw."""
        names = self._naming_column()
        if names is None or not self.numeric:
            return None
        columns = self._alike()
        rows = [row for row in self.rows if row[names]]
        rows = _of_one_unit(rows, columns)[:MOST_BARS]
        if len(rows) < LEAST_ROWS:
            return None
        series = [
            {"name": self.header[column] or str(column + 1), "values": _values(rows, column)}
            for column in columns
        ]
        longest = max(len(row[names]) for row in rows)
        return {
            "kind": "bar",
            "labels": [row[names] for row in rows],
            "series": series,
            "horizontal": longest > 16 or len(rows) > 10,
        }

    def _naming_column(self) -> int | None:
        """The leftmost column whose cells distinguish the rows."""
        for column in range(len(self.header)):
            if column in self.numeric:
                continue
            cells = [row[column] for row in self.rows if row[column]]
            if len(cells) >= 0.7 * len(self.rows) and len(set(cells)) >= 0.9 * len(cells):
                return column
        return None

    def _alike(self) -> list[int]:
        """The first numeric columns whose values are of one size."""
        sizes = {column: _size(self.rows, column) for column in self.numeric}
        first = self.numeric[0]
        return [
            column
            for column in self.numeric
            if sizes[first] / SPREAD <= sizes[column] <= sizes[first] * SPREAD
        ][:MOST_SERIES]


def grids_on(page: Page) -> list[HeadedTable]:
    """Returns the tables of a page that hold numbers, those with the most first."""
    grids = [grid for table in page.tables if (grid := grid_of(table)) is not None]
    return sorted(grids, key=lambda grid: -len(grid.rows) * len(grid.numeric))


def grid_of(table: Table) -> HeadedTable | None:
    """Returns a table with one header row, or None if it has too few numbers."""
    rows = [[" ".join(cell.split()) for cell in row] for row in table.rows]
    rows = _without_empty_columns([row for row in rows if any(row)])
    start = next((n for n, row in enumerate(rows) if _has_numbers(row)), None)
    if start is None or start > MOST_HEADER:
        return None
    body = [row for row in rows[start:] if sum(map(bool, row)) > 1]
    if sum(map(_has_numbers, body)) < LEAST_ROWS:
        return None
    header_rows = [row for row in rows[:start] if sum(map(bool, row)) > 1]
    header = [" ".join(filter(None, (row[c] for row in header_rows))) for c in range(len(body[0]))]
    header, body = _without_bodiless(header, body)
    numeric = tuple(c for c in range(len(header)) if _is_numeric(body, c))
    return (
        HeadedTable(header, body, numeric, " ".join(table.caption.split())[:160])
        if numeric
        else None
    )


def _without_bodiless(
    header: list[str], body: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Drops columns that only have a header, which then names a neighbour without one."""
    kept = [c for c in range(len(header)) if any(row[c] for row in body)]
    names = list(header)
    for column in set(range(len(header))) - set(kept):
        for neighbour in (column - 1, column + 1):
            if neighbour in kept and not names[neighbour]:
                names[neighbour] = header[column]
                break
    return [names[c] for c in kept], [[row[c] for c in kept] for row in body]


def _of_one_unit(rows: list[list[str]], columns: list[int]) -> list[list[str]]:
    """Returns the rows with numbers: those in per cent, or the others if these are more."""
    shares: list[list[str]] = []
    amounts: list[list[str]] = []
    for row in rows:
        cells = [row[column] for column in columns if is_number(row[column])]
        if cells:
            (shares if cells[0].rstrip(" )").endswith("%") else amounts).append(row)
    return shares if len(shares) > len(amounts) else amounts


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    width = max((len(row) for row in rows), default=0)
    full = [[*row, *[""] * (width - len(row))] for row in rows]
    kept = [c for c in range(width) if sum(bool(row[c]) for row in full) > 1]
    return [[row[c] for c in kept] for row in full]


def _has_numbers(row: Sequence[str]) -> bool:
    """At least one number, beside a cell that names the row; years alone are a header."""
    numbers = [cell for cell in row if is_number(cell)]
    if not numbers or all(_YEAR.fullmatch(cell) for cell in numbers):
        return False
    return len(numbers) < sum(map(bool, row))


def _is_numeric(rows: list[list[str]], column: int) -> bool:
    cells = [row[column] for row in rows if row[column]]
    numbers = sum(map(is_number, cells))
    return numbers >= LEAST_ROWS and numbers >= LEAST_NUMERIC * len(cells)


def _values(rows: list[list[str]], column: int) -> list[float | None]:
    return [read_number(row[column]) if is_number(row[column]) else None for row in rows]


def _size(rows: list[list[str]], column: int) -> float:
    values = [abs(v) for v in _values(rows, column) if v]
    return sum(values) / len(values) if values else 1.0
