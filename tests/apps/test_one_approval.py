"""One answer for all calls of a tool in a step: calls from a piece of code, or of a subagent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.cards import RenderContext
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.terminal_chat import approver
from qwenbelt.core.events import ApprovalAsked, Done, Event, ToolCallReady


def asked(call: str, name: str = "web_fetch", parent: str = "cell") -> ApprovalAsked:
    return ApprovalAsked(call, name, "{}", "reaches outside", parent)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person at the terminal will type."""
    typed: list[str] = []

    async def take(event: ApprovalAsked) -> str:
        return typed.pop(0)

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    monkeypatch.setattr(approver, "_ask_person", take)
    monkeypatch.setattr(approver, "sys", SimpleNamespace(stdin=Terminal, stderr=Terminal))
    return typed


def test_at_the_terminal_one_answer_counts_for_the_step(answers: list[str]) -> None:
    async def talk() -> None:
        ask = approver.terminal_approver(None)
        answers.extend(["s", "n", "n"])
        assert [await ask(asked(f"cell.{n}")) for n in range(20)] == [True] * 20
        assert not await ask(asked("cell.21", "send_mail"))
        assert not await ask(asked("other.1", parent="other"))
        assert answers == []

    asyncio.run(talk())


def test_a_call_of_no_step_is_not_allowed_by_that_answer(answers: list[str]) -> None:
    async def talk() -> None:
        answers.append("s")
        assert not await approver.terminal_approver(None)(asked("a", parent=""))

    asyncio.run(talk())


class WaitingRun:
    """A run whose calls from code wait for their answers, all at the same time."""

    def __init__(self, calls: list[ApprovalAsked]) -> None:
        self.calls = calls
        self.answered: dict[str, bool] = {}
        self.news = asyncio.Event()

    def approve(self, call_id: str, allowed: bool) -> None:
        self.answered[call_id] = allowed
        self.news.set()

    def cancel(self) -> None:
        self.news.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        for call in self.calls:
            yield call
        while len(self.answered) < len(self.calls):
            self.news.clear()
            await self.news.wait()
        yield Done("answer", "Done.")


def test_in_the_chat_one_click_answers_all_that_wait(tmp_path: Path) -> None:
    async def talk() -> None:
        store = ChatStore(":memory:")
        row = store.new_session("ann")
        session = ChatSession(row, store, tmp_path / row.id)
        session.folder.mkdir()
        run = WaitingRun([asked("c.1"), asked("c.2"), asked("c.3", "send_mail"), asked("c.4")])

        class Agent:
            @staticmethod
            def stream(*_: Any, **__: Any) -> WaitingRun:
                return run

        session.start("Fetch them.", [], lambda _: Agent(), "")
        live = session.live
        assert live is not None
        while sum(r["event"] == "approval_asked" for r in live.records) < 4:
            await asyncio.sleep(0.005)
        session.approve_all("c.1")
        assert run.answered == {"c.1": True, "c.2": True, "c.4": True}
        session.approve("c.3", False)
        assert live.task is not None
        await live.task
        assert run.answered["c.3"] is False
        store.close()

    asyncio.run(talk())


@pytest.mark.parametrize("parent", ["", "cell"])
def test_the_card_of_a_call_from_code_has_that_button(parent: str) -> None:
    view = TurnView("t", RenderContext("en", lambda name: None, lambda name: True))
    ready = ToolCallReady("c.1", "web_fetch", "{}", 1.0)
    for event in (ready, asked("c.1", parent=parent)):
        view.feed({"t": 1.0, **event.to_dict()})
    view.flush(2.0)
    assert ("Allow all web_fetch of this step" in view.html()) is bool(parent)
