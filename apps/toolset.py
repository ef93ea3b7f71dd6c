"""The tools that the front ends offer: those of this pack, and by name also qwen-agent's own."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.apps.strings import say
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.registry import BUILTIN, tool_class

if TYPE_CHECKING:
    from qwen_agent.tools.base import BaseTool


def pack_tools() -> Iterator[tuple[str, BaseTool | QwenbeltError]]:
    """Yields each tool of this pack by name, or the reason why it cannot be had here."""
    for name in BUILTIN:
        try:
            yield name, tool_named(name)
        except QwenbeltError as error:
            yield name, error


def tool_named(name: str, cfg: Mapping[str, Any] | None = None) -> BaseTool:
    """Makes a tool by its registered name.

    Raises:
        InputError: there is no tool of that name.
    """
    if name in BUILTIN:
        try:
            return tool_class(name)(dict(cfg or {}))
        except ModuleNotFoundError as error:
            raise InputError(f"{name}: the module {error.name} is missing.") from error
    from qwen_agent.tools import TOOL_REGISTRY

    if name not in TOOL_REGISTRY:
        known = sorted({*BUILTIN, *TOOL_REGISTRY})
        close = difflib.get_close_matches(name, known, 3)
        fix = say("close_to", names=" / ".join(close)) if close else ""
        fix = fix or say("known_tools", names=", ".join(known))
        raise InputError(say("no_tool", name=name), fix=fix)
    return TOOL_REGISTRY[name](dict(cfg or {}))


def tool_declaration(tool: BaseTool) -> dict[str, Any]:
    """Returns what a program may know of a tool before calling it."""
    from qwenbelt.core.schemas import json_schema

    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": json_schema(tool.parameters),
        "read_only": bool(getattr(tool, "read_only", False)),
    }


def json_object(text: str, what: str) -> dict[str, Any]:
    """Reads a JSON object that a person typed.

    Raises:
        InputError: it is not one.
    """
    try:
        value = loads_bounded(text)
    except json.JSONDecodeError as error:
        place = f"{error.msg} at character {error.pos + 1}"
        raise InputError(f"{what} must be a JSON object ({place}).") from error
    if not isinstance(value, dict):
        raise InputError(f"{what} must be a JSON object, not {type(value).__name__}.")
    return value
