"""Runs of agents that only have qwen-agent's `run`, such as Router and GroupChat, as events."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from qwen_agent.agents import Router
from qwen_agent.agents.user_agent import PENDING_USER_INPUT

from qwenbelt.apps.gui.message_lists import MessageLists
from qwenbelt.core.events import Done, Event, ModelStarted, Notice, RunStarted, TextRelabelled


class StockRun(AsyncIterator[Event]):
    """A run in its own thread.

    Our own agents inside a router or a group report their events themselves; of others only what
    their lists of messages show is reported.

    Args:
        agent: anything with qwen-agent's `run`.
        messages: the conversation.
        settings: keyword arguments for `run`.
        members: our own agents inside it.
    """

    def __init__(
        self,
        agent: Any,
        messages: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
        members: Sequence[Any] = (),
    ) -> None:
        self._agent = agent
        self._given = [dict(message) for message in messages]
        self._settings = dict(settings)
        self._members = list(members)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._lists = MessageLists(self._tell, with_names=bool(members) or _is_hub(agent))
        self._inside: set[str] = set()  # running runs of members
        self._turn = 0
        self._heard = False  # whether a member reported something since the last list
        self._stopped = threading.Event()
        self._over = False
        self.messages: list[dict[str, Any]] = []

    # -- for the reader -----------------------------------------------------------------------

    def __aiter__(self) -> StockRun:
        return self

    async def __anext__(self) -> Event:
        """Returns the next event.

        Raises:
            Exception: what the agent raised.
        """
        if self._over:
            raise StopAsyncIteration
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._work, name="qwenbelt-stock-run", daemon=True).start()
        found = await self._events.get()
        if isinstance(found, BaseException):
            self._over = True
            raise found
        self._over = isinstance(found, Done)
        return found

    def cancel(self) -> None:
        """Ends the run; a call that cannot be interrupted is left to end by itself."""
        self._stopped.set()
        for run_id in list(self._inside):
            for member in self._members:
                member.cancel(run_id)
        self._tell(Done("cancelled", "", messages=self.messages))

    def approve(self, call_id: str, allowed: bool = True) -> None:
        """Answers what a member has asked."""
        for run_id in list(self._inside):
            for member in self._members:
                member.approve(call_id, allowed, run_id)

    # -- in the thread ------------------------------------------------------------------------

    def _tell(self, event: Event | BaseException) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _work(self) -> None:
        settings = dict(self._settings)
        if self._members:
            settings["on_event"] = self._member_told
        try:
            lists = iter(self._agent.run(self._given, **settings))
            self._read(lists)
        except BaseException as error:  # handed to the reader
            self._tell(error)
            return
        text = next(
            (str(m["content"]) for m in reversed(self.messages) if m["role"] == "assistant"), ""
        )
        self._tell(Done("answer", text, messages=self.messages))

    def _read(self, lists: Iterator[Sequence[Any]]) -> None:
        try:
            for found in lists:
                if self._stopped.is_set():
                    return
                plain = [_plain_message(message) for message in found]
                if plain and plain[-1].get("content") == PENDING_USER_INPUT:
                    plain.pop()
                self.messages = plain
                if self._inside or self._heard:
                    self._lists.skip(plain)
                else:
                    self._lists.take(plain)
                self._heard = False
        finally:
            close = getattr(lists, "close", None)
            if close is not None:
                close()
        self._lists.take(self.messages, last=True)

    def _member_told(self, event: Event) -> None:
        """Hears one of our agents inside."""
        self._heard = True
        if isinstance(event, RunStarted):
            self._inside.add(event.run_id)
            if isinstance(self._agent, Router):
                self._tell(TextRelabelled())  # its own text only named who answers
            self._tell(Notice(f"{event.agent}:"))
        elif isinstance(event, Done):
            self._inside.clear()
        elif not self._stopped.is_set():
            if isinstance(event, ModelStarted):
                self._turn = self._lists.next_turn()
            if hasattr(event, "turn"):
                event = dataclasses.replace(event, turn=self._turn)  # type: ignore[call-arg]
            self._tell(event)


def _is_hub(agent: Any) -> bool:
    return hasattr(agent, "nonuser_agents")


def _plain_message(message: Any) -> dict[str, Any]:
    if isinstance(message, Mapping):
        return dict(message)
    return dict(message.model_dump())
