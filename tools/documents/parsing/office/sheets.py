"""Workbooks become blocks: the values as people see them, and what a sheet has besides cells."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.office.formulas import Formulas
from qwenbelt.tools.documents.parsing.office.number_formats import general, shown
from qwenbelt.tools.documents.parsing.office.package import OfficePackage
from qwenbelt.tools.documents.parsing.office.sheet_layers import SheetLayers
from qwenbelt.tools.documents.parsing.pagination import Block, Break, Note, TableRows, Title
from qwenbelt.tools.documents.parsing.raised import pieces_in_line

MAX_CELLS = 5_000_000
MAX_FILLED = 200_000  # places that one merged cell fills

_MIDNIGHT = re.compile(r"(?<=\S)\s+0?0:00(?::00)?$")  # of a day that a program wrote with a time

Rows = list[list[str]]


def workbook_blocks(file: Path) -> Iterator[Block]:
    """Yields each sheet of an .xlsx workbook, beginning on a new page under its name."""
    import openpyxl

    with OfficePackage(file) as package:
        source, parts = package.healed(), _sheet_parts(package)
        options = {"read_only": True, "data_only": True, "rich_text": True}
        try:
            book = openpyxl.load_workbook(source, **options)
        except (TypeError, ValueError, KeyError):
            # some programs write styles that Excel alone takes
            source = package.healed(plain=True)
            book = openpyxl.load_workbook(source, **options)
        formulas = Formulas(source)
        try:
            budget = [MAX_CELLS]
            for sheet in book.worksheets:
                layers = SheetLayers(package, parts.get(sheet.title, ""))
                yield from _sheet(sheet, layers, formulas, book.epoch, budget)
            for chart in book.chartsheets:
                yield Break()
                yield Title(chart.title)
                yield from SheetLayers(package, parts.get(chart.title, "")).blocks()
            yield from formulas.notes()
        finally:
            book.close()


def _sheet_parts(package: OfficePackage) -> dict[str, str]:
    """Returns the part of each sheet by its name."""
    main = package.main()
    root, relations = package.xml(main), package.relations(main)
    found = {}
    for node in root.iter("{*}sheet") if root is not None else ():
        number = next((v for k, v in node.attrib.items() if str(k).endswith("}id")), "")
        if number in relations:
            found[str(node.get("name", ""))] = relations[number].target
    return found


def _sheet(
    sheet: Any, layers: SheetLayers, formulas: Formulas, epoch: Any, budget: list[int]
) -> Iterator[Block]:
    yield Break()
    hidden = sheet.sheet_state != "visible"
    title = f"{sheet.title} [hidden sheet]" if hidden else sheet.title
    yield Title(title)
    if hidden:
        yield Note("This sheet is hidden in the workbook.")
    sheet.reset_dimensions()  # the size that the file states is a hint
    seen: dict[int, dict[int, str]] = {}
    for row in sheet.iter_rows():
        budget[0] -= len(row)
        if budget[0] < 0:
            raise InputError(f"has more than {MAX_CELLS} cells.")
        values = {c.column: text for c in row if c.value is not None and (text := _shown(c, epoch))}
        if values:
            seen[next(c.row for c in row if c.value is not None)] = values
    for row_number, column, text in formulas.unsolved(sheet.title):
        seen.setdefault(row_number, {}).setdefault(column, text)
    for (row_number, column), text in layers.rich().items():
        if column in seen.get(row_number, {}):
            seen[row_number][column] = text.strip()
    spans = layers.merged()
    tables = _tables(seen, spans, layers)
    for rows, once, caption in tables:
        yield TableRows(rows, caption or title, once)
    yield from layers.blocks()


def _tables(
    seen: dict[int, dict[int, str]], spans: list[tuple[int, int, int, int]], layers: SheetLayers
) -> Iterator[tuple[Rows, Rows, str]]:
    """Yields what is shown of a sheet, then what is in its hidden rows and columns."""
    filled = {row: dict(values) for row, values in sorted(seen.items())}
    for top, left, bottom, right in spans:
        value = seen.get(top, {}).get(left)
        if value is None or (bottom - top + 1) * (right - left + 1) > MAX_FILLED:
            continue
        for row in range(top, bottom + 1):
            if row in filled or row <= max(seen):
                for column in range(left, right + 1):
                    filled.setdefault(row, {})[column] = value
    hidden_rows, hidden_columns = layers.hidden()
    rows = sorted(row for row, values in filled.items() if values)
    columns = sorted({column for row in rows for column in filled[row]})
    open_columns = [c for c in columns if c not in hidden_columns]
    open_rows = [r for r in rows if r not in hidden_rows]
    yield (*_cut(filled, seen, open_rows, open_columns), "")
    kept_apart = [(set(rows) - set(open_rows), columns), (set(open_rows), hidden_columns)]
    for some_rows, some_columns in kept_apart:
        wanted = sorted(set(columns) & set(some_columns))
        parts = _cut(filled, seen, sorted(some_rows), wanted)
        if any(any(row) for row in parts[1]):
            yield (*parts, "[hidden rows and columns]")


def _cut(
    filled: dict[int, dict[int, str]],
    seen: dict[int, dict[int, str]],
    rows: list[int],
    columns: list[int],
) -> tuple[Rows, Rows]:
    every = [[filled[r].get(c, "") for c in columns] for r in rows]
    once = [[seen.get(r, {}).get(c, "") for c in columns] for r in rows]
    used = [n for n in range(len(columns)) if any(row[n] for row in every)]
    return [[row[n] for n in used] for row in every], [[row[n] for n in used] for row in once]


def _shown(cell: Any, epoch: datetime.datetime) -> str:
    from openpyxl.utils.datetime import to_excel

    value, code = cell.value, cell.number_format or "General"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)):
        with contextlib.suppress(ValueError, OverflowError):
            text = shown(float(to_excel(value, epoch)), code, epoch)
            is_day = isinstance(value, datetime.datetime) and value.time() == datetime.time()
            return _MIDNIGHT.sub("", text) if is_day else text
        return str(value)
    if isinstance(value, (int, float)):
        return general(value) if code == "General" else shown(value, code, epoch)
    if isinstance(value, list):  # pieces with formats of their own
        return rich_value(value).replace("_x000D_", "").strip()
    return str(value).replace("_x000D_", "").strip()


def rich_value(pieces: list[Any]) -> str:
    """Returns the text of pieces with formats of their own; what is raised keeps its sign."""
    return pieces_in_line(
        (getattr(getattr(piece, "font", None), "vertAlign", None), str(piece)) for piece in pieces
    )
