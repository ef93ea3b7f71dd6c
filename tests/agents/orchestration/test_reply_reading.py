"""However a reply is cut into pieces, it has the same calls."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbelt.agents.models.codecs import codec_for
from qwenbelt.agents.models.deltas import CallDelta, Changed, Sealed, Text, WirePiece

TOOLS = [
    {"name": "read", "description": "", "parameters": {"type": "object", "properties": {}}},
    {"name": "write", "description": "", "parameters": {"type": "object", "properties": {}}},
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=6), VALUES, min_size=1, max_size=3)
CALLS = st.lists(st.tuples(st.sampled_from(["read", "write"]), ARGUMENTS), min_size=1, max_size=4)
Call = tuple[str, dict[str, Any]]


def cut(text: str, source: random.Random) -> list[str]:
    """Cuts a text into random pieces, empty ones among them."""
    places = sorted(source.randint(0, len(text)) for _ in range(source.randint(0, 12)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def read(form: str, pieces: list[WirePiece], reason: str) -> list[Call]:
    """Returns the calls of a reply as they would run."""
    reader = codec_for(form).reader(TOOLS)
    sealed: dict[int, str] = {}
    for piece in pieces:
        for part in reader.feed(piece):
            if isinstance(part, Sealed):
                assert part.call.position not in sealed
                sealed[part.call.position] = part.call.arguments
    for part in reader.finish(reason):
        if isinstance(part, (Sealed, Changed)):
            sealed[part.call.position] = part.call.arguments
    assert sorted(sealed) == list(range(len(reader.calls)))
    return [(call.name, json.loads(sealed[call.position])) for call in reader.calls]


def interleaved(calls: list[Call], source: random.Random, ascii_only: bool) -> list[WirePiece]:
    """Native deltas of parallel calls, in turns."""
    lanes: list[list[WirePiece]] = []
    for index, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments, ensure_ascii=ascii_only)
        lane: list[WirePiece] = [CallDelta(index, f"id{index}", name, "")]
        lanes.append(lane + [CallDelta(index, "", "", part) for part in cut(text, source)])
    out = []
    while any(lanes):
        lane = source.choice([lane for lane in lanes if lane])
        out.append(lane.pop(0))
    return out


@given(calls=CALLS, seed=st.integers(0, 10**6), ascii_only=st.booleans())
@settings(deadline=None, max_examples=200)
def test_native_calls_in_any_pieces_and_interleaved(
    calls: list[Call], seed: int, ascii_only: bool
) -> None:
    source = random.Random(seed)
    found = read("native", interleaved(calls, source, ascii_only), "tool_calls")
    assert sorted(map(repr, found)) == sorted(map(repr, calls))


def as_nous(calls: list[Call]) -> str:
    bodies = (
        json.dumps({"name": name, "arguments": args}, ensure_ascii=False) for name, args in calls
    )
    return "".join(f"<tool_call>\n{body}\n</tool_call>\n" for body in bodies)


def as_react(calls: list[Call]) -> str:
    parts = (
        f"\nAction: {name}\nAction Input: {json.dumps(args, ensure_ascii=False)}"
        for name, args in calls
    )
    return "Thought: now" + "".join(parts)


@pytest.mark.parametrize(("form", "write"), [("nous", as_nous), ("react", as_react)])
@given(calls=CALLS, seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=100)
def test_written_calls_in_any_pieces(form: str, write: Any, calls: list[Call], seed: int) -> None:
    text = write(calls)
    pieces: list[WirePiece] = [Text(part) for part in cut(text, random.Random(seed))]
    assert read(form, pieces, "stop") == read(form, [Text(text)], "stop")
    if "</tool_call>" not in str(calls) and "\\nObservation:" not in str(calls):
        assert read(form, pieces, "stop") == calls
