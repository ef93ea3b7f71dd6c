"""The plan of a run, as the terminal and the page show it."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from rich.console import Console

from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.terminal_chat.run_display import TerminalView
from qwenbelt.core.events import (
    Done,
    Event,
    Item,
    ModelStarted,
    ToolCallReady,
    ToolFinished,
    Usage,
)
from qwenbelt.tools import ToolContext
from qwenbelt.tools.todo import TodoList


def called(number: int, parent: str = "", **states: str) -> list[Event]:
    """The events of a call of the real tool."""
    items = [{"text": text.replace("_", " "), "status": state} for text, state in states.items()]
    arguments = json.dumps({"items": items})
    result = str(TodoList().call(arguments, context=ToolContext(session="s")))
    name, now = f"c{number}", float(number)
    return [
        ToolCallReady(name, "todo_list", arguments, now, parent),
        ToolFinished(
            call_id=name, name="todo_list", sealed=now, started=now, finished=now, ok=True,
            cancelled=False, result=result, items=(Item("text", result),), artifacts=(),
            abandoned=False, status="ok", error="", parent=parent,
        ),
    ]  # fmt: skip


TURN = [
    ModelStarted(1, 1.0),
    *called(1, read_the_files="doing", **{"<b>draw</b>": "open"}),
    *called(2, read_the_files="done", **{"<b>draw</b>": "doing"}),
    *called(3, "c2", of_a_subagent="doing"),
]


def shown(width: int = 80, encoding: str = "utf-8", events: Any = TURN) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    view = TerminalView(Console(file=out, width=width), lanes=False)
    for event in [*events, Done("answer", "x")]:
        view.feed(event)
    out.flush()
    return out.buffer.getvalue().decode(encoding)


def test_the_terminal_prints_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    text = shown()
    assert "Plan 0/2\n  ▸ read the files\n  ☐ <b>draw</b>" in text
    assert "Plan 1/2\n  ✓ read the files\n  ▸ <b>draw</b>" in text
    assert "Plan 0/1" not in text  # a subagent's own
    assert "  [x] read the files" in shown(encoding="ascii", events=TURN[:-2])
    monkeypatch.setenv("QWENBELT_LANG", "zh")
    assert "计划 1/2" in shown()


def test_tokens_that_nobody_told_are_not_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBELT_LANG", "en")
    assert "tokens: not told; calls: 3" in shown()
    assert "tokens: 7 in, 2 out; calls: 3" in shown(events=[*TURN, Usage(1, 7, 2)])


def test_of_a_long_plan_the_middle_is_printed() -> None:
    states = {f"step_{n}": "done" if n < 40 else "open" for n in range(80)}
    text = shown(events=[ModelStarted(1, 1.0), *called(1, **states)])
    assert "40/80" in text
    assert "step 40\n" in text
    assert "step 0\n" not in text
    assert "step 79" not in text


def test_the_page_has_one_panel_a_turn() -> None:
    view = TurnView("t", RenderContext("en", lambda name: None))
    for event in TURN:
        view.feed({"t": time.monotonic(), **event.to_dict()})
    view.flush()
    html = view.html()
    assert html.count('class="qb-plan"') == 1
    assert "Plan <small>1/2</small>" in html
    assert '<li class="done"><span role="img" aria-label="done">✓</span> read the files' in html
    assert "&lt;b&gt;draw&lt;/b&gt;</li>" in html


def test_words_of_other_lists_for_a_step_are_known() -> None:
    items = [{"text": word, "status": word} for word in ("pending", "in_progress", "completed")]
    assert str(TodoList().call({"items": items})) == (
        "- [ ] pending\n- [~] in_progress\n- [x] completed"
    )
