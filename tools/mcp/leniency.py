"""Repairs a server's messages before the SDK checks them: an odd entry costs only itself.

The SDK checks a reply as one piece, so one tool with an impossible schema would take all tools
down, and a block of an unknown kind the result of a call that has run. What is changed or left
out is reported in `Mender.notes`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse
from mcp_types.methods import validate_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from qwenbelt.core.errors import one_line
from qwenbelt.core.limits import shorten_text
from qwenbelt.tools.mcp.progress_gate import ProgressGate

_LISTS = {
    "tools/list": ("tools", ("name", "inputSchema")),
    "resources/list": ("resources", ("uri", "name")),
    "resources/templates/list": ("resourceTemplates", ("uriTemplate", "name")),
    "prompts/list": ("prompts", ("name",)),
}
_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_UNIONS = ("anyOf", "oneOf", "allOf", "prefixItems")
_DEEPEST = 60
_MOST_WAITING = 10_000
_LONGEST_MS = 24 * 3600 * 1000  # as in the SDK


class Mender:
    """Repairs the replies of one session.

    Attributes:
        notes: what was left out or changed, one line each.
        output_schemas: of the tools; kept from the SDK, which would refuse a result for them.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.output_schemas: dict[str, Any] = {}
        self._lasts: dict[str, int] = {}
        self._methods: dict[Any, str] = {}
        self._version = MODERN_PROTOCOL_VERSIONS[-1]

    def sent(self, message: Any) -> None:
        """Remembers what a request asks for, to know its reply by."""
        if isinstance(message, JSONRPCRequest):
            if len(self._methods) > _MOST_WAITING:  # replies that never came
                self._methods.pop(next(iter(self._methods)))
            self._methods[message.id] = message.method

    def received(self, message: Any) -> Any:
        """Returns a message with what the SDK would refuse put right."""
        if isinstance(message, JSONRPCError):
            if message.id is None and len(self._methods) == 1:
                message.id = next(iter(self._methods))  # only one can be meant
            self._methods.pop(message.id, None)
        if not isinstance(message, JSONRPCResponse):
            return message
        method = self._methods.pop(message.id, "")
        result = message.result
        if method in ("initialize", "server/discover"):
            self._welcome(result)
        elif method in _LISTS:
            self._list(method, result)
        elif method == "tools/call" and result.get("resultType", "complete") == "complete":
            self._called(result)
        elif method == "resources/read":
            self._read(result)
        elif method == "prompts/get":
            self._prompt(result)
        return message

    def _welcome(self, result: dict[str, Any]) -> None:
        if not isinstance(result.get("capabilities"), dict):
            result["capabilities"] = {}
        version = result.get("protocolVersion")
        if isinstance(version, str):
            self._version = version
            info = result.get("serverInfo")
            if not isinstance(info, dict):
                info = {}
            result["serverInfo"] = {"name": "", "version": "", **_texts_only(info)}

    def _fits(self, method: str, result: dict[str, Any]) -> str:
        """Returns "" for a result as the protocol has it, else what is wrong with it."""
        extra = {"ttlMs": 0, "cacheScope": "private"} if method != "tools/call" else {}
        if self._version in MODERN_PROTOCOL_VERSIONS:
            result = {"resultType": "complete", **extra, **result}
        try:
            validate_server_result(method, self._version, result)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"][2:])
            return one_line(f"{place or 'the whole'}: {first['msg']}", 200)
        except (KeyError, ValueError):
            pass  # a version or method that the SDK does not check either
        return ""

    def lasting(self) -> float | None:
        """Returns for how many seconds all lists are good, None where the server does not say."""
        return min(self._lasts.values()) / 1000 if self._lasts else None

    # -- listings -----------------------------------------------------------------------------

    def _list(self, method: str, result: dict[str, Any]) -> None:
        key, needed = _LISTS[method]
        entries = result.get(key)
        if not isinstance(entries, list):
            self.notes.append(f"{method} has no list of {key}.")
            entries = []
        kept, names = [], set()
        for number, entry in enumerate(entries):
            name = entry.get(needed[0]) if isinstance(entry, dict) else None
            if not isinstance(name, str) or not name:
                self.notes.append(f"number {number + 1} of its {key} has no {needed[0]}: left out.")
                continue
            if name in names:
                self.notes.append(f"{name} is listed twice: the second is left out.")
                continue
            if method == "tools/list":
                entry = self._tool(entry)
                if entry is None:
                    continue
            mended = self._entry(method, key, needed, entry)
            if mended is not None:
                kept.append(mended)
                names.add(name)
        result[key] = kept
        self._ttl(method, result)
        if not isinstance(result.get("nextCursor"), str):
            result.pop("nextCursor", None)

    def _ttl(self, method: str, result: dict[str, Any]) -> None:
        if self._version not in MODERN_PROTOCOL_VERSIONS or "ttlMs" not in result:
            return
        ttl = result["ttlMs"]
        if isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl >= 0:
            result["ttlMs"] = self._lasts[method] = int(min(ttl, _LONGEST_MS))
        else:
            del result["ttlMs"]
            self.notes.append(f"{method} has a ttlMs that is no length of time: passed over.")

    def _tool(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        name, schema = entry["name"], entry.get("inputSchema")
        if schema is None:
            schema = {}
        if isinstance(schema, dict):
            schema = _plain_schema(schema)
        fault = schema_fault(schema, root=True)
        if fault:
            self.notes.append(f"the tool {name} is left out: its inputSchema {fault}.")
            return None
        mended = {**entry, "inputSchema": schema}
        output = mended.pop("outputSchema", None)
        if isinstance(output, dict):
            self.output_schemas[name] = output
        return mended

    def _entry(
        self, method: str, key: str, needed: tuple[str, ...], entry: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Returns the entry, without what does not fit; None where its core does not."""
        if not (fault := self._fits(method, {key: [entry]})):
            return entry
        kept = {name: entry[name] for name in needed if name in entry}
        if self._fits(method, {key: [kept]}):
            self.notes.append(f"{entry[needed[0]]} of its {key} is left out: {fault}.")
            return None
        for name, value in entry.items():
            if name not in kept and not self._fits(method, {key: [{**kept, name: value}]}):
                kept[name] = value
        self.notes.append(f"{entry[needed[0]]} of its {key} was mended: {fault}.")
        return kept

    # -- results ------------------------------------------------------------------------------

    def _called(self, result: dict[str, Any]) -> None:
        content = result.get("content")
        if content is None and "toolResult" in result:  # the form of 2024-10-07
            content = [_text(result.pop("toolResult"))]
        if not isinstance(content, list):
            content = [] if content is None else [_text(content)]
        result["content"] = [self._block(block) for block in content]
        if "isError" in result and not isinstance(result["isError"], bool):
            result["isError"] = str(result["isError"]).lower() not in ("false", "0", "none", "")
        structured = result.get("structuredContent")
        old = self._version not in MODERN_PROTOCOL_VERSIONS
        if structured is None:
            result.pop("structuredContent", None)
        elif old and not isinstance(structured, dict):
            result["content"].append(_text(result.pop("structuredContent")))
        if "_meta" in result and not isinstance(result["_meta"], dict):
            del result["_meta"]

    def _block(self, block: Any) -> Any:
        if isinstance(block, dict):
            if block.get("type") == "text" and isinstance(block.get("text"), str):
                if len(block) == 2:
                    return block
            if not self._fits("tools/call", {"content": [block]}):
                return block
            kept = {k: v for k, v in block.items() if k not in ("annotations", "_meta", "icons")}
            if not self._fits("tools/call", {"content": [kept]}):
                return kept
            if isinstance(block.get("text"), str) and block.get("type") == "text":
                return {"type": "text", "text": block["text"]}
        return _text(block)

    def _read(self, result: dict[str, Any]) -> None:
        contents = result.get("contents")
        contents = contents if isinstance(contents, list) else [contents]
        result["contents"] = [
            entry
            if isinstance(entry, dict) and not self._fits("resources/read", {"contents": [entry]})
            else {"uri": "unknown:", "text": _text(entry)["text"]}
            for entry in contents
            if entry is not None
        ]

    def _prompt(self, result: dict[str, Any]) -> None:
        messages = result.get("messages")
        if not isinstance(messages, list):
            return
        for message in messages:
            if isinstance(message, dict):
                message["content"] = self._block(message.get("content"))


def _texts_only(info: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in info.items() if k not in ("name", "version") or isinstance(v, str)}


def _text(value: object) -> dict[str, Any]:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"type": "text", "text": shorten_text(said)[0]}


def _plain_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns a tool's schema with its `type`, and without the empty keys that some SDKs write."""
    mended = {k: v for k, v in schema.items() if v is not None or k in ("default", "const")}
    kind = mended.get("type", "object")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        mended["type"] = "object"
    return mended


def schema_fault(schema: Any, *, root: bool = False, depth: int = 0) -> str:
    """Returns "" for what can be a JSON schema, else what is wrong with it, in words."""
    if isinstance(schema, bool) and not root:
        return ""
    if not isinstance(schema, dict):
        return f"is {_kind(schema)} where a schema belongs"
    if root and schema.get("type") != "object":
        return f"has the type {json.dumps(schema.get('type'))}, not object"
    if depth > _DEEPEST:
        return "is nested too deep"
    if fault := _own_fault(schema, root):
        return fault
    faults = (schema_fault(inner, depth=depth + 1) for inner in _inner(schema))
    return next((fault for fault in faults if fault), "")


def _own_fault(schema: Mapping[str, Any], root: bool) -> str:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
        return f"has the unknown type {one_line(json.dumps(schema['type']), 60)}"
    for key, holds in (("enum", list), ("required", list), *((key, dict) for key in _MAPS)):
        if key in schema and not isinstance(schema[key], holds):
            if key == "required" and not root:
                continue  # JSON schema of draft 3; endpoints pass it over
            return f"has {key} that is {_kind(schema[key])}"
    return ""


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key in _MAPS:
        found += (schema.get(key) or {}).values()
    for key in _UNIONS:
        value = schema.get(key)
        found += value if isinstance(value, list) else []
    items = schema.get("items", [])
    found += items if isinstance(items, list) else [items]
    if "additionalProperties" in schema:
        found.append(schema["additionalProperties"])
    return found


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


class _Sent:
    """The stream of our messages; the mender sees each."""

    def __init__(self, inner: Any, mender: Mender) -> None:
        self._inner = inner
        self._mender = mender

    async def send(self, item: SessionMessage) -> None:
        self._mender.sent(item.message)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> _Sent:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.aclose()


class _Received:
    """The stream of the server's messages, each as the mender gives it."""

    def __init__(self, inner: Any, mender: Mender) -> None:
        self._inner = inner
        self._mender = mender
        self._gate = ProgressGate()

    async def receive(self) -> Any:
        while not self._passes(item := await self._inner.receive()):
            pass
        return self._mended(item)

    def __aiter__(self) -> _Received:
        return self

    async def __anext__(self) -> Any:
        while not self._passes(item := await self._inner.__anext__()):
            pass
        return self._mended(item)

    def _passes(self, item: Any) -> bool:
        return not isinstance(item, SessionMessage) or self._gate.lets_through(item.message)

    def _mended(self, item: Any) -> Any:
        if isinstance(item, SessionMessage):
            self._mender.received(item.message)
        return item

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> _Received:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.aclose()


@contextlib.asynccontextmanager
async def lenient_streams(
    transport: AbstractAsyncContextManager[Any], mender: Mender
) -> AsyncIterator[tuple[Any, Any]]:
    """Gives a transport's streams with a mender between them and the SDK."""
    async with transport as (read, write):
        yield _Received(read, mender), _Sent(write, mender)


Check = Callable[[Any], str]


def output_check(schema: Mapping[str, Any]) -> Check:
    """Returns what says how a structured result differs from its schema, "" if it fits.

    Imports jsonschema, which takes seconds where its formats are installed: call it in a thread.
    """
    from qwenbelt.core.schema_check import SchemaCheck, SchemaUnusable

    try:
        checked = SchemaCheck(schema)
    except SchemaUnusable as error:  # a schema that cannot be used is the server's fault too
        unusable = one_line(f"its schema cannot be used: {error}", 200)
        return lambda value: unusable

    def check(value: Any) -> str:
        fault = checked.fault(value)
        if fault is None:
            return ""
        return one_line(": ".join(filter(None, fault)), 200)

    return check
