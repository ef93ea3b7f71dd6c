import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.plot.chart import MAX_POINTS, Chart, ChartArguments


def chart(**given: Any) -> Chart:
    return ChartArguments.model_validate(given).chart()


def test_the_three_forms_of_data_give_the_same_chart() -> None:
    by_series = chart(
        kind="bar", labels=["a", "b"], series=[{"name": "x", "values": [1, 2]}], title="t"
    )
    by_csv = chart(kind="bar", csv="k,x\na,1\nb,2\n", title="t")
    by_rows = chart(kind="bar", rows=[["k", "x"], ["a", 1], ["b", "2"]], title="t")
    assert by_series == by_csv == by_rows


def test_years_as_labels_are_x_values_of_lines() -> None:
    assert chart(kind="line", labels=[2018, 2019], series=[[1, 2]]).series[0].x == (2018, 2019)
    assert chart(kind="line", csv="year,v\n2018,1\n2019,2").series[0].x == (2018, 2019)
    assert chart(kind="line", labels=["Q1", "Q2"], series=[[1, 2]]).series[0].x is None


def test_near_misses_of_models_are_taken() -> None:
    by_dict = chart(kind="bar", labels=["a"], series={"s": [1], "t": [2]})
    assert [s.name for s in by_dict.series] == ["s", "t"]
    assert chart(kind="histogram", values=[1, 2, 3]).series[0].values == (1, 2, 3)
    assert chart(kind="box", series=[{"name": "s", "y": [1, 2]}]).series[0].values == (1, 2)


def test_text_columns_of_a_table_are_left_out_and_name_the_points() -> None:
    found = chart(kind="scatter", csv="fuel;ash;water\nBIT;17;9\nLIG;20;45\n")
    assert found.series[0].x == (17, 20)
    assert found.series[0].points == ("BIT", "LIG")
    bars = chart(kind="bar", csv="fuel,note,ash\nBIT,good,17\nLIG,bad,20\n")
    assert [s.name for s in bars.series] == ["ash"]


def test_a_heatmap_takes_rows_as_series() -> None:
    found = chart(kind="heatmap", csv="x,a,b\nr1,1,2\nr2,3,4\n")
    assert found.labels == ("a", "b")
    assert [s.values for s in found.series] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "bar"}, "exactly one of series, csv, rows or file, not none"),
        ({"kind": "bar", "csv": "a,b\n1,2", "series": [[1]]}, "not series and csv"),
        ({"kind": "bar", "series": []}, "no series"),
        ({"kind": "bar", "csv": "a,b\n"}, "header and at least one row"),
        ({"kind": "bar", "csv": "a,b\nx,y\n"}, "no numeric column"),
        ({"kind": "bar", "csv": "a,b\nx,1,2\n"}, "Row 2"),
        ({"kind": "bar", "labels": ["a"], "series": [[1, 2]]}, "2 values for 1 labels"),
        ({"kind": "line", "labels": [1], "series": [[1, 2]]}, "lengths must be equal"),
        ({"kind": "line", "series": [[1, math.nan]]}, "not a usable number"),
        ({"kind": "line", "series": [[1, math.inf]]}, "not a usable number"),
        ({"kind": "line", "series": [[1, 1e300]]}, "not a usable number"),
        ({"kind": "line", "series": [[1, "many"]]}, "not a number: 'many'"),
        ({"kind": "line", "series": [[None, None]]}, "every value is missing"),
        ({"kind": "line", "series": [[0, 1]], "log_y": True}, "above zero"),
        ({"kind": "line", "labels": [0, 1], "series": [[1, 1]], "log_x": True}, "x values above"),
        ({"kind": "histogram", "series": [[1.0] * (MAX_POINTS + 1)]}, "too many to draw"),
        ({"kind": "box", "series": [[1]] * 41}, "41 series are too many"),
        ({"kind": "bar", "series": [[1] * 201]}, "201 bars are too many"),
        ({"kind": "pie", "series": [[1], [2]]}, "one series"),
        ({"kind": "pie", "labels": ["a", "b"], "series": [[1, -2]]}, "zero or more"),
        ({"kind": "pie", "series": [[0, 0]]}, "sum above zero"),
        ({"kind": "scatter", "series": [[1, 2]]}, "needs x values"),
        ({"kind": "scatter", "labels": ["a", "b"], "series": [[1, 2]]}, "not all numbers"),
        ({"kind": "scatter", "csv": "a,b\nx,1\n"}, "two numeric columns"),
        ({"kind": "heatmap", "rows": [["x"] + ["c"] * 201, ["r"] + [1] * 201]}, "at most 200"),
        ({"kind": "bar", "csv": "x" * 1_000_001}, "over 1000000 characters"),
    ],
)
def test_bad_data_is_one_line_that_says_what_to_change(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolError) as caught:
        chart(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


_CELLS = st.none() | st.text(max_size=6) | st.integers(-10, 10**12) | st.floats()
_GIVEN = st.fixed_dictionaries(
    {"kind": st.sampled_from(["line", "bar", "scatter", "histogram", "box", "heatmap", "pie"])},
    optional={
        "labels": st.lists(_CELLS, max_size=4),
        "series": st.lists(
            st.fixed_dictionaries(
                {"values": st.lists(_CELLS, max_size=4)},
                optional={"x": st.lists(_CELLS, max_size=4), "name": st.text(max_size=4)},
            ),
            max_size=3,
        ),
        "csv": st.text(max_size=40),
        "rows": st.lists(st.lists(_CELLS, max_size=3), max_size=4),
        "log_y": st.booleans(),
    },
)


@settings(deadline=None)
@given(_GIVEN)
def test_any_arguments_give_a_chart_or_a_tool_error(given: dict[str, Any]) -> None:
    try:
        found = chart(**given)
    except (ToolError, ValidationError):
        return
    assert found.points > 0


def test_the_schema_is_json_and_small() -> None:
    assert len(json.dumps(ChartArguments.model_json_schema())) < 4400
