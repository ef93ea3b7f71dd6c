"""Typed, frozen events: what a run reports while it is running.

Times are seconds of `time.monotonic()`, one clock for a whole machine, so events of several
processes can be laid side by side. `Event.kind` is the name used in traces.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

ItemKind = Literal["text", "image", "file", "audio", "video"]
CallStatus = Literal["ok", "raised", "failed", "refused", "cancelled", "timeout"]


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of a tool result: a text, or the path or URL of a picture or file."""

    kind: ItemKind
    value: str


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""

    kind: ClassVar[str] = "event"

    def to_dict(self) -> dict[str, Any]:
        """Returns the event as a JSON-ready dict with its kind under `event`."""
        out: dict[str, Any] = {"event": self.kind}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if entry.name == "parent" and not value:
                continue
            if isinstance(value, tuple):
                value = [dataclasses.asdict(v) if isinstance(v, Item) else v for v in value]
            out[entry.name] = value
        return out


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run begins; `declarations` are the tools as the model gets them."""

    kind: ClassVar[str] = "run_started"
    run_id: str
    agent: str
    model: str
    endpoint: str
    tools: tuple[str, ...] = ()
    messages: list[dict[str, Any]] = field(default_factory=list)
    declarations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ModelStarted(Event):
    """A request goes out to the model; `turn` counts from 1."""

    kind: ClassVar[str] = "model_started"
    turn: int
    started: float


@dataclass(frozen=True, slots=True)
class ModelFinished(Event):
    """A reply of the model is complete."""

    kind: ClassVar[str] = "model_finished"
    turn: int
    started: float
    first_token: float | None
    finished: float
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Retrying(Event):
    """A request failed and is sent again; what was streamed of this turn so far is void."""

    kind: ClassVar[str] = "retrying"
    turn: int
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta(Event):
    """A piece of the model's thoughts."""

    kind: ClassVar[str] = "thinking"
    text: str


@dataclass(frozen=True, slots=True)
class TextDelta(Event):
    """A piece of the model's answer text."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class TextRelabelled(Event):
    """All text of this turn so far turned out to be thoughts; front ends move it there."""

    kind: ClassVar[str] = "text_relabelled"


@dataclass(frozen=True, slots=True)
class ToolCallReady(Event):
    """The arguments of a call are complete (sealed); `arguments` is the JSON text as written.

    `parent`, here and in the other events of calls, is the id of the call that made this one.
    """

    kind: ClassVar[str] = "tool_ready"
    call_id: str
    name: str
    arguments: str
    sealed: float
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ToolWaiting(Event):
    """A sealed call waits: for the message's end, a slot, a resource, an input or an approval."""

    kind: ClassVar[str] = "tool_waiting"
    call_id: str
    name: str
    reason: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalAsked(Event):
    """A call waits for a person's answer; give it with `agent.approve(call_id, True or False)`."""

    kind: ClassVar[str] = "approval_asked"
    call_id: str
    name: str
    arguments: str
    reason: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ElicitationAsked(Event):
    """An MCP server asks the person; answer with `run.answer(request_id, values or None)`.

    Attributes:
        schema: the JSON schema of the values, in the mode "form".
        mode: "form", or "url": the person is to open `url`, and the answer is `{}`.
    """

    kind: ClassVar[str] = "elicitation_asked"
    request_id: str
    server: str
    message: str
    schema: dict[str, Any] = field(default_factory=dict)
    mode: str = "form"
    url: str = ""


@dataclass(frozen=True, slots=True)
class ElicitationAnswered(Event):
    """A server's question is settled; what was answered is between the person and the server.

    Attributes:
        action: "accept", "decline", or "cancel" where the call ended before an answer.
    """

    kind: ClassVar[str] = "elicitation_answered"
    request_id: str
    server: str
    action: str


@dataclass(frozen=True, slots=True)
class AppOffered(Event):
    """A server gives a page to show beside the result of a call (MCP Apps).

    Attributes:
        file: the name of the file in the conversation's folder that holds it.
    """

    kind: ClassVar[str] = "app_offered"
    call_id: str
    server: str
    file: str


@dataclass(frozen=True, slots=True)
class ToolStarted(Event):
    """A call begins to run."""

    kind: ClassVar[str] = "tool_started"
    call_id: str
    name: str
    started: float
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ToolProgress(Event):
    """Progress of a running call: a text, a fraction done (0 to 1), or both.

    `output`: the text is the next piece of what the call prints, not a message about it.
    """

    kind: ClassVar[str] = "tool_progress"
    call_id: str
    name: str
    text: str = ""
    fraction: float | None = None
    output: bool = False
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ToolFinished(Event):
    """A call ended, well or not.

    Attributes:
        result: the text that the model sees.
        status: how it ended. "raised" is code that ran and raised an exception, with `error` the
            exception's name; "failed" is a call that the tool could not do.
        abandoned: whether its thread could not be stopped and was left behind.
    """

    kind: ClassVar[str] = "tool_finished"
    call_id: str
    name: str
    sealed: float
    started: float | None
    finished: float
    ok: bool
    cancelled: bool
    result: str
    items: tuple[Item, ...] = ()
    artifacts: tuple[str, ...] = ()
    abandoned: bool = False
    status: CallStatus | Literal[""] = ""
    error: str = ""
    parent: str = ""

    def __post_init__(self) -> None:
        """Returns the status of a call of which only `ok` and `cancelled` are known."""
        if not self.status:
            status = "ok" if self.ok else "cancelled" if self.cancelled else "failed"
            object.__setattr__(self, "status", status)


@dataclass(frozen=True, slots=True)
class Partial(Event):
    """What there is of a typed answer while the model still writes it."""

    kind: ClassVar[str] = "partial"
    value: Any


@dataclass(frozen=True, slots=True)
class Usage(Event):
    """Tokens of one model call, as the endpoint counted them; money when prices are known.

    Attributes:
        repeated: the share of the request that the run's request before began with: what an
            endpoint's cache can have held.
    """

    kind: ClassVar[str] = "usage"
    turn: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    currency: str = ""
    cache_write_tokens: int = 0
    repeated: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryCompacted(Event):
    """Older messages were shortened to fit the model's window."""

    kind: ClassVar[str] = "history_compacted"
    removed_characters: int
    detail: str


@dataclass(frozen=True, slots=True)
class MessageSent(Event):
    """What the person said in the middle of a run was taken into the conversation."""

    kind: ClassVar[str] = "message_sent"
    text: str


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """Something a person should know, in one line."""

    kind: ClassVar[str] = "notice"
    text: str


@dataclass(frozen=True, slots=True)
class BuiltinTool(Event):
    """The model used a tool that runs at the endpoint, such as its web search.

    Attributes:
        turn: the turn of the model.
        name: for example "web_search" or "code_interpreter"; "url_citation" for pages that the
            answer names.
        detail: what it was asked, in a line, or "".
        sources: the pages or files that it found.
    """

    kind: ClassVar[str] = "builtin_tool"
    turn: int
    name: str
    detail: str
    sources: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """It in one line for people."""
        found = ", ".join(self.sources[:5])
        return " ".join(part for part in (self.name, self.detail, found and f"[{found}]") if part)


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The run ended.

    Attributes:
        reason: "answer", "cancelled", "model_calls", "tool_calls", "tokens", "seconds", "money",
            "loop", "length", "refused", "content_filter", "approval" of a durable run that was left
            to wait for a person, another reason of the endpoint for a
            reply that is not whole, such as "repetition", or "error".
        text: the final answer.
        detail: one line about a reason other than "answer".
        messages: the messages that this run added, as qwen-agent message dicts.
        value: the typed answer, as JSON holds it.
        cost: money for the whole run, subagents included; None when no price is known.
        currency: of the cost, "" when it is not known.
    """

    kind: ClassVar[str] = "done"
    reason: str
    text: str
    detail: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    value: Any = None
    cost: float | None = None
    currency: str = ""
