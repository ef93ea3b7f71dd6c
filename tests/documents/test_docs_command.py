"""`qwenbelt docs` on the command line."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from qwenbelt.apps.commands.docs import docs
from qwenbelt.tools.documents.notes import document_notes


@pytest.fixture
def run(tmp_path: Path):
    def call(*arguments: str):
        return CliRunner().invoke(docs, [*arguments, "--index", str(tmp_path / "i.db")])

    return call


def test_add_search_list_remove(run, report_pdf: Path) -> None:
    added = json.loads(run("add", str(report_pdf), "--json").stdout)
    assert added["files"][0]["state"] == "added"
    hits = json.loads(run("search", "river works", "--json", "--top-k", "1").stdout)["hits"]
    assert len(hits) == 1
    assert {"file", "page", "quote", "score", "box"} <= hits[0].keys()
    assert (hits[0]["file"], hits[0]["page"]) == ("report.pdf", 1)
    assert "report.pdf: 2 pages" in run("list").stdout
    assert json.loads(run("remove", "report.pdf", "--json").stdout) == {"removed": ["report.pdf"]}
    assert json.loads(run("list", "--json").stdout) == {"documents": []}


def test_queries_from_a_file(run, report_pdf: Path, tmp_path: Path) -> None:
    run("add", str(report_pdf))
    lines = [
        {"id": "a", "question": "canal", "file": "report.pdf"},
        {"id": "b", "question": "grain"},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    out = [json.loads(x) for x in run("search", "--queries", str(path)).stdout.splitlines()]
    assert [x["id"] for x in out] == ["a", "b"]
    assert [x["hits"][0]["page"] for x in out] == [1, 2]


def test_bad_file_fails_and_the_rest_is_added(run, report_pdf: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pdf"
    bad.write_text("x", encoding="utf-8")
    result = run("add", str(bad), str(report_pdf))
    assert result.exit_code == 1
    assert "bad.pdf: is not a PDF" in result.stderr
    assert "report.pdf: added" in result.stdout


def test_the_example_shows_the_page(
    report_pdf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "search_by_meaning.py"
    names = runpy.run_path(str(example))
    names["main"](str(tmp_path), "when were the river works finished?", str(report_pdf))
    assert "[1] report.pdf p. 1" in capsys.readouterr().out
    assert (tmp_path / "hit1.png").read_bytes().startswith(b"\x89PNG")


def test_files_of_a_folder_that_are_not_read_are_named(run, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("note.txt", "old.doc", "data.json", "more.json", ".hidden"):
        (folder / name).write_text("The lid is blue.", encoding="utf-8")
    *_, passed_over = json.loads(run("add", str(folder), "--json").stdout)["files"]
    assert (passed_over["file"], passed_over["state"]) == ("mixed/", "passed over")
    assert passed_over["notes"] == [
        "3 files of other kinds in this folder are not read: 2 x .json, 1 x .doc."
    ]


def test_a_document_without_text_says_so(run, tmp_path: Path) -> None:
    page = tmp_path / "app.html"
    page.write_text("<html><body><script>let price = 42</script></body></html>", encoding="utf-8")
    for state in ("added", "unchanged"):
        (added,) = json.loads(run("add", str(page), "--json").stdout)["files"]
        assert (added["state"], added["chunks"]) == (state, 0)
        assert added["notes"] == ["No text was found: nothing of it can be searched or quoted."]


def test_notes_of_pages_come_once_and_name_them() -> None:
    pages = [(n, ["A picture."] if n != 4 else []) for n in range(1, 7)]
    assert document_notes(["Guessed."], [*pages, (9, ["A picture.", "Cut."])], 3) == [
        "Guessed.",
        "Pages 1-3, 5-6, 9: A picture.",
        "Page 9: Cut.",
    ]
