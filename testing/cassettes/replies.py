"""Reads a chat reply from its bytes, streamed or not, in any dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from qwenbelt.core.jsons import loads_bounded


def read_reply(body: bytes) -> dict[str, Any]:
    """Returns text, thoughts, calls and finish reason; only what is there."""
    text, thoughts, reason = "", "", None
    calls: dict[Any, dict[str, str]] = {}
    for choice in _streamed_choices(body.decode("utf-8", "replace")):
        delta = choice.get("delta") or choice.get("message") or {}
        text += delta.get("content") or ""
        thoughts += delta.get("reasoning_content") or delta.get("reasoning") or ""
        reason = choice.get("finish_reason") or reason
        for number, part in enumerate(delta.get("tool_calls") or ()):
            function = part.get("function") or {}
            slot = part.get("index", part.get("id") or (number if "message" in choice else -1))
            call = calls.setdefault(slot, {"name": "", "arguments": ""})
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""
    found = {
        "thoughts": thoughts,
        "text": text,
        "calls": [f"{call['name']}({call['arguments']})" for call in calls.values()],
        "finish_reason": reason,
    }
    return {key: value for key, value in found.items() if value}


def _streamed_choices(text: str) -> Iterator[dict[str, Any]]:
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    for line in lines or [text]:
        try:
            value = loads_bounded(line)
        except json.JSONDecodeError:
            continue
        choices = value.get("choices") if isinstance(value, dict) else None
        yield from (c for c in choices or () if isinstance(c, dict))
