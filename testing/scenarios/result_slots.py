"""Puts earlier tool results into a scripted turn: `${tool}`, `${tool#2}`, `${tool:REGEX}`.

`${sql_query}` is the text of the last result of `sql_query`, `${sql_query#1}` that of its first,
`${sql_query:mean = ([0-9.]+)}` the first group (else the whole) of the pattern's first match. A
name without a result stays as it is written, so that `${HOME}` in code is safe. `$${` is `${`.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.testing.checks.matchers import shown_value
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.scenarios.scenario import Call, Turn

_SLOT = re.compile(r"\$\$\{|\$\{([A-Za-z0-9_-]+)(?:#(\d+))?(?::((?:[^{}]|\{[^{}]*\})+))?\}")


def with_results_inserted(turn: Turn, request: ChatRequest) -> Turn:
    """Returns the turn with results in the place of their slots.

    Raises:
        InputError: a slot's number or pattern finds nothing.
    """
    texts = {name: _fill_slots(getattr(turn, name), request) for name in ("think", "text", "tail")}
    calls = tuple(Call(call.name, _fill_slots(call.arguments, request)) for call in turn.calls)
    return dataclasses.replace(turn, calls=calls, answer=_fill_slots(turn.answer, request), **texts)


def _fill_slots(value: Any, request: ChatRequest) -> Any:
    if isinstance(value, str):
        return (
            _SLOT.sub(lambda found: _slot_result(found, request), value) if "${" in value else value
        )
    if isinstance(value, dict):
        return {key: _fill_slots(inner, request) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_slots(inner, request) for inner in value]
    return value


def _slot_result(found: re.Match[str], request: ChatRequest) -> str:
    name, number, pattern = found.groups()
    if name is None:
        return "${"
    texts = [result.text for result in request.results if result.name == name]
    if not texts:
        return found.group(0)
    at = int(number) if number else len(texts)
    if not 1 <= at <= len(texts):
        raise InputError(f"{found.group(0)}: there are {len(texts)} results of {name}")
    text = texts[at - 1]
    if pattern is None:
        return text
    try:
        hit = re.search(pattern, text)
    except re.error as error:
        raise InputError(f"{found.group(0)}: not a valid pattern ({error})") from None
    if hit is None:
        raise InputError(f"{found.group(0)}: nothing like it in {shown_value(text)}")
    return hit.group(1) if hit.re.groups else hit.group(0)
