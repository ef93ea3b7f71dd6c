"""Printed page numbers: known, shown with hits, and accepted where pages are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.documents import DocumentIndex
from qwenbelt.tools.documents.tool import DocumentSearch, ReadDocument, page_numbers

LABELS = {1: "i", 2: "ii", 3: "iii", 5: "A-1", 6: "1", 7: "2"}


@pytest.fixture
def labelled(make_pdf) -> Path:
    pages = [f"BT /F1 12 Tf 72 700 Td (Sheet {n} tells of the harbour.) Tj ET" for n in range(1, 5)]
    labels = "/PageLabels << /Nums [0 << /S /r >> 2 << /S /D /P (A-) >> 3 << /S /D /St 4 >>] >>"
    return make_pdf("book.pdf", pages, catalog=labels)


def test_hits_and_pages_carry_the_printed_label(labelled: Path, tmp_path: Path) -> None:
    with DocumentIndex(tmp_path / "i.db", workers=0) as index:
        index.add(labelled)
        assert index.labels("book.pdf") == {1: "i", 2: "ii", 3: "A-1"}
        assert [hit.label for hit in index.search("sheet 2", 1)] == ["ii"]
        text = str(ReadDocument({"index": index.place}).call({"pages": "ii"}))
        assert "p.2 (printed: ii)" in text
        assert "Sheet 2" in text


@pytest.mark.parametrize(
    ("given", "pages"),
    [
        ("ii", [2]),
        ("i-iii", [1, 2, 3]),
        ("A-1", [5]),
        ("1", [1]),  # numbers alone count sheets, as before
        ("p. 1", [6]),
        ("p. 1 - p. 2", [6, 7]),
        ("2-3, III", [2, 3]),
        ("第 2 页", [7]),
    ],
)
def test_labels_in_ranges(given: str, pages: list[int]) -> None:
    assert page_numbers(given, 7, LABELS) == pages


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ToolError, match="not a range"):
        page_numbers("xii", 7, LABELS)


def test_what_could_not_be_read_is_told_where_nothing_is_found(labelled: Path) -> None:
    wide = labelled.with_name("wide.csv")
    wide.write_text(",".join(f"c{n}" for n in range(5000)), encoding="utf-8")
    tool = DocumentSearch({"files": [str(labelled), str(wide)]})
    assert "a table of 5000 columns" in str(tool.call({"query": "zeppelin"}))
