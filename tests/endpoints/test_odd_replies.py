"""Replies and errors in forms that only some endpoints write: nothing of them is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbelt.agents.models.client import ModelConnection, read_whole, status_error
from qwenbelt.agents.models.decoding import read_chunk
from qwenbelt.agents.models.deltas import CallDelta, Text, Thought
from qwenbelt.agents.models.refusals import check_reason
from qwenbelt.agents.models.sse import DONE, EventDecoder
from qwenbelt.core.errors import EndpointError

PLACE = ModelConnection("http://127.0.0.1:1/v1", "k")


def chunk(**delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"error_code": 336003, "error_msg": "too long a message"}, "too long a message"),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "no"}}, "no"),
        ({"error": True, "message": "Slow down"}, "Slow down"),
        ({"error": "rate_limit", "message": "Slow down"}, "Slow down"),
        ({"errors": [{"message": "No such model"}]}, "No such model"),
        ({"object": "error", "message": "bad", "code": 40301}, "bad"),
    ],
)
def test_an_error_in_place_of_choices_is_told(reply: dict[str, Any], told: str) -> None:
    with pytest.raises(EndpointError, match=f"^The endpoint reported: {told}$"):
        read_chunk(reply)


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": [], "usage": {"prompt_tokens": 1}, "base_resp": {"status_code": 0}},
        {"choices": [], "message": ""},
        {"type": "ping"},
        {},
    ],
)
def test_what_is_no_error_is_none(reply: dict[str, Any]) -> None:
    assert [p for p in read_chunk(reply) if isinstance(p, (Text, Thought, CallDelta))] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[" * 100_000, "[[["),  # deeper than a parser goes
        (json.dumps([{"error": {"code": 400, "message": "Bad thing"}}]).encode(), "Bad thing"),
        (b'{"detail": [{"msg": "field required"}]}', "field required"),
        (b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (b'{"error": {"message": "plain"}}', "plain"),
        (b"", "Error code: 502"),
    ],
)
def test_the_body_of_an_error_status_is_told_in_words(body: bytes, told: str) -> None:
    error = status_error(502, body, {}, PLACE)
    assert error.message.startswith(f"The endpoint http://127.0.0.1:1/v1 answered 502: {told}")
    assert error.retryable


@pytest.mark.parametrize(
    ("delta", "piece"),
    [
        ({"reasoning_text": "hm"}, Thought("hm")),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}, Thought("hm")),
        ({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, Thought("hm")),
        ({"content": ["a"]}, Text("a")),
        ({"content": {"type": "text", "text": "a"}}, Text("a")),
        (
            {"tool_calls": {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{}"}}},
            CallDelta(0, "i", "f", "{}"),
        ),
    ],
)
def test_other_forms_of_deltas(delta: dict[str, Any], piece: object) -> None:
    assert read_chunk(chunk(**delta)) == [piece]


def test_the_whole_message_beside_an_empty_last_delta_does_not_count_twice() -> None:
    last = chunk()
    last["choices"][0]["message"] = {"role": "assistant", "content": "again"}
    assert read_chunk(last) == []
    assert read_chunk({**last, "object": "chat.completion"}) == [Text("again")]


def test_json_that_is_labelled_as_a_stream_of_events_is_read() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b'{"error":\n {"message": "gone"}}\n') == []
    assert decoder.close() == [{"error": {"message": "gone"}}]
    decoder = EventDecoder()
    assert decoder.feed(b'{"a": 1}\n{"b": 2}\ndata: [DONE]\n\n') == [{"a": 1}, {"b": 2}, DONE]
    assert decoder.close() == []


def test_what_stands_between_events_is_passed_over() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b'data: {"a": 1}\n\n{"b": half\n\n') == [{"a": 1}]
    assert decoder.close() == []


def test_an_object_a_line_is_read() -> None:
    assert read_whole(b'{"a": 1}\n\n{"b": 2}\n') == [{"a": 1}, {"b": 2}]
    assert read_whole(b'{"a":\n 1}\n') == [{"a": 1, **DONE}]
    with pytest.raises(EndpointError, match="not JSON"):
        read_whole(b"\n")


@pytest.mark.parametrize(
    "reason", ["insufficient_system_resource", "network_error", "malformed_function_call"]
)
def test_reasons_of_servers_that_failed(reason: str) -> None:
    with pytest.raises(EndpointError) as found:
        check_reason(reason)
    assert found.value.retryable
