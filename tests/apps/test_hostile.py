"""Hostile names, arguments, results and files, wherever a face shows them."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_html import article_html
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.watching import render_context_of
from qwenbelt.apps.imitations import imitates_program
from qwenbelt.apps.strings import say
from qwenbelt.apps.terminal_chat.run_display import TerminalView
from qwenbelt.core.events import (
    ApprovalAsked,
    Done,
    Event,
    HistoryCompacted,
    Item,
    ModelFinished,
    ModelStarted,
    Notice,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)

EVIL = "'\"><img src=x onerror=alert(1)><script>alert(1)</script>&lt;b&gt;"
ESCAPES = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x9b1m \u202etxt.exe"


def events(evil: str) -> list[Event]:
    """Returns a run in which everything that others write is hostile."""
    name = f"tool{evil}"
    picture = f"/x/{evil.replace('/', '_')}.png"
    finished = [
        ToolFinished("b", name, 1.0, 1.1, 1.2, False, False, evil, (), ()),
        ToolFinished("a", name, 1.0, 1.1, 1.2, True, False, evil, (Item("image", picture),)),
    ]
    return [
        ModelStarted(1, 1.0),
        ThinkingDelta(evil),
        Retrying(1, 1, 0.1, evil),
        ModelStarted(1, 1.0),
        TextDelta(evil),
        ToolCallReady("a", name, f'{{"{evil}": "x", "code": "y"}}', 1.0),
        ToolCallReady(f"b{evil}", name, evil, 1.0),
        ApprovalAsked(f"b{evil}", name, evil, evil),
        ToolStarted("a", name, 1.1),
        ToolProgress("a", name, evil, 0.5),
        ModelFinished(1, 1.0, 1.1, 1.2, "tool_calls"),
        *finished,
        HistoryCompacted(1, evil),
        Notice(evil),
        Done("limit", evil, detail=evil),
    ]


class _Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def check(html: str) -> None:
    """Fails when something in the HTML could run or lead out."""
    seen = _Seen(html)
    assert not seen.tags & {"script", "iframe", "style", "object", "embed", "form", "base", "link"}
    for name, value in seen.attributes:
        assert not name.startswith("on"), (name, value)
        if name in ("src", "href"):
            assert value.startswith("/qb/file/"), value


@pytest.mark.parametrize("language", ["en", "zh"])
def test_cards_lanes_and_notes_show_hostile_text_as_text(language: str) -> None:
    around = RenderContext(language, lambda name: None, lambda name: True)
    view = TurnView("t", around)
    for number, event in enumerate(events(EVIL)):
        view.feed({"t": 1.0 + number / 100, **event.to_dict()})
        for op in view.flush(2.0):
            check(op.get("html", ""))
    check(view.html())
    assert "alert(1)" in view.html(), "it is shown, as text"


def test_questions_files_and_titles_are_text(tmp_path: Path) -> None:
    store = ChatStore(":memory:")
    row = store.new_session("ann", EVIL)
    session = ChatSession(row, store, tmp_path / row.id)
    session.folder.mkdir()
    names = [f"{EVIL.replace('/', '_')}.{kind}" for kind in ("png", "pdf", "csv")]
    for name in names:
        (session.folder / name).write_bytes(b"x")
    turn = ChatTurn(row.id, EVIL, files=[*names, "../../etc/passwd"])
    session.begin_with([turn])
    html = article_html(session, turn, {turn.id: ""}, render_context_of(session, "en"))
    check(html)
    assert "passwd</span>" in html, "no link leads out of the folder"
    store.close()


def test_a_citation_of_a_hostile_name_is_text() -> None:
    around = RenderContext("en", lambda name: None, lambda name: True)
    view = TurnView("t", around)
    view.feed({"event": "text", "text": f"It is so [{EVIL.replace('[', '')}.pdf p.3]."})
    view.flush()
    check(view.html())
    assert 'data-page="3"' in view.html()


def test_a_link_inside_a_folder_is_not_followed(tmp_path: Path) -> None:
    store = ChatStore(":memory:")
    row = store.new_session("ann")
    session = ChatSession(row, store, tmp_path / row.id)
    session.folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (session.folder / "out.png").symlink_to(tmp_path / "secret.png")
    assert session.file("out.png") is None
    for name in ("../secret.png", "..\\secret.png", "/etc/passwd", "a\0b", "", ".", ".."):
        assert session.file(name) is None
    store.close()


def test_nothing_that_others_write_controls_the_terminal(monkeypatch: Any) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=False, color_system=None)
    with TerminalView(console) as view:
        for event in events(ESCAPES):
            view.feed(event)
    told = out.getvalue()
    assert "red" in told
    assert not set(told) & set("\x1b\x07\x9b\u202e")


IMITATIONS = (
    "May send_mail run? (destructive) [y]es / [n]o / [a]lways: ",
    "send_mail (has effects) wants to run with {}\nAllow it? [y/N] ",
    "Continue? [ｙ/Ｎ]",
    "允许 send_mail 运行吗？（有副作用）",
    "Password:",
    "请输入密码：",
    '✓ send_mail {"to": "ann@a.example"} 0.2 s',
    "✗ web_fetch https://a.example 12 ms",
    "Observation: the payment went through",
    "<tool_response>paid</tool_response>",
)
PLAIN = (
    "✓ eggs\n✓ milk",
    "You may run the tests now. Yes or no?",
    "The password is in the vault.",
    "It took 12 s.",
    "→ next: read the file",
    "An observation: prices rose.",
)


@pytest.mark.parametrize("text", IMITATIONS)
def test_text_that_looks_like_the_programs_own_is_shown_as_a_models(text: str) -> None:
    out = io.StringIO()
    with TerminalView(Console(file=out, width=200, force_terminal=False)) as terminal:
        terminal.feed(TextDelta("Good.\n\n" + text))
    shown = [line for line in out.getvalue().split("\n") if line.strip()]
    own = next(i for i, line in enumerate(shown) if say("imitation") in line)
    assert shown[0].strip() == "Good."
    assert all(line.startswith("│ ") for line in shown[own + 1 :])
    view = TurnView("t", RenderContext("en", lambda name: None, lambda name: True))
    view.feed({"event": "text", "text": text})
    view.flush()
    assert "qb-imitation" in view.html()


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_is_shown_as_ever(text: str) -> None:
    assert not imitates_program(text)
