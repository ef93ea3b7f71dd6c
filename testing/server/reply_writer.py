"""Writes a turn as the client asked: native calls, Nous, ReAct or older text forms, or JSON.

A reply is a list of segments; a segment is a thought, a text, or a call, and knows which call's
arguments it completes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from qwenbelt.core.errors import InputError
from qwenbelt.testing.scenarios.request import ChatRequest
from qwenbelt.testing.scenarios.scenario import Call, CallForm, Fault, Turn, Wire, overlaid_values
from qwenbelt.testing.server.billing import CHARACTERS_A_TOKEN, Billed

_HABITS = {
    "openai": Wire(thoughts="reasoning_content"),
    "dashscope": Wire(thoughts="reasoning_content"),
    "vllm": Wire(thoughts="reasoning", null_first=True),
    "ollama": Wire(thoughts="reasoning", whole_calls=True),
    "llamacpp": Wire(thoughts="reasoning_content"),
}
_USUAL = Wire(
    dialect="openai",
    chunk=12,
    interleave=False,
    ids=True,
    index=True,
    whole_calls=False,
    null_first=False,
    ignore_stop=False,
)


@dataclass(frozen=True)
class Segment:
    """A stretch of a reply.

    Attributes:
        kind: what it is.
        text: its text; for a native call, the arguments.
        call: the number of the call that it completes, from 0, or None.
    """

    kind: Literal["think", "text", "call"]
    text: str
    call: int | None = None


@dataclass(frozen=True)
class WrittenReply:
    """A whole reply, ready to be sent at once or in pieces.

    Attributes:
        segments: its stretches in order.
        calls: the calls that it makes.
        ids: their ids.
        finish_reason: why it ends.
        wire: how it is written.
        native: whether calls are `tool_calls` and not text.
    """

    segments: tuple[Segment, ...]
    calls: tuple[Call, ...]
    ids: tuple[str, ...]
    finish_reason: str
    wire: Wire
    native: bool


@dataclass(frozen=True)
class Piece:
    """One streamed delta.

    Attributes:
        delta: the JSON of it.
        size: its characters of text, which take time at the turn's pace.
        begins: the number of the call that begins with it, or None.
        seals: the number of the call whose arguments end with it, or None.
    """

    delta: dict[str, Any]
    size: int
    begins: int | None = None
    seals: int | None = None


@lru_cache(maxsize=256)
def wire_settings(general: Wire, own: Wire) -> Wire:
    """Returns a turn's wire: its own entries, then the general ones, then the dialect's habits."""
    wire: Wire = overlaid_values(general, own)
    habits = _HABITS[wire.dialect or "openai"]
    whole: Wire = overlaid_values(overlaid_values(_USUAL, habits), wire)
    return whole


def compose_reply(
    turn: Turn, request: ChatRequest, wire: Wire, ids: tuple[str, ...]
) -> WrittenReply:
    """Returns the reply to a request.

    Raises:
        InputError: the turn cannot be written in the form that the request asks for.
    """
    form = wire.calls or request.form
    if turn.calls:
        _check_calls(turn, request, form)
    native = form == "native"
    segments = list(_WRITERS[form or "native"](turn, request))
    if not native or not wire.ignore_stop:
        segments = _stopped_at_stop_word(segments, request, wire)
    segments = [segment for segment in segments if segment.text or segment.kind == "call"]
    called = bool(turn.calls) and native
    return WrittenReply(
        segments=tuple(_thought_segments(segments, wire)),
        calls=turn.calls,
        ids=ids,
        finish_reason="tool_calls" if called else "stop",
        wire=wire,
        native=native,
    )


def _check_calls(turn: Turn, request: ChatRequest, form: CallForm | None) -> None:
    if form is None:
        raise InputError(
            "calls tools, but the request offers none (no `tools`, no <tools> in the system "
            "message, no ReAct prompt)"
        )
    if request.body.get("tool_choice") == "none" and not turn.unoffered:
        raise InputError('calls tools, but the request says tool_choice "none"')
    if turn.unoffered or not request.offered:
        return
    for call in turn.calls:
        if call.name not in request.offered:
            offered = ", ".join(request.offered)
            raise InputError(
                f"calls {call.name}, which the request does not offer (offered: {offered}); "
                "write `unoffered: true` if that is meant"
            )


def _answer_text(turn: Turn) -> str:
    if turn.answer is None or isinstance(turn.answer, str):
        return turn.answer or ""
    return json.dumps(turn.answer, ensure_ascii=False)


def _native_reply(turn: Turn, request: ChatRequest) -> Iterator[Segment]:
    yield Segment("think", turn.think)
    yield Segment("text", turn.text)
    for number, call in enumerate(turn.calls):
        yield Segment("call", call.text, number)
    yield Segment("text", turn.tail)
    yield Segment("text", _answer_text(turn))


def _written_calls(opening: str, closing: str, between: str) -> Any:
    def write(turn: Turn, request: ChatRequest) -> Iterator[Segment]:
        yield Segment("think", turn.think)
        yield Segment("text", turn.text)
        for number, call in enumerate(turn.calls):
            lead = between if number or turn.text else ""
            yield Segment("text", lead + opening + _call_json(call) + closing, number)
        yield Segment("text", ("\n" if turn.tail and turn.calls else "") + turn.tail)
        yield Segment("text", _answer_text(turn))

    return write


def _call_json(call: Call) -> str:
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.text}}}'


def _react_reply(turn: Turn, request: ChatRequest) -> Iterator[Segment]:
    thought = " ".join(part for part in (turn.think, turn.text) if part)
    if not turn.calls:
        lead = thought or "I now know the final answer."
        yield Segment("text", f"{lead}\nFinal Answer: {_answer_text(turn)}")
        return
    yield Segment("text", thought or "I should use a tool.")
    for number, call in enumerate(turn.calls):
        yield Segment("text", f"\nAction: {call.name}\nAction Input: {call.text}", number)
    yield Segment("text", "\nObservation: I remember that it was 42.\nFinal Answer: 42")


def _qwen_reply(turn: Turn, request: ChatRequest) -> Iterator[Segment]:
    yield Segment("think", turn.think)
    yield Segment("text", turn.text)
    for number, call in enumerate(turn.calls):
        lead = "\n" if number or turn.text else ""
        yield Segment("text", f"{lead}✿FUNCTION✿: {call.name}\n✿ARGS✿: {call.text}", number)
    if turn.calls:
        yield Segment("text", "\n✿RESULT✿: I remember that it was 42.")
    else:
        lead = "✿RETURN✿: " if any(m.get("role") == "assistant" for m in request.messages) else ""
        yield Segment("text", lead + _answer_text(turn))


def _constrained_reply(turn: Turn, request: ChatRequest) -> Iterator[Segment]:
    from qwenbelt.testing.server.constrained import fitted_to_schema

    yield Segment("think", turn.think)
    text = fitted_to_schema(turn, request.schema or {})
    yield Segment("text", text, len(turn.calls) - 1 if turn.calls else None)


_WRITERS: dict[str, Any] = {
    "native": _native_reply,
    "nous": _written_calls("<tool_call>\n", "\n</tool_call>", "\n"),
    "fenced": _written_calls("```json\n", "\n```", "\n"),
    "bare": _written_calls("", "", "\n"),
    "react": _react_reply,
    "qwen": _qwen_reply,
    "constrained": _constrained_reply,
}


def _stopped_at_stop_word(
    segments: list[Segment], request: ChatRequest, wire: Wire
) -> list[Segment]:
    """Ends the texts at the first stop word; without one, an invented result is left out."""
    given = request.body.get("stop")
    words = [given] if isinstance(given, str) else list(given or ())
    form = wire.calls or request.form
    if wire.ignore_stop:
        words = []
    elif form == "react":
        words.append("\nObservation:" if "Observation:" not in words else "Observation:")
    elif form == "qwen":
        words += ["✿RESULT✿"]
    out: list[Segment] = []
    for segment in segments:
        if segment.kind == "text":
            ends = [at for word in words if word and (at := segment.text.find(word)) >= 0]
            if ends:
                out.append(Segment("text", segment.text[: min(ends)], segment.call))
                return out
        out.append(segment)
    return out


def _thought_segments(segments: list[Segment], wire: Wire) -> Iterator[Segment]:
    for segment in segments:
        if segment.kind == "think" and wire.thoughts == "tags":
            yield Segment("text", f"<think>\n{segment.text}\n</think>\n\n")
        else:
            yield segment


def damaged_reply(reply: WrittenReply, fault: Fault) -> WrittenReply:
    """Returns the reply with what a fault does to its content."""
    segments, reason = reply.segments, reply.finish_reason
    if fault.empty:
        segments, reason = (), "stop"
    if fault.bad_json and reply.calls:
        last = max(i for i, s in enumerate(segments) if s.call is not None)
        broken = segments[last]
        cut = broken.text.rfind("}")
        text = broken.text[:cut] + broken.text[cut + 1 :]
        segments = (
            *segments[:last],
            Segment(broken.kind, text, broken.call),
            *segments[last + 1 :],
        )
    if fault.truncate_after is not None:
        segments, reason = tuple(_first_characters(segments, fault.truncate_after)), "length"
    reason = fault.finish_reason or reason
    return WrittenReply(segments, reply.calls, reply.ids, reason, reply.wire, reply.native)


def _first_characters(segments: tuple[Segment, ...], limit: int) -> Iterator[Segment]:
    for segment in segments:
        if limit <= 0:
            return
        whole = len(segment.text) <= limit
        yield Segment(segment.kind, segment.text[:limit], segment.call if whole else None)
        limit -= len(segment.text)


def message_of(reply: WrittenReply, fault: Fault) -> dict[str, Any]:
    """Returns the reply as one message, for a client that does not stream."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    texts = [s.text for s in reply.segments if s.kind == "text"]
    thoughts = [s.text for s in reply.segments if s.kind == "think"]
    calls = [s for s in reply.segments if s.kind == "call"]
    if texts or not calls:
        message["content"] = "".join(texts)
    if thoughts:
        message[reply.wire.thoughts or "reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [
            {
                "id": reply.ids[number],
                "type": "function",
                "function": {
                    "name": reply.calls[number].name,
                    "arguments": None if fault.null_arguments else segment.text,
                },
            }
            for number, segment in enumerate(calls)
        ]
    return message


def reply_deltas(reply: WrittenReply, fault: Fault) -> Iterator[Piece]:
    """Returns the reply as streamed deltas."""
    yield Piece({"role": "assistant", "content": ""}, 0)
    numbers = iter(range(len(reply.calls)))
    waiting: list[list[Piece]] = []
    for segment in reply.segments:
        if segment.kind == "call":
            made = list(_call_pieces(reply, segment, next(numbers), fault))
            if reply.wire.interleave:
                waiting.append(made)
                continue
            yield from made
            continue
        yield from _in_turns(waiting)
        waiting = []
        yield from _text_pieces(reply, segment)
    yield from _in_turns(waiting)


def _in_turns(rows: list[list[Piece]]) -> Iterator[Piece]:
    for column in range(max((len(row) for row in rows), default=0)):
        yield from (row[column] for row in rows if column < len(row))


def _text_pieces(reply: WrittenReply, segment: Segment) -> Iterator[Piece]:
    key = "content" if segment.kind == "text" else reply.wire.thoughts or "reasoning_content"
    parts = list(_text_chunks(segment.text, reply.wire.chunk))
    for index, part in enumerate(parts):
        ended = segment.call if index == len(parts) - 1 else None
        begun = segment.call if index == 0 else None
        yield Piece({key: part}, len(part), begun, ended)


def _call_pieces(
    reply: WrittenReply, segment: Segment, number: int, fault: Fault
) -> Iterator[Piece]:
    wire, call = reply.wire, reply.calls[number]
    parts = [segment.text] if wire.whole_calls else list(_text_chunks(segment.text, wire.chunk))
    head: dict[str, Any] = {"type": "function", "function": {"name": call.name, "arguments": ""}}
    if wire.ids:
        head["id"] = reply.ids[number]
    if wire.index:
        head["index"] = number
    if wire.null_first or fault.null_arguments:
        head["function"]["arguments"] = None
    if fault.null_arguments:
        parts = []
    if wire.whole_calls and parts:
        head["function"]["arguments"] = parts.pop(0)
    size = len(head["function"]["arguments"] or "")
    yield Piece({"tool_calls": [head]}, size, number, None if parts else segment.call)
    for index, part in enumerate(parts):
        tail: dict[str, Any] = {"function": {"arguments": part}}
        if wire.index:
            tail["index"] = number
        if wire.dialect == "dashscope":
            tail["id"] = ""
        ended = segment.call if index == len(parts) - 1 else None
        yield Piece({"tool_calls": [tail]}, len(part), None, ended)


def _text_chunks(text: str, size: int | None) -> Iterator[str]:
    step = max(size or 12, 1)
    return (text[at : at + step] for at in range(0, len(text), step))


def usage_of(
    turn: Turn, reply: WrittenReply, request: ChatRequest, billed: Billed | None = None
) -> dict[str, Any]:
    """Returns the token counts: those of the turn, else four characters a token."""
    given: Mapping[str, int] = turn.usage
    if billed is not None:
        written = sum(len(s.text) for s in reply.segments)
        return billed.usage(given.get("output", -(-written // CHARACTERS_A_TOKEN)))
    asked = sum(len(json.dumps(m.get("content") or "")) for m in request.messages)
    wrote = sum(len(s.text) for s in reply.segments)
    prompt = given.get("input", -(-asked // CHARACTERS_A_TOKEN))
    completion = given.get("output", -(-wrote // CHARACTERS_A_TOKEN))
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if "cached" in given:
        usage["prompt_tokens_details"] = {"cached_tokens": given["cached"]}
    if "reasoning" in given:
        usage["completion_tokens_details"] = {"reasoning_tokens": given["reasoning"]}
    return usage
