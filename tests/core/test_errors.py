from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core import errors


def test_an_error_says_what_is_wrong_and_then_how_to_mend_it() -> None:
    error = errors.ConfigError("No key", fix="Set DASHSCOPE_API_KEY.")
    assert str(error) == "No key. Set DASHSCOPE_API_KEY."
    assert str(errors.ConfigError("没有密钥。", fix="请设置。")) == "没有密钥。 请设置。"
    assert str(errors.ToolError("too short")) == "too short"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("ConfigError", 2), ("NoEndpointError", 3), ("EndpointError", 3), ("ToolRefused", 4)],
)
def test_exit_codes(kind: str, code: int) -> None:
    assert getattr(errors, kind).exit_code == code


def test_every_error_is_drawn_in_the_docstring() -> None:
    classes = inspect.getmembers(errors, inspect.isclass)
    for name, _ in classes:
        assert name in (errors.__doc__ or "")


@given(st.text(max_size=2000), st.integers(1, 600))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = errors.one_line(text, limit)
    assert len(line.splitlines()) <= 1
    assert len(line) <= limit
