"""A chart's Vega-Lite: dates as dates, ranges as ranges, and nothing that fetches or computes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.plot.chart import ChartArguments
from qwenbelt.tools.plot.vega import is_plain_spec, vega_spec

CASES: dict[str, dict[str, Any]] = {
    "line": {"labels": ["2024-01", "2024-03"], "series": {"a": [1, 2], "b": [3, None]}},
    "bar": {"labels": ["x", "y"], "series": {"a": [1, 2], "b": [3, 4]}, "stacked": True},
    "range": {"labels": ["x", "y"], "series": {"low": [1, 2], "high": [3, 4]}, "horizontal": True},
    "dot": {"labels": ["x", "y"], "series": {"a": [1, 2], "b": [3, None]}},
    "scatter": {"labels": ["n", "m"], "series": [{"x": [1, 2], "values": [3, 4]}]},
    "histogram": {"series": {"a": [1, 2, 2, 3]}},
    "box": {"series": {"a": [1, 2, 2, 3], "b": [4, 5, 6]}},
    "heatmap": {"labels": ["x", "y"], "series": {"a": [1, 2], "b": [3, 4]}},
    "pie": {"labels": ["x", "y"], "series": [{"values": [1, 2]}]},
}


def spec_of(**arguments: Any) -> dict[str, Any]:
    return vega_spec(ChartArguments.model_validate(arguments).chart())


@pytest.mark.parametrize("kind", CASES)
def test_every_kind_is_drawn_and_holds_its_values(kind: str) -> None:
    spec = json.loads(json.dumps(spec_of(kind=kind, title="<b>T</b>", **CASES[kind])))
    assert is_plain_spec(spec)
    assert spec["data"]["values"]
    converter = pytest.importorskip("vl_convert")
    drawn = converter.vegalite_to_svg({**spec, "width": 300})
    assert "<b>" not in drawn


def test_dates_and_ranges_are_what_they_are() -> None:
    line = spec_of(kind="line", **CASES["line"])
    assert line["encoding"]["x"]["type"] == "temporal"
    assert [row["x"] for row in line["data"]["values"]][1] == "2024-03-01T00:00:00"
    ranges = spec_of(kind="range", **CASES["range"])
    assert ranges["encoding"]["x2"] == {"field": "high"}
    with pytest.raises(ToolError, match="below its begin"):
        spec_of(kind="range", labels=["x"], series={"low": [3], "high": [1]})
    with pytest.raises(ToolError, match="two series"):
        spec_of(kind="range", labels=["x"], series={"low": [3]})


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"url": "https://evil.example/x.csv"}},
        {"data": {"values": [{"a": {"url": "x"}}]}},
        {"transform": [{"calculate": "1", "as": "b"}]},
        {"encoding": {"href": {"value": "https://evil.example"}}},
        {"encoding": {"x": {"axis": {"labelExpr": "datum.value"}}}},
        {"params": [{"name": "p", "expr": "1"}]},
        {"usermeta": {"embedOptions": {}}},
        {"mark": {"type": "image", "url": "x"}},
    ],
)
def test_a_file_that_claims_to_be_a_chart_is_refused(change: dict[str, Any]) -> None:
    assert not is_plain_spec({**spec_of(kind="line", **CASES["line"]), **change})


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_may_claim_to_be_a_chart(value: Any) -> None:
    assert not is_plain_spec(value)
