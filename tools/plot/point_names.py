"""Names beside the points of a scatter chart, so that they cover neither points nor each other."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qwenbelt.tools.plot.chart import Chart
from qwenbelt.tools.plot.shortening import distinct_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Spot = tuple[float, float]
Rectangle = tuple[float, float, float, float]

MOST_NAMED = 30  # points of a chart; more names than this cannot be read
_WIDE, _HIGH = 470.0, 225.0  # points (1/72 inch) that the axes of a chart take, about
_LETTER, _LINE, _DOT = 4.6, 9.5, 3.5  # of a name in size 8: a letter, its height, a marker's half
# where the name's left bottom corner is, in widths and heights of the name, then in points
_PLACES = (
    (0.0, 0.0, 5, 3),
    (0.0, -1.0, 5, -3),
    (-1.0, 0.0, -5, 3),
    (-1.0, -1.0, -5, -3),
    (0.0, -0.5, 7, 0),
    (-1.0, -0.5, -7, 0),
    (-0.5, 0.0, 0, 6),
    (-0.5, -1.0, 0, -6),
    (0.0, 0.0, 14, 12),
    (0.0, -1.0, 14, -12),
)


def name_points(axes: Axes, chart: Chart) -> None:
    """Writes the names of all series' points, each where it hides least; axes are scaled."""
    known = [
        (name, x, y)
        for series in chart.series
        for name, x, y in zip(series.points, series.x or (), series.values, strict=False)
        if y is not None
    ]
    short = distinct_names([name for name, *_ in known], 24)
    spots = _spots([(x, y) for _, x, y in known], axes, chart)
    for (_, x, y), text, shift in zip(known, short, name_places(spots, short), strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=shift,
            textcoords="offset points",
            fontsize=8,
            color="#4b5563",
            ha="left",
            va="bottom",
        )


def name_places(spots: Sequence[Spot], names: Sequence[str]) -> list[Spot]:
    """Returns for each name the place of its left bottom corner, as seen from its point."""
    taken: list[Rectangle] = []
    dots = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in spots]
    made = []
    for (x, y), name in zip(spots, names, strict=True):
        width = _LETTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name)
        least, corner, covered = math.inf, (0.0, 0.0), (x, y, x, y)
        for across, up, right, above in _PLACES:
            shift = (across * width + right, up * _LINE + above)
            left, low = x + shift[0], y + shift[1]
            area = (left, low, left + width, low + _LINE)
            cost = sum(_shared(area, other) for other in (*taken, *dots)) + _outside(area)
            if cost < least:
                least, corner, covered = cost, shift, area
            if cost == 0:
                break
        taken.append(covered)
        made.append(corner)
    return made


def _spots(values: Sequence[Spot], axes: Axes, chart: Chart) -> list[Spot]:
    """Returns where points are inside the axes, in points from the left bottom."""

    def along(value: float, ends: tuple[float, float], size: float, log: bool) -> float:
        low, high, place = (math.log(v) if log else v for v in (*ends, value))
        return (place - low) / ((high - low) or 1.0) * size

    return [
        (
            along(x, axes.get_xlim(), _WIDE, chart.log_x),
            along(y, axes.get_ylim(), _HIGH, chart.log_y),
        )
        for x, y in values
    ]


def _shared(one: Rectangle, other: Rectangle) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _outside(area: Rectangle) -> float:
    left, low, right, high = area
    beyond = max(0.0, -left) + max(0.0, right - _WIDE) + max(0.0, -low) + max(0.0, high - _HIGH)
    return beyond * _LINE
