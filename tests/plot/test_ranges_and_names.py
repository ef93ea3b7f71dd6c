"""Ranges are drawn as ranges, dots as dots, and names of points cover nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.plot.chart import ChartArguments
from qwenbelt.tools.plot.draw import draw_chart
from qwenbelt.tools.plot.point_names import name_places


@pytest.mark.parametrize(
    ("names", "values", "kind"),
    [
        (("Lower bound", "Upper bound"), ([1, 2], [3, 4]), "range"),
        (("下限", "上限"), ([1, 2], [3, 4]), "range"),
        (("Minimum (MW)", "Maximum (MW)"), ([1, 2], [1, 4]), "range"),
        (("Lower bound", "Upper bound"), ([1, 5], [3, 4]), "bar"),  # not the ends of ranges
        (("Lowell", "Upperville"), ([1, 2], [3, 4]), "bar"),
        (("2022", "2023"), ([1, 2], [3, 4]), "bar"),
        (("Lower bound", "Upper bound"), ([1, None], [3, 4]), "bar"),
    ],
)
def test_bars_of_lower_and_upper_ends_are_a_range(
    names: tuple[str, str], values: tuple[list[float], list[float]], kind: str
) -> None:
    series = dict(zip(names, values, strict=True))
    given = {"kind": "bar", "labels": ["a", "b"], "series": series}
    assert ChartArguments.model_validate(given).chart().kind == kind


@pytest.mark.parametrize("kind", ["range", "dot"])
@pytest.mark.parametrize("flat", [False, True])
def test_ranges_and_dots_are_drawn_with_gaps_and_many_labels(
    kind: str, flat: bool, tmp_path: Path
) -> None:
    for count in (1, 50):
        low, high = list(range(count)), [n + 5 for n in range(count)]
        series = {"low": [None, *low[1:]] if count > 1 else low, "high": high}
        given = {"kind": kind, "labels": [f"label {n}" for n in range(count)], "series": series}
        chart = ChartArguments.model_validate(given | {"horizontal": flat}).chart()
        assert draw_chart(chart, tmp_path).png.stat().st_size > 2000


def test_names_of_two_points_beside_each_other_do_not_cover_each_other() -> None:
    spots = [(200.0, 20.0), (202.0, 16.0), (205.0, 24.0)]
    places = name_places(spots, ["ANT", "BIT", "RC"])
    corners = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(spots, places, strict=True)]
    for n, (left, low) in enumerate(corners):
        for other_left, other_low in corners[n + 1 :]:
            assert abs(left - other_left) >= 9 or abs(low - other_low) >= 9


@given(
    st.lists(
        st.tuples(st.floats(0, 470), st.floats(0, 225), st.text("ab中", max_size=24)), max_size=30
    )
)
def test_each_point_has_one_place_for_its_name(points: list[tuple[float, float, str]]) -> None:
    places = name_places([(x, y) for x, y, _ in points], [name for *_, name in points])
    assert len(places) == len(points)
