"""The model of a chart: a model's arguments, validated and normalised.

Data comes as `labels` and `series`, as CSV text, or as table rows; `ChartArguments.chart()` turns
any of them into a `Chart`. Nothing here draws.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.plot.dates import days_of
from qwenbelt.tools.plot.file_rows import Aggregate
from qwenbelt.tools.plot.numbers import read_number

Kind = Literal["line", "bar", "range", "dot", "scatter", "histogram", "box", "heatmap", "pie"]
Cell = float | int | str | None
MAX_SERIES = 40
MAX_POINTS = 20_000  # of all series together
MAX_CATEGORIES = 200
MAX_SLICES = 24
MAX_SIDE = 200  # rows or columns of a heatmap
MAX_CSV = 1_000_000
LARGEST = 1e100  # beyond it axis arithmetic overflows
_CATEGORICAL = ("bar", "range", "dot", "pie", "heatmap")
_LOWER = re.compile(r"(?i)\b(?:low(?:er|est)?|min(?:imum)?)\b|下限|最低|最小")
_UPPER = re.compile(r"(?i)\b(?:high(?:er|est)?|upper|max(?:imum)?)\b|上限|最高|最大")


class SeriesArguments(BaseModel):
    """One series of values."""

    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, Field(description="Shown in the legend.")] = ""
    values: Annotated[
        list[Cell], Field(description="Numbers, the y values; null for a missing one.")
    ]
    x: Annotated[
        list[Cell] | None,
        Field(description="Numbers for x when they differ from `labels` (line, scatter)."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _lenient(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return {"values": list(value)}
        if isinstance(value, dict) and "values" not in value:
            for name in ("y", "data"):
                if name in value:
                    return {**value, "values": value[name]}
        return value


class ChartArguments(BaseModel):
    """The arguments of the tool `plot`."""

    model_config = ConfigDict(extra="ignore")
    kind: Annotated[Kind, Field(description="The kind of chart.")]
    title: Annotated[str, Field(description="A short title saying what is shown.")] = ""
    labels: Annotated[
        list[Cell] | None,
        Field(
            description="What the values of all series belong to: x values (line, scatter), "
            "categories (bar, range, dot), slice names (pie), column names (heatmap, one series "
            "a row)."
        ),
    ] = None
    series: Annotated[
        list[SeriesArguments] | None, Field(description="The data, one or more series.")
    ] = None
    csv: Annotated[
        str | None,
        Field(
            description="Instead of labels and series: CSV text with a header line; the first "
            "column holds the labels, each other numeric column is a series."
        ),
    ] = None
    rows: Annotated[
        list[list[Cell]] | None,
        Field(description="Instead of csv: the same table as rows, the header first."),
    ] = None
    file: Annotated[
        str | None,
        Field(description="Instead of data: a CSV or Excel file of the conversation, by name."),
    ] = None
    x: Annotated[str | None, Field(description="file: the column of labels or x values.")] = None
    y: Annotated[list[str] | None, Field(description="file: the columns to draw.")] = None
    aggregate: Annotated[
        Aggregate | None, Field(description="file: how rows with the same x are joined.")
    ] = None
    x_label: Annotated[str, Field(description="Label of the x axis.")] = ""
    y_label: Annotated[str, Field(description="Label of the y axis, without the unit.")] = ""
    unit: Annotated[str, Field(description="Unit of the values, for example USD million.")] = ""
    stacked: Annotated[bool, Field(description="bar: stack the series.")] = False
    horizontal: Annotated[bool, Field(description="bar, range: lay the bars flat.")] = False
    log_x: Annotated[bool, Field(description="Logarithmic x axis.")] = False
    log_y: Annotated[bool, Field(description="Logarithmic y axis.")] = False
    bins: Annotated[int | None, Field(ge=1, le=500, description="histogram: number of bins.")] = (
        None
    )
    legend: Annotated[
        bool | None, Field(description="Show the legend; by default when series have names.")
    ] = None
    source: Annotated[
        str, Field(description="Where the data comes from, printed small below the chart.")
    ] = ""

    @model_validator(mode="before")
    @classmethod
    def _lenient(cls, value: Any) -> Any:
        """Takes the near misses of models: a dict of series, or bare values at the top."""
        if not isinstance(value, dict):
            return value
        out = dict(value)
        if isinstance(out.get("series"), dict):
            out["series"] = _series_of_dict(out["series"])
        if out.get("series") is None and out.get("values") is not None:
            out["series"] = [{"values": out["values"]}]
        if isinstance(out.get("y"), str):
            out["y"] = [out["y"]]
        if out.get("file"):
            _from_file_alone(out)
        return out

    def with_rows(self, rows: list[list[Cell]]) -> ChartArguments:
        """Returns the arguments with the rows of the file in its place."""
        return self.model_copy(update={"file": None, "rows": rows})

    def chart(self) -> Chart:
        """Returns the chart.

        Raises:
            ToolError: the data is missing, too large, unequal in length or not numeric.
        """
        given = [n for n in ("series", "csv", "rows") if getattr(self, n) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise ToolError(
                f"Give the data as exactly one of series, csv, rows or file, not {said}."
            )
        if self.series is not None:
            labels, series = _from_series(self.kind, self.labels, self.series)
        else:
            labels, series = _from_table(self.kind, self._table())
        series, dates = _by_date(self.kind, labels, series)
        chart = Chart(
            kind=self._kind(series),
            labels=labels,
            series=series,
            dates=dates,
            title=self.title,
            x_label=self.x_label,
            y_label=self.y_label,
            unit=self.unit,
            source=self.source,
            stacked=self.stacked,
            horizontal=self.horizontal,
            log_x=self.log_x,
            log_y=self.log_y,
            bins=self.bins,
            legend=self.legend,
        )
        _check_chart(chart)
        return chart

    def _kind(self, series: Sequence[Series]) -> Kind:
        """Returns the kind; pairs of bars from lower to upper ends are ranges."""
        ends = self.kind == "bar" and not self.stacked and _are_ends(series)
        return "range" if ends else self.kind

    def _table(self) -> list[list[Cell]]:
        if self.rows is not None:
            return self.rows
        text = self.csv or ""
        if len(text) > MAX_CSV:
            raise ToolError(f"The CSV text is over {MAX_CSV} characters; aggregate it first.")
        try:
            dialect = csv.Sniffer().sniff(text[:4000], delimiters=",;\t|")
        except csv.Error:
            dialect = csv.excel
        try:
            return [list(row) for row in csv.reader(io.StringIO(text), dialect)]
        except csv.Error as error:
            raise ToolError(f"The CSV text cannot be read: {error}.") from None


def _from_file_alone(out: dict[str, Any]) -> None:
    """Small models name the columns in the place of the data; the file has the data."""
    series = out.pop("series", None)
    names = [
        one if isinstance(one, str) else one.get("name") if isinstance(one, dict) else None
        for one in (series if isinstance(series, list) else [])
    ]
    if not out.get("y") and names and all(isinstance(name, str) and name for name in names):
        out["y"] = names
    labels = out.pop("labels", None)
    if not out.get("x") and isinstance(labels, str):
        out["x"] = labels
    for name in ("csv", "rows"):
        out.pop(name, None)


def _series_of_dict(series: dict[Any, Any]) -> list[Any]:
    if "values" in series or "y" in series or "data" in series:
        return [series]
    return [{"name": str(name), "values": values} for name, values in series.items()]


@dataclass(frozen=True)
class Series:
    """A named run of values; None is a gap. `x` is None where the chart's labels serve.

    `points` names each point of a scatter chart, or is empty. `dates`: x is days.
    """

    name: str
    values: tuple[float | None, ...]
    x: tuple[float, ...] | None = None
    points: tuple[str, ...] = ()
    dates: bool = False


@dataclass(frozen=True)
class Chart:
    """A checked chart, ready to be drawn."""

    kind: Kind
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    unit: str = ""
    source: str = ""
    stacked: bool = False
    horizontal: bool = False
    log_x: bool = False
    log_y: bool = False
    bins: int | None = None
    legend: bool | None = None
    dates: bool = False  # x values are days since 1970

    @property
    def points(self) -> int:
        """The number of values, gaps not counted."""
        return sum(1 for s in self.series for v in s.values if v is not None)


def _from_series(
    kind: Kind, labels: list[Cell] | None, given: list[SeriesArguments]
) -> tuple[tuple[str, ...], tuple[Series, ...]]:
    if not given:
        raise ToolError("There is no series; give at least one with values.")
    _check_count(kind, len(given), "series")
    _check_size(sum(len(s.values) for s in given))
    out = []
    for place, entry in enumerate(given, 1):
        name = entry.name or (f"{place}" if len(given) > 1 else "")
        values = _column_numbers(entry.values, f"series {name or place!r}")
        x, dates = _x_values(entry, labels, kind, name)
        points = () if dates else _point_names(entry, labels, kind)
        out.append(Series(name, values, x, points, dates))
    return _axis_labels(labels, out), tuple(out)


def _by_date(
    kind: Kind, labels: tuple[str, ...], series: tuple[Series, ...]
) -> tuple[tuple[Series, ...], bool]:
    """Gives lines over dates their places in time, in the order of time."""
    if kind not in ("line", "scatter"):
        return series, False
    if all(s.dates for s in series):
        return tuple(_in_order(s) for s in series), True
    days = days_of(labels) if all(s.x is None for s in series) else None
    if days is None or any(len(s.values) != len(days) for s in series):
        return series, False
    return tuple(_in_order(dataclasses.replace(s, x=days)) for s in series), True


def _in_order(series: Series) -> Series:
    pairs = sorted(zip(series.x or (), series.values, strict=True), key=lambda pair: pair[0])
    x, values = tuple(x for x, _ in pairs), tuple(v for _, v in pairs)
    return dataclasses.replace(series, x=x, values=values)


def _point_names(entry: SeriesArguments, labels: list[Cell] | None, kind: Kind) -> tuple[str, ...]:
    """Labels name the points of a scatter chart whose x values are in the series."""
    if kind != "scatter" or entry.x is None or labels is None or len(labels) != len(entry.x):
        return ()
    return tuple(label_text(label) for label in labels)


def _axis_labels(labels: list[Cell] | None, series: Sequence[Series]) -> tuple[str, ...]:
    if labels is not None:
        return tuple(label_text(value) for value in labels)
    if any(s.x is not None for s in series):
        return ()
    longest = max(len(s.values) for s in series)
    return tuple(str(n) for n in range(1, longest + 1))


def _x_values(
    entry: SeriesArguments, labels: list[Cell] | None, kind: Kind, name: str
) -> tuple[tuple[float, ...] | None, bool]:
    """Returns the x values, and whether they are days."""
    if kind not in ("line", "scatter"):
        return None, False
    given = entry.x if entry.x is not None else labels
    if given is None:
        return None, False
    if len(given) != len(entry.values):
        raise ToolError(
            f"Series {name!r} has {len(entry.values)} values for {len(given)} x values; "
            "the lengths must be equal."
        )
    try:
        return _all_numbers(given), False
    except ValueError:
        days = days_of([label_text(cell) for cell in given])
        if days is not None:
            return days, True
        if entry.x is None and kind == "line":
            return None, False  # labels are names: drawn as categories
        raise ToolError(f"The x values of series {name!r} are not all numbers.") from None


def _all_numbers(cells: Sequence[Cell]) -> tuple[float, ...]:
    numbers = []
    for cell in cells:
        value = read_number(cell) if isinstance(cell, str) else cell
        if value is None or not _usable(value):
            raise ValueError(cell)
        numbers.append(float(value))
    return tuple(numbers)


def _usable(value: float) -> bool:
    return not isinstance(value, bool) and math.isfinite(value) and abs(value) <= LARGEST


def _column_numbers(cells: Sequence[Cell], where: str) -> tuple[float | None, ...]:
    out: list[float | None] = []
    for place, cell in enumerate(cells, 1):
        try:
            value = read_number(cell) if isinstance(cell, str) else cell
        except ValueError:
            raise ToolError(f"Value {place} of {where} is not a number: {cell!r:.60}.") from None
        if value is not None and not _usable(value):
            raise ToolError(
                f"Value {place} of {where} is not a usable number ({value}); use null for a gap."
            )
        out.append(None if value is None else float(value))
    return tuple(out)


def _check_count(kind: Kind, count: int, what: str) -> None:
    most = MAX_SIDE if kind == "heatmap" else MAX_SERIES
    if count > most:
        raise ToolError(f"{count} {what} are too many; give at most {most}.")


def _check_size(points: int) -> None:
    if points > MAX_POINTS:
        raise ToolError(
            f"{points} values are too many to draw; aggregate or sample to at most {MAX_POINTS}."
        )


def _from_table(kind: Kind, rows: list[list[Cell]]) -> tuple[tuple[str, ...], tuple[Series, ...]]:
    rows = [row for row in rows if any(cell not in (None, "") for cell in row)]
    if len(rows) < 2:
        raise ToolError("The table needs a header and at least one row of data.")
    header = [label_text(cell) for cell in rows[0]]
    body = rows[1:]
    _check_size(len(body) * len(header))
    for place, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ToolError(
                f"Row {place} of the table has {len(row)} cells, the header {len(header)}."
            )
    columns = [[row[i] for row in body] for i in range(len(header))]
    numeric = [i for i, column in enumerate(columns) if _is_numeric(column)]
    reader = _READERS.get(kind, _labelled_columns)
    labels, series = reader(header, columns, numeric)
    if not series:
        raise ToolError("The table has no numeric column to draw.")
    _check_count(kind, len(series), "series")
    return labels, series


Parsed = tuple[tuple[str, ...], tuple[Series, ...]]


def _labelled_columns(header: list[str], columns: list[list[Cell]], numeric: list[int]) -> Parsed:
    """The first column labels the rows; the other numeric columns are series."""
    labels = tuple(label_text(cell) for cell in columns[0])
    picked = [i for i in numeric if i > 0]
    if not picked and numeric:  # a single column of numbers
        return tuple(str(n + 1) for n in range(len(columns[0]))), _chart_series(
            header, columns, numeric
        )
    return labels, _chart_series(header, columns, picked)


def _xy_columns(header: list[str], columns: list[list[Cell]], numeric: list[int]) -> Parsed:
    """The first numeric column is x; the other numeric columns are series over it."""
    if len(numeric) < 2:
        raise ToolError("A scatter chart needs at least two numeric columns, x first.")
    x_column = _column(columns[numeric[0]], header[numeric[0]])
    names = [label_text(cell) for cell in columns[0]] if 0 not in numeric else []
    kept = [row for row, x in enumerate(x_column) if x is not None]
    x = tuple(x for x in x_column if x is not None)
    points = tuple(names[row] for row in kept) if names else ()
    return (), tuple(
        Series(s.name, tuple(s.values[row] for row in kept), x, points)
        for s in _chart_series(header, columns, numeric[1:])
    )


def _value_columns(header: list[str], columns: list[list[Cell]], numeric: list[int]) -> Parsed:
    """Every numeric column is a sample."""
    return (), _chart_series(header, columns, numeric)


def _line_columns(header: list[str], columns: list[list[Cell]], numeric: list[int]) -> Parsed:
    """Rows are labelled by the first column; where it is numeric it is x."""
    labels, series = _labelled_columns(header, columns, numeric)
    try:
        x = _all_numbers(columns[0])
    except ValueError:
        return labels, series
    if numeric == [0]:
        return labels, series
    return labels, tuple(Series(s.name, s.values, x) for s in series)


def _heatmap_matrix(header: list[str], columns: list[list[Cell]], numeric: list[int]) -> Parsed:
    """A heatmap's rows are the table's rows."""
    picked = [i for i in numeric if i > 0] or numeric
    names = [label_text(cell) for cell in columns[0]]
    data = [_column(columns[i], header[i]) for i in picked]
    rows = tuple(Series(name, tuple(column[n] for column in data)) for n, name in enumerate(names))
    return tuple(header[i] for i in picked), rows


_READERS: dict[str, Callable[[list[str], list[list[Cell]], list[int]], Parsed]] = {
    "scatter": _xy_columns,
    "histogram": _value_columns,
    "box": _value_columns,
    "line": _line_columns,
    "heatmap": _heatmap_matrix,
}


def _chart_series(
    header: list[str], columns: list[list[Cell]], picked: list[int]
) -> tuple[Series, ...]:
    return tuple(Series(header[i], _column(columns[i], header[i])) for i in picked)


def _column(cells: list[Cell], name: str) -> tuple[float | None, ...]:
    return _column_numbers(cells, f"column {name!r:.60}")


def _is_numeric(column: list[Cell]) -> bool:
    """Numbers or blanks only, and at least one number."""
    found = False
    for cell in column:
        try:
            value = read_number(cell) if isinstance(cell, str) else cell
        except ValueError:
            return False
        found = found or value is not None
    return found


def label_text(cell: Cell) -> str:
    """Returns a label as text: 2018.0 as 2018, none as an empty text."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return " ".join(str(cell).split())


def _check_chart(chart: Chart) -> None:
    if chart.points == 0:
        raise ToolError("There is no value to draw: every value is missing.")
    if chart.kind in _CATEGORICAL or (chart.kind == "line" and chart.series[0].x is None):
        _check_lengths(chart)
    if chart.kind in _CHECKS:
        _CHECKS[chart.kind](chart)
    if chart.log_y and any(v is not None and v <= 0 for s in chart.series for v in s.values):
        raise ToolError("A logarithmic y axis needs values above zero.")
    if chart.log_x and any(v <= 0 for s in chart.series for v in s.x or ()):
        raise ToolError("A logarithmic x axis needs x values above zero.")


def _check_lengths(chart: Chart) -> None:
    for series in chart.series:
        if len(series.values) != len(chart.labels):
            raise ToolError(
                f"Series {series.name!r} has {len(series.values)} values for "
                f"{len(chart.labels)} labels; the lengths must be equal."
            )


def _check_bar(chart: Chart) -> None:
    if len(chart.labels) > MAX_CATEGORIES:
        raise ToolError(
            f"{len(chart.labels)} bars are too many; show the largest, at most {MAX_CATEGORIES}."
        )


def _check_range(chart: Chart) -> None:
    _check_bar(chart)
    if len(chart.series) != 2:
        raise ToolError("A range chart takes two series: the lower ends, then the upper ends.")
    for low, high, label in zip(*(s.values for s in chart.series), chart.labels, strict=True):
        if low is not None and high is not None and low > high:
            raise ToolError(f"The range of {label!r} ends ({high:g}) below its begin ({low:g}).")


def _are_ends(series: Sequence[Series]) -> bool:
    """Whether two series are the lower and the upper ends of ranges."""
    if len(series) != 2 or not (_LOWER.search(series[0].name) and _UPPER.search(series[1].name)):
        return False
    pairs = list(zip(*(one.values for one in series), strict=False))
    return all(low is not None and high is not None and low <= high for low, high in pairs)


def _check_pie(chart: Chart) -> None:
    if len(chart.series) != 1:
        raise ToolError("A pie chart shows one series; use stacked bars for several.")
    values = [v for v in chart.series[0].values if v is not None]
    if min(values) < 0 or sum(values) <= 0:
        raise ToolError("A pie chart needs values of zero or more with a sum above zero.")
    if len(chart.labels) > MAX_SLICES:
        raise ToolError(
            f"{len(chart.labels)} slices are too many; join the small ones, at most {MAX_SLICES}."
        )


def _check_heatmap(chart: Chart) -> None:
    if max(len(chart.labels), len(chart.series)) > MAX_SIDE:
        raise ToolError(f"A heatmap has at most {MAX_SIDE} rows and columns.")


def _check_scatter(chart: Chart) -> None:
    if any(s.x is None for s in chart.series):
        raise ToolError("A scatter chart needs x values: give labels, or x in each series.")


_CHECKS: dict[str, Callable[[Chart], None]] = {
    "bar": _check_bar,
    "range": _check_range,
    "dot": _check_bar,
    "pie": _check_pie,
    "heatmap": _check_heatmap,
    "scatter": _check_scatter,
}
