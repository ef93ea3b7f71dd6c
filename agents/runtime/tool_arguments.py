"""The arguments of calls: how they are declared to the model, read, and handed to the tool.

A call may use the result of an earlier call of the same reply: anywhere in its arguments,
`{"$result": WHICH, "path": "rows[0].total"}` is replaced by a value of that result. WHICH
is the call's id, its place in the reply from 1, or its tool's name (the last earlier call of that
tool). Without a path the whole result text is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from qwenbelt.agents.prompts import RESULT_OF_A_CALL
from qwenbelt.core.errors import ToolError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import Language
from qwenbelt.core.schemas import coerced_arguments, json_schema, told_schema
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


def typed_arguments(tool: Any, values: dict[str, Any] | str) -> dict[str, Any] | str:
    """Returns the arguments in the types of the tool's schema, stock tools included."""
    if isinstance(values, str):
        return values
    try:
        return coerced_arguments(values, json_schema(tool.parameters))
    except (AttributeError, TypeError, KeyError):
        return values  # no valid schema: the tool itself checks what it takes


def handed_to(tool: Any, values: dict[str, Any] | str, written: str) -> Any:
    """Returns the arguments as the tool's `call` takes them: stock tools read JSON text.

    Args:
        tool: the tool.
        values: the arguments as read, references replaced.
        written: the model's text; passed on unchanged when it holds exactly the values.
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


_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
MARK = "$result"


def reference_names(value: Any) -> Iterator[Any]:
    """Yields what the references inside a JSON value name."""
    if isinstance(value, dict):
        if MARK in value:
            yield value[MARK]
            return
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from reference_names(entry)


def resolve_references(value: Any, result_of: Callable[[Any], str]) -> Any:
    """Returns the JSON value with every reference replaced.

    Raises:
        ToolError: a path does not lead to a value of the result.
    """
    if isinstance(value, dict):
        if MARK in value:
            return _value_at_path(result_of(value[MARK]), str(value.get("path") or ""))
        return {key: resolve_references(entry, result_of) for key, entry in value.items()}
    if isinstance(value, list):
        return [resolve_references(entry, result_of) for entry in value]
    return value


def _value_at_path(text: str, path: str) -> Any:
    if not path:
        return text
    try:
        value: Any = loads_bounded(text)
    except json.JSONDecodeError:
        raise ToolError(f"The result is not JSON, so {path!r} leads nowhere in it.") from None
    for name, index in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            shown = one_line(json.dumps(value, ensure_ascii=False), 120)
            raise ToolError(f"{path!r}: nothing at {index or name!r} in {shown}.") from None
    return value


_DEFINITION = "result_of_a_call"


def tool_declaration(tool: Any) -> dict[str, Any]:
    """Returns a tool's declaration for the model: name, description, JSON schema."""
    function = tool.function
    return {
        "name": function["name"],
        "description": function["description"],
        "parameters": told_schema(json_schema(function["parameters"])),
    }


def with_references(declared: dict[str, Any], language: Language) -> dict[str, Any]:
    """Returns a declaration whose every argument may also be the result of another call.

    Engines that force arguments into the schema could not write such references otherwise.
    """
    schema = declared["parameters"]
    properties = schema.get("properties") or {}
    if not properties:
        return declared
    reference = {"$ref": f"#/$defs/{_DEFINITION}"}
    result = {
        "type": "object",
        "description": RESULT_OF_A_CALL[language],
        "properties": {MARK: {"type": ["integer", "string"]}, "path": {"type": "string"}},
        "required": [MARK],
    }
    return {
        **declared,
        "parameters": {
            **schema,
            "properties": {
                name: _value_or_reference(kind, reference) for name, kind in properties.items()
            },
            "$defs": {**schema.get("$defs", {}), _DEFINITION: result},
        },
    }


def _value_or_reference(kind: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    outside: dict[str, Any] = {key: kind[key] for key in ("description", "default") if key in kind}
    inside = {key: value for key, value in kind.items() if key not in outside}
    return {**outside, "anyOf": [inside, reference]}
