"""The one coercion: values in the types of a schema, and nothing else changed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.core.schemas import allowed_types, coerced_arguments

STRING, INTEGER, NUMBER, BOOLEAN, NULL = (
    {"type": name} for name in ("string", "integer", "number", "boolean", "null")
)
STRINGS = {"type": "array", "items": STRING}
ROOT: dict[str, Any] = {
    "$defs": {
        "Edit": {
            "type": "object",
            "properties": {"old": STRING, "n": INTEGER},
            "required": ["old"],
        },
        "Node": {"anyOf": [{"$ref": "#/$defs/Node"}, {"$ref": "#/$defs/Node"}, INTEGER]},
        "a/b": BOOLEAN,
    }
}


def one(value: Any, schema: Any, *, written: bool = False, required: bool = True) -> Any:
    names = ["x"] if required else []
    whole = {**ROOT, "type": "object", "properties": {"x": schema}, "required": names}
    return coerced_arguments({"x": value}, whole, written=written).get("x", "left out")


ANY_OF_STRING = {"anyOf": [STRING, NULL]}


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(
    ("value", "schema", "right"),
    [
        # what may be a string stays the string that it is
        ("8080", STRING, "8080"),
        ("true", STRING, "true"),
        ("null", STRING, "null"),
        ('["a"]', STRING, '["a"]'),
        ("8080", ANY_OF_STRING, "8080"),
        ("12e4567", ANY_OF_STRING, "12e4567"),
        ("8080", {"type": ["integer", "string"]}, "8080"),
        ("8080", {"oneOf": [INTEGER, STRING]}, "8080"),
        ("8080", {"type": "string", "nullable": True}, "8080"),
        ("1.0", {"enum": ["1.0", "2.0"]}, "1.0"),
        ("True", {"allOf": [STRING, {"minLength": 1}]}, "True"),
        # numbers and booleans as text
        ("3", INTEGER, 3),
        (" 3\n", INTEGER, 3),
        ("+3", INTEGER, 3),
        ("3.0", INTEGER, 3),
        ("3.5", INTEGER, "3.5"),
        ("3.5", NUMBER, 3.5),
        ("-1e3", NUMBER, -1000.0),
        ("1e999", NUMBER, "1e999"),
        ("nan", NUMBER, "nan"),
        ("three", INTEGER, "three"),
        ("1,000", INTEGER, "1,000"),
        ("True", BOOLEAN, True),
        ("false", BOOLEAN, False),
        ("yes", BOOLEAN, "yes"),
        ("True", {"anyOf": [BOOLEAN, NULL]}, True),
        ("7", {"type": ["integer", "null"]}, 7),
        ("7", {"type": "int"}, 7),
        ("7", {"enum": [7, 8]}, 7),
        ("7", {"const": 7}, 7),
        ("9", {"enum": [7, 8]}, "9"),
        ("7", {"$ref": "#/$defs/Node"}, "7"),
        ("true", {"$ref": "#/$defs/a~1b"}, True),
        ("7", {"allOf": [{"description": "d"}, INTEGER]}, 7),
        # null in words
        ("null", {"anyOf": [INTEGER, NULL]}, None),
        ("None", {"type": ["integer", "null"]}, None),
        ("", {"type": "integer", "nullable": True}, None),
        ("", INTEGER, ""),
        # arrays and objects as text
        ('["a", "b"]', STRINGS, ["a", "b"]),
        ("['a', 'b']", STRINGS, ["a", "b"]),
        ("('a', 'b')", STRINGS, ["a", "b"]),
        ("a, b", STRINGS, "a, b"),
        ("\"{'old': 'a'}\"", {"$ref": "#/$defs/Edit"}, {"old": "a"}),
        ('"text"', STRINGS, '"text"'),
        ("[1, '2']", {"type": "array", "items": INTEGER}, [1, 2]),
        ('{"old": "a", "n": "2"}', {"$ref": "#/$defs/Edit"}, {"old": "a", "n": 2}),
        ("{'old': 'a', 'n': None}", {"$ref": "#/$defs/Edit"}, {"old": "a"}),
        ('{"a": "1"}', {"type": "object", "additionalProperties": INTEGER}, {"a": 1}),
        ('["1", "x"]', {"type": "array", "prefixItems": [INTEGER, STRING]}, [1, "x"]),
        ("[" * 5000, STRINGS, "[" * 5000),
    ],
)
def test_text(value: Any, schema: Any, right: Any, written: bool) -> None:
    found = one(value, schema, written=written)
    assert found == right
    assert type(found) is type(right)
    assert one(found, schema) == found, "a second time changes nothing"


@pytest.mark.parametrize(
    ("value", "schema", "right"),
    [
        (8080, STRING, "8080"),
        (3.0, INTEGER, 3),
        (3, NUMBER, 3),
        (1, BOOLEAN, 1),
        (True, INTEGER, True),
        ([{"old": "a", "n": "2"}], {"type": "array", "items": {"$ref": "#/$defs/Edit"}}, None),
        (["1"], {"anyOf": [{"type": "array", "items": INTEGER}, NULL]}, [1]),
        ({"b": "2"}, {"anyOf": [
            {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
            {"type": "object", "properties": {"b": INTEGER}, "required": ["b"]},
        ]}, {"b": 2}),
        ("x", {"type": "object", "properties": "broken"}, "x"),
        ("x", {"$ref": "https://elsewhere/schema.json"}, "x"),
        ("x", {"$ref": "#/nowhere"}, "x"),
    ],
)  # fmt: skip
def test_values(value: Any, schema: Any, right: Any) -> None:
    found = one(value, schema)
    assert found == ([{"old": "a", "n": 2}] if right is None else right)
    assert type(found) is type(value if right is None else right)


def test_a_null_is_left_out_where_it_is_optional_and_not_allowed() -> None:
    assert one(None, STRING, required=False) == "left out"
    assert one("None", INTEGER, required=False) == "left out"
    assert one(None, STRING, required=True) is None
    assert one(None, ANY_OF_STRING, required=False) is None
    assert one("None", STRING, required=False) == "None"


def test_between_tags_null_is_its_word_and_what_has_no_type_may_be_json() -> None:
    assert one("null", ANY_OF_STRING, written=True) is None
    assert one("null", ANY_OF_STRING) == "null"
    assert one('{"a": 1}', {}, written=True) == {"a": 1}
    assert one("8080", {}, written=True) == "8080"
    assert one('["null", "8080"]', STRINGS, written=True) == ["null", "8080"]


def test_kinds_of_a_schema_without_an_end() -> None:
    assert "integer" in allowed_types({"$ref": "#/$defs/Node"}, ROOT)
    laughs: dict[str, Any] = {str(n): {"allOf": [{"$ref": f"#/{n + 1}"}] * 9} for n in range(40)}
    assert coerced_arguments({"x": "1"}, {**laughs, "properties": {"x": {"$ref": "#/0"}}}) == {
        "x": "1"
    }


SCHEMAS = st.recursive(
    st.sampled_from([{}, True, STRING, INTEGER, NUMBER, BOOLEAN, NULL, {"$ref": "#/$defs/Edit"}]),
    lambda inner: st.one_of(
        st.builds(lambda a: {"anyOf": a}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda a: {"type": "array", "items": a}, inner),
        st.builds(lambda a: {"type": "object", "properties": {"k": a}}, inner),
    ),
    max_leaves=6,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(
        ["1", "true", "null", '["1"]', "{'k': 1}", "text", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(value=PLAIN, schema=SCHEMAS, written=st.booleans())
def test_coercion_never_fails_and_is_done_once(value: Any, schema: Any, written: bool) -> None:
    found = one(value, schema, written=written)
    if found != "left out":
        assert one(found, schema) == found
