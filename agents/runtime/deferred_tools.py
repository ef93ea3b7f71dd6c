"""Tools that are found when they are needed: the model is offered a search instead of all of them.

What a search finds is in the conversation, and `call_tool` calls it, so that the declared
tools, and with them the beginning of every request, never change. The scheduler sees the real
tool: its arguments, locks, approvals and events are its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from qwenbelt.agents.models.deltas import ToolCall
from qwenbelt.agents.runtime.tool_arguments import tool_declaration
from qwenbelt.core.errors import ToolError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.base import Tool
from qwenbelt.tools.search.index import ToolIndex

DeferOption: TypeAlias = bool | Literal["auto"] | Sequence[str]
SEARCH, CALL = "search_tools", "call_tool"
SHARE = 0.1  # of the window; declarations that take more are deferred by "auto"
_WINDOW = 32768  # tokens, where nobody told the model's
_CHARACTERS = 4  # of JSON that a token takes, roughly
_FOUND = 5  # tools that a search brings


class SearchArguments(BaseModel):
    """The arguments of `search_tools`."""

    query: str = Field(description="What the tool should do, in a few words.")


class CallArguments(BaseModel):
    """The arguments of `call_tool`."""

    name: str = Field(description="The name of a tool that search_tools has found.")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Its arguments, as its parameters say."
    )


class DeferredTools:
    """The tools of an agent that are not declared.

    Args:
        wanted: True for all tools, or the names of some.
    """

    def __init__(self, wanted: bool | Sequence[str]) -> None:
        self._names = None if wanted is True else {*(wanted or ())}
        self._tools: dict[str, Any] = {}
        self._added: dict[str, Any] = {}
        self._index: ToolIndex | None = None
        self._lock = threading.Lock()
        self._own = {SEARCH: _SearchTools(self), CALL: _CallTool(self)}

    def over(self, tools: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the tools of a run: all of them, and the two that find and call them."""
        deferred = {name: tool for name, tool in tools.items() if self._defers(name)}
        with self._lock:
            if list(deferred.items()) != list(self._tools.items()):
                self._tools, self._index = deferred, None
        return {**tools, **self._own}

    def add(self, name: str, tool: Any) -> None:
        """Takes in a tool that came in the middle of a run: it is called as the others are."""
        with self._lock:
            self._added[name], self._index = tool, None

    def _defers(self, name: str) -> bool:
        return self._names is None or name in self._names

    def is_deferred(self, name: str) -> bool:
        """Returns whether a tool is left out of what is declared."""
        return name in self._tools or name in self._added

    def found(self, query: str) -> list[dict[str, Any]]:
        """Returns the declarations of the tools that fit a question."""
        with self._lock:
            if self._index is None:
                self._index = ToolIndex(
                    tool_declaration(tool) for tool in {**self._tools, **self._added}.values()
                )
            return self._index.declarations(query, _FOUND)

    def unwrapped(self, call: ToolCall) -> ToolCall:
        """Returns the call of the real tool that a `call_tool` stands for."""
        if call.name != CALL:
            return call
        try:
            given = loads_bounded(call.arguments)
            name, arguments = given["name"], given.get("arguments") or {}
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError):
            return call  # the tool itself says what is wrong
        if not self.is_deferred(name):
            return call
        text = (
            arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        )
        return ToolCall(call.position, call.id, name, text, call.complete)


class _SearchTools(Tool):
    name = SEARCH
    description = (
        "Finds tools by what they do. Many tools are there that are not listed; search before "
        "you say that something cannot be done. Call what was found with call_tool."
    )
    Arguments = SearchArguments
    read_only = True
    idempotent = True

    def __init__(self, deferred: DeferredTools) -> None:
        super().__init__()
        self._deferred = deferred

    def call(self, params: Any, **kwargs: Any) -> str:
        arguments: SearchArguments = self.parse(params)
        found = self._deferred.found(arguments.query)
        if not found:
            return "No tool was found; try other words."
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in found)


class _CallTool(Tool):
    """Is only run when the real tool is not known."""

    name = CALL
    description = "Calls a tool that search_tools has found."
    Arguments = CallArguments
    read_only = True

    def __init__(self, deferred: DeferredTools) -> None:
        super().__init__()
        self._deferred = deferred

    def call(self, params: Any, **kwargs: Any) -> str:
        arguments: CallArguments = self.parse(params)
        found = [entry["name"] for entry in self._deferred.found(arguments.name)]
        known = f" Perhaps: {', '.join(found)}." if found else ""
        raise ToolError(f"There is no tool named {arguments.name!r}.{known}")


def deferred_of(
    wanted: DeferOption, tools: Mapping[str, Any], window: int | None
) -> DeferredTools | None:
    """Returns the deferred tools of an agent, or None where all are declared.

    Args:
        wanted: True for all, names for some; "auto" for all once they take more than a tenth of
            the window.
        tools: the agent's tools by name.
        window: of the model, in tokens, if known.
    """
    if wanted == "auto":
        size = sum(len(json.dumps(tool_declaration(tool))) for tool in tools.values()) / _CHARACTERS
        wanted = size > SHARE * (window or _WINDOW)
    return DeferredTools(wanted) if wanted else None
