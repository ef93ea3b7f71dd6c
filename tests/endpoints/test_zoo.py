"""The zoo: one hand-written wire transcript a dialect, each with the events that it must give."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.agents.models.client import read_whole
from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.decoding import read_chunk
from qwenbelt.agents.models.deltas import (
    CallDelta,
    Changed,
    Finish,
    Relabel,
    ReplyPiece,
    Sealed,
    Text,
    Thought,
    Tokens,
    WirePiece,
)
from qwenbelt.agents.models.endpoint_model import EndpointModel, Request
from qwenbelt.agents.models.sse import EventDecoder
from qwenbelt.core.errors import EndpointError
from qwenbelt.testing.server.http import ClientConnection, HttpRequest, HttpServer

ZOO = Path(__file__).parent / "zoo"
NAMES = sorted(path.stem for path in ZOO.glob("*.yaml"))
CHUNKINGS = 1000


def _tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {k: {"type": t} for k, t in properties.items()}}
    return {"name": name, "description": name, "parameters": schema}


TOOLS = [_tool("get_weather", city="string", days="integer"), _tool("get_time", zone="string")]


@dataclass
class Transcript:
    name: str
    body: bytes
    expect: dict[str, Any]
    type: str = "text/event-stream"
    about: str = ""


def load(name: str) -> Transcript:
    raw = yaml.safe_load((ZOO / f"{name}.yaml").read_text(encoding="utf-8"))
    body = raw["body"].replace("\n", "\r\n") if raw.get("crlf") else raw["body"]
    kind = raw.get("type", "text/event-stream")
    return Transcript(name, body.encode(), raw["expect"], kind, raw["about"])


@dataclass
class Outcome:
    """What a reply came to, in a form that does not depend on how it was cut."""

    events: list[list[str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    finish: str = ""
    tokens: Tokens | None = None
    error: EndpointError | None = None

    def take(self, part: ReplyPiece) -> None:
        if isinstance(part, (Text, Thought)):
            self._add("text" if isinstance(part, Text) else "thought", part.text)
        elif isinstance(part, Relabel):
            for event in self.events:
                event[0] = "thought" if event[0] == "text" else event[0]
            merged, self.events = self.events, []
            for event in merged:
                self._add(*event) if len(event) == 2 else self.events.append(event)
        elif isinstance(part, Sealed):
            self.events.append(["call", part.call.name, part.call.arguments])
            self.ids.append(part.call.id)
        else:
            assert isinstance(part, Changed)
            self.events.append(["changed", part.call.name, part.call.arguments])

    def _add(self, kind: str, text: str) -> None:
        if self.events and self.events[-1][0] == kind:
            self.events[-1][1] += text
        else:
            self.events.append([kind, text])

    def plain(self) -> tuple[Any, ...]:
        error = self.error and (self.error.message, self.error.code, self.error.retryable)
        return self.events, self.incomplete, self.finish, self.tokens, error


def replay(pieces: Iterator[WirePiece], form: str = "native") -> Outcome:
    reader = codec_for(form).reader(TOOLS)
    out = Outcome()
    try:
        for piece in pieces:
            if isinstance(piece, Finish):
                out.finish = piece.reason
            elif isinstance(piece, Tokens):
                out.tokens = piece
            for part in reader.feed(piece):
                out.take(part)
        for part in reader.finish(out.finish):
            out.take(part)
    except EndpointError as error:
        out.error = error
    out.order = [call.id for call in reader.calls]
    out.incomplete = [call.name for call in reader.calls if not call.complete]
    return out


def decoded(blocks: Iterator[bytes], kind: str) -> Iterator[WirePiece]:
    if kind != "text/event-stream":
        for chunk in read_whole(b"".join(blocks)):
            yield from read_chunk(chunk)
        return
    decoder = EventDecoder()
    for block in blocks:
        for chunk in decoder.feed(block):
            yield from read_chunk(chunk)
    for chunk in decoder.close():
        yield from read_chunk(chunk)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(body)) for place in places} | {len(body)})
    starts = [0, *ends[:-1]]
    return [body[a:b] for a, b in zip(starts, ends, strict=True)]


def check(found: Outcome, expect: dict[str, Any]) -> None:
    if "error" in expect:
        wanted = expect["error"]
        assert found.error is not None
        assert wanted["contains"] in found.error.message
        assert found.error.retryable is wanted["retryable"]
        assert found.error.status == wanted.get("status", found.error.status)
        assert found.error.code == str(wanted.get("code", found.error.code))
        return
    assert found.error is None
    wanted_events, wanted_ids = [], []
    for entry in expect["events"]:
        ((kind, value),) = entry.items()
        if kind == "call":
            wanted_events.append(["call", value["name"], value["arguments"]])
            wanted_ids.append(value.get("id"))
        else:
            wanted_events.append([kind, value])
    assert found.events == wanted_events
    assert len(found.ids) == len(wanted_ids) == len(set(found.ids))
    for identity, wanted_id in zip(found.ids, wanted_ids, strict=True):
        assert identity
        assert wanted_id in (None, identity)
    if "order" in expect:
        assert found.order == expect["order"]
    assert found.incomplete == expect.get("incomplete", [])
    assert found.finish == expect["finish"]
    tokens = expect.get("tokens")
    assert found.tokens == (Tokens(**tokens) if tokens else None)


def test_the_documentation_names_every_transcript() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "endpoints.md"
    named = re.findall(r"\| `([a-z0-9-]+)` \|$", page.read_text(encoding="utf-8"), re.M)
    assert sorted(named) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_whole(name: str) -> None:
    transcript = load(name)
    check(replay(decoded(iter([transcript.body]), transcript.type)), transcript.expect)


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte(name: str) -> None:
    transcript = load(name)
    blocks = iter([bytes([byte]) for byte in transcript.body])
    check(replay(decoded(blocks, transcript.type)), transcript.expect)


@pytest.mark.parametrize("name", NAMES)
def test_random_chunkings(name: str) -> None:
    transcript = load(name)
    reference = replay(decoded(iter([transcript.body]), transcript.type)).plain()
    choice = random.Random(name)
    for _ in range(CHUNKINGS):
        places = [choice.randrange(len(transcript.body)) for _ in range(choice.randrange(1, 40))]
        found = replay(decoded(iter(cut(transcript.body, places)), transcript.type))
        assert found.plain() == reference, places


def recut(pieces: list[WirePiece], choice: random.Random) -> Iterator[WirePiece]:
    """Joins text deltas that follow each other and cuts them, and arguments, at other places."""
    joined: list[WirePiece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, (Text, Thought)) and type(last) is type(piece):
            joined[-1] = type(piece)(last.text + piece.text)  # type: ignore[union-attr]
        else:
            joined.append(piece)
    for piece in joined:
        if isinstance(piece, (Text, Thought)):
            start = 0
            while start < len(piece.text):
                size = choice.randrange(1, 9)
                yield type(piece)(piece.text[start : start + size])
                start += size
        elif isinstance(piece, CallDelta) and len(piece.arguments) > 1 and not piece.starts:
            at = choice.randrange(1, len(piece.arguments))
            yield CallDelta(piece.index, piece.id, piece.name, piece.arguments[:at])
            yield CallDelta(piece.index, "", "", piece.arguments[at:])
        else:
            yield piece


@pytest.mark.parametrize("name", NAMES)
def test_other_deltas_of_the_same_text(name: str) -> None:
    transcript = load(name)
    if "error" in transcript.expect:
        pytest.skip("ends in an error")
    pieces = list(decoded(iter([transcript.body]), transcript.type))
    reference = replay(iter(pieces)).plain()
    choice = random.Random(name)
    for _ in range(CHUNKINGS):
        assert replay(recut(pieces, choice)).plain() == reference


def test_through_a_real_server() -> None:
    """Every transcript over HTTP, in small chunks, through the client that agents use."""
    current: list[Transcript] = []

    async def handle(request: HttpRequest, connection: ClientConnection) -> None:
        transcript = current[0]
        connection.start_stream(200, {"Content-Type": transcript.type})
        for start in range(0, len(transcript.body), 37):
            await connection.send_chunk(transcript.body[start : start + 37])
            await asyncio.sleep(0)

    async def main() -> None:
        server = HttpServer(handle)
        await server.start_here()
        try:
            model = EndpointModel({"model": "m", "model_server": f"http://127.0.0.1:{server.port}"})
            for name in NAMES:
                current[:] = [load(name)]
                check(await _asked(model), current[0].expect)
            assert len(server.connections) == 1, "one connection serves them all"
        finally:
            await server.stop_here()

    asyncio.run(main())


async def _asked(model: EndpointModel) -> Outcome:
    pieces: list[WirePiece] = []
    error: EndpointError | None = None
    stream: AsyncIterator[WirePiece] = model.pieces(
        Request([{"role": "user", "content": "go"}], TOOLS)
    )
    try:
        async for piece in stream:
            pieces.append(piece)
    except EndpointError as raised:
        error = raised
    out = replay(iter(pieces))
    out.error = error
    return out


WORDS = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "</tool_call>", "```json\n", "```", "\n", " ", "{", "}",
     '{"name": "get_weather", "arguments": {"city": "Ü"}}', '"', "[", "]", "text", "<", "`",
     "<function=get_weather>", "<parameter=city>", "</parameter>", "</function>", "\\", ","]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(words=st.lists(WORDS, max_size=14), seed=st.integers(0, 10**6), form=st.sampled_from(
    ["native", "nous"]))  # fmt: skip
def test_any_text_gives_the_same_however_it_is_cut(words: list[str], seed: int, form: str) -> None:
    whole = [Text("".join(words)), Finish("stop")] if words else [Finish("stop")]
    reference = replay(iter(whole), form).plain()
    assert replay(recut(whole, random.Random(seed)), form).plain() == reference
    single = [Text(c) for c in "".join(words)] + [Finish("stop")]
    assert replay(iter(single), form).plain() == reference


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), places=st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_give_objects_or_one_clear_error(data: bytes, places: list[int]) -> None:
    def run(blocks: list[bytes]) -> object:
        try:
            return list(decoded(iter(blocks), "text/event-stream"))
        except EndpointError as error:
            return error.message

    assert run([data]) == run(cut(data, places))
