"""Reads chunks and whole replies of all dialects as wire pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qwenbelt.agents.models.codecs.base import compact_json
from qwenbelt.agents.models.deltas import (
    BuiltinUse,
    CallDelta,
    Finish,
    Text,
    Thought,
    Tokens,
    WirePiece,
)
from qwenbelt.agents.models.refusals import may_succeed_later
from qwenbelt.core.errors import EndpointError, one_line

# what servers say for the reasons of the chat completions API; "null" is what DashScope's own
# protocol writes while a reply is still streaming
_REASONS = {
    "null": "",
    "none": "",
    "function_call": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "stop_str": "stop",
    "max_tokens": "length",
    "max_new_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "length_limit": "length",
    "model_context_window_exceeded": "length",  # Anthropic, as the next ones behind gateways
    "refusal": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",  # Gemini
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "spii": "content_filter",
}
# what is read here was decoded from JSON, so `dict` is asked for; `Mapping` takes ten times as long
_HALF = re.compile("[\ud800-\udfff]")
_MESSAGES = ("message", "error_msg", "detail", "msg", "errors")
_THOUGHT_PARTS = ("thinking", "reasoning", "reasoning_content")


def read_chunk(chunk: Mapping[str, Any]) -> list[WirePiece]:
    """Returns the pieces of one streamed chunk, or of a whole reply.

    Raises:
        EndpointError: the chunk carries an error, as some servers send inside a 200 stream.
    """
    error = reported_error(chunk)
    if error:
        raise error_in_stream(error)
    out: list[WirePiece] = []
    for choice in _as_sequence(chunk.get("choices")):
        if isinstance(choice, dict) and choice.get("index") in (None, 0, "0"):
            out += _read_choice(choice, chunk.get("object") == "chat.completion.chunk")
            break
    if isinstance(chunk.get("usage"), dict):
        out.append(_read_usage(chunk["usage"]))
    if "builtin_tool" in chunk:
        used = chunk["builtin_tool"]
        out.append(BuiltinUse(used["name"], used["detail"], tuple(used["sources"])))
    return out


def reported_error(body: Mapping[str, Any]) -> Any:
    """Returns the error that a reply holds in place of choices, or None.

    Endpoints write it as `error`, as the reply itself (DashScope, FastAPI's `detail`, Qianfan's
    `error_msg`), or as a status beside empty choices (MiniMax's `base_resp`).
    """
    error = body.get("error")
    if error:
        # {"error": true, "message": …}, {"error": "rate_limit", "message": …}
        return body if body.get("message") and not isinstance(error, dict) else error
    if body.get("object") == "error":
        return body
    if body.get("choices") or "usage" in body:
        return None
    status = body.get("base_resp")
    if isinstance(status, dict) and status.get("status_code"):
        return {"code": status["status_code"], "message": status.get("status_msg")}
    return body if "choices" not in body and any(body.get(key) for key in _MESSAGES) else None


def reported_words(error: object, limit: int = 500) -> tuple[str, str]:
    """Returns the message of an error that an endpoint reported, and its code."""
    if not isinstance(error, Mapping):
        return one_line(error, limit), ""
    told = next((error[key] for key in _MESSAGES if error.get(key)), error)
    if isinstance(told, list) and told and isinstance(told[0], Mapping):  # FastAPI, GraphQL
        told = told[0].get("msg") or told[0].get("message") or told
    code = error.get("code") or error.get("error_code") or error.get("type") or ""
    named = error.get("error")
    return one_line(told, limit), str(code or (named if isinstance(named, str) else ""))


class Halves:
    """Joins characters that a server cut into two deltas as halves of a surrogate pair."""

    def __init__(self) -> None:
        self._kept: dict[tuple[type, int | None], str] = {}

    def joined(self, pieces: list[WirePiece]) -> list[WirePiece]:
        """Returns the pieces with whole characters; a half at the end waits for the other."""
        if not self._kept and all(_is_ascii(piece) for piece in pieces):
            return pieces
        return [self._joined(piece) for piece in pieces]

    def _joined(self, piece: WirePiece) -> WirePiece:
        if isinstance(piece, (Text, Thought)):
            return type(piece)(self._whole((type(piece), None), piece.text))
        if isinstance(piece, CallDelta):
            text = self._whole((CallDelta, piece.index), piece.arguments)
            return piece if text is piece.arguments else replace(piece, arguments=text)
        return piece

    def _whole(self, key: tuple[type, int | None], text: str) -> str:
        kept = self._kept.pop(key, "") if self._kept else ""
        if not kept and (text.isascii() or not _HALF.search(text)):
            return text
        text = kept + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._kept[key], text = text[-1], text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def rest(self) -> Iterator[WirePiece]:
        """Yields a mark for each half whose other half never came."""
        for kind, _ in self._kept:
            if kind in (Text, Thought):
                yield kind("\ufffd")


def _is_ascii(piece: WirePiece) -> bool:
    if isinstance(piece, CallDelta):
        return piece.arguments.isascii()
    return not isinstance(piece, (Text, Thought)) or piece.text.isascii()


def _read_choice(choice: Mapping[str, Any], streamed: bool) -> list[WirePiece]:
    delta, message = choice.get("delta"), choice.get("message")
    out: list[WirePiece] = []
    if isinstance(delta, dict):
        out += _read_delta(delta, whole=False)
    # the last chunk of some streams has the whole message beside an empty delta
    if isinstance(message, dict) and not delta and not (streamed and delta is not None):
        out += _read_delta(message, whole=True)
    reason = choice.get("finish_reason")
    if reason is not None and (word := finish_reason(reason)):
        out.append(Finish(word))
    return out


def finish_reason(value: object) -> str:
    """Returns a reason for the end in the words of the chat completions API; "" for none yet."""
    word = str(value).lower() if value is not None else ""
    return _REASONS.get(word, word)


def _as_sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _read_delta(delta: Mapping[str, Any], *, whole: bool) -> list[WirePiece]:
    out: list[WirePiece] = []
    # some servers send both names with the same text
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    thought = thought or delta.get("reasoning_text") or _detailed(delta.get("reasoning_details"))
    if isinstance(thought, str) and thought:
        out.append(Thought(thought))
    content = delta.get("content")
    if content:
        out += _read_content(content)
    refusal = delta.get("refusal")
    if isinstance(refusal, str) and refusal:
        out.append(Text(refusal))
    calls = delta.get("tool_calls")
    if calls:
        calls = [calls] if isinstance(calls, dict) else _as_sequence(calls)
        calls = [call for call in calls if isinstance(call, dict)]
        apart = whole or len(calls) > 1
        out += [_read_call(call, apart) for call in calls]
    old = delta.get("function_call")  # the form before tool calls; some servers still use it
    if isinstance(old, dict) and not calls:
        out.append(CallDelta(0, "", _function_name(old), _function_arguments(old)))
    return out


def _detailed(details: object) -> str:
    """Returns the thoughts of a list of parts (OpenRouter, MiniMax)."""
    texts = (part.get("text") for part in _as_sequence(details) if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _read_content(content: object) -> Iterator[WirePiece]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for part in [content] if isinstance(content, dict) else _as_sequence(content):
        if isinstance(part, str) and part:
            yield Text(part)
        if not isinstance(part, dict):
            continue
        if part.get("type") in _THOUGHT_PARTS:
            yield from (Thought(p.text) for p in _read_content(_thought_in(part)) if p)  # type: ignore[union-attr]
        elif isinstance(part.get("text"), str) and part["text"]:
            yield Text(part["text"])


def _thought_in(part: Mapping[str, Any]) -> object:
    return next((part[key] for key in (*_THOUGHT_PARTS, "text") if part.get(key)), "")


def _read_call(call: Mapping[str, Any], apart: bool) -> CallDelta:
    function = call.get("function")
    if not isinstance(function, dict):
        function = call  # a few servers leave the inner object out
    index = call.get("index")
    if isinstance(index, str) and index.isdigit():
        index = int(index)
    place = index if isinstance(index, int) and not isinstance(index, bool) else None
    name = _function_name(function)
    identity = call.get("id")
    return CallDelta(
        place,
        identity if isinstance(identity, str) else str(identity or ""),
        name,
        _function_arguments(function),
        starts=apart and place is None and bool(name),
    )


def _function_name(function: Mapping[str, Any]) -> str:
    name = function.get("name")
    return name if isinstance(name, str) else ""


def _function_arguments(function: Mapping[str, Any]) -> str:
    value = function.get("arguments")
    if value is None:
        return ""
    return value if isinstance(value, str) else compact_json(value)


def _read_usage(usage: Mapping[str, Any]) -> Tokens:
    def number(source: object, *names: str) -> int:
        values = [source.get(name) for name in names] if isinstance(source, Mapping) else []
        return next((v for v in values if isinstance(v, int)), 0)

    details = usage.get("prompt_tokens_details")
    written = "cache_creation_input_tokens"  # DashScope reports it, 0 too, for requests with marks
    return Tokens(
        number(usage, "prompt_tokens", "input_tokens"),
        number(usage, "completion_tokens", "output_tokens"),
        number(details, "cached_tokens") or number(usage, "prompt_cache_hit_tokens"),
        number(usage.get("completion_tokens_details"), "reasoning_tokens"),
        number(details, written),
        isinstance(details, Mapping) and written in details,
    )


def error_in_stream(error: object) -> EndpointError:
    """Returns the error that a server reported inside a stream or a 200 reply."""
    fields = error if isinstance(error, Mapping) else {"message": error}
    message, code = reported_words(fields)
    numbers = [fields.get(key) for key in ("code", "status", "http_code")]
    status = next((int(n) for n in numbers if str(n).isdigit() and 400 <= int(str(n)) < 600), None)  # type: ignore[arg-type]
    named = f"{code} {fields.get('type') or ''}".strip()
    retryable = may_succeed_later(status, named, message)
    return EndpointError(
        f"The endpoint reported: {message}", status=status, code=code, retryable=retryable
    )
