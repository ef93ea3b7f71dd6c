"""Fits a turn into a JSON schema, as a model under constrained decoding would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.testing.scenarios.scenario import Turn

_ANSWER_KEYS = ("answer", "final_answer", "text", "content", "message", "reply")
_CALL_KEYS = (("name", "arguments"), ("tool", "arguments"), ("function", "arguments"))
_LIST_KEYS = ("calls", "tool_calls", "actions")


def fitted_to_schema(turn: Turn, schema: Mapping[str, Any]) -> str:
    """Returns JSON text that carries the turn and is valid under the schema.

    Raises:
        InputError: none of the usual shapes fits.
    """
    import jsonschema

    check = jsonschema.Draft202012Validator(schema)
    for candidate in _candidate_values(turn, schema):
        if check.is_valid(candidate):
            return json.dumps(candidate, ensure_ascii=False)
    if not turn.calls and isinstance(turn.answer or turn.text, str):
        text = str(turn.answer or turn.text)
        if any(True for _ in _parsed(text)):
            return text  # of a server that takes a schema and does not keep to it
    what = "its calls" if turn.calls else "its answer"
    raise InputError(
        f"the request's JSON schema allows no shape that carries {what}; write the exact value "
        "as a mapping under `answer`"
    )


def _candidate_values(turn: Turn, schema: Mapping[str, Any]) -> Iterator[Any]:
    if turn.answer is not None and not isinstance(turn.answer, str):
        yield turn.answer
        return
    if turn.calls:
        yield from _call_shapes(turn)
        return
    text = turn.answer or turn.text
    yield from _parsed(text)
    yield text
    for value in _parsed(text):
        yield from ({key: value} for key in _ANSWER_KEYS)
    for key in _ANSWER_KEYS:
        yield {key: text}
        for flag in ("kind", "type", "action", "decision"):
            yield {flag: "answer", key: text}
            yield {flag: "final", key: text}
            yield {flag: key, key: text}


def _parsed(text: str) -> Iterator[Any]:
    try:
        yield loads_bounded(text)
    except json.JSONDecodeError:
        return


def _call_shapes(turn: Turn) -> Iterator[Any]:
    for name_key, arguments_key in _CALL_KEYS:
        calls = [{name_key: c.name, arguments_key: _value(c.arguments)} for c in turn.calls]
        for key in _LIST_KEYS:
            yield {key: calls}
            for flag in ("kind", "type", "action", "decision"):
                for word in ("calls", "call", "tool"):
                    yield {flag: word, key: calls}
        yield calls
        if len(calls) == 1:
            yield calls[0]
            for flag in ("kind", "type", "action", "decision"):
                yield {flag: "call", **calls[0]}
                yield {flag: "tool", **calls[0]}


def _value(arguments: Any) -> Any:
    return loads_bounded(arguments) if isinstance(arguments, str) else dict(arguments)
