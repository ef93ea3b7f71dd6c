"""Words of a tool's schema that small models copy into the arguments of a call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbelt.agents.models.codecs.written import json_calls

SCHEMAS: dict[str, dict[str, Any]] = {
    "depreciate": {
        "type": "object",
        "properties": {"years": {"type": "integer"}, "rate": {"type": "number"}},
        "required": ["years"],
    },
    "make_form": {
        "type": "object",
        "properties": {"properties": {"type": "object"}, "type": {"type": "string"}},
    },
}


def called(arguments: Any, name: str = "depreciate") -> Any:
    text = f"```json\n{json.dumps({'name': name, 'arguments': arguments})}\n```"
    calls = json_calls(text, SCHEMAS)
    return json.loads(calls[0][1]) if calls else None


@pytest.mark.parametrize(
    "arguments",
    [
        {"properties": {"years": 5, "rate": 3}},
        {"type": "object", "properties": {"years": 5, "rate": 3}, "required": ["years"]},
        {"years": 5, "rate": 3, "required": ["years"]},
        {"years": 5, "rate": 3, "type": "object"},
    ],
)
def test_they_are_left_out(arguments: dict[str, Any]) -> None:
    assert called(arguments) == {"years": 5, "rate": 3}


@pytest.mark.parametrize(
    "arguments",
    [
        SCHEMAS["depreciate"],  # the declaration again is no call
        {"properties": {"years": {"type": "integer"}}},
        {"properties": {"months": 5}},
    ],
)
def test_a_declaration_is_no_call(arguments: dict[str, Any]) -> None:
    assert called(arguments) is None


def test_arguments_of_these_names_stay() -> None:
    form = {"properties": {"years": 5}, "type": "object"}
    assert called(form, "make_form") == form
    odd = {"years": 5, "required": ["months"]}  # refused later, with the name of the argument
    assert called(odd) == odd
