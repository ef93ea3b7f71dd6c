"""A run as pieces of text for a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from qwenbelt.apps.serve.activity import Kind, Teller
from qwenbelt.core.events import ApprovalAsked, Done, ElicitationAsked, Event, Retrying

FIRST_SIGN = 5.0  # seconds within which a failure still becomes an HTTP status


class Telling:
    """Streams a run; a failure before anything was sent can still become a status."""

    def __init__(self, run: Any, teller: Teller, trusted: set[str]) -> None:
        self._run = run
        self.teller = teller
        self._trusted = trusted
        self._first: asyncio.Future[list[tuple[Kind, str]]] | None = None
        self._waiting = False  # for the first sign, which the note of a failed try is not

    async def _next(self) -> list[tuple[Kind, str]]:
        """Returns the next pieces; none at the end."""
        pieces: list[tuple[Kind, str]] = []
        async for event in self._run:
            self._decide(event)
            fresh = self.teller.tell(event)
            pieces += fresh
            if pieces and (not self._waiting or (fresh and not _is_of_a_failure(event))):
                return pieces
        return pieces

    def _decide(self, event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            self._run.approve(event.call_id, event.name in self._trusted)
        elif isinstance(event, ElicitationAsked):
            self._run.answer(event.request_id, None)  # nobody can be asked here

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
            await self._run.aclose()


def _is_of_a_failure(event: Event) -> bool:
    return isinstance(event, Retrying) or (isinstance(event, Done) and event.reason == "error")
