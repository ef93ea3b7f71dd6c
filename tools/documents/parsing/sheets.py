"""Workbooks become blocks."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.pagination import Block, Break, TableRows, Title

MAX_CELLS = 5_000_000


def workbook_blocks(file: Path) -> Iterator[Block]:
    """Yields each sheet of an .xlsx workbook, beginning on a new page under its name."""
    import openpyxl

    book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    try:
        budget = MAX_CELLS
        for sheet in book.worksheets:
            rows = []
            for row in sheet.iter_rows(values_only=True):
                budget -= len(row)
                if budget < 0:
                    raise InputError(f"has more than {MAX_CELLS} cells.")
                if any(value is not None for value in row):
                    rows.append([_shown(value) for value in row])
            yield Break()
            yield Title(sheet.title)
            yield TableRows(_trimmed(rows), sheet.title)
    finally:
        book.close()


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return str(value).strip()


def _trimmed(rows: list[list[str]]) -> list[list[str]]:
    """Returns rows without columns that are empty in all of them."""
    width = max(map(len, rows), default=0)
    used = [n for n in range(width) if any(n < len(row) and row[n] for row in rows)]
    return [[row[n] if n < len(row) else "" for n in used] for row in rows]
