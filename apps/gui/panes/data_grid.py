"""A table of the conversation, page by page: sorted, filtered, its columns summed up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.apps.gui.strings import PageError

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".json", ".jsonl")
ROWS = 50
_MAX_BYTES = 100 * 1024 * 1024
_MAX_COLUMNS = 100
_MAX_CELL = 300


def table_page(
    path: Path,
    *,
    sheet: str = "",
    page: int = 1,
    sort: str = "",
    down: bool = False,
    words: str = "",
) -> dict[str, Any]:
    """Returns a page of a table.

    Args:
        path: a CSV, TSV, XLSX, Parquet or JSON file.
        sheet: of a workbook; the first by default.
        page: from 1; the last one if there are fewer.
        sort: a column's name, or "".
        down: whether the largest come first.
        words: only rows in which a cell contains them.

    Raises:
        PageError: the file cannot be read as a table.
    """
    if path.suffix.lower() not in TABLES or path.stat().st_size > _MAX_BYTES:
        raise PageError("no_table", name=path.name)
    try:
        frame, sheets = _read_table(path, sheet)
    except Exception as error:  # each reader has its own errors, and the file is untrusted
        raise PageError("no_table", name=path.name) from error
    shown = _frame_page(frame, page=page, sort=sort, down=down, words=words)
    return {**shown, "sheets": sheets}


def rows_page(
    columns: list[str],
    rows: Sequence[Sequence[Any]],
    *,
    page: int = 1,
    sort: str = "",
    down: bool = False,
    words: str = "",
) -> dict[str, Any]:
    """Returns a page of rows that are in hand; the arguments are those of `table_page`."""
    import pandas

    width = len(columns)
    even = [[*row[:width], *[None] * (width - len(row))] for row in rows]
    frame = pandas.DataFrame(even, columns=list(columns))
    for at, column in enumerate(columns):
        if columns.count(column) == 1:
            frame[column] = _as_numbers(frame.iloc[:, at])
    return {
        **_frame_page(frame, page=page, sort=sort, down=down, words=words),
        "sheets": [],
    }


def _as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Returns texts that are numbers as numbers, so that they sort and sum up as such."""
    import pandas

    plain = column.map(lambda v: v.replace(",", "").strip() if isinstance(v, str) else v)
    plain = plain.map(lambda v: None if v == "" else v)
    try:
        return pandas.to_numeric(plain)
    except (ValueError, TypeError):
        return column


def _frame_page(
    frame: pd.DataFrame, *, page: int, sort: str, down: bool, words: str
) -> dict[str, Any]:
    frame.columns = [str(name) for name in frame.columns]
    frame = frame.iloc[:, :_MAX_COLUMNS]
    summary = [_column_summary(frame.iloc[:, at]) for at in range(frame.shape[1])]
    if words.strip():
        texts = frame.astype(str)
        hits = texts.apply(lambda c: c.str.contains(words.strip(), case=False, regex=False))
        frame = frame[hits.any(axis=1)]
    if sort in frame.columns and frame.columns.tolist().count(sort) == 1:
        frame = _sorted_table(frame, sort, down)
    pages = max(1, math.ceil(len(frame) / ROWS))
    page = min(max(1, page), pages)
    shown = frame.iloc[(page - 1) * ROWS : page * ROWS]
    rows = [
        [_cell_text(value) for value in row] for row in shown.itertuples(index=False, name=None)
    ]
    return {
        "columns": summary,
        "rows": rows,
        "count": len(frame),
        "page": page,
        "pages": pages,
    }


def _read_table(path: Path, sheet: str) -> tuple[pd.DataFrame, list[str]]:
    import pandas

    kind = path.suffix.lower()
    if kind == ".xlsx":
        with pandas.ExcelFile(path) as book:
            names = [str(name) for name in book.sheet_names]
            return book.parse(sheet if sheet in names else names[0]), names
    if kind == ".parquet":
        return pandas.read_parquet(path), []
    if kind in (".json", ".jsonl"):
        return pandas.read_json(path, lines=kind == ".jsonl"), []
    separator = "\t" if kind == ".tsv" else _separator(path)
    return pandas.read_csv(path, sep=separator, engine="python"), []


def _separator(path: Path) -> str:
    """Returns what parts the columns; pandas' own guess splits a single column by its letters."""
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.readline()
    return max(",;\t|", key=head.count)


def _sorted_table(frame: pd.DataFrame, column: str, down: bool) -> pd.DataFrame:
    try:
        return frame.sort_values(column, ascending=not down, kind="stable")
    except TypeError:  # numbers and words in one column
        return frame.sort_values(column, ascending=not down, key=lambda c: c.astype(str))


def _column_summary(column: pd.Series[Any]) -> dict[str, Any]:
    import pandas

    known = column.dropna()
    told: dict[str, Any] = {
        "name": str(column.name),
        "kind": "number" if pandas.api.types.is_numeric_dtype(column) else "text",
        "missing": int(column.isna().sum()),
    }
    if pandas.api.types.is_datetime64_any_dtype(column):
        told["kind"] = "date"
    if len(known) and told["kind"] != "text":
        told |= {"least": _cell_text(known.min()), "most": _cell_text(known.max())}
    if len(known) and told["kind"] == "number":
        told["mean"] = _cell_text(round(float(known.mean()), 4))
    if told["kind"] == "text":
        told["different"] = len({str(value) for value in known})
    return told


def _cell_text(value: Any) -> str:
    import pandas

    if value is None or (not isinstance(value, (list, dict)) and bool(pandas.isna(value))):
        return ""
    text = f"{value:g}" if isinstance(value, float) and abs(value) < 1e15 else str(value)
    return text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "…"
