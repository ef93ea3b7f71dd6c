"""The growing message lists that qwen-agent's agents yield, as events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbelt.apps.export import message_text
from qwenbelt.core.events import (
    Event,
    Item,
    ModelFinished,
    ModelStarted,
    Notice,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
)

_ITEM_KINDS = ("text", "image", "file", "audio", "video")


class MessageLists:
    """Reports what is new in each list.

    Args:
        emit: takes the events.
        with_names: whether the speaker's name is reported.
    """

    def __init__(self, emit: Callable[[Event], None], *, with_names: bool) -> None:
        self._emit = emit
        self._with_names = with_names
        self._shown: list[dict[str, Any]] = []
        self._open: list[tuple[str, ToolCallReady]] = []
        self._told = 0
        self._turn = 0
        self._began: float | None = None
        self._speaker = ""

    def take(self, messages: Sequence[Mapping[str, Any]], *, last: bool = False) -> None:
        """Tells what is new; a call counts as complete once something follows it, or at the end."""
        now = [dict(message) for message in messages]
        for place, message in enumerate(now):
            before = self._shown[place] if place < len(self._shown) else None
            complete = last or place < len(now) - 1
            if place < self._told:
                continue
            if message.get("function_call"):
                self._call(place, message, before, complete=complete)
            elif message != before:
                self._message(message, before)
        self._shown = now
        if last:
            self._finish_model()

    def skip(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Counts a list as reported; its contents were reported by another."""
        self._shown = [dict(message) for message in messages]
        self._told = len(messages)

    def next_turn(self) -> int:
        """Returns the number of the next request to a model."""
        self._turn += 1
        return self._turn

    def _message(self, message: dict[str, Any], before: dict[str, Any] | None) -> None:
        if message["role"] == "function":
            if before is None:
                self._finished(message)
            return
        fresh = before is None or before["role"] != message["role"]
        if fresh:
            self._start_model()
        self._named(str(message.get("name") or ""))
        self._grown(message, before if not fresh else None)

    def _grown(self, message: dict[str, Any], before: dict[str, Any] | None) -> None:
        thought, old_thought = (
            str((m or {}).get("reasoning_content") or "") for m in (message, before)
        )
        if thought.startswith(old_thought) and len(thought) > len(old_thought):
            self._emit(ThinkingDelta(thought[len(old_thought) :]))
        text, old = message_text(message), message_text(before) if before else ""
        if not text.startswith(old):  # as a router does once it has chosen who answers
            self._emit(TextRelabelled())
            old = ""
        if len(text) > len(old):
            self._emit(TextDelta(text[len(old) :]))

    def _named(self, name: str) -> None:
        if self._with_names and name and name != self._speaker:
            self._speaker = name
            self._emit(Notice(f"{name}:"))

    # -- calls --------------------------------------------------------------------------------

    def _call(
        self,
        place: int,
        message: dict[str, Any],
        before: dict[str, Any] | None,
        *,
        complete: bool,
    ) -> None:
        if before is None or before["role"] != message["role"]:
            self._start_model()
            before = None
        self._grown(message, before)
        call_id = f"m{place}"
        if not complete or any(known == call_id for known, _ in self._open):
            return
        if place < len(self._shown) - 1:
            return  # was complete already
        call, now = message["function_call"], time.monotonic()
        ready = ToolCallReady(call_id, str(call["name"]), str(call["arguments"]), now)
        self._open.append((call_id, ready))
        self._emit(ready)
        self._emit(ToolStarted(call_id, ready.name, now))

    def _finished(self, message: dict[str, Any]) -> None:
        """Reports a result; results come in the order of their calls."""
        name = str(message.get("name") or "")
        place = next((n for n, (_, c) in enumerate(self._open) if c.name == name), None)
        if place is None:
            return
        call_id, ready = self._open.pop(place)
        now, text = time.monotonic(), message_text(message)
        self._finish_model()
        self._emit(
            ToolFinished(
                *(call_id, name, ready.sealed, ready.sealed, now),
                ok=True,
                cancelled=False,
                result=text,
                items=_content_items(message),
            )
        )

    # -- requests to the model ----------------------------------------------------------------

    def _start_model(self) -> None:
        self._finish_model()
        self._began = time.monotonic()
        self._emit(ModelStarted(self.next_turn(), self._began))

    def _finish_model(self) -> None:
        if self._began is not None:
            now = time.monotonic()
            self._emit(ModelFinished(self._turn, self._began, self._began, now, "stop"))
            self._began = None


def _content_items(message: Mapping[str, Any]) -> tuple[Item, ...]:
    content = message.get("content")
    if not isinstance(content, list):
        return ()
    found = [
        (kind, value) for part in content for kind, value in dict(part).items() if value is not None
    ]
    return tuple(Item(kind, str(value)) for kind, value in found if kind in _ITEM_KINDS)
