"""The steps of a constrained reply: decide, then write the call under a schema, or the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from qwenbelt.agents.models.codecs.constrained import (
    ANSWER,
    MAX_CALLS,
    call_messages,
    call_schema,
    calls_in,
    cell_in,
    cell_messages,
    decision_messages,
    decision_schema,
    fault_of,
    offered_tools,
    takes_a_cell,
)
from qwenbelt.agents.models.deltas import CallDelta, Finish, JsonDict, Text, Tokens, WirePiece
from qwenbelt.agents.models.dialects import THINKING_FIELDS, structured_fields
from qwenbelt.agents.models.repetition import repeated_part
from qwenbelt.agents.prompts import ENDLESS_CALL, NO_CELL, WRONG_CALL
from qwenbelt.core.errors import EndpointError, one_line
from qwenbelt.core.jsons import loads_bounded, loads_lenient, repaired_json
from qwenbelt.core.language import Language

DECISION_TOKENS = 64
CALL_TOKENS = 1024
_TRIES = 2
_SHOWN = 1000  # characters of a wrong call that the model is shown
_LOOK_EVERY = 40  # characters
_REPETITION = 240  # characters that are repetition: a call is short

Send = Callable[[JsonDict], AsyncGenerator[WirePiece, None]]


class ConstrainedSteps:
    """Makes one reply in steps.

    Args:
        send: sends a body and yields the pieces of its reply.
        field: the body field that constrains replies, see `dialects.structured_fields`.
        quiet: body fields that switch thinking off; in a step of few tokens there is no room for
            thoughts, which are for the answer.
        parallel: whether several calls may be written at once.
    """

    def __init__(self, send: Send, field: str, quiet: JsonDict, *, parallel: bool = True) -> None:
        self._send = send
        self._field = field
        self._quiet = quiet
        self._most = MAX_CALLS if parallel else 1
        self._used = Tokens(0, 0)

    async def pieces(
        self, body: JsonDict, tools: Sequence[JsonDict], choice: str, language: Language
    ) -> AsyncGenerator[WirePiece, None]:
        """Yields the pieces of the reply; `body` is the request without tools.

        Raises:
            EndpointError: the endpoint failed, or does not keep to the schema.
        """
        messages: list[JsonDict] = body["messages"]
        tools = offered_tools(messages, tools)
        name = choice if choice not in ("auto", "required") else ""
        if not name:
            name = await self._decide(body, tools, language, may_answer=choice == "auto")
        if name == ANSWER:
            async with aclosing(self._send(body)) as answer:
                async for piece in answer:
                    if isinstance(piece, Tokens):
                        self._count(piece)
                    else:
                        yield piece
        else:
            tool = next((tool for tool in tools if tool["name"] == name), None)
            if tool is not None and takes_a_cell(tool):
                calls = await self._write_cell(body, tool, language)
            else:
                written = call_messages(messages, tools, name, language)
                calls = await self._write({**body, "messages": written}, tools, name, language)
            for index, (called, arguments) in enumerate(calls or [(name, "{")]):
                yield CallDelta(index, "", called, arguments)
            yield Finish("tool_calls" if calls else "length")
        yield self._used

    async def _decide(
        self, body: JsonDict, tools: Sequence[JsonDict], language: Language, *, may_answer: bool
    ) -> str:
        if not may_answer and len(tools) == 1:
            return str(tools[0]["name"])
        schema = decision_schema(tools, may_answer=may_answer)
        asked = decision_messages(body["messages"], tools, language, may_answer)
        step = {**body, "messages": asked, "temperature": 0, "max_tokens": DECISION_TOKENS}
        text, _ = await self._constrained(step, schema)
        try:
            name = str(loads_bounded(text)["tool"])
        except (ValueError, KeyError, TypeError):
            name = ""
        allowed = schema["properties"]["tool"]["enum"]
        if name in allowed:
            return name
        if may_answer:
            return ANSWER
        raise EndpointError("The endpoint does not keep to a JSON schema.", code="no_schema")

    async def _write(
        self, body: JsonDict, tools: Sequence[JsonDict], name: str, language: Language
    ) -> list[tuple[str, str]]:
        """Returns calls, none when they cannot be read.

        A wrong one is shown to the model, which writes it again.
        """
        schema = call_schema(tools, name, self._most)
        schemas = {tool["name"]: tool.get("parameters") or {} for tool in tools}
        # a limit that a person sets is meant for answers; a call that is cut off is no call
        most = body.get("max_tokens")
        step = {**body, "max_tokens": max(CALL_TOKENS, most if isinstance(most, int) else 0)}
        calls: list[tuple[str, str]] = []
        for _ in range(_TRIES):
            text, whole = await self._constrained(step, schema)
            calls, wrong = checked_calls(text, schemas) if whole else ([], ENDLESS_CALL[language])
            if not wrong:
                return calls
            mistake = [
                {"role": "assistant", "content": text[:_SHOWN]},
                {"role": "user", "content": WRONG_CALL[language].format(reason=wrong)},
            ]
            step["messages"] = [*body["messages"], *mistake]
        return calls

    async def _write_cell(
        self, body: JsonDict, tool: JsonDict, language: Language
    ) -> list[tuple[str, str]]:
        """Returns the call that runs a cell, which the model writes as a block of code."""
        most = body.get("max_tokens")
        step = {**body, "max_tokens": max(CALL_TOKENS, most if isinstance(most, int) else 0)}
        written = step["messages"] = cell_messages(body["messages"], tool, language)
        for _ in range(_TRIES):
            text, whole = await self._free(step)
            code, closed = cell_in(text)
            wrong = fault_of(code) if code else NO_CELL[language]
            if not (closed or whole):
                wrong = ENDLESS_CALL[language]
            if not wrong:
                return [(tool["name"], json.dumps({"code": code}, ensure_ascii=False))]
            mistake = [
                {"role": "assistant", "content": text[:_SHOWN]},
                {"role": "user", "content": WRONG_CALL[language].format(reason=wrong)},
            ]
            step["messages"] = [*written, *mistake]
        return [(tool["name"], json.dumps({"code": code}, ensure_ascii=False))] if code else []

    async def _free(self, body: JsonDict) -> tuple[str, bool]:
        """Returns what the model wrote, to the end of its first block of code."""
        return await self._read({**body, **self._quiet}, lambda text: cell_in(text)[1])

    async def _constrained(self, body: JsonDict, schema: JsonDict) -> tuple[str, bool]:
        """Returns what the model wrote, and whether it came to an end.

        Small models may write the same words over and over inside a text, which no schema forbids;
        they are stopped before the limit.
        """
        step = {name: value for name, value in body.items() if name not in THINKING_FIELDS}
        step |= {**self._quiet, **structured_fields(self._field, schema)}
        return await self._read(step, lambda text: False)

    async def _read(self, step: JsonDict, ends: Callable[[str], bool]) -> tuple[str, bool]:
        text, looked, whole = "", 0, True
        async with aclosing(self._send(step)) as reply:
            async for piece in reply:
                if isinstance(piece, Text):
                    text += piece.text
                elif isinstance(piece, Tokens):
                    self._count(piece)
                elif isinstance(piece, Finish):
                    whole = piece.reason != "length"
                if len(text) - looked >= _LOOK_EVERY:
                    looked = len(text)
                    if ends(text) or repeated_part(text, _REPETITION):
                        return text.strip(), False
        return text.strip(), whole

    def _count(self, tokens: Tokens) -> None:
        used = self._used
        self._used = Tokens(
            used.input + tokens.input,
            used.output + tokens.output,
            used.cached + tokens.cached,
            used.reasoning + tokens.reasoning,
        )


def checked_calls(
    text: str, schemas: Mapping[str, Mapping[str, Any]]
) -> tuple[list[tuple[str, str]], str]:
    """Returns the calls in a reply, and what is wrong with them in one line, or "".

    JSON that nearly is JSON is repaired first; what a repair makes must fit the schema as well.
    """
    from qwenbelt.core.schema_check import SchemaCheck, SchemaUnusable

    try:
        calls = calls_in(text)
    except ValueError as error:
        calls = _repaired(text)
        if not calls:
            return [], f"not the JSON that was asked for ({one_line(error, 120)})"
    for name, arguments in calls:
        if name not in schemas:
            return calls, f"there is no tool named {name!r}"
        try:
            fault = SchemaCheck(schemas[name]).fault(loads_bounded(arguments))
        except SchemaUnusable:
            continue  # the tool's own schema is wrong; the tool itself will judge
        if fault is not None:
            return calls, f"{name}: {fault[0] or 'arguments'}: {one_line(fault[1], 200)}"
    return calls, ""


def _repaired(text: str) -> list[tuple[str, str]]:
    if not text.rstrip().endswith("}"):
        return []  # cut off: guessing the rest would run something else
    try:
        return calls_in(json.dumps(loads_lenient(text) or repaired_json(text), ensure_ascii=False))
    except ValueError:
        return []
