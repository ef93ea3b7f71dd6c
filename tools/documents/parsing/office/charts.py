"""The data of charts in Office files, whatever their kind, with all digits.

A chart's part keeps the names and values that it draws. Categories may be dates, in several levels,
or the values of a second axis; each series becomes a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from qwenbelt.tools.documents.parsing.office.number_formats import is_date, shown
from qwenbelt.tools.documents.parsing.pagination import Block, Note, Paragraph, TableRows

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"
MAX_POINTS = 200_000
MAX_SERIES = 500


def chart_blocks(root: Any) -> Iterator[Block]:
    """Yields the tables of a chart's part, or a note where it keeps no data."""
    tables = list(
        _tables(root) if root is not None and root.tag == f"{C}chartSpace" else _new(root)
    )
    for title in dict.fromkeys(table.caption for table in tables):
        if title:
            yield Paragraph(title)
    yield from tables
    if not tables:
        yield Note("A chart was not read: its file keeps no data of it.")


def _tables(root: Any) -> Iterator[TableRows]:
    titles = [_title(node) for node in root.iterfind(f"{C}chart/{C}title")]
    caption = titles[0] if titles else ""
    axes = _axes(root)
    for plot in root.iterfind(f"{C}chart/{C}plotArea/*"):
        series = plot.findall(f"{C}ser")[:MAX_SERIES]
        if series:
            yield from _plot(series, plot, caption, axes)


def _axes(root: Any) -> dict[str, tuple[str, str]]:
    """Returns the title of each axis by its id, and "x" or "y" for its direction.

    A chart of horizontal bars has its categories on the vertical axis.
    """
    axes = {}
    for axis in root.iterfind(f"{C}chart/{C}plotArea/*"):
        number = axis.find(f"{C}axId")
        if axis.tag.endswith("Ax") and number is not None:
            title = axis.find(f"{C}title")
            position = axis.find(f"{C}axPos")
            side = position.get("val", "") if position is not None else ""
            kind = "category" if axis.tag in (f"{C}catAx", f"{C}dateAx") else side
            axes[number.get("val", "")] = (_title(title) if title is not None else "", kind)
    return axes


def _plot(
    series: list[Any], plot: Any, caption: str, axes: dict[str, tuple[str, str]]
) -> Iterator[TableRows]:
    own = [axes[i.get("val", "")] for i in plot.iterfind(f"{C}axId") if i.get("val", "") in axes]
    first = own[0][0] if own else ""
    values = own[1][0] if len(own) > 1 else ""
    caption = "\n".join(filter(None, [caption, values and f"[{values}]"]))
    if series[0].find(f"{C}xVal") is not None or series[0].find(f"{C}yVal") is not None:
        yield _points(series, first, values, caption)
        return
    names = [_name(one, n) for n, one in enumerate(series)]
    columns = [_values(one.find(f"{C}val")) for one in series]
    count = max((max(c, default=-1) + 1 for c in columns), default=0)
    categories: dict[int, list[str]] = {}
    for one in series:
        categories = categories or _categories(one.find(f"{C}cat"))
    count = min(max(count, max(categories, default=-1) + 1), MAX_POINTS)
    levels = max((len(c) for c in categories.values()), default=1)
    rows = [[first, *[""] * (levels - 1), *names]]
    for n in range(count):
        labels = categories.get(n, [""])
        labels = labels + [""] * (levels - len(labels))
        rows.append([*labels, *(column.get(n, "") for column in columns)])
    if count:
        yield TableRows(rows, caption)


def _points(series: list[Any], first: str, second: str, caption: str) -> TableRows:
    rows = [["", first or "x", second or "y"]]
    sized = any(one.find(f"{C}bubbleSize") is not None for one in series)
    if sized:
        rows[0].append("size")
    for n, one in enumerate(series):
        x, y = _values(one.find(f"{C}xVal")), _values(one.find(f"{C}yVal"))
        sizes = _values(one.find(f"{C}bubbleSize"))
        name = _name(one, n)
        for at in sorted(set(x) | set(y))[:MAX_POINTS]:
            row = [name, x.get(at, str(at + 1)), y.get(at, "")]
            rows.append([*row, sizes.get(at, "")] if sized else row)
    return TableRows(rows, caption)


def _name(series: Any, number: int) -> str:
    text = series.find(f"{C}tx")
    values = [v.text or "" for v in text.iter(f"{C}v")] if text is not None else []
    return " ".join(values).strip() or f"[{number + 1}]"


def _values(node: Any) -> dict[int, str]:
    """Returns the values of a series by their places; all digits that are stored."""
    if node is None:
        return {}
    code = next((f.text or "" for f in node.iter(f"{C}formatCode")), "General")
    found = {}
    for point in node.iter(f"{C}pt"):
        value = point.find(f"{C}v")
        if value is not None and (at := point.get("idx", "")).isdigit():
            found[int(at)] = exact(value.text or "", point.get("formatCode") or code)
    return found


def _categories(node: Any) -> dict[int, list[str]]:
    """Returns the labels of each place; of several levels the outer first, its label repeated."""
    if node is None:
        return {}
    levels = list(node.iter(f"{C}lvl"))
    if not levels:
        return {at: [label] for at, label in _values(node).items()}
    counts = [int(p.get("idx", "0")) for p in levels[0].iter(f"{C}pt")]
    found: dict[int, list[str]] = {
        n: [] for n in range(min(max(counts, default=-1) + 1, MAX_POINTS))
    }
    for level in reversed(levels):
        labels = {int(p.get("idx", "0")): p.findtext(f"{C}v") or "" for p in level.iter(f"{C}pt")}
        label = ""
        for n in found:
            label = labels.get(n, label if level is not levels[0] else "")
            found[n].append(label)
    return found


def exact(text: str, code: str) -> str:
    """Returns a stored value with all its digits; dates and percents as they are shown."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return " ".join(text.split())
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return text.strip()
    if code and is_date(code):
        return shown(float(number), code)
    percent = "%" in code
    number = number.scaleb(2) if percent else number
    plain = f"{number:f}"
    if "." in plain:
        short = f"{number:.15g}"  # 0.1 + 0.2 is stored as 0.30000000000000004
        plain = f"{Decimal(short):f}" if len(plain) > 17 else plain
        plain = plain.rstrip("0").rstrip(".")
    return plain + ("%" if percent else "")


def _title(node: Any) -> str:
    texts = ["".join(t.text or "" for t in p.iter(f"{A}t")) for p in node.iter(f"{A}p")]
    if not any(texts):
        texts = [v.text or "" for v in node.iter(f"{C}v")]
    return " ".join(" ".join(texts).split())


def _new(root: Any) -> Iterator[TableRows]:
    """Yields the data of a chart of the newer kinds: waterfall, treemap, funnel, histogram."""
    if root is None:
        return
    title = root.find(f"{CX}chart/{CX}title")
    caption = _title(title) if title is not None else ""
    for data in root.iterfind(f"{CX}chartData/{CX}data"):
        columns = []
        for dimension in data:
            for level in reversed(dimension.findall(f"{CX}lvl")):
                code = level.get("formatCode", "General")
                columns.append(
                    {
                        int(p.get("idx", "0")): exact(p.text or "", code)
                        for p in level.iter(f"{CX}pt")
                    }
                )
        count = min(max((max(c, default=-1) + 1 for c in columns), default=0), MAX_POINTS)
        if count:
            yield TableRows([[c.get(n, "") for c in columns] for n in range(count)], caption)
