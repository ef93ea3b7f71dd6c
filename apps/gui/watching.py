"""What a browser is sent of a conversation: first all of it, then each change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from qwenbelt.apps.gui.drawing.safe_html import RenderContext, quoted_for_url
from qwenbelt.apps.gui.drawing.turn_html import (
    actions_html,
    article_html,
    article_id,
    question_html,
)
from qwenbelt.apps.gui.drawing.turn_view import Op, TurnView
from qwenbelt.apps.gui.hub import ChatSession
from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.apps.gui.live_turn import LiveTurn

TICK = 0.05  # seconds between two messages, so that many small events travel together
LANE_TICK = 0.25  # seconds between two drawings of growing lanes
KEEP_ALIVE = 15.0


def render_context_of(session: ChatSession, language: str) -> RenderContext:
    """Returns what texts of a conversation may refer to."""

    def url(name: str) -> str | None:
        name = name.removeprefix("./")
        known = session.file(name) is not None
        return f"/qb/file/{session.row.id}/{quoted_for_url(name)}" if known else None

    return RenderContext(
        language,
        url,
        lambda name: session.file(name) is not None,
        tool_html=session.faces.html,
    )


class Watcher:
    """One browser's view of a conversation."""

    def __init__(self, session: ChatSession, language: str) -> None:
        self._session = session
        self._around = render_context_of(session, language)
        self._revision = -1
        self._shown: dict[str, str] = {}
        self._live: LiveTurn | None = None
        self._view: TurnView | None = None
        self._read = 0
        self._status: dict[str, Any] = {}

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yields `{"ops": [...]}` and, when nothing happens, `{}`, until it is deleted."""
        first: list[Op] = [{"op": "reset"}]
        session = self._session
        session.watchers += 1
        try:
            while not (session.gone or session.left):
                ops = first + await self._changes()
                first = []
                if ops:
                    yield {"ops": ops}
                    await asyncio.sleep(TICK)
                if not self._up_to_date():
                    continue
                growing = self._view is not None and self._view.running
                before = session.revision
                await session.wait(LANE_TICK if growing else KEEP_ALIVE)
                if not growing and self._up_to_date() and before == session.revision:
                    yield {}
            if session.gone:
                yield {"ops": [{"op": "gone"}]}
        finally:
            session.watchers -= 1

    def _up_to_date(self) -> bool:
        if self._revision != self._session.revision:
            return False
        return self._live is None or self._read == len(self._live.records)

    async def _changes(self) -> list[Op]:
        ops = self._follow()
        if self._revision != self._session.revision:
            self._revision = self._session.revision
            ops += await self._path()
        status = self._state()
        if status != self._status:
            self._status = status
            ops.append({"op": "status", **status})
        return ops

    def _state(self) -> dict[str, Any]:
        session = self._session
        undone = session.undone()
        return {
            "live": session.live is not None,
            "title": session.row.title,
            "turns": len(session.path()),
            "demo": session.demo,
            "waiting": _is_waiting(session.live),
            "choice": session.choice_here,
            "undone": undone.id if undone is not None else "",
            "queue": [dataclasses.asdict(entry) for entry in session.queue],
        }

    def _follow(self) -> list[Op]:
        """Returns what is new in the running turn."""
        live, view = self._live, self._view
        if live is None or view is None:
            return []
        for record in live.records[self._read :]:
            view.feed(record)
        self._read = len(live.records)
        if live.over:
            self._live = self._view = None
            if live.elsewhere:  # its last events may not have come: it is drawn as it was kept
                self._shown.pop(article_id(live.turn), None)
        return view.flush()

    async def _path(self) -> list[Op]:
        """Returns what changes the page from the turns it shows to those it should show."""
        session = self._session
        path = session.path()
        ops: list[Op] = [{"op": "order", "ids": [article_id(turn) for turn in path]}]
        live = session.live
        if (
            live is not None and live is not self._live
        ):  # what began in another replica is drawn anew
            self._shown.pop(article_id(live.turn), None)
        for turn in path:
            element = article_id(turn)
            head = question_html(session, turn, self._around)
            tail = actions_html(session, turn, self._around.language)
            if element not in self._shown:
                html = article_html(session, turn, await self._answer(turn), self._around)
                ops.append({"op": "put", "id": element, "parent": "qb-turns", "html": html})
            else:
                if self._shown[element] != head:
                    ops.append({"op": "put", "id": f"{element}-q", "parent": element, "html": head})
                ops.append({"op": "put", "id": f"{element}-b", "parent": element, "html": tail})
            self._shown[element] = head
        gone = self._shown.keys() - {article_id(turn) for turn in path}
        for element in gone:
            del self._shown[element]
        return ops

    async def _answer(self, turn: ChatTurn) -> str:
        """Returns an answer as it is; a running one is followed from here on."""
        live = self._session.live
        element = f"{article_id(turn)}-a"
        view = TurnView(element, self._around, files=turn.files)
        if live is not None and live.turn is turn:
            self._live, self._view, self._read = live, view, 0
            self._follow()
            return view.html()
        return await asyncio.to_thread(_replayed_view, view, turn)


def _is_waiting(live: LiveTurn | None) -> bool:
    """Returns whether a running turn waits for a person."""
    open_calls: set[str] = set()
    for record in live.records if live is not None else ():
        kind, name = record["event"], str(record.get("call_id") or record.get("request_id"))
        if kind in ("approval_asked", "elicitation_asked"):
            open_calls.add(name)
        elif kind in ("tool_started", "tool_finished", "elicitation_answered"):
            open_calls.discard(name)
    return bool(open_calls)


def replayed_html(view: TurnView, turn: ChatTurn) -> str:
    """Returns the HTML of an answer that has ended."""
    return _replayed_view(view, turn)


def _replayed_view(view: TurnView, turn: ChatTurn) -> str:
    for record in turn.events:
        view.feed(record)
    view.flush(0.0)
    return view.html()
