"""Scenarios: what a scripted model replies, turn by turn, and what it expects to be asked.

    llm = Scenario()
    llm.turn(calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})], think="Both at once.")
    llm.answer("3 and 7")

The same form as YAML is read by `qwenbelt.testing.scenarios.yaml_file`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qwenbelt.core.errors import InputError
from qwenbelt.testing.errors import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

    from qwenbelt.testing.server.server import ScriptedServer

Dialect = Literal["openai", "dashscope", "vllm", "ollama", "llamacpp"]
CallForm = Literal["native", "nous", "react", "qwen", "constrained", "fenced", "bare"]
DIALECTS = ("openai", "dashscope", "vllm", "ollama", "llamacpp")
CALL_FORMS = ("native", "nous", "react", "qwen", "constrained", "fenced", "bare")
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "tags")


@dataclass(frozen=True)
class Call:
    """One tool call of a turn; arguments given as text are sent exactly as written."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one reply; the turn is played again when the client asks again.

    Attributes:
        status: the HTTP status of an error reply, for example 429.
        retry_after: seconds named in the `Retry-After` header.
        message: the text of the error.
        code: the error's code, for example "context_length_exceeded".
        html: the error body is a proxy's HTML page and not JSON.
        cut_after: the connection breaks after this many bytes of the reply's body.
        reset: the connection breaks before a reply.
        hang: nothing is sent until the client goes away.
        bad_body: the body, or one of the streamed lines, is not JSON.
        error_in_stream: a streamed error object takes the place of the rest of the reply.
        no_done: the stream ends without `[DONE]`.
        empty: the reply holds nothing.
        bad_json: the arguments of the last call are broken JSON.
        null_arguments: the arguments of every call are null.
        finish_reason: a finish reason other than the right one.
        truncate_after: the reply stops after this many characters, with finish reason "length".
    """

    status: int | None = None
    retry_after: float | None = None
    message: str | None = None
    code: str | None = None
    html: bool = False
    cut_after: int | None = None
    reset: bool = False
    hang: bool = False
    bad_body: bool = False
    error_in_stream: bool = False
    no_done: bool = False
    empty: bool = False
    bad_json: bool = False
    null_arguments: bool = False
    finish_reason: str | None = None
    truncate_after: int | None = None

    @property
    def undelivered(self) -> bool:
        """Whether the client cannot have the turn after this, so that it is played again."""
        return bool(
            self.status
            or self.cut_after is not None
            or self.reset
            or self.hang
            or self.bad_body
            or self.error_in_stream
            or self.empty
        )


@dataclass(frozen=True)
class Timing:
    """When a reply's pieces are sent.

    Attributes:
        first_token: seconds from the request to the first piece.
        tokens_per_second: the pace of all pieces, at four characters a token; None for no waiting.
        between_calls: seconds between one call's end and the next call's beginning.
    """

    first_token: float | None = None
    tokens_per_second: float | None = None
    between_calls: float | None = None


@dataclass(frozen=True)
class Wire:
    """How a reply is written on the wire; None means what the dialect usually does.

    Attributes:
        dialect: the server whose habits are played.
        chunk: characters in a streamed piece.
        bytes: bytes in one write to the socket; None for whole events.
        interleave: the pieces of parallel calls come in turns.
        calls: the form of calls, whatever the request offers.
        thoughts: the field that carries thoughts, or "tags" for `<think>` in the text.
        ids: whether streamed calls carry ids.
        index: whether streamed calls carry their index.
        whole_calls: each call comes in one piece.
        null_first: the first piece of a call has `arguments: null`.
        ignore_stop: stop words are ignored; after a ReAct action an observation is invented.
    """

    dialect: Dialect | None = None
    chunk: int | None = None
    bytes: int | None = None
    interleave: bool | None = None
    calls: CallForm | None = None
    thoughts: str | None = None
    ids: bool | None = None
    index: bool | None = None
    whole_calls: bool | None = None
    null_first: bool | None = None
    ignore_stop: bool | None = None


Answer = str | Mapping[str, Any] | Sequence[Any] | None


@dataclass(frozen=True)
class Turn:
    """One reply of the model.

    Attributes:
        name: how failures call it; "turn N" when empty.
        say: the person's message before this turn, in a conversation of several questions.
        think: thoughts.
        text: text before the calls.
        calls: the tool calls.
        tail: text after the calls.
        answer: the final text; a mapping or list is sent as JSON.
        expect: checks on the request that this turn answers, see `expectations`.
        faults: what goes wrong at the first attempts, one entry an attempt.
        timing: when pieces are sent.
        wire: how they are written.
        unoffered: calls of tools that the request does not offer are meant.
        usage: token counts to report: input, output, cached, reasoning.
        compute: a function of the request that returns the turn, or None.
    """

    name: str = ""
    say: str | None = None
    think: str = ""
    text: str = ""
    calls: tuple[Call, ...] = ()
    tail: str = ""
    answer: Answer = None
    expect: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    timing: Timing = Timing()
    wire: Wire = Wire()
    unoffered: bool = False
    usage: Mapping[str, int] = field(default_factory=dict)
    compute: Callable[[Any], Any] | None = None
    line: int | None = None


@dataclass
class Conversation:
    """The replies to one person; found by the person's first message. `then` are its checks."""

    say: str | None = None
    turns: list[Turn] = field(default_factory=list)
    name: str = ""
    then: Mapping[str, Any] = field(default_factory=dict)

    def title(self, index: int) -> str:
        """Returns what failures call the turn with this index from 0."""
        name = self.turns[index].name if index < len(self.turns) else ""
        place = f"turn {index + 1}" + (f" ({name})" if name else "")
        return f"{place} of conversation {self.name!r}" if self.name else place


class Scenario:
    """Scripted conversations, and checks on the finished run.

    Attributes:
        say: the person's first message in the first conversation.
        name: what reports call it.
        conversations: one or more; several are distinguished by the person's first message.
        model: the model's name in `/v1/models`.
        api_key: a key that requests must bring, or None to take any.
        wire: how replies are written, unless a turn overrides it.
        timing: when pieces are sent, unless a turn overrides it.
        agent: the agent that plays the scenario as a test: "fncall", "react", "assistant" or
            "module:function", a function that takes the llm dict.
        tools: names of the agent's tools; those that are called, when empty.
        files: files of the conversation, beside the scenario's file.
        system: the agent's system message.
        then: checks on every finished run, see `qwenbelt.testing.checks.yaml_checks`.
        rate: the share of trials that must pass when it is played several times.
        source: the file it was read from, or None.
    """

    def __init__(
        self,
        say: str | None = None,
        *,
        name: str = "",
        conversations: Iterable[Conversation] = (),
        model: str = "scripted",
        api_key: str | None = None,
        wire: Wire | Mapping[str, Any] | None = None,
        timing: Timing | Mapping[str, Any] | None = None,
        agent: str | None = None,
        tools: Iterable[str] = (),
        files: Iterable[str] = (),
        system: str | None = None,
        then: Mapping[str, Any] | None = None,
        rate: float = 1.0,
    ) -> None:
        self.name = name
        self.conversations = list(conversations)
        self.model = model
        self.api_key = api_key
        self.wire: Wire = record_of(Wire, wire or {}, "wire")
        self.timing: Timing = record_of(Timing, timing or {}, "timing")
        self.agent = agent
        self.tools = list(tools)
        self.files = list(files)
        self.system = system
        self.then: Mapping[str, Any] = then or {}
        self.rate = rate
        self.source: Path | None = None
        if say is not None:
            self.say = say

    def conversation(self, say: str, *, name: str = "") -> Self:
        """Begins a further conversation; later turns belong to it."""
        self.conversations.append(Conversation(say=say, name=name or say[:40]))
        return self

    def turn(
        self,
        compute: Callable[[Any], Any] | None = None,
        *,
        calls: Iterable[CallLike] = (),
        faults: Fault | Mapping[str, Any] | Iterable[Fault | Mapping[str, Any]] = (),
        timing: Timing | Mapping[str, Any] | None = None,
        wire: Wire | Mapping[str, Any] | None = None,
        **entries: Any,
    ) -> Self:
        """Adds a reply; see `Turn` for the entries. `compute` makes the turn from the request."""
        known = {f.name for f in dataclasses.fields(Turn)}
        for name in entries:
            if name not in known:
                raise InputError(f"A turn has no {name!r}.{did_you_mean(name, known)}")
        self._current().turns.append(
            Turn(
                compute=compute,
                calls=tuple(call_of(entry) for entry in calls),
                faults=faults_of(faults),
                timing=record_of(Timing, timing or {}, "timing"),
                wire=record_of(Wire, wire or {}, "wire"),
                **entries,
            )
        )
        return self

    def answer(self, answer: Answer, **entries: Any) -> Self:
        """Adds a reply with the final text."""
        return self.turn(answer=answer, **entries)

    def serve(self, **options: Any) -> ScriptedServer:
        """Returns a server that plays this scenario; see `ScriptedServer` for the options."""
        from qwenbelt.testing import ScriptedServer  # by the package's face: it is built upon this

        return ScriptedServer(self, **options)

    def _current(self) -> Conversation:
        if not self.conversations:
            self.conversations.append(Conversation())
        return self.conversations[-1]

    @property
    def say(self) -> str | None:
        """The person's first message in the first conversation."""
        return self.conversations[0].say if self.conversations else None

    @say.setter
    def say(self, text: str) -> None:
        self._current().say = text


CallLike = Call | Mapping[str, Any] | tuple[str, Any] | str


def call_of(entry: CallLike) -> Call:
    """Returns a call from `Call`, `("name", arguments)`, `{"name": arguments}` or `"name"`."""
    if isinstance(entry, Call):
        return entry
    if isinstance(entry, str):
        return Call(entry)
    if isinstance(entry, tuple) and len(entry) == 2:
        return Call(entry[0], _arguments_text(entry[0], entry[1]))
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, arguments = next(iter(entry.items()))
        return Call(str(name), _arguments_text(str(name), arguments))
    raise InputError(f"A call is written `name: {{arguments}}`, not {entry!r}.")


def _arguments_text(name: str, value: Any) -> Mapping[str, Any] | str:
    if value is None:
        return {}
    if isinstance(value, (Mapping, str)):
        return value
    kind = type(value).__name__
    raise InputError(f"The arguments of {name} must be a mapping or the exact text, not {kind}.")


def faults_of(given: Any) -> tuple[Fault, ...]:
    """Returns faults, one an attempt; `times: N` in a mapping repeats it."""
    if isinstance(given, (Fault, Mapping)):
        given = [given]
    out: list[Fault] = []
    for entry in given:
        if isinstance(entry, Fault):
            out.append(entry)
            continue
        values = dict(entry)
        times = values.pop("times", 1)
        if not isinstance(times, int) or times < 1:
            raise InputError(f"`times` must be a whole number above 0, not {times!r}.")
        out += [record_of(Fault, values, "faults")] * times
    return tuple(out)


def record_of(kind: type[Any], given: Any, where: str) -> Any:
    """Returns a `Fault`, `Timing` or `Wire` from a mapping.

    Raises:
        InputError: a name or a value is not understood.
    """
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"`{where}` must be a mapping, not {given!r}.")
    known = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    for name, value in given.items():
        if name not in known:
            hint = did_you_mean(str(name), known) or f" Known are: {', '.join(known)}."
            raise InputError(f"`{where}` has no {name!r}.{hint}")
        _check_value(f"{where}.{name}", value, known[name])
    return kind(**given)


_CHOICES: dict[str, tuple[str, ...]] = {
    "wire.dialect": DIALECTS,
    "wire.calls": CALL_FORMS,
    "wire.thoughts": THOUGHT_FIELDS,
}


def _check_value(where: str, value: Any, annotation: str) -> None:
    if where in _CHOICES:
        if value not in _CHOICES[where]:
            choices = ", ".join(_CHOICES[where])
            raise InputError(f"`{where}` must be one of {choices}, not {value!r}.")
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "bool": isinstance(value, bool),
        "int": number and isinstance(value, int) and value >= 0,
        "float": number and value >= 0,
        "str": isinstance(value, str),
    }
    wanted = annotation.split(" | ", maxsplit=1)[0]
    if value is None and "None" in annotation:
        return
    if not fits[wanted]:
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}
        raise InputError(f"`{where}` must be {words.get(wanted, 'a text')}, not {value!r}.")


def overlaid_values(base: Any, over: Any) -> Any:
    """Returns `base` with every value that `over` sets."""
    values = {f.name: getattr(over, f.name) for f in dataclasses.fields(over)}
    changed = {name: value for name, value in values.items() if value is not None}
    return dataclasses.replace(base, **changed) if changed else base


def turn_of(value: Any, planned: Turn) -> Turn:
    """Returns the turn that a function of the request gave: a `Turn`, a text or a mapping.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, Turn):
        return value
    if isinstance(value, str):
        return dataclasses.replace(planned, compute=None, answer=value)
    if isinstance(value, Mapping):
        maker = Scenario().turn(**value)
        made = maker.conversations[0].turns[0]
        return dataclasses.replace(made, name=made.name or planned.name)
    kind = type(value).__name__
    raise InputError(f"The function must return a Turn, a text or a mapping, not {kind}.")


ScriptedLLM = Scenario
