"""The parts of a model's reply, on their way from the wire to the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of answer text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the model's thoughts."""

    text: str


@dataclass(frozen=True, slots=True)
class Relabel:
    """All text of this reply so far turned out to be thoughts (`</think>` without `<think>`)."""


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a native tool call, with whatever the endpoint sent about it.

    Attributes:
        starts: whether it is known to begin another call, though it has no index.
    """

    index: int | None
    id: str
    name: str
    arguments: str
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """The endpoint's reason for the end: "stop", "tool_calls", "length", "content_filter".

    Attributes:
        endless: whether we ended the reply, which only repeated itself.
    """

    reason: str
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts as the endpoint reports them.

    Attributes:
        input: all that was sent; `cached` and `written` are parts of it.
        cached: what was read from a cache of the endpoint.
        written: what was newly put into an explicit cache.
        explicit: whether the cache is one that requests mark (DashScope's), with its prices.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    written: int = 0
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class BuiltinUse:
    """A use of a tool that runs at the endpoint.

    Attributes:
        detail: what it was asked, in a line, or "".
        sources: the pages or files that it found.
    """

    name: str
    detail: str
    sources: tuple[str, ...] = ()


WirePiece = Text | Thought | CallDelta | Finish | Tokens | BuiltinUse


@dataclass(slots=True)
class ToolCall:
    """A tool call of a reply.

    Attributes:
        position: its place in the reply, from 0.
        arguments: JSON text exactly as the model wrote it, so far.
        complete: whether the arguments are sealed.
    """

    position: int
    id: str
    name: str
    arguments: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Sealed:
    """The arguments of a call are complete."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Changed:
    """More arrived for a call that had been sealed; what was started for it does not count."""

    call: ToolCall


ReplyPiece = Text | Thought | Relabel | Sealed | Changed


@dataclass(slots=True)
class ModelReply:
    """A whole reply of the model."""

    text: str = ""
    thoughts: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = ""
    endless: bool = False
    tokens: Tokens | None = None
    first_token: float | None = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a call as it goes back to the model."""

    id: str
    name: str
    text: str
    images: tuple[str, ...] = ()


JsonDict = dict[str, Any]
