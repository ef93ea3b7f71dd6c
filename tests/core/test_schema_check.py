"""Schemas from outside are checked within bounds, and nothing is fetched for them."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from qwenbelt.core.schema_check import SchemaCheck, SchemaUnusable

LONG = "a" * 60 + "!"
NESTED = json.loads('{"a":' * 12 + "1" + "}" * 12)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "circle"),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#"}}},
            "circle",
        ),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "circle"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "not inside"),
        ({"properties": {"a": {"$ref": "http://192.0.2.1/x.json"}}}, "not inside"),
        ({"items": {"anyOf": [{"$ref": "file:///etc/passwd"}]}}, "not inside"),
        (deep(300), "deeply"),
        (deep(3000), "deeply"),
        ({"type": "bogus"}, "bogus"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(SchemaUnusable, match=why):
        SchemaCheck(schema)


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        ({"allOf": [{"$ref": "#"}]}, 1, "without end"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#"}] * 10}}, "type": "object"}, NESTED, "long"),
        ({"pattern": "^(a+)+$"}, LONG, "does not match"),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {LONG: 1},
         "not allowed"),
        ({"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False}, {LONG: 1},
         "not checked"),
        ({"$dynamicRef": "http://192.0.2.1/x.json"}, 1, "does not hold"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#",
                               "pattern": "^(a+)+$"}}}, {"a": LONG}, "does not match"),
        ({"multipleOf": 0.01}, 1e308, ""),
    ],
)  # fmt: skip
def test_a_check_ends(schema: dict[str, Any], value: Any, why: str) -> None:
    fault = SchemaCheck(schema).fault(value)
    assert why in (fault[1] if fault else "")


def test_a_pattern_with_look_around_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbelt.core.schema_check._SECONDS", 5.0)
    check = SchemaCheck({"pattern": "^(?!x)[a-z]+$"})
    assert check.fault("abc") is None
    assert check.fault("xabc") is not None
    monkeypatch.setattr("qwenbelt.core.schema_check._SECONDS", 0.2)
    fault = SchemaCheck({"pattern": "^(?!x)(a+)+$"}).fault(LONG)
    assert fault is not None
    assert "takes too long" in fault[1]


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for schema in (
        {"$schema": "http://127.0.0.1:1/own", "type": "integer"},
        {"anyOf": [{"$dynamicRef": "http://127.0.0.1:1/x"}]},
        {"$id": "http://127.0.0.1:1/a", "properties": {"a": {"$ref": "b"}}},
    ):
        SchemaCheck(schema).fault({"a": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}},
        {"properties": {"a": {"$ref": "#n"}}, "$defs": {"n": {"$anchor": "n", "type": "integer"}}},
        {
            "$id": "http://example.com/a",
            "properties": {"a": {"$ref": "b"}},
            "$defs": {"n": {"$id": "b", "type": "integer"}},
        },
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"a": {"$ref": "#/definitions/n"}},
            "definitions": {"n": {"type": "integer"}},
        },
    ],
)
def test_references_inside_a_schema_hold(schema: dict[str, Any]) -> None:
    check = SchemaCheck(schema)
    assert check.fault({"a": 1}) is None
    assert check.fault({"a": "x"}) == ("a", "'x' is not of type 'integer'")


def test_values_are_not_taken_for_schemas() -> None:
    data = {"$ref": "http://192.0.2.1/x"}
    assert SchemaCheck({"enum": [data]}).fault(data) is None
    assert SchemaCheck({"properties": {"$ref": {"type": "integer"}}}).fault({"$ref": "x"})
