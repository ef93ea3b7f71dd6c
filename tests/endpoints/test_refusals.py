"""What endpoints refuse, and how their replies end: codes before words, and what is done then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.agents.models.client import ModelConnection, open_reply
from qwenbelt.agents.models.decoding import error_in_stream
from qwenbelt.agents.models.refusals import is_overflow, may_succeed_later, refused_tools
from qwenbelt.agents.models.sse import MAX_REPLY, EventDecoder
from qwenbelt.core.errors import EndpointError
from qwenbelt.core.events import Done, Event


@pytest.mark.parametrize(
    ("status", "code", "message", "later"),
    [
        (400, "invalid_request_error", "timeout: extra fields not permitted", False),
        (422, "", "internal_notes is not a valid field", False),
        (None, "DataInspectionFailed", "Input data may contain inappropriate content.", False),
        (None, "InternalError.Algo.InvalidParameter", "temperature is out of range", False),
        (None, "", "<400> InternalError.Algo.InvalidParameter: too hot", False),
        (None, "invalid_request_error", "unknown field timeout", False),
        (None, "Throttling.RateQuota", "Requests rate limit exceeded", True),
        (None, "", "Internal server error", True),
        (None, "InternalError", "Something failed", True),
        (429, "insufficient_quota", "You exceeded your current quota", False),
        (429, "", "slow down", True),
        (503, "", "loading", True),
        (520, "", "<html>", True),
        (524, "", "a timeout occurred", True),
        (526, "", "invalid certificate", True),
        (501, "", "not implemented", False),
    ],
)
def test_codes_decide_before_words(
    status: int | None, code: str, message: str, later: bool
) -> None:
    assert may_succeed_later(status, code, message) is later


@pytest.mark.parametrize(
    ("fields", "later"),
    [
        ({"code": 400, "message": "internal timeout of a field"}, False),
        ({"code": "InvalidParameter", "message": "internal"}, False),
        ({"code": 503, "message": "bad"}, True),
        ({"type": "overloaded_error", "message": "Overloaded"}, True),
        ("Rate limit reached, try again", True),
        ("it went wrong", False),
    ],
)
def test_errors_inside_a_stream(fields: Any, later: bool) -> None:
    assert error_in_stream(fields).retryable is later


@pytest.mark.parametrize(
    ("status", "code", "message", "overflow"),
    [
        (400, "", "Your request exceeded model token limit: 3000 (requested: 5123)", True),
        (400, "1261", "Prompt 超长", True),
        (413, "", "Request Entity Too Large", True),
        (400, "", "The input token count exceeds the maximum number of tokens allowed", True),
        (400, "", "The conversation is too long for this model's token limit", True),
        (400, "", "输入内容超过最大长度限制", True),
        (400, "", "max_tokens is too large: 99999. This model supports at most 8192", False),
        (429, "", "Rate limit: tokens per min exceeded", False),
        (400, "", "Invalid 'tools': array too long. Expected at most 128", False),
        (400, "", "temperature must be at most 2", False),
    ],
)
def test_a_conversation_that_is_too_long(
    status: int, code: str, message: str, overflow: bool
) -> None:
    error = EndpointError(f"The endpoint x answered {status}: {message}", status=status, code=code)
    assert is_overflow(error) is overflow


TOOLS = [{"name": name, "parameters": {}} for name in ("look", "find", "srv-write_file")]


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Invalid schema for function 'find': 'x' is not valid under any of the schemas", ["find"]),
        ("Invalid schema for function 'srv-write_file': bad", ["srv-write_file"]),
        ("tools.0.custom.input_schema: JSON schema is invalid", ["look"]),
        ("Invalid 'tools[1].function.parameters': unsupported keyword", ["find"]),
        ("tools[0].function_declarations[2].parameters: unknown field", ["srv-write_file"]),
        ("Invalid 'tools': array too long. Expected an array with maximum length 2, got 3",
         ["srv-write_file"]),
        ("temperature is invalid", []),
        ("tools are fine, but the model is not", []),
    ],
)  # fmt: skip
def test_a_tool_that_is_refused(message: str, names: list[str]) -> None:
    assert refused_tools(EndpointError(f"The endpoint answered 400: {message}"), TOOLS) == names


def look(x: str) -> str:
    """Looks.

    Args:
        x: what at.
    """
    RAN.append(x)
    return ""


def find(x: str) -> str:
    """Finds.

    Args:
        x: what.
    """
    return x


RAN: list[str] = []


def run(wire: Any, *, tools: Any = (look, find), **generate: Any) -> tuple[Done, list[Event]]:
    RAN.clear()
    llm = wire.llm(**{"max_retries": 0, **generate})

    async def go() -> list[Event]:
        agent = FnCallAgent(list(tools), llm=llm)
        return [event async for event in agent.stream([{"role": "user", "content": "go"}])]

    events = asyncio.run(go())
    assert isinstance(events[-1], Done)
    return events[-1], events


def reply(reason: str, content: str = "half", **more: Any) -> tuple[int, Any]:
    message = {"role": "assistant", "content": content, **more}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


def call(name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": f"c{number}", "type": "function", "function": function}]}


@pytest.mark.parametrize("reason", ["length", "content_filter", "repetition", "odd word"])
def test_a_reply_that_is_not_whole_ends_with_its_own_reason(wire: Any, reason: str) -> None:
    wire.answers(lambda body: reply(reason))
    assert run(wire)[0].reason == reason.replace(" ", "_")


def test_a_reply_that_failed_is_asked_for_again(wire: Any) -> None:
    wire.answers(lambda body: reply("abort" if len(wire.bodies) < 2 else "stop", "whole"))
    done, _ = run(wire, max_retries=1)
    assert (done.reason, done.text, len(wire.bodies)) == ("answer", "whole", 2)


def test_no_effects_of_a_reply_that_is_not_whole(wire: Any) -> None:
    first = call("look", {"x": "a"})

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        asked = any(m["role"] == "tool" for m in body["messages"])
        return reply("stop", "done") if asked else reply("content_filter", "", **first)

    wire.answers(answer)
    assert run(wire)[0].text == "done"
    assert RAN == []


def test_an_answer_that_came_as_thoughts_while_thinking_is_off(wire: Any) -> None:
    wire.answers(lambda body: reply("stop", "", reasoning_content="It is 4."))
    assert run(wire, thinking=False)[0].text == "It is 4."


def test_a_tool_whose_schema_is_refused_is_left_out_and_named(wire: Any) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        names = [tool["function"]["name"] for tool in body["tools"]]
        if "find" in names:
            message = "Invalid schema for function 'find': bad"
            return 400, {"error": {"message": message, "type": "invalid_request_error"}}
        return reply("stop", ",".join(names))

    wire.answers(answer)
    done, events = run(wire)
    assert done.text == "look,read_artifact"
    assert "the endpoint refuses the tool find; it is left out" in [
        getattr(event, "text", "") for event in events
    ]


@pytest.mark.parametrize(
    "message",
    [
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "thinking is enabled but reasoning_content is missing in assistant tool call message",
    ],
)
def test_thoughts_go_back_where_they_are_wanted(wire: Any, message: str) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        made = [m for m in body["messages"] if m.get("tool_calls")]
        if any("reasoning_content" not in m for m in made):
            return 400, {"error": {"message": message}}
        if len(made) > 1:
            return reply("stop", json.dumps([m["reasoning_content"] for m in made]))
        thoughts = {} if made else {"reasoning_content": "hm"}
        return reply("tool_calls", "", **call("look", {"x": "a"}, len(made)), **thoughts)

    wire.answers(answer)
    assert json.loads(run(wire)[0].text) == ["hm", ""]


def test_an_empty_result_says_so(wire: Any) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
        if results:
            return reply("stop", results[0])
        return reply("tool_calls", "", **call("look", {"x": "a"}))

    wire.answers(answer)
    assert run(wire)[0].text == "(The tool ran and gave no output.)"


def test_a_redirect_to_another_host_is_not_followed(wire: Any) -> None:
    wire.says({}, 307, Location="http://elsewhere.invalid/v1/chat/completions")

    async def go() -> None:
        async with open_reply(ModelConnection(wire.url, "k", 5.0), b"{}") as chunks:
            async for _ in chunks:
                pass

    with pytest.raises(EndpointError, match=r"redirects to elsewhere\.invalid"):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("data", "times", "told"),
    [
        (b"x" * 1024 * 1024, 20, "larger than 16 MB"),
        (b": " + b"x" * 1024 * 1024 + b"\n\n", MAX_REPLY // 1024**2 + 2, "larger than 64 MB"),
        (b"data: " + b"[" * 100_000 + b"\n\n", 1, "not JSON"),
    ],
)
def test_a_reply_has_bounds(data: bytes, times: int, told: str) -> None:
    decoder = EventDecoder()
    with pytest.raises(EndpointError, match=told):
        [decoder.feed(data) for _ in range(times)]
