"""The rows of a chart from a data file of the conversation and names of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from qwenbelt.core.errors import InputError, ToolError
from qwenbelt.tools.data_files import DATA_SUFFIXES, column_types, read_rows
from qwenbelt.tools.plot.dates import days_of
from qwenbelt.tools.plot.numbers import read_number

Aggregate = Literal["sum", "mean", "count", "min", "max"]
Table = list[list[float | int | str | None]]
MAX_ROWS = 200_000
JOINED = ("line", "bar", "pie")  # kinds that show one value for each x

_FOLD: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "mean": lambda values: sum(values) / len(values),
    "count": len,
    "min": min,
    "max": max,
}


def rows_of_file(
    name: str,
    files: Mapping[str, Path],
    folder: Path | None,
    kind: str,
    x: str | None,
    y: Sequence[str],
    aggregate: Aggregate | None,
) -> tuple[Table, str]:
    """Returns a table with a header for a chart, and how rows of the same x were joined, or "".

    Args:
        name: the file's name.
        files: the conversation's files.
        folder: the session's folder, where code may have written the file.
        kind: of the chart.
        x: the column of labels or x values; the first one that is no number by default.
        y: columns of values; all numeric ones by default.
        aggregate: how rows with the same x are joined; added up by default.

    Raises:
        ToolError: there is no such file or column, or the file is no table.
    """
    path = _found_file(name, files, folder)
    try:
        rows, count = read_rows(path, MAX_ROWS)
    except InputError as error:
        raise ToolError(str(error)) from error
    if count > MAX_ROWS:
        raise ToolError(f"{path.name} has {count} rows; aggregate it first, to at most {MAX_ROWS}.")
    if len(rows) < 2:
        raise ToolError(f"{path.name} has no row of data.")
    header, body = [cell.strip() for cell in rows[0]], rows[1:]
    body = [[*row, *[""] * (len(header) - len(row))] for row in body if any(row)]
    types = column_types(header, body)
    numeric = [n for n, type_ in enumerate(types) if type_ in ("integer", "number")]
    if kind in ("histogram", "box"):
        picked = [_column_number(one, header) for one in y] or numeric
        return _picked_columns([header, *body], picked), ""
    at = (
        _column_number(x, header)
        if x
        else next((n for n in range(len(header)) if n not in numeric), 0)
    )
    picked = [_column_number(one, header) for one in y] or [n for n in numeric if n != at]
    if not picked:
        if aggregate != "count":
            raise ToolError(f"{path.name} has no numeric column to draw besides {header[at]!r}.")
        picked = [at]
    labels = [row[at] for row in body]
    if kind not in JOINED or (len(set(labels)) == len(labels) and aggregate != "count"):
        return _picked_columns([header, *body], [at, *picked]), ""
    how = aggregate or "sum"
    return _joined_rows(header, body, at, picked, how), how


def _picked_columns(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> Table:
    return [[row[n] for n in columns] for row in rows]


def _joined_rows(
    header: Sequence[str], body: Sequence[Sequence[str]], at: int, picked: Sequence[int], how: str
) -> Table:
    """Joins the rows of each x; dates are in chronological order, others as they come."""
    groups: dict[str, list[Sequence[str]]] = {}
    for row in body:
        groups.setdefault(row[at], []).append(row)
    labels = list(groups)
    days = days_of(labels)
    if days is not None:
        labels = [label for _, label in sorted(zip(days, labels, strict=True))]
    made: Table = [[header[at], *(header[n] for n in picked)]]
    for label in labels:
        cells: list[float | int | str | None] = [label]
        for n in picked:
            cells.append(_aggregated_cells([row[n] for row in groups[label]], how, header[n]))
        made.append(cells)
    return made


def _aggregated_cells(cells: Sequence[str], how: str, name: str) -> float | None:
    if how == "count":
        return float(sum(bool(cell.strip()) for cell in cells))
    try:
        values = [value for cell in cells if (value := read_number(cell)) is not None]
    except ValueError:
        raise ToolError(f"The column {name!r} is not numeric; count its rows instead.") from None
    return _FOLD[how](values) if values else None


def _found_file(name: str, files: Mapping[str, Path], folder: Path | None) -> Path:
    plain = Path(name.replace("\\", "/")).name
    tables = {one: Path(path) for one, path in files.items()}
    if folder is not None and folder.is_dir():
        for path in folder.iterdir():
            if path.suffix.lower() in DATA_SUFFIXES and path.is_file() and not path.is_symlink():
                tables.setdefault(path.name, path)
    if name in tables:
        return tables[name]
    if plain in tables:
        return tables[plain]
    known = ", ".join(one for one, path in tables.items() if path.suffix.lower() in DATA_SUFFIXES)
    raise ToolError(f"There is no file {plain!r}. Files with data: {known or 'none'}.")


def _column_number(name: str, header: Sequence[str]) -> int:
    if name in header:
        return list(header).index(name)
    folded = [one.casefold().strip() for one in header]
    if name.casefold().strip() in folded:
        return folded.index(name.casefold().strip())
    raise ToolError(f"There is no column {name!r}. Columns: {', '.join(header)}.")
