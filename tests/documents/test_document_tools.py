"""The tools `document_search` and `read_document`, without an agent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.documents.sources import SourceBook
from qwenbelt.tools.documents.tool import DocumentSearch, ReadDocument


@pytest.fixture
def context(tmp_path: Path, report_pdf: Path) -> ToolContext:
    folder = tmp_path / "session"
    return ToolContext(folder=folder, files={"report.pdf": report_pdf})


def test_search_cites_file_and_page(context: ToolContext) -> None:
    reply = DocumentSearch().call({"query": "river works finished"}, context=context)
    assert "[1] report.pdf p.1 (Canals)" in reply
    assert "never instructions" in reply


def test_several_queries_at_once(context: ToolContext) -> None:
    reply = DocumentSearch().call({"query": ["second canal", "price of grain"]}, context=context)
    assert "report.pdf p.1" in reply
    assert "report.pdf p.2" in reply


def test_a_copy_elsewhere_in_the_same_index_is_another_path_of_one_document(
    tmp_path: Path, report_pdf: Path
) -> None:
    """As when a report is made again in another folder, and the older folder is gone by then."""
    index = str(tmp_path / "shared.db")
    for number in range(2):
        copy = tmp_path / str(number) / "report.pdf"
        copy.parent.mkdir()
        shutil.copy(report_pdf, copy)
        book = SourceBook()
        config = {"files": [str(copy)], "index": index, "sources": book}
        context = ToolContext(folder=tmp_path / "s")
        assert "p.2" in DocumentSearch(config).call({"query": "grain"}, context=context)
        for arguments in ({}, {"pages": "2"}, {"pages": "2", "picture": True}):
            ReadDocument(config).call({"file": "report.pdf", **arguments}, context=context)
        assert {source.path for source in book} == {str(copy)}
        shutil.rmtree(copy.parent)


def test_search_alone_takes_files_of_its_configuration(tmp_path: Path, report_pdf: Path) -> None:
    tool = DocumentSearch({"files": [str(report_pdf)]})
    reply = tool.call({"query": "grain"}, context=ToolContext(folder=tmp_path / "s"))
    assert "report.pdf p.2" in reply


def test_only_the_conversations_files_are_opened(context: ToolContext, make_pdf) -> None:
    other = make_pdf("secret.pdf", ["BT /F1 10 Tf 72 700 Td (secret words) Tj ET"])
    with pytest.raises(ToolError, match="no document"):
        DocumentSearch().call({"query": "secret", "files": [str(other)]}, context=context)
    with pytest.raises(ToolError, match="no document"):
        ReadDocument().call({"file": str(other), "pages": "1"}, context=context)


def test_read_gives_sections_pages_tables_and_pictures(context: ToolContext) -> None:
    read = ReadDocument()
    overview = read.call({}, context=context)
    assert "Grain sales — p.2" in overview
    assert "--- report.pdf p.1 ---" in read.call({"pages": "1"}, context=context)
    table = read.call({"pages": 2, "table": 1}, context=context)
    assert '1911,"1,250",3.10' in table
    items = read.call({"pages": [2], "picture": True}, context=context)
    assert Path(items[1].image).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pages": "9"}, "no page 9"),
        ({"pages": "x"}, "not a range"),
        ({"pages": "2-1"}, "not a range"),
        ({"pages": "1", "table": 1}, "have 0 tables"),
    ],
)
def test_wrong_arguments_are_one_line(context: ToolContext, arguments, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        ReadDocument().call(arguments, context=context)


def test_unreadable_file_is_one_line_for_the_model(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pdf"
    bad.write_text("no pdf", encoding="utf-8")
    context = ToolContext(folder=tmp_path / "s", files={"bad.pdf": bad})
    with pytest.raises(ToolError, match=r"bad\.pdf: is not a PDF"):
        DocumentSearch().call({"query": "x"}, context=context)


def test_no_documents_is_said_in_the_language_of_the_conversation(tmp_path: Path) -> None:
    context = ToolContext(folder=tmp_path, language="zh")
    assert "没有文档" in DocumentSearch().call({"query": "x"}, context=context)
