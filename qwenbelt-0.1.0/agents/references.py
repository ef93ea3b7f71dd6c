"""Calls that use the result of an earlier call of the same reply.

Anywhere in the arguments, `{"$result": WHICH, "path": "rows[0].total"}` stands for a value of an
earlier result. WHICH is the call's id, its place in the reply from 1, or its tool's name (the last
earlier call of that tool). Without a path the whole result text is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from qwenbelt.core.errors import ToolError, one_line

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
MARK = "$result"


def references(value: Any) -> Iterator[Any]:
    """Yields what the references inside a JSON value name."""
    if isinstance(value, dict):
        if MARK in value:
            yield value[MARK]
            return
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from references(entry)


def resolve(value: Any, result_of: Callable[[Any], str]) -> Any:
    """Returns the JSON value with every reference replaced.

    Raises:
        ToolError: a path does not lead to a value of the result.
    """
    if isinstance(value, dict):
        if MARK in value:
            return _value(result_of(value[MARK]), str(value.get("path") or ""))
        return {key: resolve(entry, result_of) for key, entry in value.items()}
    if isinstance(value, list):
        return [resolve(entry, result_of) for entry in value]
    return value


def _value(text: str, path: str) -> Any:
    if not path:
        return text
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError:
        raise ToolError(f"The result is not JSON, so {path!r} leads nowhere in it.") from None
    for name, index in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            shown = one_line(json.dumps(value, ensure_ascii=False), 120)
            raise ToolError(f"{path!r}: nothing at {index or name!r} in {shown}.") from None
    return value
