"""`Tool`: qwen-agent's `BaseTool` with types, resources and limits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from pydantic import BaseModel, ValidationError
from qwen_agent.llm.schema import ContentItem
from qwen_agent.tools.base import BaseTool

from qwenbelt.core.errors import ToolError
from qwenbelt.core.events import CallStatus, Item
from qwenbelt.core.jsons import loads_bounded, loads_lenient, repaired_json
from qwenbelt.core.language import Language
from qwenbelt.core.schemas import coerced_arguments, is_exact, json_schema
from qwenbelt.tools.arguments import schema_of, unknown_line, validation_line

ToolResult: TypeAlias = str | dict[str, Any] | list[Any] | ContentItem
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "required": []}


def _ignore(text: str, fraction: float | None = None) -> None:
    """Ignores progress."""


def _nothing() -> str:
    return ""


class Ended(list[ContentItem]):
    """A result that says how the call ended, for what is neither a success nor a refusal to run.

    Attributes:
        status: "raised" where code of the model raised, "timeout" where it was stopped.
        error: the name of the exception.
    """

    def __init__(
        self, items: Iterable[ContentItem], status: CallStatus = "ok", error: str = ""
    ) -> None:
        super().__init__(items)
        self.status: CallStatus = status
        self.error = error


class Structured(str):
    """A result's text for the model, with the same as `data` for programs."""

    data: Any

    def __new__(cls, text: str, data: Any) -> Structured:
        """Makes the text."""
        made = super().__new__(cls, text)
        made.data = data
        return made

    def __getnewargs__(self) -> tuple[str, Any]:  # type: ignore[override]
        """Lets events that hold it be copied and pickled."""
        return str(self), self.data


class CallsFromCode(Protocol):
    """What code of a call may call: tools of the run, by the names that they have in code.

    Attributes:
        functions: their declarations, each with `read_only`.
        most: calls that one cell may make.
        side_by_side: how many of them may be on their way at the same time.
        loop: the event loop on which `call` runs.
    """

    functions: Sequence[dict[str, Any]]
    most: int
    side_by_side: int
    loop: asyncio.AbstractEventLoop

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Runs one call; returns its answer (see `code_interpreter.answers`)."""
        ...


@dataclass(frozen=True)
class Question:
    """What a tool asks of the person while it runs, such as an MCP server's elicitation.

    Attributes:
        server: who asks.
        schema: the JSON schema of the values, in the mode "form".
        mode: "form" or "url".
    """

    server: str
    message: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "form"
    url: str = ""


Elicit = Callable[[Question], "concurrent.futures.Future[Mapping[str, Any] | None]"]


@dataclass
class ToolContext:
    """What a running call may know of the run it belongs to; given as the keyword `context`.

    Attributes:
        session: names the conversation; kernels and working folders belong to it.
        folder: the session's working folder, or None to let the tool choose.
        files: the conversation's files by the name that the model sees.
        report: reports progress: a text and, if known, the fraction done.
        on_output: takes the next piece of what the call prints; None for `report`.
        so_far: returns the partial result of a call that is stopped; a tool may set it.
        cancelled: set when the run no longer wants the result.
        language: "en" or "zh", the conversation's language.
        parent: the run that the call belongs to, for tools that run agents.
        calls: the tools that code of this call may call, for a tool that runs code.
        resting: above 0 while the call's own limit rests: a question of it waits for the person,
            or a server goes on with it as a task.
        show_app: takes the server and the file of a page that belongs to the result.
        kept_turn: names the turn of a kept session or run that the call belongs to, or "".
    """

    session: str = "default"
    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    report: Callable[..., None] = _ignore
    on_output: Callable[[str], None] | None = None
    so_far: Callable[[], str] = _nothing
    cancelled: threading.Event = field(default_factory=threading.Event)
    language: Language = "en"
    call_id: str = ""
    elicit: Elicit | None = None
    parent: object = None
    calls: CallsFromCode | None = None
    resting: int = 0
    kept_turn: str = ""
    show_app: Callable[[str, str], None] | None = None


class CheckedValues(dict[str, Any]):
    """The values of a call whose tool has checked them: `Tool.parse` does not check them again.

    The scheduler checks arguments before it asks for approval or looks at resources, and a tool's
    own `call` begins with `self.parse(params)`.
    """

    def __init__(self, values: Mapping[str, Any], made: Any = None) -> None:
        super().__init__(values)
        self._made = made
        self._made_of: dict[str, Any] | None = dict(values) if made is not None else None

    def made(self, make: Callable[[dict[str, Any]], Any]) -> Any:
        """Returns what `make` gives for these values; it is called once while they stay the same.

        Each answer is a copy, since a tool may change what it gets.
        """
        if self._made_of != self:
            self._made_of, self._made = dict(self), make(dict(self))
        return copy.copy(self._made)


class ToolSource(Protocol):
    """Where tools come from that may change while they are used, such as a server."""

    def offered_at_first(self) -> Set[str]:
        """Returns the names that were offered when the tools were made."""

    def current(self) -> Mapping[str, Tool]:
        """Returns what is offered now, by name; the same objects while nothing changes."""

    def told(self, language: str) -> str:
        """Returns what it says about itself, marked as its own words; the same at each call."""

    async def settled(self) -> None:
        """Waits a moment for changes that have been announced."""


class Tool(BaseTool):  # type: ignore[misc]
    """A tool with typed arguments, named resources and limits.

    A subclass sets `name`, `description`, and `Arguments` (a pydantic model) or `parameters` (any
    JSON schema), and overrides `call` (runs in a thread) or `acall` (runs on the event loop).

    Attributes:
        read_only: has no side effect, so it may start while the model is still writing.
        idempotent: identical calls of one reply may share one execution.
        destructive: may delete or overwrite what is not its own.
        open_world: reaches beyond this machine.
        contained: its effects stay inside the conversation's own folder.
        trusted_results: vouches that no text of others is in what it gives back.
        trusted_fields: names of fields in its results that hold the system's own values, such as
            ids, whatever text of others is beside them.
        timeout: seconds one call may take; None for no limit of its own.
        retry_on: errors that are worth trying again.
        max_retries: how often.
        weight: how many of the scheduler's slots a call takes.
        max_concurrency: calls of this tool that may run side by side, or None.
        accepts_text: `parse` also takes text that is not JSON, such as bare code.
        background: the model goes on while a call works; its result comes later.
        source: what knows of further and changed tools; an agent that has all of them follows it.
    """

    Arguments: ClassVar[type[BaseModel] | None] = None
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    open_world: bool = False
    contained: bool = False
    trusted_results: bool = False
    trusted_fields: frozenset[str] = frozenset()
    timeout: float | None = 60.0
    retry_on: tuple[type[Exception], ...] = ()
    max_retries: int = 0
    weight: int = 1
    max_concurrency: int | None = None
    accepts_text: bool = False
    background: bool = False
    source: ToolSource | None = None

    # BaseTool.__init__ refuses schemas with $defs or additionalProperties, so it is not called
    def __init__(self, cfg: dict[str, Any] | None = None) -> None:
        self.cfg: dict[str, Any] = dict(cfg or {})
        if not self.name:
            raise ValueError(f"{type(self).__name__}.name must be set.")
        if self.Arguments is not None:
            self.parameters = schema_of(self.Arguments)
        elif not self.parameters:
            self.parameters = dict(NO_PARAMETERS)
        if "timeout" in self.cfg:
            self.timeout = float(self.cfg["timeout"])

    @property
    def function(self) -> dict[str, Any]:
        """The declaration that the model gets: name, description, JSON schema of the arguments."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": json_schema(self.parameters),
        }

    @property
    def is_async(self) -> bool:
        """Whether the tool runs on the event loop (`acall`) and not in a thread (`call`)."""
        return type(self).acall is not Tool.acall

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the names of what this call reads and of what it writes."""
        return set(), set()

    def parse(self, params: str | Mapping[str, Any] | BaseModel) -> Any:
        """Returns checked arguments: an instance of `Arguments`, else a dict.

        Values get the types that the schema asks for where they can be meant in one way only.

        Raises:
            ToolError: the text is not JSON or does not fit the schema; one line for the model.
        """
        if isinstance(params, BaseModel):
            return params
        if isinstance(params, CheckedValues):
            return params.made(self._checked)
        return self._checked(loads_arguments(params) if isinstance(params, str) else dict(params))

    def _checked(self, values: dict[str, Any]) -> Any:
        schema = json_schema(self.parameters)
        if not is_exact(values, schema):  # the usual case costs next to nothing
            values = coerced_arguments(values, schema)
            unknown = unknown_line(values, schema, self.Arguments)
            if unknown:
                raise ToolError(f"Wrong arguments for {self.name}: {unknown}")
        if self.Arguments is None:
            return values
        try:
            return self.Arguments.model_validate(values)
        except ValidationError as error:
            raise ToolError(f"Wrong arguments for {self.name}: {validation_line(error)}") from None

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Runs the tool and returns its result; works without an agent and without a model."""
        if not self.is_async:
            raise TypeError(f"{type(self).__name__} must override `call` or `acall`.")
        return run_blocking(lambda: self.acall(self.parse(params), **kwargs))

    async def acall(self, arguments: Any, **kwargs: Any) -> ToolResult:
        """Runs the tool on the event loop, with checked arguments."""
        return await asyncio.to_thread(self.call, arguments, **kwargs)


def run_blocking(start: Callable[[], Any]) -> Any:
    """Runs the coroutine that `start` makes and returns its result, with or without a loop here."""

    async def main() -> Any:
        return await start()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main()).result()


def loads_arguments(text: str) -> dict[str, Any]:
    """Reads the arguments of a call from JSON text; empty or null means no arguments.

    Double-encoded objects are unwrapped; what models write instead of JSON is read, and near-miss
    JSON is repaired when the result is an object.

    Raises:
        ToolError: no JSON object can be read from it.
    """
    if not text.strip():
        return {}
    try:
        value = loads_bounded(text)
        if isinstance(value, str):
            value = loads_bounded(value)
    except json.JSONDecodeError as error:
        value = _nearly(text)
        if value is None:
            reason = f"{error.msg} at character {error.pos}"
            raise ToolError(f"The arguments are not valid JSON ({reason}).") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ToolError(f"The arguments must be a JSON object, not {type(value).__name__}.")
    return value


def _nearly(text: str) -> dict[str, Any] | None:
    body = text.strip()
    if not (body.startswith("{") and body.endswith("}")):
        return None  # cut off or not an object: guessing would run something else
    value = loads_lenient(body) or repaired_json(body)
    return value if isinstance(value, dict) and value else None


def result_items(result: object) -> tuple[Item, ...]:
    """Returns any tool result as items: texts, and paths of pictures and files."""
    if isinstance(result, Item):
        return (result,)
    if isinstance(result, ContentItem):
        kind, value = result.get_type_and_value()
        return (Item(kind, value if isinstance(value, str) else json.dumps(value)),)
    if isinstance(result, Sequence) and not isinstance(result, (str, bytes)) and result:
        if all(isinstance(entry, (Item, ContentItem)) for entry in result):
            return tuple(item for entry in result for item in result_items(entry))
    if isinstance(result, str):
        return (Item("text", result),)
    if result is None:
        return (Item("text", ""),)
    return (Item("text", json.dumps(result, ensure_ascii=False, default=str)),)


def result_text(items: Sequence[Item]) -> str:
    """Returns what a text-only model sees of a result: its texts, and the names of the rest."""
    return "\n".join(_shown(item) for item in items)


def _shown(item: Item) -> str:
    if item.kind == "text":
        return item.value
    name = "inline data" if item.value.startswith("data:") else item.value
    return f"[{item.kind}: {name.replace(chr(92), '/').rsplit('/', 1)[-1]}]"
