"""What the model is told about a tool."""

from __future__ import annotations

from typing import Any

from qwenbelt.agents.notices import RESULT_OF_A_CALL
from qwenbelt.agents.references import MARK
from qwenbelt.core.language import Language
from qwenbelt.core.schemas import json_schema

_DEFINITION = "result_of_a_call"


def declaration(tool: Any) -> dict[str, Any]:
    """Returns a tool's declaration for the model: name, description, JSON schema."""
    function = tool.function
    return {
        "name": function["name"],
        "description": function["description"],
        "parameters": json_schema(function["parameters"]),
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
            "properties": {name: _either(kind, reference) for name, kind in properties.items()},
            "$defs": {**schema.get("$defs", {}), _DEFINITION: result},
        },
    }


def _either(kind: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    outside: dict[str, Any] = {key: kind[key] for key in ("description", "default") if key in kind}
    inside = {key: value for key, value in kind.items() if key not in outside}
    return {**outside, "anyOf": [inside, reference]}
