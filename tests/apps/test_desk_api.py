"""What the side pane is told: tables page by page, code as a notebook, words in documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwenbelt.apps.gui.asking import chat_script
from qwenbelt.apps.gui.panes.data_grid import rows_page, table_page
from qwenbelt.apps.gui.panes.desk_api import _found_pages, _notebook_of_cells
from qwenbelt.apps.gui.panes.turn_times import critical_path, turn_times
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.apps.timeline import Timeline
from qwenbelt.workflows.demo.bundled import PDF, demo_pdf, scripted_replies


def test_a_table_is_sorted_filtered_and_paged(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"n{n},{n % 7},{'x' * 400 if n == 3 else ''}\n" for n in range(101))
    file.write_text("name,size,note\n" + rows, encoding="utf-8")
    shown = table_page(file, sort="size", down=True)
    assert (shown["count"], shown["pages"], len(shown["rows"])) == (101, 3, 50)
    assert shown["rows"][0][:2] == ["n6", "6"]
    assert shown["columns"][1]["mean"] == "2.9406"
    assert shown["columns"][2]["missing"] == 100
    assert table_page(file, page=99)["page"] == 3
    found = table_page(file, words="N10", sort="nosuch")
    assert [row[0] for row in found["rows"]] == ["n10", "n100"]
    assert len(table_page(file)["rows"][3][2]) < 400


@pytest.mark.parametrize(
    ("text", "columns"),
    [("a\n3\n1\n", ["a"]), ("a;b\n1;2\n", ["a", "b"]), ("x\ty\n1\t2", ["x", "y"])],
)
def test_columns_are_parted_where_they_are(text: str, columns: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    shown = table_page(tmp_path / "a.csv")
    assert [column["name"] for column in shown["columns"]] == columns
    assert len(shown["rows"][0]) == len(columns)


def test_numbers_in_texts_sort_as_numbers() -> None:
    shown = rows_page(["name", "n"], [["a", "1,200"], ["b", "30"], ["c"]], sort="n")
    assert [row[0] for row in shown["rows"]] == ["b", "a", "c"]
    assert shown["columns"][1] | {"kind": "number", "missing": 1} == shown["columns"][1]


def test_what_the_end_waited_for_is_a_chain() -> None:
    events = [
        {"event": "model_started", "turn": 1, "started": 0.0},
        {"event": "model_finished", "turn": 1, "started": 0.0, "finished": 1.0},
        *(
            {"event": "tool_finished", "call_id": name, "name": name, "ok": True, **times}
            for name, times in {
                "slow": {"sealed": 0.5, "started": 0.6, "finished": 4.0},
                "quick": {"sealed": 0.9, "started": 0.8, "finished": 2.0},
                "short": {"sealed": 0.5, "started": 0.55, "finished": 3.0},
            }.items()
        ),
        {"event": "model_started", "turn": 2, "started": 4.0},
        {"event": "model_finished", "turn": 2, "started": 4.0, "finished": 5.0},
    ]
    path = critical_path(Timeline(events))
    assert [name for name, _ in path] == ["", "slow", ""]
    assert sum(took for _, took in path) == pytest.approx(5.0)
    told = turn_times(events, "en")
    assert "beside it ran 2 more" in told["path"]


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", ""), ("a.xlsx", "no workbook"), ("a.json", "{"), ("a.png", "x")]
)
def test_what_is_no_table_is_said(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(PageError, match="cannot be read as a table"):
        table_page(tmp_path / name)


def test_mixed_columns_and_repeated_names_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([{"a": 1, "b": [1, 2]}, {"a": "x", "b": None}]), encoding="utf-8")
    assert table_page(file, sort="a")["rows"] == [["1", "[1, 2]"], ["x", ""]]


def test_words_are_found_in_a_pdf() -> None:
    found = _found_pages(demo_pdf(), "heat   CONTENT")
    assert found
    assert "heat content" in found[0]["around"].lower()
    assert _found_pages(demo_pdf(), "nowhere to be read") == []


def test_code_is_a_notebook() -> None:
    cells = [{"code": "x = 1\nprint(x)", "output": "1\n"}, {"code": "y = 2", "output": ""}]
    book = _notebook_of_cells(cells)
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.from_dict(book))
    assert [cell["source"] for cell in book["cells"]] == ["x = 1\nprint(x)", "y = 2"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_demo_cites_pages_as_a_chat_does(language: Any) -> None:
    script = chat_script(scripted_replies(language), PDF)
    assert f"[{PDF} p.33]" in script
    assert "[${read_document" not in script


def test_nobody_sees_anothers_desk(chat_server: Any) -> None:
    with httpx.Client(base_url=chat_server.url, trust_env=False, timeout=60) as anna:
        anna.get("/en/")
        session = anna.post("/qb/new", json={}).json()["id"]
        assert anna.get(f"/qb/desk/{session}/files").json() == {"files": []}
        assert "answered" in anna.get(f"/qb/desk/{session}/trace.html").text
        for part in ("table/..%2Fx.csv", "text/nosuch.pdf/1", "find/nosuch.pdf?q=a", "code.exe"):
            assert anna.get(f"/qb/desk/{session}/{part}").status_code in (400, 404)
    with httpx.Client(base_url=chat_server.url, trust_env=False, timeout=60) as ben:
        ben.get("/en/")
        for part in ("files", "files.zip", "cells", "code.py", "trace", "trace.html"):
            assert ben.get(f"/qb/desk/{session}/{part}").status_code == 400
