"""A chart in the grammar Vega-Lite: what a browser draws so that people can move and filter it.

It holds the values and nothing that is fetched or computed by an expression; `is_plain_spec` tells
one of these from a file that claims to be one.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from qwenbelt.tools.plot.chart import Chart, Series

SPEC_ENDING = ".vl.json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name: nothing is fetched
COLOURS = ("#3b66b0", "#d97a2b", "#3d8f5f", "#b5485b", "#7a5fa8", "#8a6d3b", "#4a9aa8", "#8c8c8c")
_EPOCH = dt.datetime(1970, 1, 1)
_LABEL_PIXELS = 180
_EDGE = 10  # pixels between the outermost points and the frame
_KEYS = frozenset(
    (
        *("$schema", "title", "text", "subtitle", "width", "height", "data", "values", "mark"),
        *("type", "encoding", "x", "y", "x2", "y2", "xOffset", "yOffset", "color", "theta"),
        *("opacity", "tooltip", "field", "axis", "labelLimit", "labelOverlap", "labelAngle"),
        *("scale", "range", "zero", "sort", "stack", "bin", "maxbins", "aggregate", "legend"),
        *("params", "name", "select", "fields", "encodings", "bind", "condition", "param"),
        *("value", "empty", "point", "interpolate", "format", "symbolLimit", "orient", "columns"),
        *("innerRadius", "size", "filled", "scheme", "anchor", "autosize", "contains", "extent"),
        *("cornerRadius", "step", "layer", "tickMinStep", "padding"),
    )
)
_FIELD = re.compile(r"[a-z][a-z_0-9]*")
Spec = dict[str, Any]


def vega_spec(chart: Chart) -> Spec:
    """Returns the chart in Vega-Lite: named series can be switched, number axes can be zoomed."""
    values, encoding, mark = _KINDS[chart.kind](chart)
    named = len({series.name for series in chart.series}) > 1 and chart.kind not in (
        "heatmap",
        "box",
        "range",
    )
    params: list[Spec] = []
    if named or chart.kind == "pie":
        encoding["color"] = {
            "field": "series",
            "type": "nominal",
            "scale": {"range": list(COLOURS)},
            "sort": None,
            "legend": {"title": "", "labelLimit": _LABEL_PIXELS, "symbolLimit": 40},
        }
        params.append(
            {"name": "shown", "select": {"type": "point", "fields": ["series"]}, "bind": "legend"}
        )
        dim = {"param": "shown", "value": 1}
        encoding["opacity"] = {"condition": dim, "value": 0.08}
    if chart.kind in ("line", "scatter"):
        params.append({"name": "moved", "select": {"type": "interval"}, "bind": "scales"})
    title: Spec = {"text": chart.title or " ", "anchor": "start"}
    if chart.source:
        title["subtitle"] = chart.source
    marks: Spec = {"mark": mark, "params": params}
    if chart.kind == "line":  # points to be pointed at; what is chosen belongs to one layer
        points = {"mark": {"type": "point", "filled": True, "size": 36}}
        marks = {"layer": [{"mark": mark, "params": params}, points]}
    return {
        "$schema": SCHEMA,
        "title": title,
        "width": "container",
        "height": {"step": 22} if _lies(chart) else 340,
        "data": {"values": values},
        "encoding": encoding,
        **marks,
    }


def is_plain_spec(spec: Any) -> bool:
    """Returns whether a specification has only what `vega_spec` writes: no address, no expression.

    Code of the model may have written any file under such a name.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("data"), dict):
        return False
    rows = spec["data"].get("values")
    if set(spec["data"]) != {"values"} or not isinstance(rows, list):
        return False
    if not all(isinstance(row, dict) and _plain_row(row) for row in rows):
        return False
    return _only_known({**spec, "data": {}})


def _plain_row(row: Spec) -> bool:
    return all(
        _FIELD.fullmatch(str(name)) and isinstance(value, (str, int, float, type(None)))
        for name, value in row.items()
    )


def _only_known(part: Any) -> bool:
    if isinstance(part, dict):
        return part.keys() <= _KEYS and all(_only_known(one) for one in part.values())
    if isinstance(part, list):
        return all(_only_known(one) for one in part)
    return isinstance(part, (str, int, float, type(None)))


def _lies(chart: Chart) -> bool:
    return chart.kind == "dot" or (chart.kind in ("bar", "range") and chart.horizontal)


def _value_title(chart: Chart) -> str:
    return " ".join(filter(None, (chart.y_label, f"({chart.unit})" if chart.unit else "")))


def _points(chart: Chart) -> Iterable[tuple[Series, int, float]]:
    for series in chart.series:
        for place, value in enumerate(series.values):
            if value is not None:
                yield series, place, value


def _quantity(chart: Chart, field: str = "value") -> Spec:
    out: Spec = {"field": field, "type": "quantitative", "title": _value_title(chart)}
    if chart.log_y:
        out["scale"] = {"type": "log"}
    return out


def _label_axis(chart: Chart, field: str = "label") -> Spec:
    axis = {"labelLimit": _LABEL_PIXELS, "labelOverlap": True}
    return {
        "field": field,
        "type": "nominal",
        "sort": None,  # the order of the data
        "title": chart.x_label,
        "axis": axis if _lies(chart) else {**axis, "labelAngle": _angle(chart.labels)},
    }


def _angle(labels: Iterable[str]) -> int:
    return -40 if max(map(len, labels), default=0) > 8 else 0


def _tips(*pairs: tuple[str, str, str]) -> list[Spec]:
    return [{"field": field, "type": kind, "title": title} for field, kind, title in pairs]


def _drawn(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    """Lines and points: over numbers, over dates, or over names."""
    rows = []
    over_numbers = all(series.x is not None for series in chart.series)
    for series, place, value in _points(chart):
        row: Spec = {"series": series.name, "value": value}
        if series.x is not None and over_numbers:
            at = series.x[place]
            row["x"] = _iso(at) if chart.dates else at
        else:
            row["x"] = chart.labels[place]
        if series.points:
            row["point"] = series.points[place]
        rows.append(row)
    kind = "temporal" if chart.dates else "quantitative" if over_numbers else "ordinal"
    x: Spec = {"field": "x", "type": kind, "title": chart.x_label}
    if kind == "ordinal":
        x = {**_label_axis(chart, "x"), "type": kind}
    elif kind == "temporal":
        x["scale"] = {"type": "utc", "padding": _EDGE}
    elif chart.log_x:
        x["scale"] = {"type": "log"}
    else:
        years = _are_years(chart)
        axis = {"format": "d", "tickMinStep": 1} if years else {}
        x |= {"scale": {"zero": False, "padding": _EDGE}, "axis": axis}
    y = _quantity(chart)
    y.setdefault("scale", {"zero": False, "padding": _EDGE})
    tips = _tips(
        ("series", "nominal", " "),
        ("x", kind, chart.x_label or "x"),
        ("value", "quantitative", _value_title(chart) or " "),
    )
    if any(series.points for series in chart.series):
        tips.insert(0, *_tips(("point", "nominal", " ")))
    if kind == "temporal":
        tips[-2]["format"] = "%Y-%m-%d"
    mark: Spec = {"type": "line"}
    if chart.kind == "scatter":
        mark = {"type": "point", "filled": True, "size": 50}
    return rows, {"x": x, "y": y, "tooltip": tips}, mark


def _are_years(chart: Chart) -> bool:
    places = [x for series in chart.series for x in series.x or ()]
    return all(float(x).is_integer() and 1000 <= x <= 3000 for x in places)


def _iso(days: float) -> str:
    return (_EPOCH + dt.timedelta(days=days)).isoformat()


def _bars(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows = [
        {"series": series.name, "label": chart.labels[place], "value": value}
        for series, place, value in _points(chart)
    ]
    value = _quantity(chart)
    several = len(chart.series) > 1
    value["stack"] = "zero" if chart.stacked and several else None
    across, along = ("y", "x") if chart.horizontal else ("x", "y")
    encoding: Spec = {across: _label_axis(chart), along: value}
    if several and not chart.stacked:
        encoding[f"{across}Offset"] = {"field": "series", "sort": None}
    encoding["tooltip"] = _tips(
        ("label", "nominal", chart.x_label or " "),
        ("series", "nominal", " "),
        ("value", "quantitative", _value_title(chart) or " "),
    )
    return rows, encoding, {"type": "bar"}


def _dots(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows, encoding, _ = _bars(replace(chart, horizontal=True, stacked=False))
    encoding.pop("yOffset", None)
    encoding["x"]["scale"] = {"type": "log"} if chart.log_y else {"zero": False, "padding": _EDGE}
    return rows, encoding, {"type": "point", "filled": True, "size": 80}


def _range_bars(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    low, high = chart.series
    rows = [
        {"label": label, "low": begin, "high": end}
        for label, begin, end in zip(chart.labels, low.values, high.values, strict=True)
        if begin is not None and end is not None
    ]
    across, along = ("y", "x") if chart.horizontal else ("x", "y")
    encoding: Spec = {
        across: _label_axis(chart),
        along: {**_quantity(chart, "low"), "scale": {"zero": False}},
        f"{along}2": {"field": "high"},
        "tooltip": _tips(
            ("label", "nominal", chart.x_label or " "),
            ("low", "quantitative", low.name or "low"),
            ("high", "quantitative", high.name or "high"),
        ),
        "color": {"value": COLOURS[0]},
    }
    return rows, encoding, {"type": "bar", "cornerRadius": 3}


def _histogram(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows = [{"series": series.name, "value": value} for series, _, value in _points(chart)]
    binned = {"bin": {"maxbins": chart.bins or 20}}
    x = {"field": "value", "type": "quantitative", **binned, "title": _value_title(chart)}
    count = {"aggregate": "count", "type": "quantitative", "stack": None, "title": ""}
    return rows, {"x": x, "y": count, "tooltip": [x, count]}, {"type": "bar"}


def _boxes(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows = [{"series": series.name, "value": value} for series, _, value in _points(chart)]
    x = _label_axis(chart, "series")
    return rows, {"x": x, "y": _quantity(chart)}, {"type": "boxplot", "extent": 1.5}


def _cells(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows = [
        {"series": series.name, "label": chart.labels[place], "value": value}
        for series, place, value in _points(chart)
    ]
    encoding: Spec = {
        "x": _label_axis(chart),
        "y": {**_label_axis(chart, "series"), "title": chart.y_label},
        "color": {
            "field": "value",
            "type": "quantitative",
            "title": chart.unit,
            "scale": {"scheme": "blues"},
        },
        "tooltip": _tips(
            ("label", "nominal", chart.x_label or " "),
            ("series", "nominal", chart.y_label or " "),
            ("value", "quantitative", chart.unit or " "),
        ),
    }
    return rows, encoding, {"type": "rect"}


def _slices(chart: Chart) -> tuple[list[Spec], Spec, Spec]:
    rows = [{"series": chart.labels[place], "value": value} for _, place, value in _points(chart)]
    encoding: Spec = {
        "theta": {"field": "value", "type": "quantitative", "stack": True},
        "tooltip": _tips(("series", "nominal", " "), ("value", "quantitative", chart.unit or " ")),
    }
    return rows, encoding, {"type": "arc", "innerRadius": 40}


_KINDS: dict[str, Callable[[Chart], tuple[list[Spec], Spec, Spec]]] = {
    "line": _drawn,
    "scatter": _drawn,
    "bar": _bars,
    "range": _range_bars,
    "dot": _dots,
    "histogram": _histogram,
    "box": _boxes,
    "heatmap": _cells,
    "pie": _slices,
}
