"""The Responses API as a client: the same runs as over chat completions, strictly checked."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from qwenbelt import FnCallAgent, endpoint
from qwenbelt.agents.models.decoding import read_chunk
from qwenbelt.agents.models.endpoint_model import EndpointModel
from qwenbelt.agents.models.responses import ResponseEvents, responses_body
from qwenbelt.core import BuiltinTool, ConfigError, EndpointError
from qwenbelt.testing import ScriptedServer

TWO_TURNS = """
turns:
  - think: I need both.
    text: I look.
    calls: [{double: {n: 4}}, {double: {n: 5}}]
  - answer: Eight and ten.
  - answer: You are welcome.
"""


def double(n: int) -> int:
    """Doubles a number."""
    return 2 * n


def agent_at(server: ScriptedServer, **cfg: Any) -> FnCallAgent:
    llm = {**server.llm, "generate_cfg": {"api": "responses", **cfg}}
    return FnCallAgent([double], llm=llm)


@pytest.mark.parametrize("stream", [True, False])
def test_a_run_with_calls_goes_through(stream: bool) -> None:
    with ScriptedServer(TWO_TURNS) as server:
        agent = agent_at(server, stream=stream)
        first = agent.ask("What are the doubles of 4 and 5?")
        assert first.text.endswith("Eight and ten.")
        messages = server.requests[1].request.messages
        calls = [c for m in messages for c in m.get("tool_calls") or ()]
        assert [call["function"]["name"] for call in calls] == ["double", "double"]
        assert [m["content"] for m in messages if m["role"] == "tool"] == ["8", "10"]
        assert first.usage.input_tokens > 0
        sent = server.requests[0].sent
        assert sent is not None
        assert (sent["store"], sent["tools"][0]["strict"]) == (False, False)
        agent.ask("Thank you.")
        server.assert_complete()


def test_a_conversation_that_the_endpoint_holds_is_not_sent_again() -> None:
    with ScriptedServer(TWO_TURNS) as server:
        llm = {**server.llm, "dialect": "dashscope", "generate_cfg": {"api": "responses"}}
        agent = FnCallAgent([double], llm=llm)
        first = agent.ask("What are the doubles of 4 and 5?")
        more = [*first.messages, {"role": "user", "content": "Thank you."}]
        asked = [{"role": "user", "content": "What are the doubles of 4 and 5?"}]
        list(agent.run([*asked, *more]))
        sent = [exchange.sent or {} for exchange in server.requests]
        assert [body.get("previous_response_id") for body in sent] == [None, "resp_1", "resp_2"]
        assert [item.get("type") for item in sent[1]["input"]] == ["function_call_output"] * 2
        assert sent[2]["input"] == [{"role": "user", "content": "Thank you."}]
        headers = server.requests[0].request.headers
        assert headers["x-dashscope-session-cache"] == "enable"
        # what the endpoint put together is what would have been sent whole
        roles = [m["role"] for m in server.requests[2].request.messages]
        assert roles == ["user", "assistant", "tool", "tool", "assistant", "user"]
        server.assert_complete()


def test_a_reply_that_is_no_longer_held_is_sent_for_whole() -> None:
    with ScriptedServer(TWO_TURNS) as server:
        llm = {**server.llm, "dialect": "dashscope", "generate_cfg": {"api": "responses"}}
        held = server._kept._messages

        def double(n: int) -> int:
            """Doubles a number while the endpoint forgets."""
            held.clear()
            return 2 * n

        agent = FnCallAgent([double], llm=llm)
        assert agent.ask("What are the doubles of 4 and 5?").text.endswith("Eight and ten.")
        ids = [(exchange.sent or {}).get("previous_response_id") for exchange in server.requests]
        assert ids == [None, "resp_1", None]


def test_a_typed_answer_goes_by_the_format_of_texts() -> None:
    with ScriptedServer("turns:\n  - answer: {total: 3}") as server:
        llm = {**server.llm, "generate_cfg": {"api": "responses"}}
        schema = {
            "type": "object",
            "properties": {"total": {"type": "integer"}},
            "required": ["total"],
        }
        result = FnCallAgent([], llm=llm).ask("How many?", answer=schema)
        assert result.value == {"total": 3}
        sent = server.requests[0].sent or {}
        assert sent["text"]["format"]["type"] == "json_schema"
        assert "response_format" not in sent


@pytest.mark.parametrize(
    ("fault", "tries"), [("cut_after: 700", 2), ("error_in_stream: true", 2), ("status: 503", 2)]
)
def test_a_broken_reply_is_asked_for_again(fault: str, tries: int) -> None:
    scenario = f"turns:\n  - answer: A whole answer that is long enough.\n    faults: [{{{fault}}}]"
    with ScriptedServer(scenario) as server:
        llm = {**server.llm, "generate_cfg": {"api": "responses", "max_retries": 2}}
        assert FnCallAgent([], llm=llm).ask("?").text == "A whole answer that is long enough."
        assert len(server.requests) == tries


def test_parts_of_messages_are_named_by_the_side_that_says_them() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "See"}, picture]},
        {"role": "assistant", "content": [{"type": "text", "text": "Seen"}]},
    ]
    body = responses_body({"model": "m", "messages": messages, "max_tokens": 5, "stop": ["x"]})
    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]
    assert body["input"][1]["content"] == [{"type": "output_text", "text": "Seen"}]
    assert set(body) == {"model", "input", "max_output_tokens"}


SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {
        "type": "search",
        "query": "height of the tower",
        "sources": [{"type": "url", "url": "https://a.example/1"}],
    },
}
MARK = {"type": "url_citation", "url": "https://a.example/1", "title": "A"}
ANSWER = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "330 m.", "annotations": [MARK]}],
}
REPLY = {"id": "resp_9", "object": "response", "status": "completed", "output": [SEARCH, ANSWER]}


class Searching(BaseHTTPRequestHandler):
    """An endpoint that searches the web by itself, in the form of OpenAI's documentation."""

    bodies: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        usage = {"input_tokens": 9, "output_tokens": 3}
        events = [
            {"type": "response.created", "response": {**REPLY, "output": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "330 m."},
            {"type": "response.output_item.done", "output_index": 1, "item": ANSWER},
            {"type": "response.completed", "response": {**REPLY, "usage": usage}},
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def searching() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Searching)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tools_of_the_endpoint_are_told_with_their_sources(searching: str) -> None:
    llm = endpoint(f"openai:m@{searching}", api="responses", builtin_tools=["web_search"])
    run = FnCallAgent([], llm=llm).events("How high is the tower?")
    used = [event for event in run if isinstance(event, BuiltinTool)]
    assert [(event.name, event.detail, event.sources) for event in used] == [
        ("web_search", "height of the tower", ("https://a.example/1",)),
        ("url_citation", "", ("https://a.example/1",)),
    ]
    assert used[0].line == "web_search height of the tower [https://a.example/1]"
    assert Searching.bodies[-1]["tools"] == [{"type": "web_search"}]


def test_a_reply_as_one_object_says_the_same_as_its_events() -> None:
    whole = ResponseEvents().read({**REPLY, "usage": {"input_tokens": 1, "output_tokens": 2}})
    texts = [c["choices"][0]["delta"].get("content") for c in whole if "choices" in c]
    assert texts == ["330 m.", None]
    assert [c["builtin_tool"]["name"] for c in whole if "builtin_tool" in c] == [
        "web_search",
        "url_citation",
    ]
    assert whole[-1] == {"done": True}


def test_what_is_not_understood_is_said() -> None:
    base = {"model": "m", "model_server": "http://127.0.0.1:9/v1"}
    with pytest.raises(ConfigError, match="api must be"):
        EndpointModel({**base, "generate_cfg": {"api": "grpc"}})
    with pytest.raises(ConfigError, match="need the Responses API"):
        EndpointModel({**base, "generate_cfg": {"builtin_tools": ["web_search"]}})
    with pytest.raises(ConfigError, match="a name or an object"):
        EndpointModel({**base, "generate_cfg": {"api": "responses", "builtin_tools": [3]}})


def test_the_scripted_endpoint_is_strict_about_this_api_too() -> None:
    from openai import BadRequestError, OpenAI

    with ScriptedServer("turns:\n  - answer: Yes.") as server:
        client = OpenAI(base_url=server.url, api_key="none", max_retries=0)
        with pytest.raises(BadRequestError, match="unknown parameter: messages"):
            client.responses.create(model="m", input="Hi", extra_body={"messages": []})
        tool: Any = {"type": "function", "function": {"name": "f"}}
        with pytest.raises(BadRequestError, match="stand beside"):
            client.responses.create(model="m", input="Hi", tools=[tool])
        with pytest.raises(BadRequestError, match="not found"):
            client.responses.create(model="m", input="Hi", previous_response_id="resp_77")
        assert client.responses.create(model="m", input="Hi").output_text == "Yes."
        client.close()


def test_a_reply_that_failed_is_an_error() -> None:
    failed = {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"message": "no"}},
    }

    with pytest.raises(EndpointError, match="no"):
        [read_chunk(chunk) for chunk in ResponseEvents().read(failed)]


def test_the_example_sends_only_what_is_new() -> None:
    example = Path(__file__).parents[2] / "examples" / "responses_api.py"
    assert runpy.run_path(str(example))["items_sent"]() == [1, 1, 1]
