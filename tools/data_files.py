"""Describes a data file in one line: its columns with their types, its first row, its size."""

from __future__ import annotations

import contextlib
import csv
import datetime
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from qwenbelt.core.errors import InputError, one_line

DATA_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx"})
SAMPLE_ROWS = 200  # that types are guessed from
MOST_COLUMNS, LONGEST_CELL = 40, 40
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y-%m", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S")


def file_line(name: str, path: Path) -> str:
    """Returns one line about a data file; that it cannot be read, if so."""
    try:
        rows, count = read_rows(path)
    except InputError as error:
        return str(error)
    if not rows:
        return f"{name}: empty."
    header, body = rows[0], rows[1:]
    types = column_types(header, body)
    columns = ", ".join(
        f"{one_line(column, LONGEST_CELL)} ({kind})"
        for column, kind in islice(zip(header, types, strict=False), MOST_COLUMNS)
    )
    more = f", … {len(header) - MOST_COLUMNS} more" if len(header) > MOST_COLUMNS else ""
    first = (
        ", ".join(one_line(cell, LONGEST_CELL) for cell in body[0][:MOST_COLUMNS]) if body else ""
    )
    return f"{name}: {count - 1} rows; columns {columns}{more}; first row: {first}"


def reading_code(name: str, path: Path) -> str:
    """Returns the Python line that reads a data file as people usually do it.

    Args:
        name: of the file, as code finds it.
        path: where it is, to see its encoding and what parts its cells.
    """
    if path.suffix.lower() == ".xlsx":
        return f"import pandas as pd; df = pd.read_excel({name!r})"
    encoding, delimiter = "utf-8", ","
    with contextlib.suppress(OSError):
        encoding = _file_encoding(path)
        with path.open(encoding=encoding, errors="replace", newline="") as stream:
            delimiter = _csv_delimiter(stream.read(8192), path)
    more = f", sep={delimiter!r}" if delimiter != "," else ""
    more += "" if encoding.startswith("utf-8") else f", encoding={encoding!r}"
    return f"import pandas as pd; df = pd.read_csv({name!r}{more})"


def read_rows(path: Path, limit: int = SAMPLE_ROWS) -> tuple[list[list[str]], int]:
    """Returns the first rows of a table as text, the header first, and the number of all rows.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() == ".xlsx":
        return _sheet_rows(path, limit)
    try:
        with path.open(encoding=_file_encoding(path), newline="") as stream:
            sample = stream.read(8192)
            stream.seek(0)
            rows = csv.reader(stream, delimiter=_csv_delimiter(sample, path))
            kept = list(islice(rows, limit))
            return kept, len(kept) + sum(1 for _ in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name}: cannot be read as a table ({error}).") from None


def _file_encoding(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(65536)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            start[: len(start) - 4].decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _csv_delimiter(sample: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = sample.splitlines()[0] if sample.strip() else ""
    return max(",;\t|", key=first.count)


def _sheet_rows(path: Path, limit: int) -> tuple[list[list[str]], int]:
    try:
        from openpyxl import load_workbook

        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            rows = [
                ["" if cell is None else str(cell) for cell in row]
                for row in sheet.iter_rows(max_row=limit, values_only=True)
            ]
            return rows, sheet.max_row or len(rows)
        finally:
            book.close()
    except Exception as error:  # openpyxl raises many kinds for damaged files
        raise InputError(
            f"{path.name}: cannot be read as a table ({one_line(str(error))})."
        ) from None


def column_types(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns integer, number, date or text for each column; empty cells do not count."""
    held = list(rows)
    types = []
    for column in range(len(header)):
        cells = [row[column].strip() for row in held if column < len(row) and row[column].strip()]
        types.append(_column_type(cells))
    return types


def _column_type(cells: Sequence[str]) -> str:
    if not cells:
        return "text"
    for kind, fits in (("integer", _is_integer), ("number", _is_number), ("date", _is_date)):
        if all(fits(cell) for cell in cells):
            return kind
    return "text"


def _is_integer(cell: str) -> bool:
    return cell.lstrip("+-").isdigit()


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True


def _is_date(cell: str) -> bool:
    for form in _DATES:
        try:
            datetime.datetime.strptime(cell[:19], form)
        except ValueError:
            continue
        return True
    return False
