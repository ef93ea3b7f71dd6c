"""One function a kind of chart: it draws a checked chart's data into empty axes."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qwenbelt.core.language import Language
from qwenbelt.tools.plot.chart import Chart, Series
from qwenbelt.tools.plot.point_names import MOST_NAMED, name_points
from qwenbelt.tools.plot.shortening import distinct_names
from qwenbelt.tools.plot.strings import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# eight hues that people with colour blindness can distinguish too (after Okabe and Ito, darkened)
COLOURS = (
    "#2b6cb0",
    "#dd7a2b",
    "#2a9171",
    "#b6437c",
    "#c9a227",
    "#5aa7d6",
    "#7a5195",
    "#6b7280",
)
_STYLES = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX*"
_MOST_ENDS, _MOST_ENDS_FLAT = 24, 40  # ranges whose ends are named, upright and flat


def series_colour(place: int) -> str:
    """Returns the colour of the series at `place`, from 0."""
    return COLOURS[place % len(COLOURS)]


def number_text(value: float, _: Any = None) -> str:
    """Returns a number for people: 1,234.5, 0.012, 1.2e+09 beyond a billion."""
    if value == 0:
        return "0"
    if abs(value) >= 1e10 or abs(value) < 1e-4:
        return f"{value:.3g}"
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def plain_text(value: float, _: Any = None) -> str:
    """Returns a number without separators, as years are written."""
    return f"{value:.10g}"


def _looks_like_years(series: tuple[Series, ...]) -> bool:
    values = [x for s in series for x in s.x or ()]
    return bool(values) and all(v == int(v) and 1500 <= v <= 2200 for v in values)


def _values(series: Series) -> list[float]:
    return [math.nan if v is None else v for v in series.values]


def _label(text: str, unit: str) -> str:
    if not unit:
        return text
    return f"{text} ({unit})" if text else unit


def _axis_labels(axes: Axes, x: str, y: str) -> None:
    if x:
        axes.set_xlabel(x, fontsize=9.5, color="#374151")
    if y:
        axes.set_ylabel(y, fontsize=9.5, color="#374151")


def _legend(axes: Axes, chart: Chart) -> None:
    named = [s.name for s in chart.series if s.name]
    if chart.legend is False or not named or (chart.legend is None and len(chart.series) < 2):
        return
    axes.legend(
        frameon=False,
        fontsize=9,
        ncols=min(5, len(named)),
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.01),
        handlelength=1.4,
        columnspacing=1.4,
        borderaxespad=0.0,
    )


def _number_axes(axes: Axes, chart: Chart) -> None:
    """Scales and tick texts of two numeric axes; never by matplotlib's formula text."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    if chart.dates:
        _date_axis(axes, chart)
        _value_axis(axes, chart)
        return
    years = _looks_like_years(chart.series)
    if chart.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif years:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    _value_axis(axes, chart)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_text if years else number_text))


def _date_axis(axes: Axes, chart: Chart) -> None:
    """Ticks at round dates, written as year, month, day or time, whatever the span needs."""
    from matplotlib.dates import AutoDateFormatter, AutoDateLocator

    several = len({x for s in chart.series for x in s.x or ()}) > 1
    locator: Any = AutoDateLocator(minticks=3 if several else 1, maxticks=9)  # type: ignore[no-untyped-call]
    formatter: Any = AutoDateFormatter(locator)  # type: ignore[no-untyped-call]
    day, month = 1.0, 365.0 / 12
    formatter.scaled = {
        365.0: "%Y",
        month: "%Y-%m",
        day: "%Y-%m-%d",
        1 / 24: "%m-%d %H:%M",
        1 / 1440: "%H:%M",
        1 / 86400: "%H:%M:%S",
    }
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)


def _value_axis(axes: Axes, chart: Chart, which: str = "y") -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = axes.yaxis if which == "y" else axes.xaxis
    if chart.log_y:
        (axes.set_yscale if which == "y" else axes.set_xscale)("log")
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(number_text))


def _category_axis(axes: Axes, labels: tuple[str, ...], which: str = "x") -> None:
    """Names along an axis: thinned when many, broken or turned when long."""
    step = max(1, math.ceil(len(labels) / (40 if which == "y" else 30)))
    places = list(range(0, len(labels), step))
    columns = 28 if which == "y" else 14
    names = distinct_names([labels[i] for i in places], 2 * columns - 2)
    texts = [_broken_label(name, columns) for name in names]
    if which == "y":
        axes.set_yticks(places, texts)
        return
    crowded = sum(max(len(line) for line in t.split("\n")) for t in texts) > 90
    axes.set_xticks(
        places, texts, rotation=40 if crowded else 0, ha="right" if crowded else "center"
    )
    if crowded:
        axes.tick_params(axis="x", labelsize=8)


def _broken_label(text: str, columns: int) -> str:
    return "\n".join(textwrap.wrap(text, columns, break_on_hyphens=False)) or " "


def line(axes: Axes, chart: Chart, _: Language) -> None:
    """Lines over numbers, or over categories in their order; a gap breaks the line."""
    numeric = chart.series[0].x is not None
    longest = max(len(s.values) for s in chart.series)
    for place, series in enumerate(chart.series):
        x = list(series.x) if series.x is not None else list(range(len(series.values)))
        axes.plot(
            x,
            _values(series),
            color=series_colour(place),
            linestyle=_STYLES[place // len(COLOURS) % len(_STYLES)],
            linewidth=2,
            marker="o" if longest <= 40 else None,
            markersize=4.5,
            label=series.name or None,
        )
    if numeric:
        _number_axes(axes, chart)
    else:
        _value_axis(axes, chart)
        _category_axis(axes, chart.labels)
    _axis_labels(axes, chart.x_label, _label(chart.y_label, chart.unit))
    _legend(axes, chart)


def bar(axes: Axes, chart: Chart, _: Language) -> None:
    """Bars by category: one series, several side by side, or stacked; upright or flat."""
    count = 1 if chart.stacked else len(chart.series)
    width = 0.78 / count
    above, below = [0.0] * len(chart.labels), [0.0] * len(chart.labels)
    for place, series in enumerate(chart.series):
        values = [v or 0.0 for v in series.values]
        offset = 0.0 if chart.stacked else (place - (count - 1) / 2) * width
        positions = [i + offset for i in range(len(values))]
        starts = _stacked_starts(values, above, below) if chart.stacked else [0.0] * len(values)
        put: Callable[..., Any] = axes.barh if chart.horizontal else axes.bar
        base = {"left" if chart.horizontal else "bottom": None if chart.log_y else starts}
        drawn = put(positions, values, width * 0.94, color=series_colour(place), **base)
        drawn.set_label(series.name)
        texts = [number_text(_rounded(v)) if v is not None else "" for v in series.values]
        if not chart.stacked and (chart.horizontal or sum(map(len, texts)) * count <= 100):
            axes.bar_label(drawn, texts, padding=2, fontsize=8, color="#374151")
    _bar_axes(axes, chart)
    _legend(axes, chart)


def ranges(axes: Axes, chart: Chart, _: Language) -> None:
    """A bar for each label from the first series' value to the second's, its ends named."""
    low, high = (_values(series) for series in chart.series)
    lengths = [end - begin for begin, end in zip(low, high, strict=True)]
    places = list(range(len(chart.labels)))
    if chart.horizontal:
        axes.barh(places, lengths, 0.5, left=low, color=series_colour(0))
    else:
        axes.bar(places, lengths, 0.5, bottom=low, color=series_colour(0))
    if len(places) <= (_MOST_ENDS_FLAT if chart.horizontal else _MOST_ENDS):
        axes.use_sticky_edges = False  # the numbers below the lowest ends want room too
        if chart.horizontal:
            axes.margins(x=0.1)
        else:
            axes.margins(y=0.1)
        for place, begin, end in zip(places, low, high, strict=True):
            _name_end(axes, chart, place, begin, -1)
            _name_end(axes, chart, place, end, 1)
    _bar_axes(axes, chart)


def _name_end(axes: Axes, chart: Chart, place: int, value: float, side: int) -> None:
    """Writes the number of a range's end outside of its bar."""
    if math.isnan(value):
        return
    flat = chart.horizontal
    axes.annotate(
        number_text(_rounded(value)),
        (value, place) if flat else (place, value),
        xytext=(4 * side, 0) if flat else (0, 3 * side),
        textcoords="offset points",
        ha=("left" if side > 0 else "right") if flat else "center",
        va="center" if flat else ("bottom" if side > 0 else "top"),
        fontsize=8,
        color="#374151",
    )


def dots(axes: Axes, chart: Chart, _: Language) -> None:
    """A row for each label with a dot at every series' value, those of a row joined by a hair."""
    places = list(range(len(chart.labels)))
    columns = [_values(series) for series in chart.series]
    if len(columns) > 1:
        for place, row in zip(places, zip(*columns, strict=True), strict=True):
            known = [value for value in row if not math.isnan(value)]
            if known:
                axes.plot(
                    [min(known), max(known)], [place, place], color="#c3c9d2", zorder=1, linewidth=2
                )
    for place, (series, values) in enumerate(zip(chart.series, columns, strict=True)):
        axes.scatter(
            values,
            places,
            s=52,
            color=series_colour(place),
            marker=_MARKERS[place // len(COLOURS) % len(_MARKERS)],
            linewidths=0,
            zorder=2,
            label=series.name or None,
        )
    axes.margins(x=0.07, y=0.6 / max(1, len(places)))
    _bar_axes(axes, dataclasses.replace(chart, horizontal=True))
    axes.grid(visible=True, axis="y", color="#eef0f2", linewidth=0.8)
    _legend(axes, chart)


def _stacked_starts(values: list[float], above: list[float], below: list[float]) -> list[float]:
    """Where each stacked bar begins; negative values grow downwards."""
    starts = []
    for i, value in enumerate(values):
        pile = above if value >= 0 else below
        starts.append(pile[i])
        pile[i] += value
    return starts


def _rounded(value: float) -> float:
    """Four significant digits before the point stay whole; smaller numbers keep three digits."""
    if abs(value) >= 100 or value == 0:
        return float(round(value))
    return float(f"{value:.3g}")


def _bar_axes(axes: Axes, chart: Chart) -> None:
    value_name = _label(chart.y_label, chart.unit)
    if any(v is not None and v < 0 for s in chart.series for v in s.values):
        (axes.axvline if chart.horizontal else axes.axhline)(0, color="#9aa1ab", linewidth=0.8)
    if chart.horizontal:
        _value_axis(axes, chart, "x")
        _category_axis(axes, chart.labels, "y")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#e3e6ea", linewidth=0.8)
        _axis_labels(axes, value_name, chart.x_label)
    else:
        _value_axis(axes, chart)
        _category_axis(axes, chart.labels)
        _axis_labels(axes, chart.x_label, value_name)


def scatter(axes: Axes, chart: Chart, _: Language) -> None:
    """Points over two numeric axes."""
    size = 38 if chart.points <= 300 else 10
    for place, series in enumerate(chart.series):
        axes.scatter(
            list(series.x or ()),
            _values(series),
            s=size,
            color=series_colour(place),
            alpha=0.85 if chart.points <= 300 else 0.5,
            marker=_MARKERS[place // len(COLOURS) % len(_MARKERS)],
            linewidths=0,
            label=series.name or None,
        )
    axes.margins(0.07)  # no point on the frame
    _number_axes(axes, chart)
    if chart.points <= MOST_NAMED:
        name_points(axes, chart)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8)
    _axis_labels(axes, chart.x_label, _label(chart.y_label, chart.unit))
    _legend(axes, chart)


def histogram(axes: Axes, chart: Chart, language: Language) -> None:
    """Counts of values in equal bins; several samples share the bins."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    samples = [[v for v in s.values if v is not None] for s in chart.series]
    axes.hist(
        samples,
        bins=chart.bins or _histogram_bins(samples),
        color=[series_colour(i) for i in range(len(samples))],
        label=[s.name or "_" for s in chart.series],
        edgecolor="white",
        linewidth=0.6,
        log=chart.log_y,
    )
    axes.xaxis.set_major_formatter(FuncFormatter(number_text))
    if not chart.log_y:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(number_text))
    _axis_labels(
        axes, _label(chart.x_label, chart.unit), chart.y_label or say("frequency", language)
    )
    _legend(axes, chart)


def _histogram_bins(samples: list[list[float]]) -> int:
    """Sturges' rule, at least 5 and at most 60."""
    most = max(len(sample) for sample in samples)
    return max(5, min(60, math.ceil(math.log2(max(most, 2))) + 1))


def box(axes: Axes, chart: Chart, _: Language) -> None:
    """Median, quartiles, whiskers at 1.5 times the box, and the points beyond."""
    samples = [[v for v in s.values if v is not None] for s in chart.series]
    drawn = axes.boxplot(
        samples,
        positions=list(range(len(samples))),
        widths=0.55,
        patch_artist=True,
        medianprops={"color": "#22272e", "linewidth": 1.6},
        flierprops={"marker": "o", "markersize": 3.5, "markeredgecolor": "#6b7280"},
    )
    for place, patch in enumerate(drawn["boxes"]):
        patch.set_facecolor(series_colour(place) + "99")
        patch.set_edgecolor(series_colour(place))
    _value_axis(axes, chart)
    names = [s.name for s in chart.series]
    if len(names) > 1 or names[0]:
        _category_axis(axes, tuple(names))
    else:
        axes.set_xticks([])
    _axis_labels(axes, chart.x_label, _label(chart.y_label, chart.unit))


def heatmap(axes: Axes, chart: Chart, _: Language) -> None:
    """A colour for each cell of a table; the values are written in when there is room."""
    from matplotlib.ticker import FuncFormatter

    grid = [_values(series) for series in chart.series]
    known = [v for row in grid for v in row if not math.isnan(v)]
    extent = max(abs(v) for v in known)
    both_signs = min(known) < 0 < max(known)  # then colours part at zero
    low, high = (-extent, extent) if both_signs else (min(known), max(known))
    cmap = "RdBu_r" if both_signs else "Blues"
    image = axes.imshow(grid, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    _category_axis(axes, chart.labels)
    _category_axis(axes, tuple(s.name for s in chart.series), "y")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, format=FuncFormatter(number_text))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors="#4b5563")
    if chart.unit:
        bar.set_label(chart.unit, fontsize=9)
    if len(chart.labels) <= 14 and len(chart.series) <= 24:
        _write_cells(axes, grid, image)
    _axis_labels(axes, chart.x_label, chart.y_label)


def _write_cells(axes: Axes, grid: list[list[float]], image: AxesImage) -> None:
    """Writes each value in its cell, in white where the cell is dark."""
    import numpy as np

    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            if not math.isnan(value):
                red, green, blue, _ = image.to_rgba(np.array([value]))[0]
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # ITU-R BT.601 luma
                text = number_text(_rounded(value))
                ink = "white" if dark else "#22272e"
                axes.text(x, y, text, ha="center", va="center", fontsize=8, color=ink)


def pie(axes: Axes, chart: Chart, _: Language) -> None:
    """Shares of a whole, clockwise from the top; missing values and zeros are left out."""
    pairs = [(n, v) for n, v in zip(chart.labels, chart.series[0].values, strict=True) if v]
    names, values = [n for n, _ in pairs], [v for _, v in pairs]
    total = sum(values)
    wedges, *_rest = axes.pie(
        values,
        colors=[series_colour(i) for i in range(len(values))],
        startangle=90,
        counterclock=False,
        wedgeprops={"edgecolor": "white", "linewidth": 1.2},
    )
    shares = [f"{n}  {v / total:.1%}" for n, v in zip(names, values, strict=True)]
    axes.legend(
        wedges, shares, frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    axes.set_aspect("equal")


PAINTERS: dict[str, Callable[[Axes, Chart, Language], None]] = {
    "line": line,
    "bar": bar,
    "range": ranges,
    "dot": dots,
    "scatter": scatter,
    "histogram": histogram,
    "box": box,
    "heatmap": heatmap,
    "pie": pie,
}
