"""Code mode: the model is offered the interpreter, and code in it calls the other tools.

Every call from code takes the way of any other call: the run's scheduler, with its resources,
limits, approvals, budgets and events. Here is what is different: names that Python takes, what
the model is told, and results as values.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.prompts import CODE_MODE
from qwenbelt.agents.runtime.tool_arguments import tool_declaration
from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.events import Item
from qwenbelt.core.language import Language
from qwenbelt.tools.base import result_items, result_text
from qwenbelt.tools.code_interpreter.answers import answer_of, failure
from qwenbelt.tools.function import FunctionTool

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.code.early_calls import EarlyCalls
    from qwenbelt.agents.runtime.outcome import CallOutcome
    from qwenbelt.agents.runtime.resource_queue import Limits
    from qwenbelt.agents.runtime.scheduled_call import ScheduledCall
    from qwenbelt.agents.runtime.scheduler import Scheduler

INTERPRETER = "code_interpreter"
CodeModeOption: TypeAlias = bool | Literal["auto"] | Sequence[str]
_MANY_TOOLS = 8  # their declarations cost a request more than the stubs and a cell do
_LONG_RESULTS = 16_000  # characters so far that a cell would have kept to itself
_LARGEST_FILE = 16 * 1024 * 1024
_STUB_LINE = 160
_NOT_IN_NAMES = re.compile(r"\W", re.ASCII)
_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


@dataclass
class CodeMode:
    """Which tools code may call.

    Attributes:
        interpreter: the tool that runs the code.
        tools: the tools by the names that they have in code.
    """

    interpreter: Any
    tools: Mapping[str, Any]
    functions: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        """Makes the declarations that the session's module is built from."""
        self.functions = [_function(name, tool) for name, tool in self.tools.items()]

    def add(self, name: str, tool: Any) -> None:
        """Lets code call one more tool."""
        self.tools = {**self.tools, name: tool}
        self.functions.append(_function(name, tool))

    def declaration(self, language: Language) -> dict[str, Any]:
        """Returns the interpreter's declaration with the stubs of the functions."""
        told = tool_declaration(self.interpreter)
        stubs = "\n".join(stub(entry) for entry in self.functions)
        text = CODE_MODE[language].format(stubs=stubs)
        return {**told, "description": f"{told['description']}\n\n{text}"}


def _function(name: str, tool: Any) -> dict[str, Any]:
    read_only = bool(getattr(tool, "read_only", False))
    return {**tool_declaration(tool), "name": name, "read_only": read_only}


def code_names(tools: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tools by names that Python takes; different tools keep different names."""
    out: dict[str, Any] = {}
    for name, tool in tools.items():
        own = _NOT_IN_NAMES.sub("_", name) or "_"
        own = f"_{own}" if own[0].isdigit() else own
        own = f"{own}_" if keyword.iskeyword(own) else own
        numbered = (f"{own}_{n}" for n in itertools.count(2))
        while own in out or (own != name and own in tools):
            own = next(numbered)
        out[own] = tool
    return out


def stub(entry: Mapping[str, Any]) -> str:
    """Returns a function as one line of Python: its signature and what it does."""
    schema = entry.get("parameters") or {}
    properties = schema.get("properties") or {}
    required = [name for name in schema.get("required") or () if name in properties]
    others = [name for name in properties if name not in required]
    parts = [f"{name}: {_type(properties[name])}" for name in required]
    for name in others:
        default = properties[name].get("default") if isinstance(properties[name], dict) else None
        parts.append(f"{name}: {_type(properties[name])} = {default!r}")
    what = one_line(entry.get("description") or "", _STUB_LINE)
    return f"tools.{entry['name']}({', '.join(parts)})  # {what}"


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "Any"
    values = schema.get("enum")
    if isinstance(values, list) and values and len(repr(values)) < _STUB_LINE:
        return f"Literal{values!r}"
    kinds = schema.get("type")
    names = list(kinds) if isinstance(kinds, list) else [kinds]
    for part in schema.get("anyOf") or schema.get("oneOf") or ():
        names.append(part.get("type") if isinstance(part, dict) else None)
    found = [_TYPES[name] for name in names if isinstance(name, str) and name in _TYPES]
    return " | ".join(dict.fromkeys(found)) or "Any"


class NestedCalls:
    """The calls of one cell: what a session gets to call the run's tools with."""

    def __init__(
        self,
        scheduler: Scheduler,
        parent: ScheduledCall,
        code: CodeMode,
        limits: Limits,
        early: EarlyCalls | None = None,
    ) -> None:
        self.functions: Sequence[dict[str, Any]] = code.functions
        self.most = limits.nested_calls
        self.side_by_side = limits.in_flight
        self.loop = asyncio.get_running_loop()
        self._scheduler = scheduler
        self._parent = parent
        self._code = code
        self._early = early
        self._numbers = itertools.count(1)
        self._running: set[ScheduledCall] = set()
        self._over = False

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Runs a call from code; returns the answer for the session."""
        tool = self._code.tools.get(name)
        if tool is None or self._over:
            names = ", ".join(self._code.tools)
            why = "the cell has ended" if self._over else f"no tool {name!r}; there are: {names}"
            return failure(one_line(why), "refused" if self._over else "failed")
        job = self._job(name, tool, arguments)
        self._running.add(job)
        try:
            outcome = await self._scheduler.outcome_of(job)
        finally:
            self._running.discard(job)
        if not outcome.ok:
            return failure(outcome.text.removeprefix("Error: "), outcome.status)
        return await self._answer(tool, outcome)

    def _job(self, name: str, tool: Any, arguments: dict[str, Any]) -> ScheduledCall:
        """Returns the call: one that was made ahead, or a new one."""
        if self._early is not None:
            if not getattr(tool, "read_only", False):
                self._early.forget()
            elif (made := self._early.take(self._parent, name, arguments)) is not None:
                return made
        call_id = f"{self._parent.call.id}.{next(self._numbers)}"
        text = json.dumps(arguments, ensure_ascii=False)
        call = ToolCall(self._parent.call.position, call_id, tool.name, text, complete=True)
        return self._scheduler.nest(self._parent, call, tool, arguments)

    @staticmethod
    async def _answer(tool: Any, outcome: CallOutcome) -> dict[str, Any]:
        returned, outcome.value = outcome.value, None
        if returned is None or returned[1] != outcome.text:  # a hook's own, or changed by one
            return answer_of(_parsed(outcome.text))
        value = returned[0]
        if outcome.artifacts:  # files are read
            return await asyncio.to_thread(answer_to, tool, value)
        return answer_to(tool, value)

    async def close(self) -> None:
        """The cell has ended: nothing of it goes on."""
        self._over = True
        if self._running:
            await self._scheduler.stop(list(self._running))
        if self._early is not None:
            await self._early.close()


def answer_to(tool: Any, result: Any) -> dict[str, Any]:
    """Returns a tool's result as the value that code gets."""
    data = getattr(result, "data", None)
    if isinstance(data, dict):
        return _structured(data)
    if isinstance(tool, FunctionTool):
        return answer_of(tool.typed(result))
    if isinstance(result, str):
        return answer_of(_parsed(result))
    items = result_items(result)
    if not _is_made_of_items(result):
        return answer_of(result)
    if any(item.kind != "text" for item in items):
        return _with_files(items)
    return answer_of(_parsed(result_text(items)))


def _is_made_of_items(result: Any) -> bool:
    if isinstance(result, list):
        return bool(result) and not isinstance(result[0], (dict, list, str, int, float))
    return not isinstance(result, (dict, int, float, tuple, set, bytes, type(None)))


def _structured(data: dict[str, Any]) -> dict[str, Any]:
    columns, rows = data.get("columns"), data.get("rows")
    if isinstance(columns, list) and isinstance(rows, list):
        return {"ok": True, "form": "table", "value": {"columns": columns, "rows": rows}}
    return answer_of(data)


def _parsed(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return str(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return str(text)


def _with_files(items: Sequence[Item]) -> dict[str, Any]:
    texts, pictures, files = [], [], []
    for item in items:
        if item.kind == "text":
            texts.append(item.value)
            continue
        data = _data_of(item)
        if data is None:
            texts.append(result_text((item,)))
        elif item.kind == "image":
            pictures.append(data)
        else:
            files.append([Path(item.value).name, data])
    value = {"text": "\n".join(texts), "pictures": pictures, "files": files}
    return {"ok": True, "form": "items", "value": value}


def _data_of(item: Item) -> str | None:
    if item.value.startswith("data:"):
        return item.value.partition(",")[2]
    path = Path(item.value.removeprefix("file://"))
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        return base64.b64encode(path.read_bytes()).decode()
    except (OSError, ValueError):
        return None


def check_code_mode(wanted: Any, tools: Mapping[str, Any]) -> None:
    """Checks the option.

    Raises:
        ConfigError: it is neither a switch, "auto", nor a list of the agent's tools.
    """
    if isinstance(wanted, bool) or wanted == "auto":
        return
    names = list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [str(wanted)]
    unknown = [str(name) for name in names if name not in tools]
    if unknown:
        known = ", ".join(tools) or "none"
        raise ConfigError(
            f"code_mode names no tool of this agent: {', '.join(unknown)}.",
            fix=f'Use True, False, "auto" or some of: {known}.',
        )


def code_mode_of(
    wanted: CodeModeOption,
    tools: dict[str, Any],
    model: Any = None,
    messages: Sequence[Mapping[str, Any]] = (),
) -> tuple[CodeMode | None, dict[str, Any]]:
    """Returns the code mode, and the tools that the model is offered.

    Args:
        wanted: True for all tools, or the names of those that are called from code; "auto" for
            all where it pays.
        tools: the run's tools by name.
        model: what is known of it decides for "auto".
        messages: the conversation so far, whose results may be long.
    """
    if wanted == "auto":
        wanted = pays(tools, model, messages)
    chosen = set(tools) - {INTERPRETER} if wanted is True else {*(wanted or ())} - {INTERPRETER}
    if not chosen:
        return None, tools
    interpreter = tools.get(INTERPRETER)
    code = CodeMode(interpreter, code_names({n: t for n, t in tools.items() if n in chosen}))
    return code, {name: tool for name, tool in tools.items() if name not in chosen}


def pays(tools: Mapping[str, Any], model: Any, messages: Sequence[Mapping[str, Any]] = ()) -> bool:
    """Whether calls from code pay: the model writes code, and there are many tools or long results.

    That it writes code a probe must have shown, and the interpreter must be there already: nobody
    gets code run who has not chosen it.
    """
    known = getattr(model, "known", None)
    if INTERPRETER not in tools or getattr(known, "writes_code", None) is not True:
        return False
    results = (m.get("content") for m in messages if m.get("role") in ("function", "tool"))
    long = sum(len(text) for text in results if isinstance(text, str)) > _LONG_RESULTS
    return len(tools) > _MANY_TOOLS or (long and len(tools) > 1)


def held_by(job: ScheduledCall | None) -> set[str]:
    """Returns what a call and those that made it hold: a call from code cannot wait for it."""
    held: set[str] = set()
    while job is not None:
        if job.ticket is not None:
            held |= job.ticket.reads | job.ticket.writes
        job = job.parent
    return held
