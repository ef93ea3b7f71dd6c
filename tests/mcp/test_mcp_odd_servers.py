"""Servers that are odd in ways of their own: each costs one line at most, and no waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ConfigError, ToolError, ToolTimeout
from qwenbelt.tools.base import ToolContext

SERVER = str(Path(__file__).with_name("odd_server.py"))


def entry(way: str, **keys: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [SERVER, way], **keys}


@pytest.mark.parametrize(
    ("way", "tools"),
    [("same-page", 1), ("new-pages", 100), ("twins", 3), ("flood", 1), ("twice", 1), ("asks", 1)],
)
def test_the_call_is_answered(
    tools_of: Callable[..., dict[str, Any]], caplog: Any, way: str, tools: int
) -> None:
    found = tools_of(s=entry(way))
    assert len(found) == tools
    told: list[Any] = []
    context = ToolContext(report=lambda *report: told.append(report))
    for _ in range(2):
        assert next(iter(found.values())).call({}, context=context) == "well"
    assert len(told) < 1000
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("kinds", "hologram"),
        ("list-result", "no valid JSON-RPC"),
        ("error", "no valid JSON-RPC"),
        ("renamed", "Unknown tool: go"),
    ],
)
def test_the_call_fails_at_once_and_says_why(
    tools_of: Callable[..., dict[str, Any]], way: str, said: str
) -> None:
    (tool,) = tools_of(s=entry(way)).values()
    with pytest.raises(ToolError, match=said) as caught:
        tool.call({}, context=ToolContext())
    assert not isinstance(caught.value, ToolTimeout)


@pytest.mark.parametrize(
    ("way", "said"), [("loops", "no valid JSON-RPC"), ("greeting", "did not start")]
)
def test_the_start_fails_at_once(
    tools_of: Callable[..., dict[str, Any]], way: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        tools_of(s=entry(way, start_timeout=300))
    assert "\n" not in str(caught.value)


def test_a_late_answer_is_nobodys(tools_of: Callable[..., dict[str, Any]]) -> None:
    (tool,) = tools_of(s=entry("late", call_timeout=0.4)).values()
    for _ in range(2):
        with pytest.raises(ToolTimeout, match=r"within 0\.4 s"):
            tool.call({}, context=ToolContext())
