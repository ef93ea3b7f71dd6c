"""`plot` draws columns of a file of the conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.plot.chart import ChartArguments
from qwenbelt.tools.plot.file_rows import rows_of_file
from qwenbelt.tools.plot.tool import Plot

SALES = "date,region,units,revenue\n2024-02-01,N,2,20.5\n2024-01-01,N,1,10\n2024-01-01,S,3,\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "kept" / "5e2f"  # where a conversation's file is, is not its name
    path.parent.mkdir()
    path = path.with_suffix(".csv")
    path.write_text(SALES, encoding="utf-8")
    return {"sales.csv": path}


@pytest.mark.parametrize(
    ("kind", "x", "y", "aggregate", "rows", "how"),
    [
        ("line", "date", ["revenue"], None, [["2024-01-01", 10.0], ["2024-02-01", 20.5]], "sum"),
        ("bar", "DATE ", ["units"], "mean", [["2024-01-01", 2.0], ["2024-02-01", 2.0]], "mean"),
        ("bar", "region", ["region"], "count", [["N", 2.0], ["S", 1.0]], "count"),
        ("bar", None, ["units"], "max", [["2024-01-01", 3.0], ["2024-02-01", 2.0]], "max"),
        ("scatter", "units", ["revenue"], None, [["2", "20.5"], ["1", "10"], ["3", ""]], ""),
        ("histogram", None, ["units"], None, [["2"], ["1"], ["3"]], ""),
    ],
)
def test_columns_become_rows(
    files: dict[str, Path], kind: str, x: Any, y: Any, aggregate: Any, rows: Any, how: str
) -> None:
    found, joined = rows_of_file("sales.csv", files, None, kind, x, y, aggregate)
    assert found[1:] == rows
    assert joined == how


@pytest.mark.parametrize(
    ("name", "x", "y", "problem"),
    [
        ("other.csv", None, [], "Files with data: sales.csv"),
        ("sales.csv", "month", [], "Columns: date, region, units, revenue"),
        ("sales.csv", "date", ["region"], "not numeric"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(
    files: dict[str, Path], name: str, x: Any, y: Any, problem: str
) -> None:
    with pytest.raises(ToolError, match=problem):
        rows_of_file(name, files, None, "bar", x, y, None)


def test_the_tool_draws_it(files: dict[str, Path], tmp_path: Path) -> None:
    context = ToolContext(files=files, folder=tmp_path / "out")
    call = {"kind": "line", "file": "sales.csv", "x": "date", "y": "revenue", "title": "Revenue"}
    note, picture, _ = Plot().call(call, context=context)
    assert "joined (sum)" in note.text
    assert Path(picture.image).is_file()


def test_a_file_that_code_wrote_is_found_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "totals.csv").write_text("a,b\nx,1\ny,2\n", encoding="utf-8")
    assert rows_of_file("./totals.csv", {}, folder, "bar", None, [], None)[0][0] == ["a", "b"]
    (tmp_path / "secret.csv").write_text("a,b\nx,1\n", encoding="utf-8")
    with pytest.raises(ToolError, match=r"no file 'secret\.csv'"):
        rows_of_file("../secret.csv", {}, folder, "bar", None, [], None)


def test_columns_in_the_place_of_data_are_read_as_columns() -> None:
    given = {"kind": "bar", "file": "a.csv", "labels": "name", "series": [{"name": "score"}]}
    arguments = ChartArguments.model_validate(given)
    assert (arguments.x, arguments.y, arguments.series) == ("name", ["score"], None)
