"""Calls in text whose last string has no closing quote, as a real 1.5B leaves it in long code."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.agents.models.codecs.written import json_calls

SCHEMAS = {"code_interpreter": {"properties": {"code": {"type": "string"}}}}


def _code(text: str) -> str | None:
    calls = json_calls(text, SCHEMAS)
    return json.loads(calls[0][1])["code"] if calls else None


def _written(code: str) -> str:
    return (
        f'```json\n{{\n  "name": "code_interpreter",\n  "arguments": {{\n    "code": "{code}\n'
        "  }\n}\n```"
    )


def test_a_string_that_is_not_closed_ends_above_the_braces() -> None:
    assert _code(_written("import math; print(f'@x[{math.pi:.2f}]')")) == (
        "import math; print(f'@x[{math.pi:.2f}]')"
    )
    assert _code(_written('print(\\"a\\")')) == 'print("a")'


def test_braces_of_the_code_itself_stay() -> None:
    assert _code(_written("x = {\n  1: 2\n}\nprint(x)")) == "x = {\n  1: 2\n}\nprint(x)"
    assert _code(_written("x = {\n  1: 2\n}")) == "x = {\n  1: 2\n}"


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "code_interpreter", "arguments": {"code": "print(1)',  # cut off
        '{"name": "code_interpreter", "arguments": {"code": "print(1)}}',  # may be the code's own
        '{"name": "code_interpreter", "arguments": {"code": "print(1)\n}',
        '{"name": "code_interpreter", "arguments": {"code": "print(1)\n}\n}\nand so on',
    ],
)
def test_what_was_cut_off_or_goes_on_is_no_call(text: str) -> None:
    assert _code(text) is None


@given(st.text(alphabet="ab'{}[]:.,() \n\\", max_size=60))
def test_any_text_is_a_call_or_none(code: str) -> None:
    found = _code(_written(code))
    assert found is None or isinstance(found, str)
