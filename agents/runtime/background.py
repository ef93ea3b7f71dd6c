"""Calls of tools that work in the background: the model continues, and the result follows later.

Such a call has its place, its approval and its limits like any other. Its result is that it was
started; what it came to is added later, as a further call with its result, so that the words stay
those of a tool and not of the person. An answer waits for what still works; a run that is
cancelled, or ended by a budget, stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.deltas import ModelReply, ToolCall
from qwenbelt.agents.prompts import BACKGROUND_LOST, BACKGROUND_STARTED, CANCELLED
from qwenbelt.agents.runtime.execution import STOP_GRACE
from qwenbelt.agents.runtime.outcome import CallOutcome
from qwenbelt.agents.runtime.resource_queue import Admission, Limits
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.events import CallStatus, Item, ToolFinished
from qwenbelt.core.language import Language

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.history import History

Finished = tuple[ToolCall, CallOutcome]
RESULT = ".result"  # behind the id of the call that started it


class BackgroundCalls:
    """The calls of one run that work in the background.

    Args:
        limits: of the run.
        language: of what the model is told.
        names: tools that work there though they do not say so themselves.

    Attributes:
        admission: the queues of all calls of the run: what works in the background keeps its
            resources while later replies have calls.
    """

    def __init__(self, limits: Limits, language: Language, names: Collection[str] = ()) -> None:
        self.names = frozenset(names)
        self.admission = Admission(limits)
        self._language = language
        self._running: dict[asyncio.Task[CallOutcome], ToolCall] = {}

    @property
    def is_working(self) -> bool:
        """Whether something is not done, or not told yet."""
        return bool(self._running)

    def start(self, call: ToolCall, work: Coroutine[Any, Any, CallOutcome]) -> CallOutcome:
        """Lets a call go on; returns what the model is told at once."""
        self._running[asyncio.ensure_future(work)] = call
        text = BACKGROUND_STARTED[self._language].format(name=call.name)
        return _told(text, "ok")

    async def results(self, *, wait: bool, seconds: float | None) -> list[Finished]:
        """Returns what is done and was not returned before, in the order in which it was started.

        Args:
            wait: whether to wait for the next one, where some work.
            seconds: what works longer than that is stopped; None for any time.
        """
        if wait and self._running:
            done, _ = await asyncio.wait(
                self._running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                await self.stop()
        found = [task for task in self._running if task.done()]
        stopped = _told(CANCELLED[self._language], "cancelled")
        return [
            (self._running.pop(task), stopped if task.cancelled() else task.result())
            for task in found
        ]

    async def stop(self) -> None:
        """Stops what works, and waits for that no longer than it may take."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=2 * STOP_GRACE)

    async def news(
        self, history: History, recorder: Any, *, wait: bool, left: float | None
    ) -> bool:
        """Adds what is done to the conversation; says whether there is any.

        Args:
            history: the conversation.
            recorder: keeps it, or None.
            wait: whether to wait for the next one, where some work.
            left: seconds after which they are stopped; None for any time.
        """
        found = await self.results(wait=wait, seconds=left)
        for call, outcome in found:
            reply = ModelReply(calls=[result_call(call)])
            history.add(reply, [outcome])
            if recorder is not None:
                recorder.begin_reply()
                await recorder.reply(reply)
                recorder.result(_finished(reply.calls[0], outcome))
                await recorder.settled()
        return bool(found)


def result_call(call: ToolCall) -> ToolCall:
    """Returns the call as whose result the result of a background call is told."""
    return ToolCall(0, f"{call.id}{RESULT}", call.name, call.arguments, complete=True)


def lost_calls(messages: Sequence[dict[str, Any]]) -> list[tuple[ToolCall, str]]:
    """Returns background calls after the last question that a process took with it when it died.

    Each comes with what the model is told of it.
    """
    calls: dict[str, ToolCall] = {}
    started: dict[str, Language] = {}
    for message in messages:
        known = str((message.get("extra") or {}).get("function_id") or "")
        call = message.get("function_call")
        if message["role"] == "user":
            calls, started = {}, {}
        elif message["role"] == "assistant" and call:
            started.pop(known.removesuffix(RESULT), None)
            calls[known] = ToolCall(0, known, str(call["name"]), str(call["arguments"]), True)
        elif message["role"] == "function" and known in calls:
            for language, text in BACKGROUND_STARTED.items():
                if message.get("content") == text.format(name=message.get("name")):
                    started[known] = language
    return [(calls[known], BACKGROUND_LOST[language]) for known, language in started.items()]


def add_lost(history: History) -> None:
    """Tells the model of background calls that ended with the process before this one."""
    for call, text in lost_calls(history.messages):
        outcome = _told(text, "cancelled")
        history.add(ModelReply(calls=[result_call(call)]), [outcome])


def _told(text: str, status: CallStatus) -> CallOutcome:
    return CallOutcome(text, text, (Item("text", text),), status=status)


def _finished(call: ToolCall, outcome: CallOutcome) -> ToolFinished:
    """Returns the event by which a result is recorded; nobody else is told it."""
    return ToolFinished(
        call_id=call.id,
        name=call.name,
        sealed=0.0,
        started=None,
        finished=0.0,
        ok=outcome.ok,
        cancelled=outcome.cancelled,
        result=outcome.text,
        items=outcome.items,
        artifacts=outcome.artifacts,
        abandoned=outcome.abandoned,
        status=outcome.status,
        error=outcome.error,
    )


def check_background(names: Sequence[str], tools: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of tools whose calls are not waited for.

    Raises:
        ConfigError: one names no tool of the agent.
    """
    given = [names] if isinstance(names, str) else [str(name) for name in names]
    unknown = ", ".join(name for name in given if name not in tools)
    if unknown:
        raise ConfigError(
            f"background names no tool of this agent: {unknown}.",
            fix=f"Use a list of some of: {', '.join(tools) or 'none'}.",
        )
    return tuple(given)
