"""A conversation as a report, and what a call that waits would change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qwenbelt.apps.gui.drawing.changes_html import change_html
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.conversation_report import conversation_report
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.workflows.demo.bundled import demo_pdf


def test_a_conversation_becomes_a_report_whose_citations_are_checked(tmp_path: Path) -> None:
    store = ChatStore(":memory:")
    session = SessionRegistry(store, tmp_path).open("anna", store.new_session("anna", "Fuel").id)
    with pytest.raises(PageError):
        conversation_report(session, "html", "en")
    session.folder.mkdir()
    shutil.copy(demo_pdf(), session.folder / "eia.pdf")
    turn = ChatTurn(session.row.id, "Who *must* file?")
    turn.answer = (
        'It says "collects information on the operation of electric power plants" [eia.pdf p.1].'
        "\n\nWhales swim in the sea of Japan [eia.pdf p.2]. See also [nosuch.pdf p.3]."
    )
    session.begin_with([turn])
    page = conversation_report(session, "html", "en").decode()
    assert "Who *must* file?" in page
    assert "Words of 1 citations were not found" in page
    assert "collects information on the operation" in page
    pdf = conversation_report(session, "pdf", "zh")
    assert pdf.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("name", "arguments", "seen"),
    [
        ("file_edit", {"path": "a.txt", "edits": [{"oldText": "a\nb", "newText": "a\nc"}]}, "-b"),
        ("file_write", {"path": "a.txt", "content": "<b>x</b>"}, "+&lt;b&gt;x"),
        ("mail", {"content": "x"}, ""),
        ("file_edit", {"edits": [3, {"oldText": 1}]}, ""),
    ],
)
def test_a_change_that_waits_is_shown(name: str, arguments: object, seen: str) -> None:
    shown = change_html(name, json.dumps(arguments))
    assert seen in shown
    assert bool(shown) is bool(seen)


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null"])
def test_arguments_of_any_form_are_no_change(arguments: str) -> None:
    assert change_html("file_write", arguments) == ""
