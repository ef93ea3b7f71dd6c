"""A run as pieces of text for a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from qwenbelt.agents.sessions.approvals import until_it_waits
from qwenbelt.apps.serve.activity import Kind, Teller
from qwenbelt.apps.serve.approvals import request_item
from qwenbelt.core.events import (
    ApprovalAsked,
    Done,
    ElicitationAsked,
    Event,
    Retrying,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
)

FIRST_SIGN = 5.0  # seconds within which a failure still becomes an HTTP status


class Telling:
    """Streams a run; a failure before anything was sent can still become a status.

    Args:
        run: the run.
        teller: turns its events into pieces.
        trusted: names of tools that run without approval.
        asking: the id of a durable run whose client is asked for approvals: it ends where it can
            only wait. Without one they are refused.
    """

    def __init__(
        self, run: Any, teller: Teller, trusted: set[str], asking: str | None = None
    ) -> None:
        self._run = run
        self._events: Any = run if asking is None else until_it_waits(run)
        self.teller = teller
        self._trusted = trusted
        self._asking = asking
        self._calls: list[str] = []  # in the model's order; what asks comes in any
        self._first: asyncio.Future[list[tuple[Kind, str]]] | None = None
        self._waiting = False  # for the first sign, which the note of a failed try is not

    async def _next(self) -> list[tuple[Kind, str]]:
        """Returns the next pieces; none at the end."""
        pieces: list[tuple[Kind, str]] = []
        async for event in self._events:
            if self._is_left_waiting(event):
                continue
            self._decide(event)
            fresh = self.teller.tell(event)
            pieces += fresh
            if pieces and (not self._waiting or (fresh and not _is_of_a_failure(event))):
                return pieces
        return pieces

    def _decide(self, event: Event) -> None:
        asked = self.teller.told.asked
        if isinstance(event, ApprovalAsked):
            if self._asking is None or event.name in self._trusted:
                self._run.approve(event.call_id, event.name in self._trusted)
            else:
                asked[event.call_id] = request_item(self._asking, event)
        elif isinstance(event, ToolCallReady):
            self._calls.append(event.call_id)
        elif isinstance(event, ToolStarted):
            asked.pop(event.call_id, None)  # answered meanwhile, as by `qwenbelt approve`
        elif isinstance(event, Done):
            for call_id in self._calls:
                if call_id in asked:
                    asked[call_id] = asked.pop(call_id)
        elif isinstance(event, ElicitationAsked):
            self._run.answer(event.request_id, None)  # nobody can be asked here

    def _is_left_waiting(self, event: Event) -> bool:
        """Whether an event only says that a call ended for now which waits for its answer."""
        if not isinstance(event, ToolFinished) or event.status != "cancelled":
            return False
        return event.call_id in self.teller.told.asked

    async def first_sign(self) -> None:
        """Waits a little for the first piece.

        Raises:
            QwenbeltError: the run failed before it.
        """
        self._waiting = True
        self._first = asyncio.ensure_future(self._next())
        done, _ = await asyncio.wait({self._first}, timeout=FIRST_SIGN)
        self._waiting = False
        if done:
            self._first.result()

    async def pieces(self) -> AsyncIterator[tuple[Kind, str]]:
        """Yields all pieces; closing it ends the run."""
        try:
            found = await (self._first or self._next())
            while found:
                for piece in found:
                    yield piece
                found = await self._next()
        finally:
            if self._first is not None:
                self._first.cancel()
            if self._asking is not None:
                await self._events.aclose()
            await self._run.aclose()


def _is_of_a_failure(event: Event) -> bool:
    return isinstance(event, Retrying) or (isinstance(event, Done) and event.reason == "error")
