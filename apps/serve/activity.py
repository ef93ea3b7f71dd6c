"""A run's events as what a chat client shows: text, and thoughts or notes about tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from qwenbelt.apps.serve.figures import Links
from qwenbelt.apps.strings import duration_text
from qwenbelt.core.errors import one_line
from qwenbelt.core.events import (
    BuiltinTool,
    Done,
    Event,
    ModelFinished,
    Notice,
    Retrying,
    TextDelta,
    TextRelabelled,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    Usage,
)
from qwenbelt.core.reply_fold import ReplyFold

Activity = Literal["reasoning", "notes", "none"]
Kind = Literal["text", "thought"]
# ends in the words of the chat completions API; an endpoint's own word stays
_REASONS = {
    "answer": "stop",
    "refused": "content_filter",  # by a hook, whose text is the answer
    **dict.fromkeys(
        ("model_calls", "tool_calls", "tokens", "seconds", "money", "loop", "error", "cancelled"),
        "length",
    ),
}


@dataclass
class Told:
    """What the whole run has reported.

    Attributes:
        asked: items that ask the client for an approval, by the ids of their calls.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    reason: str = "stop"
    calls: int = 0
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)


class SpokenTooSoon(Exception):
    """What a stream has sent as the answer turned out to be none, and cannot be taken back."""


class Teller:
    """Turns events into pieces of text and thoughts, each of which stays true.

    What a retry voids or a relabelling makes thoughts is no part of the answer. So a reply is held
    until it is complete, or, with `live`, sent as it comes: then another try sends only what goes
    on where the first broke off.

    Args:
        activity: whether calls of tools are reported as thoughts, as notes in the text, or not.
        links: turns names of files into addresses.
        live: whether pieces are given before their reply is complete.
        wary: whether text is held also when `live`, until it is known to be no thought.
        typed: whether only the run's checked answer is text.

    Attributes:
        relabelled: whether text turned out to be thoughts.
    """

    def __init__(
        self,
        activity: Activity,
        links: Links,
        *,
        live: bool = False,
        wary: bool = False,
        typed: bool = False,
    ) -> None:
        self._activity = activity
        self._links = links
        self._live = live
        self._wary = wary
        self._typed = typed
        self._reply = ReplyFold()
        self._holds = not live or wary
        self._ahead: dict[str, str] = {}  # sent by an earlier attempt, and not repeated so far
        self._parted = True  # whether the next text needs a break after that of earlier replies
        self.told = Told()
        self.relabelled = False
        self._handlers: dict[type[Event], Callable[[Any], list[tuple[Kind, str]]]] = {
            TextDelta: self._said,
            ThinkingDelta: self._said,
            TextRelabelled: self._was_thought,
            ModelFinished: lambda event: self._complete(),
            ToolCallReady: self._called,
            ToolFinished: self._finished,
            Retrying: self._retrying,
            Notice: lambda event: self._note(one_line(event.text, 200)),
            BuiltinTool: lambda event: self._note(one_line(event.line, 200)),
            Usage: self._usage,
            Done: self._done,
        }

    def _said(self, event: TextDelta | ThinkingDelta) -> list[tuple[Kind, str]]:
        self._reply.take(event.kind, event.text)
        if not self._holds:
            return self._new(event.kind, event.text)
        if event.kind == "thinking" and self._live and not self._reply.text:
            self._holds = False  # thoughts come as such, so text is text
            return self._flushed()
        return []

    def _was_thought(self, event: TextRelabelled) -> list[tuple[Kind, str]]:
        self.relabelled = True
        if not self._holds and (self._reply.text or self._ahead.get("text")):
            raise SpokenTooSoon
        self._reply.take(event.kind)
        self._holds = not self._live
        return [] if self._holds else self._flushed()

    def _retrying(self, event: Retrying) -> list[tuple[Kind, str]]:
        if not self._holds:
            for kind, parts in (("text", self._reply.text), ("thinking", self._reply.thoughts)):
                self._ahead[kind] = "".join(parts) + self._ahead.get(kind, "")
        self._reply.take(event.kind)
        return self._note(f"… {one_line(event.reason, 200)}")

    def _complete(self) -> list[tuple[Kind, str]]:
        """Returns what was held of a reply that has ended.

        Raises:
            SpokenTooSoon: more was sent than it contains.
        """
        pieces = self._flushed() if self._holds else []
        if self._ahead.get("text"):
            raise SpokenTooSoon
        self._ahead.clear()
        if self._reply.text and not self._typed:
            self._parted = False
        self._reply = ReplyFold()
        self._holds = not self._live or self._wary
        return pieces

    def _flushed(self) -> list[tuple[Kind, str]]:
        thoughts = self._new("thinking", "".join(self._reply.thoughts))
        return thoughts + self._new("text", "".join(self._reply.text))

    def _new(self, kind: str, said: str) -> list[tuple[Kind, str]]:
        """Returns what was not sent before by an earlier try.

        Raises:
            SpokenTooSoon: the earlier try sent something else.
        """
        ahead = self._ahead.get(kind, "")
        if ahead.startswith(said):
            self._ahead[kind] = ahead[len(said) :]
            return []
        if not said.startswith(ahead):
            if kind == "text":
                raise SpokenTooSoon
            ahead = ""  # thoughts of another try may be beside those of the first
        self._ahead[kind] = ""
        if kind == "thinking":
            return [("thought", said[len(ahead) :])]
        return [] if self._typed else [("text", self._links.feed(self._apart(said[len(ahead) :])))]

    def _apart(self, text: str) -> str:
        """Returns a text of a reply; what another reply said before it is a paragraph of its own.

        Otherwise "Let me look." and "It is so." are glued.
        """
        if self._parted or not text:
            return text
        self._parted = True
        return f"\n\n{text}"

    def tell(self, event: Event) -> list[tuple[Kind, str]]:
        """Returns the pieces that an event adds."""
        handler = self._handlers.get(type(event))
        return [piece for piece in handler(event) if piece[1]] if handler else []

    def _note(self, line: str) -> list[tuple[Kind, str]]:
        if self._activity == "none":
            return []
        if self._activity == "notes" and not self._typed:
            self._parted = True
            return [("text", f"\n\n> {line}\n\n")]
        return [("thought", f"\n{line}\n")]

    def _called(self, event: ToolCallReady) -> list[tuple[Kind, str]]:
        self.told.calls += 1
        arguments = one_line(event.arguments, 200)
        return self._note(f"→ {event.name} {arguments if arguments != '{}' else ''}".rstrip())

    def _finished(self, event: ToolFinished) -> list[tuple[Kind, str]]:
        self._links.add(event.artifacts)
        self._links.add(item.value for item in event.items if item.kind == "image")
        took = (
            f" {duration_text(event.finished - event.started)}" if event.started is not None else ""
        )
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
        pieces = self._complete()
        if self._typed and event.reason == "answer":
            pieces.append(("text", self._links.feed(event.text)))
        pieces.append(("text", self._links.finish(pictures=not self._typed)))
        plain = ("answer", "refused", "length", "content_filter", "error", "cancelled")
        if event.reason not in plain:
            pieces += self._note(one_line(event.detail or event.reason, 300))
        return pieces
