"""What a browser is sent of a conversation: first all of it, then each change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.safe_html import RenderContext, quoted_for_url
from qwenbelt.apps.gui.drawing.turn_html import (
    actions_html,
    answers_of,
    article_html,
    article_id,
    pair_head_html,
    question_html,
)
from qwenbelt.apps.gui.drawing.turn_view import Op, TurnView
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


@dataclasses.dataclass
class _Followed:
    """A running turn as it is drawn.

    Attributes:
        read: how many of its events are drawn.
    """

    live: LiveTurn
    view: TurnView
    read: int


class Watcher:
    """One browser's view of a conversation."""

    def __init__(self, session: ChatSession, language: str) -> None:
        self._session = session
        self._around = render_context_of(session, language)
        self._revision = -1
        self._shown: dict[str, str] = {}
        self._layouts: dict[str, str] = {}  # of turns with two answers
        self._followed: dict[str, _Followed] = {}  # what runs, by its turn
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
                growing = any(one.view.running for one in self._followed.values())
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
        return all(one.read == len(one.live.records) for one in self._followed.values())

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
            "waiting": _is_waiting(session.live) or _is_waiting(session.beside),
            "choice": session.choice_here,
            "undone": undone.id if undone is not None else "",
            "queue": [dataclasses.asdict(entry) for entry in session.queue],
        }

    def _follow(self) -> list[Op]:
        """Returns what is new in what runs."""
        ops: list[Op] = []
        for name, one in list(self._followed.items()):
            for record in one.live.records[one.read :]:
                one.view.feed(record)
            one.read = len(one.live.records)
            if one.live.over:
                del self._followed[name]
                if one.live.elsewhere:  # its last events may not have come: drawn as it was kept
                    self._shown.pop(article_id(one.live.turn), None)
            ops += one.view.flush()
        return ops

    async def _path(self) -> list[Op]:
        """Returns what changes the page from the turns it shows to those it should show."""
        session = self._session
        path = session.path()
        ops: list[Op] = [{"op": "order", "ids": [article_id(turn) for turn in path]}]
        live = session.live
        known = self._followed.get(live.turn.id) if live is not None else None
        if live is not None and (known is None or known.live is not live):
            self._shown.pop(article_id(live.turn), None)  # it began in another replica
        for turn in path:
            element = article_id(turn)
            head = question_html(session, turn, self._around)
            tail = actions_html(session, turn, self._around.language)
            pair = session.pairs.of(turn.id)
            layout = f"{pair.first} {pair.second} {pair.kept}" if pair is not None else ""
            if element not in self._shown or self._layouts.get(element, "") != layout:
                self._layouts[element] = layout
                answers = {one.id: await self._answer(one) for one in answers_of(session, turn)}
                html = article_html(session, turn, answers, self._around)
                ops.append({"op": "put", "id": element, "parent": "qb-turns", "html": html})
            else:
                if self._shown[element] != head:
                    ops.append({"op": "put", "id": f"{element}-q", "parent": element, "html": head})
                ops.append({"op": "put", "id": f"{element}-b", "parent": element, "html": tail})
                ops += self._heads(turn)
            self._shown[element] = head
        gone = self._shown.keys() - {article_id(turn) for turn in path}
        for element in gone:
            del self._shown[element]
        return ops

    def _heads(self, turn: ChatTurn) -> list[Op]:
        """Returns what stands over each of two answers as it is now."""
        pair = self._session.pairs.of(turn.id)
        shown = [] if pair is None else [pair.first, pair.second]
        return [
            {
                "op": "put",
                "id": f"turn-{name}-h",
                "parent": article_id(turn),
                "html": pair_head_html(self._session, name, self._around.language),
            }
            for name in shown
            if pair is not None and not (pair.kept and name == turn.id)
        ]

    async def _answer(self, turn: ChatTurn) -> str:
        """Returns an answer as it is; a running one is followed from here on."""
        live = self._session.running(turn.id)
        element = f"{article_id(turn)}-a"
        view = TurnView(element, self._around, files=turn.files)
        if live is not None and live.turn is turn:
            for record in live.records:
                view.feed(record)
            self._followed[turn.id] = _Followed(live, view, len(live.records))
            view.flush()
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
