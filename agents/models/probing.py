"""Finds out what a model at an endpoint can do, by a handful of short requests, and records it.

Nothing is guessed from names: each finding is what the endpoint did. A probe costs about ten
requests of a few dozen tokens each.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import anyio

from qwenbelt.agents.models.capabilities import Capabilities, save_record
from qwenbelt.agents.models.deltas import (
    CallDelta,
    Finish,
    JsonDict,
    Text,
    Thought,
    Tokens,
    ToolCall,
)
from qwenbelt.agents.models.dialects import structured_fields
from qwenbelt.agents.models.endpoint_model import EndpointModel, Request
from qwenbelt.agents.models.endpoints import server_facts
from qwenbelt.agents.runtime.event_loop_thread import background_loop
from qwenbelt.core.errors import EndpointError, QwenbeltError, one_line
from qwenbelt.core.jsons import loads_bounded

STEP_SECONDS = 60.0
_STRUCTURED = ("json_schema", "response_format", "structured_outputs", "format")
_WEATHER: JsonDict = {
    "name": "get_weather",
    "description": "Tells the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "the city's name"}},
        "required": ["city"],
    },
}
_ONE = "What is the weather in Oslo? Use the tool."
_TWO = "What is the weather in Oslo and in Rome? Ask for both at once."


@dataclass
class EndpointProbe:
    """What a probe found.

    Attributes:
        record: the capabilities, already kept.
        notes: what could not be found out, and why, one line each.
        path: the file that holds the record, or None.
    """

    record: Capabilities
    notes: list[str] = field(default_factory=list)
    path: str | None = None


@dataclass
class _Said:
    text: str = ""
    thoughts: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    declared: bool = False  # as calls, and not in the text
    first: float | None = None
    seconds: float = 0.0
    tokens: Tokens | None = None


def probe_model(llm: Mapping[str, Any]) -> EndpointProbe:
    """Probes the model of an llm dict, as `endpoint(spec)` returns it.

    Raises:
        EndpointError: it cannot be reached, or refuses even a short chat.
        ConfigError: the dict is not complete.
    """
    return background_loop().run(_Prober(llm).run())


class _Prober:
    def __init__(self, llm: Mapping[str, Any]) -> None:
        generate = {**(llm.get("generate_cfg") or {}), "temperature": 0, "max_retries": 0}
        generate.pop("tool_format", None)
        self._llm = {**llm, "generate_cfg": generate}
        self._model = EndpointModel(self._llm, "native")
        self._found = EndpointProbe(self._model.known)

    async def run(self) -> EndpointProbe:
        found, record = self._found, self._found.record
        record.refused.clear()
        await self._speed()
        await self._step("structured output", self._structured)
        await self._step("tool calls", self._tools)
        await self._step("thinking", self._thinking)
        await self._step("pictures", self._vision)
        await self._step("context length", self._context)
        record.probed = datetime.now(timezone.utc).isoformat(timespec="seconds")
        path = save_record(self._model.url, self._model.name)
        found.path = str(path) if path else None
        return found

    async def _step(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            with anyio.fail_after(STEP_SECONDS):
                await step()
        except TimeoutError:
            self._found.notes.append(f"{name}: no reply within {STEP_SECONDS:.0f} s")
        except QwenbeltError as error:
            self._found.notes.append(f"{name}: {one_line(error, 160)}")

    async def _ask(self, text: Any, form: str = "native", tools: Any = (), **extra: Any) -> _Said:
        model = EndpointModel(self._llm, form)
        reader, said, reason = model.codec.reader(tools), _Said(), "stop"
        request = Request([{"role": "user", "content": text}], tools, extra=extra)
        started = time.monotonic()
        async for piece in model.pieces(request):
            if said.first is None and isinstance(piece, (Text, Thought)):
                said.first = time.monotonic() - started
            said.declared |= isinstance(piece, CallDelta)
            if isinstance(piece, Finish):
                reason = piece.reason
            elif isinstance(piece, Tokens):
                said.tokens = piece
            _take(said, reader.feed(piece))
        _take(said, reader.finish(reason))
        said.calls, said.seconds = reader.calls, time.monotonic() - started
        return said

    async def _speed(self) -> None:
        try:
            said = await self._ask("Count from one to ten in words.", max_tokens=40)
        except EndpointError as error:
            if not self._model.adapt(error, Request([{"role": "user", "content": ""}])):
                raise
            said = await self._ask("Count from one to ten in words.", max_tokens=40)
        record = self._found.record
        record.first_token = round(said.first, 3) if said.first is not None else None
        if said.first is not None and said.tokens and said.tokens.output > 1:
            writing = max(said.seconds - said.first, 1e-3)
            record.tokens_per_second = round((said.tokens.output - 1) / writing, 1)

    async def _structured(self) -> None:
        own = self._model.dialect.structured
        fields = [own, *(name for name in _STRUCTURED if name != own)]
        record = self._found.record
        record.structured = ""
        schema = {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": ["tangerine"]}},
            "required": ["colour"],
            "additionalProperties": False,
        }
        for name in fields:
            try:
                said = await self._ask("Hello!", max_tokens=40, **structured_fields(name, schema))
                if loads_bounded(said.text) == {"colour": "tangerine"}:
                    record.structured = name
                    return
            except (EndpointError, ValueError):
                continue  # refused, or not kept to: the next field

    async def _tools(self) -> None:
        """Chooses how calls are written by what worked, the cheapest first.

        A server may take `tools` and leave the model's calls in the text; they are read there, but
        each reply has to be guessed at, so that such a model is better asked in a form of ours.
        """
        record = self._found.record
        native = await self._calls_by("native")
        record.native_tools, record.calls_in_text = native == "calls", native == "text"
        if native == "text":
            self._found.notes.append("native tools: its calls come as text")
        record.tool_format = "native" if record.native_tools else await self._form_of_ours()
        if record.tool_format != "constrained":
            said = await self._ask(_TWO, record.tool_format, [_WEATHER], max_tokens=300)
            cities = " ".join(call.arguments.lower() for call in said.calls)
            record.parallel_calls = "oslo" in cities and "rome" in cities

    async def _form_of_ours(self) -> str:
        """Returns "nous" or "constrained": the first that works, else what holds replies to it."""
        if await self._calls_by("nous"):
            return "nous"
        if not self._found.record.structured:
            return "nous"
        if not await self._calls_by("constrained"):
            self._found.notes.append("tool calls: no form worked; constrained is kept to at least")
        return "constrained"

    async def _calls_by(self, form: str) -> str:
        """Returns "calls" or "text", by how a call came that was right, or ""."""
        try:
            said = await self._ask(_ONE, form, [_WEATHER], max_tokens=200)
            chat = await self._ask("Hello, how are you?", form, [_WEATHER], max_tokens=60)
        except EndpointError as error:
            self._found.notes.append(f"{form} tools: {one_line(error, 160)}")
            return ""
        right = [c for c in said.calls if c.name == "get_weather" and "oslo" in c.arguments.lower()]
        if not right or chat.calls:
            return ""
        return "calls" if said.declared else "text"

    async def _thinking(self) -> None:
        thinks = {}
        for on in (True, False):
            said = await self._ask("What is 17 + 25?", thinking=on, max_tokens=60)
            thinks[on] = bool(said.thoughts.strip())
        kinds = {(True, False): "switch", (True, True): "always"}
        self._found.record.thinking = kinds.get((thinks[True], thinks[False]), "never")

    async def _vision(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": red_square()}}
        words = {"type": "text", "text": "Which colour is this square? One word."}
        self._found.record.vision = False
        try:
            said = await self._ask([picture, words], max_tokens=60)
        except EndpointError:
            return  # refused: it reads none
        self._found.record.vision = "red" in said.text.lower()

    async def _context(self) -> None:
        connection = self._model.connection()
        facts = await asyncio.to_thread(
            server_facts, connection.url, self._model.name, connection.key
        )
        if facts.get("context_tokens"):
            self._found.record.context_tokens = facts["context_tokens"]


def _take(said: _Said, parts: list[Any]) -> None:
    for part in parts:
        if isinstance(part, Text):
            said.text += part.text
        elif isinstance(part, Thought):
            said.thoughts += part.text


def red_square(size: int = 64) -> str:
    """Returns a red square as a PNG data URL."""

    def block(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * size) * size
    png = b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header)
    png += block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
