"""A run's events as what a chat client shows: text, and thoughts or notes about tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from qwenbelt.apps.serve.figures import Links
from qwenbelt.apps.strings import seconds
from qwenbelt.core.errors import one_line
from qwenbelt.core.events import (
    Done,
    Event,
    Notice,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    Usage,
)

Activity = Literal["reasoning", "notes", "none"]
Kind = Literal["text", "thought"]
# how ends are told in the words of the chat completions API; an endpoint's own word stays
_REASONS = {
    "answer": "stop",
    **dict.fromkeys(
        ("model_calls", "tool_calls", "tokens", "seconds", "money", "loop", "error", "cancelled"),
        "length",
    ),
}


@dataclass
class Told:
    """What the whole run has told."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    reason: str = "stop"
    calls: int = 0


class Teller:
    """Turns events into pieces of text and thoughts.

    Args:
        activity: whether calls of tools are told as thoughts, as notes in the text, or not.
        links: turns names of files into addresses.
    """

    def __init__(self, activity: Activity, links: Links) -> None:
        self._activity = activity
        self._links = links
        self.told = Told()
        self._handlers: dict[type[Event], Callable[[Any], list[tuple[Kind, str]]]] = {
            TextDelta: lambda event: [("text", links.feed(event.text))],
            ThinkingDelta: lambda event: [("thought", event.text)],
            ToolCallReady: self._called,
            ToolFinished: self._finished,
            Retrying: lambda event: self._note(f"… {one_line(event.reason, 200)}"),
            Notice: lambda event: self._note(one_line(event.text, 200)),
            Usage: self._usage,
            Done: self._done,
        }

    def tell(self, event: Event) -> list[tuple[Kind, str]]:
        """Returns the pieces that an event adds."""
        handler = self._handlers.get(type(event))
        return [piece for piece in handler(event) if piece[1]] if handler else []

    def _note(self, line: str) -> list[tuple[Kind, str]]:
        if self._activity == "none":
            return []
        if self._activity == "notes":
            return [("text", f"\n\n> {line}\n\n")]
        return [("thought", f"\n{line}\n")]

    def _called(self, event: ToolCallReady) -> list[tuple[Kind, str]]:
        self.told.calls += 1
        arguments = one_line(event.arguments, 200)
        return self._note(f"→ {event.name} {arguments if arguments != '{}' else ''}".rstrip())

    def _finished(self, event: ToolFinished) -> list[tuple[Kind, str]]:
        self._links.add(event.artifacts)
        self._links.add(item.value for item in event.items if item.kind == "image")
        took = f" {seconds(event.finished - event.started)}" if event.started is not None else ""
        if event.ok:
            return self._note(f"✓ {event.name}{took}")
        if event.status == "raised":
            last = event.result.rstrip().rsplit("\n", 1)[-1]
            return self._note(f"! {event.name}{took}: {one_line(last, 200)}")
        return self._note(f"✗ {event.name}{took}: {one_line(event.result, 200)}")

    def _usage(self, event: Usage) -> list[tuple[Kind, str]]:
        self.told.input_tokens += event.input_tokens
        self.told.output_tokens += event.output_tokens
        self.told.cached_tokens += event.cached_tokens
        self.told.reasoning_tokens += event.reasoning_tokens
        return []

    def _done(self, event: Done) -> list[tuple[Kind, str]]:
        self.told.reason = _REASONS.get(event.reason, event.reason)
        pieces: list[tuple[Kind, str]] = [("text", self._links.finish())]
        if event.reason not in ("answer", "length", "content_filter", "error", "cancelled"):
            pieces += self._note(one_line(event.detail or event.reason, 300))
        return pieces
