"""Dates stand at their places in time, and shortened names can be told apart."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.tools.plot.chart import ChartArguments
from qwenbelt.tools.plot.dates import days_of
from qwenbelt.tools.plot.shortening import distinct_names


def day(year: int, month: int = 1, date: int = 1, hour: int = 0) -> float:
    return (dt.datetime(year, month, date, hour) - dt.datetime(1970, 1, 1)).total_seconds() / 86400


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (["2024-01-01", "2024-01-02"], [day(2024), day(2024, 1, 2)]),
        (["2024/3/1", "2023/12/31"], [day(2024, 3), day(2023, 12, 31)]),
        (["2024-01-01 06:00", "2024-01-02T12:00Z"], [day(2024, 1, 1, 6), day(2024, 1, 2, 12)]),
        (["2024年1月5日", "2024年12月5日"], [day(2024, 1, 5), day(2024, 12, 5)]),
        (["2024年第一季度", "2024年4季度"], [day(2024), day(2024, 10)]),
        (["2023Q4", "Q1 2024"], [day(2023, 10), day(2024)]),
        (["Jan 2024", "5 March 2024"], [day(2024), day(2024, 3, 5)]),
        (["31/01/2024", "01/02/2024"], [day(2024, 1, 31), day(2024, 2, 1)]),
        (["01/31/2024", "02/01/2024"], [day(2024, 1, 31), day(2024, 2, 1)]),
        (["01.02.2024", "03.04.2024"], [day(2024, 2, 1), day(2024, 4, 3)]),
    ],
)
def test_dates_as_people_write_them(labels: list[str], days: list[float]) -> None:
    assert days_of(labels) == tuple(days)


@pytest.mark.parametrize(
    "labels",
    [
        ["01/02/2024", "03/04/2024"],  # of which nobody knows the order
        ["2024-01-01"],
        ["2024-01-01", "total"],
        ["2024-13-01", "2024-01-01"],
        ["Mars", "Venus"],
        ["Q1", "Q2"],
    ],
)
def test_what_is_no_date(labels: list[str]) -> None:
    assert days_of(labels) is None


def test_a_line_over_dates_runs_in_the_order_of_time() -> None:
    chart = ChartArguments.model_validate(
        {
            "kind": "line",
            "labels": ["2024-03-01", "2024-01-01", "2024-02-01"],
            "series": [{"values": [3, 1, None]}, {"name": "b", "values": [30, 10, 20]}],
        }
    ).chart()
    assert chart.dates
    assert chart.series[0].x == (day(2024, 1), day(2024, 2), day(2024, 3))
    assert [s.values for s in chart.series] == [(1.0, None, 3.0), (10.0, 20.0, 30.0)]


def test_a_table_with_dates_and_bars_as_they_were() -> None:
    table = {"csv": "day,n\n2024-06-01,2\n2024-01-01,1\n"}
    line = ChartArguments.model_validate({"kind": "line", **table}).chart()
    assert line.dates
    assert line.series[0].values == (1.0, 2.0)
    bars = ChartArguments.model_validate({"kind": "bar", **table}).chart()
    assert not bars.dates
    assert bars.labels == ("2024-06-01", "2024-01-01")


@given(st.lists(st.text("ab ", max_size=60), max_size=12), st.integers(8, 30))
def test_shortened_names_stay_different(names: list[str], longest: int) -> None:
    shown = distinct_names(names, longest)
    assert len(set(shown)) == len(set(names))
    assert all(len(text) <= longest for text in shown)


def test_what_differs_is_shown() -> None:
    names = [
        f"Revenue of the northern region in the year {year} after tax" for year in (2023, 2024)
    ]
    assert all(
        str(y) in text for y, text in zip((2023, 2024), distinct_names(names, 20), strict=True)
    )
