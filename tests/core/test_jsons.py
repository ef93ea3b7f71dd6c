"""Bounded JSON: what is good reads as before, what is beyond a bound is one kind of error."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.core.jsons import (
    JsonRefused,
    is_deeper,
    loads_bounded,
    loads_lenient,
    python_literal,
    repaired_json,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{}"\\a,\n')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inside), default=0) if isinstance(value, (dict, list)) else 0


@settings(max_examples=300, deadline=None)
@given(value=VALUES, most=st.integers(0, 6), raw=st.booleans())
def test_the_depth_is_that_of_the_value(value: Any, most: int, raw: bool) -> None:
    text = json.dumps(value)
    given_text = text.encode() if raw else text
    assert is_deeper(given_text, most) is (depth_of(value) > most)
    if depth_of(value) <= most:
        assert loads_bounded(given_text, max_depth=most) == value
    else:
        with pytest.raises(JsonRefused, match="deep"):
            loads_bounded(given_text, max_depth=most)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '[{"a":' * 5000 + "1" + "}]" * 5000,
        "9" * 5000,
        b'{"a": "\xff"}',
        '"' + "a" * 100,
    ],
    ids=["lists", "objects", "closed", "digits", "no UTF-8", "too large"],
)
def test_what_cannot_be_taken_is_an_error_of_json(text: str | bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        loads_bounded(text, max_bytes=100 if len(text) == 101 else 10**7)


def test_brackets_inside_strings_nest_nothing() -> None:
    text = json.dumps({"code": "[" * 5000 + '"' + "{" * 5000, "more": ["]"]})
    assert loads_bounded(text) == json.loads(text)


def test_a_string_that_never_ends_is_looked_at_once() -> None:
    assert not is_deeper('"' + '\\"[' * 300_000, 100)


def test_repair_is_bounded_too() -> None:
    assert repaired_json("{'a': 1,}") == {"a": 1}
    assert repaired_json("{'a':" * 5000) is None
    assert repaired_json("{'a': 1, " * 100_000) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['SEATTLE/WA','LA.KO']", ["SEATTLE/WA", "LA.KO"]),
        ("{'a': True, 'b': None, 'c': (1, 2,)}", {"a": True, "b": None, "c": [1, 2]}),
        ("[.5, +3, 1.]", [0.5, 3, 1]),
        ('{"code": """print("x")\nd = {"a": 1}\n"""}', {"code": 'print("x")\nd = {"a": 1}\n'}),
        ("{'a': \"it's\", 'b': r'\\d'}", {"a": "it's", "b": "\\d"}),
        ("['\\d \\x41 it\\'s']", ["\\d A it's"]),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{{"name": "f", "arguments": {"a": 1}}}', {"name": "f", "arguments": {"a": 1}}),
        ('{{"name": "f", "arguments": {{"a": "{{x"}}}}', {"name": "f", "arguments": {"a": "{{x"}}),
        ('{{"name": "f", "arguments": {"a": 1}}', {"name": "f", "arguments": {"a": 1}}),
        ("[__import__('os').getcwd()]", None),
        ("{'a': 1", None),
        ("{'a', 'b'}", None),
        ("'text'", None),
        ('{"a": 1} and more', None),
        ("{{", None),
        ("[" * 5000 + "'", None),
    ],
)  # fmt: skip
def test_what_models_write_instead_of_json(text: str, value: Any) -> None:
    assert loads_lenient(text) == value


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_literals_of_python_are_read_as_python_writes_them(value: Any) -> None:
    found = python_literal(repr(value))
    assert found == (value if isinstance(value, (list, dict)) else None)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("[{(\"'\\,:1-tT\n ")))
def test_any_text_gives_a_value_or_none(text: str) -> None:
    assert isinstance(loads_lenient(text), (list, dict, type(None)))
