"""Growing message lists for qwen-agent's `run()`, at linear cost.

qwen-agent yields the whole list again for every piece of text. Here a new list is yielded when
what is new is a share of what is there, or when some time has passed, so that printing every list
stays linear in the length of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qwenbelt.agents.models.deltas import ModelReply, ToolCall
from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.runtime.history import reply_messages, result_message
from qwenbelt.core.events import (
    Done,
    Event,
    ModelStarted,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
)
from qwenbelt.core.reply_fold import ReplyFold

SECONDS = 0.2
_GROWTH = 1 / 16
_MESSAGE = 50  # characters that a message counts beside its text


class ShowingPace:
    """Decides when a growing text is worth showing again as a whole.

    Args:
        seconds: after which anything new is shown, however little it is.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._new = self._length = 0
        self._shown_at = clock()

    def due(self, new: int, *, at_once: bool = False) -> bool:
        """Returns whether to show the text now.

        Args:
            new: characters since the last question.
            at_once: whether they are worth showing whatever their number.
        """
        self._new, self._length = self._new + new, self._length + new
        now = self._clock()
        grown = self._new >= self._length * _GROWTH or now - self._shown_at >= self._seconds
        if not (at_once or (self._new and grown)):
            return False
        self._new, self._shown_at = 0, now
        return True


class MessageList:
    """Follows events and keeps the messages of the run so far.

    Args:
        react: whether the whole transcript is one assistant message, as in qwen-agent's ReActChat.

    Attributes:
        finished: number of leading messages that are final.
    """

    def __init__(self, *, react: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._react = react
        self._pace = ShowingPace(SECONDS, clock)
        self._done: list[dict[str, Any]] = []
        self._reply = ReplyFold()
        self._calls: dict[str, ToolCallReady] = {}
        self._results: dict[str, ToolFinished] = {}

    @property
    def finished(self) -> int:
        """Number of leading messages that are final."""
        return 0 if self._react else len(self._done)

    def take(self, event: Event | None) -> bool:
        """Takes an event, or None for a pause; returns whether the list is worth yielding now."""
        if isinstance(event, Done):
            self._done = list(event.messages)
            self._clear()
            return True
        return self._pace.due(self._add(event) if event is not None else 0)

    def _add(self, event: Event) -> int:
        """Returns how many characters are new."""
        if isinstance(event, (TextDelta, ThinkingDelta)):
            self._reply.take(event.kind, event.text)
            return len(event.text)
        if isinstance(event, ToolCallReady):
            self._calls[event.call_id] = event
            return _MESSAGE + len(event.arguments)
        if isinstance(event, ToolFinished):
            self._results[event.call_id] = event
            return _MESSAGE + len(event.result)
        return self._turn(event)

    def _turn(self, event: Event) -> int:
        if isinstance(event, TextRelabelled):
            self._reply.take(event.kind)
        elif isinstance(event, Retrying):
            self._clear()
        elif isinstance(event, ModelStarted):
            self._done += self._running()
            self._clear()
            return 0
        else:
            return 0
        return 1

    def _clear(self) -> None:
        self._reply, self._calls, self._results = ReplyFold(), {}, {}

    def _running(self) -> list[dict[str, Any]]:
        """Returns the messages of the running turn."""
        calls = [
            ToolCall(place, call.call_id, call.name, call.arguments)
            for place, call in enumerate(self._calls.values())
        ]
        reply = ModelReply("".join(self._reply.text), "".join(self._reply.thoughts), calls)
        if not (reply.text or reply.thoughts or calls):
            return []
        results = (self._results.get(call.id) for call in calls)
        return reply_messages(reply) + [_as_message(result) for result in results if result]

    def messages(self) -> list[dict[str, Any]]:
        """Returns the messages so far; the list is new, finished messages in it are shared."""
        out = self._done + self._running()
        return [_transcript(out)] if self._react and out else out


def _as_message(event: ToolFinished) -> dict[str, Any]:
    return result_message(
        event.call_id, event.name, event.result, event.items, bool(event.artifacts), event.status
    )


def _transcript(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a ReAct run as one assistant message, in the form of qwen-agent's ReActChat."""
    parts: list[str] = []
    for message in messages:
        text = text_of(message["content"])
        if message["role"] == "function":
            if parts:
                parts[-1] = parts[-1].rstrip()
            text = f"\nObservation: {text}\n"
        parts.append(text)
    return {"role": "assistant", "content": "".join(parts)}
