"""Reads what a model wrote as the arguments of a call, in the form that its tool takes."""

from __future__ import annotations

import json
from typing import Any

from qwenbelt.core.errors import ToolError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.schemas import coerced, json_schema
from qwenbelt.tools.base import Tool, loads_arguments


def read_arguments(tool: Any, text: str) -> dict[str, Any] | str:
    """Returns the JSON object, or the text itself when it is none and the tool takes text.

    Stock tools read their arguments themselves and may take bare text, such as code.

    Raises:
        ToolError: no JSON object can be read from it.
    """
    try:
        return loads_arguments(text)
    except ToolError:
        takes_text = tool.accepts_text if isinstance(tool, Tool) else True
        if takes_text and not text.lstrip().startswith("{"):
            return text
        raise


def typed(tool: Any, values: dict[str, Any] | str) -> dict[str, Any] | str:
    """Returns the arguments in the types of the tool's schema, stock tools included."""
    if isinstance(values, str):
        return values
    try:
        return coerced(values, json_schema(tool.parameters))
    except (AttributeError, TypeError, KeyError):
        return values  # a schema that is none: the tool itself says what it takes


def handed_to(tool: Any, values: dict[str, Any] | str, written: str) -> Any:
    """Returns the arguments as the tool's `call` takes them: stock tools read JSON text.

    Args:
        tool: the tool.
        values: the arguments as read, references replaced.
        written: the text of the model; handed on when it says just that.
    """
    if isinstance(tool, Tool) or isinstance(values, str):
        return values
    return written if _says(written, values) else as_json(values)


def _says(written: str, values: dict[str, Any]) -> bool:
    try:
        return bool(loads_bounded(written) == values)
    except json.JSONDecodeError:
        return False


def as_json(values: dict[str, Any] | str) -> str:
    """Returns arguments as JSON text; text stays as it is."""
    return values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
