"""The scripted endpoint over real HTTP: rendering, matching, faults, timing, strictness."""

import asyncio
import gc
import json
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwenbelt.testing import Scenario, ScenarioFailed, ScriptedServer, start_scripted
from qwenbelt.testing.server.http import HttpServer

NOUS = (
    "You may call functions.\n<tools>\n"
    '{"type": "function", "function": {"name": "add", "parameters": {}}}\n</tools>\n'
    "<tool_call>\n{...}\n</tool_call>"
)
REACT = (
    "You have these tools:\nadd: adds\nQuestion: the question\nThought: think\n"
    "Action: the action, should be one of [add,clock]\nAction Input: the input\n"
    "Observation: the result\nBegin!\n\nQuestion: sums?\nThought: "
)


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, **parameters}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [tool("add"), tool("clock")]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as http:
        yield http


def ask(client: httpx.Client, server: ScriptedServer, messages: Any, **body: Any) -> httpx.Response:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    payload = {"model": "scripted", "messages": messages, **body}
    return client.post(server.url + "/chat/completions", json=payload)


def deltas(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def text_of(response: httpx.Response) -> str:
    return "".join(
        c["choices"][0]["delta"].get("content") or "" for c in deltas(response) if c["choices"]
    )


def sums() -> Scenario:
    calls = [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]
    return Scenario("sums?").turn(calls=calls, think="Both.", text="Adding.").answer("3 and 7")


def history(server: ScriptedServer) -> list[dict[str, Any]]:
    calls = server.requests[0].reply["tool_calls"]  # type: ignore[index]
    return [
        {"role": "user", "content": "sums?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": c["id"], "content": "r"} for c in calls),
    ]


def test_native_calls_streamed_and_whole_say_the_same(client: httpx.Client) -> None:
    with ScriptedServer(sums(), plays=2) as server:
        streamed = deltas(ask(client, server, "sums?", tools=TOOLS, stream=True))
        whole = ask(client, server, "sums?", tools=TOOLS).json()["choices"][0]
        arguments = {0: "", 1: ""}
        for chunk in streamed:
            for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
                arguments[call["index"]] += call["function"]["arguments"]
        assert [json.loads(a) for a in arguments.values()] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
        assert [c["function"]["arguments"] for c in whole["message"]["tool_calls"]] == list(
            arguments.values()
        )
        assert streamed[-1]["choices"][0]["finish_reason"] == whole["finish_reason"] == "tool_calls"
        assert whole["message"]["content"] == "Adding."
        assert whole["message"]["reasoning_content"] == "Both."


def test_usage_comes_in_a_last_chunk_when_asked_for(client: httpx.Client) -> None:
    scenario = Scenario().answer("hi", usage={"input": 7, "output": 2, "cached": 5})
    with ScriptedServer(scenario) as server:
        last = deltas(ask(client, server, "x", stream=True, stream_options={"include_usage": True}))
        assert last[-1]["choices"] == []
        assert last[-1]["usage"]["total_tokens"] == 9
        assert last[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}


def test_calls_are_written_as_the_prompt_offers_tools(client: httpx.Client) -> None:
    with ScriptedServer(sums(), plays=2) as server:
        system = {"role": "system", "content": NOUS}
        nous = ask(client, server, [system, {"role": "user", "content": "sums?"}], stream=True)
        react = ask(client, server, REACT, stream=True)
    assert text_of(nous) == (
        'Adding.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>\n'
        '<tool_call>\n{"name": "add", "arguments": {"a": 3, "b": 4}}\n</tool_call>'
    )
    assert text_of(react) == (
        'Both. Adding.\nAction: add\nAction Input: {"a": 1, "b": 2}'
        '\nAction: add\nAction Input: {"a": 3, "b": 4}'
    )
    assert len(server.requests[0].sealed) == 2


def test_react_goes_on_in_one_message_and_ends_with_a_final_answer(client: httpx.Client) -> None:
    scenario = Scenario().turn(calls=[("add", {"a": 1})])
    scenario.answer("It is ${add}.", expect={"results": {"add": "3"}})
    with ScriptedServer(scenario) as server:
        first = text_of(ask(client, server, REACT, stream=True))
        rest = REACT + first + "\nObservation: 3\nThought: "
        reply = text_of(ask(client, server, rest, stream=True))
        assert reply == "I now know the final answer.\nFinal Answer: It is 3."
    server.assert_complete()


def test_a_server_that_ignores_stop_invents_an_observation(client: httpx.Client) -> None:
    scenario = Scenario(wire={"ignore_stop": True}).turn(calls=["add"])
    with ScriptedServer(scenario) as server:
        reply = ask(client, server, REACT, stop=["Observation:"]).json()
    assert "Observation: I remember" in reply["choices"][0]["message"]["content"]


def test_json_is_fitted_to_the_schema_of_the_request(client: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["add", "clock"]}, "arguments": {"type": "object"}},
        "required": ["name", "arguments"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    scenario = Scenario().turn(calls=[("add", {"a": 1})]).turn(calls=["add", "clock"])
    with ScriptedServer(scenario) as server:
        reply = ask(client, server, "x", response_format=wanted).json()["choices"][0]
        assert json.loads(reply["message"]["content"]) == {"name": "add", "arguments": {"a": 1}}
        refused = ask(client, server, "x", response_format=wanted)
    assert refused.status_code == 400
    assert "turn 2: the request's JSON schema allows no shape" in refused.text


@pytest.mark.parametrize(
    ("wire", "check"),
    [
        ({"dialect": "vllm"}, lambda d: d[0]["function"]["arguments"] is None and "id" in d[0]),
        (
            {"dialect": "ollama"},
            lambda d: len(d) == 2 and json.loads(d[0]["function"]["arguments"]),
        ),
        ({"dialect": "dashscope"}, lambda d: any(c.get("id") == "" for c in d)),
        ({"ids": False, "index": False}, lambda d: not any({"id", "index"} & set(c) for c in d)),
        ({"interleave": True, "chunk": 4}, lambda d: [c["index"] for c in d[:4]] == [0, 1, 0, 1]),
    ],
)
def test_dialects_of_other_servers_are_played(client: httpx.Client, wire: Any, check: Any) -> None:
    scenario = sums()
    with ScriptedServer(Scenario(conversations=scenario.conversations, wire=wire)) as server:
        chunks = deltas(ask(client, server, "sums?", tools=TOOLS, stream=True))
    found = [c for e in chunks for c in e["choices"][0]["delta"].get("tool_calls", ())]
    assert check(found)
    thoughts = "reasoning" if wire.get("dialect") in ("vllm", "ollama") else "reasoning_content"
    assert any(thoughts in e["choices"][0]["delta"] for e in chunks)


def _drop_answer(m: list[Any]) -> None:
    m.pop()


def _duplicate(m: list[Any]) -> None:
    m.append(dict(m[-1]))


def _late(m: list[Any]) -> None:
    m.insert(2, {"role": "user", "content": "well?"})


def _change(path: str, value: Any) -> Any:
    def change(m: list[Any]) -> None:
        *steps, last = path.split(".")
        node: Any = m
        for step in steps:
            node = node[int(step) if step.isdigit() else step]
        node[last] = value

    change.__name__ = path
    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_drop_answer, "the call call_t1_2 of add has no tool message"),
        (_duplicate, "'call_t1_2' answers no open call"),
        (_late, "the call call_t1_1 of add has no tool message"),
        (_change("2.id", "call_t1_1"), "unknown key 'id' in a message of role tool"),
        (_change("2.tool_call_id", None), "a tool message needs `tool_call_id`"),
        (_change("1.tool_calls.0.function.arguments", "{"), "are not JSON"),
        (_change("1.tool_calls.0.function.arguments", None), "must be JSON text"),
        (_change("1.tool_calls.0.function.arguments", '{"a": 9}'), "but the model called add"),
        (_change("1.tool_calls.1.id", "call_t1_1"), "'call_t1_1' is used twice"),
        (_change("1.tool_calls.0.type", "fn"), "`type` must be"),
        (_change("0.role", "human"), "the role 'human' is not one of"),
        (_change("1.role", "system"), "a system message must stand before all others"),
        (_change("0.content", None), "`content` is missing"),
        (_change("0.content", [{"type": "image", "image": "x"}]), "part type 'image'"),
        (_change("0.content", [{"type": "image_url", "image_url": {"url": "/x"}}]), "a data: or"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_malformed_histories_are_refused_by_turn(
    client: httpx.Client, spoil: Any, told: str
) -> None:
    with ScriptedServer(sums()) as server:
        ask(client, server, "sums?", tools=TOOLS)
        messages = json.loads(json.dumps(history(server)))
        spoil(messages)
        refused = ask(client, server, messages, tools=TOOLS)
        assert refused.status_code == 400
        message = refused.json()["error"]["message"]
        assert message.startswith("turn 2")
        assert told in message
        with pytest.raises(ScenarioFailed, match="turn 2"):
            server.assert_complete()
        accepted = ask(client, server, history(server), tools=TOOLS)
        assert accepted.json()["choices"][0]["message"]["content"] == "3 and 7"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"function_choice": "auto"}, "unrecognized request argument: function_choice"),
        ({"temperature": 3}, "`temperature` must be a number from 0 to 2"),
        ({"max_tokens": 0}, "`max_tokens` must be a whole number"),
        ({"stream_options": {"include_usage": True}}, "only allowed with `stream`"),
        ({"tools": []}, "at least one tool"),
        ({"tools": [tool("add", type="array")]}, "JSON schema of type object"),
        ({"tools": [tool("add", required=["x"])]}, "requires 'x'"),
        ({"tools": [tool("add", properties={"a": {"$ref": "#/$defs/A"}})]}, "not there"),
        ({"tools": [tool("add", properties={"a": {"type": "nmber"}})]}, "not a valid JSON schema"),
        ({"tools": [tool("a b")]}, "must match"),
        ({"tools": [tool("add"), tool("add")]}, "offered twice"),
        ({"tool_choice": "auto"}, "only allowed with `tools`"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "'x'"),
        ({"model": ""}, "`model` is missing"),
        ({"messages": []}, "at least one message"),
    ],
)
def test_malformed_requests_are_refused(client: httpx.Client, body: Any, told: str) -> None:
    with ScriptedServer(Scenario().answer("x")) as server:
        payload = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
        refused = client.post(server.url + "/chat/completions", json=payload)
    assert refused.status_code == 400
    assert told in refused.json()["error"]["message"]


def test_surprises_name_the_turn_and_what_was_near(client: httpx.Client) -> None:
    with ScriptedServer(Scenario().turn(calls=["ad"]).answer("x")) as server:
        assert "turn 1: calls ad, which the request does not offer" in (
            ask(client, server, "x", tools=TOOLS).text
        )
        assert "turn 1: calls tools, but the request offers none" in ask(client, server, "x").text
    with ScriptedServer(Scenario().answer("x", name="last")) as server:
        ask(client, server, "x")
        assert "a request beyond the last of 1 turns (turn 1 (last))" in (
            ask(client, server, "y").text
        )
    with ScriptedServer(sums()) as server:
        ask(client, server, "sums?", tools=TOOLS)
        forgot = ask(client, server, "sums?", tools=TOOLS).json()["error"]["message"]
        assert forgot.startswith("turn 2 waits for the results of add (call_t1_1), add")
        with pytest.raises(ScenarioFailed, match=r"turn 2 was never asked for \(1 turns left\)"):
            server.assert_complete()


def test_expectations_are_checked_on_the_request(client: httpx.Client) -> None:
    scenario = sums()
    scenario.conversations[0].turns.pop()
    expect = {
        "results": {"add": ["3", {"contains": "7"}]},
        "tools": ["add"],
        "request": {"seed": {"absent": True}, "temperature": {"approx": 0.5}},
        "user": "sums?",
        "images": 0,
    }
    scenario.answer("done", expect=expect)
    with ScriptedServer(scenario) as server:
        ask(client, server, "sums?", tools=TOOLS)
        messages = history(server)
        bad = ask(client, server, messages, tools=TOOLS, seed=1).json()["error"]["message"]
        assert "the result of add: 'r' is not '3'" in bad
        assert "`seed` is sent: 1" in bad
        messages[2]["content"], messages[3]["content"] = "3", "17"
        good = ask(client, server, messages, tools=TOOLS, temperature=0.5)
        assert good.status_code == 200


def test_several_conversations_play_at_once(client: httpx.Client) -> None:
    scenario = Scenario()
    for name in "abc":
        scenario.conversation(f"I am {name}").turn(calls=["clock"]).answer(f"bye {name}")

    async def talk(http: httpx.AsyncClient, url: str, name: str) -> str:
        messages: list[dict[str, Any]] = [{"role": "user", "content": f"I am {name}"}]
        body = {"model": "m", "tools": TOOLS, "messages": messages}
        reply = (await http.post(url, json=body)).json()["choices"][0]["message"]
        call_id = reply["tool_calls"][0]["id"]
        messages += [reply, {"role": "tool", "tool_call_id": call_id, "content": "12:00"}]
        return str((await http.post(url, json=body)).json()["choices"][0]["message"]["content"])

    async def main() -> list[str]:
        async with ScriptedServer(scenario, plays=5) as server, httpx.AsyncClient() as http:
            url = server.url + "/chat/completions"
            said = await asyncio.gather(*(talk(http, url, n) for n in "abc" for _ in range(5)))
            server.assert_complete()
            return said

    assert asyncio.run(main()) == [f"bye {n}" for n in "abc" for _ in range(5)]
    with ScriptedServer(scenario) as server:
        refused = ask(client, server, "I am z").json()["error"]["message"]
        assert refused.startswith("no conversation begins with 'I am z'. Did you mean 'I am")


def test_turns_may_be_functions_of_the_request(client: httpx.Client) -> None:
    scenario = Scenario().turn(lambda request: f"you said {request.user}", name="echo")
    scenario.turn(lambda request: {"calls": [("add", {"n": len(request.messages)})]})
    scenario.turn(lambda request: 1 / 0)
    with ScriptedServer(scenario) as server:
        assert ask(client, server, "hi").json()["choices"][0]["message"]["content"] == "you said hi"
        calls = ask(client, server, "hi", tools=TOOLS).json()["choices"][0]["message"]["tool_calls"]
        assert calls[0]["function"]["arguments"] == '{"n": 1}'
        tool_message = {"role": "tool", "tool_call_id": calls[0]["id"], "content": ""}
        assistant = {"role": "assistant", "content": None, "tool_calls": calls}
        broken = ask(client, server, [{"role": "user", "content": "hi"}, assistant, tool_message])
        assert "its function raised ZeroDivisionError" in broken.text


def test_a_faulty_turn_is_played_again(client: httpx.Client) -> None:
    faults = [{"status": 429, "retry_after": 0.5}, {"status": 502, "html": True}, {"empty": True}]
    with ScriptedServer(Scenario().answer("at last", faults=faults)) as server:
        limited = ask(client, server, "x")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "0.5")
        assert limited.json()["error"]["type"] == "rate_limit_error"
        assert ask(client, server, "x").headers["content-type"] == "text/html"
        assert ask(client, server, "x").json()["choices"][0]["message"]["content"] == ""
        assert ask(client, server, "x").json()["choices"][0]["message"]["content"] == "at last"
    server.assert_complete()
    assert [exchange.attempt for exchange in server.requests] == [1, 2, 3, 4]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [{"cut_after": 40}, {"cut_after": 0}, {"reset": True}])
def test_a_cut_reply_breaks_and_comes_again(client: httpx.Client, fault: Any, stream: bool) -> None:
    with ScriptedServer(Scenario().answer("a long answer " * 9, faults=fault)) as server:
        with pytest.raises(httpx.TransportError):
            ask(client, server, "x", stream=stream)
        assert "a long answer" in ask(client, server, "x").text
    server.assert_complete()
    assert server.requests[0].finished is None


def test_damaged_replies(client: httpx.Client) -> None:
    def once(fault: Any, **body: Any) -> httpx.Response:
        with ScriptedServer(sums().turn(faults=fault)) as server:
            server.scenario.conversations[0].turns[:2] = []
            turn = server.scenario.conversations[0].turns[0]
            object.__setattr__(turn, "calls", sums().conversations[0].turns[0].calls)
            return ask(client, server, "sums?", tools=TOOLS, **body)

    calls = once({"bad_json": True}).json()["choices"][0]["message"]["tool_calls"]
    assert [c["function"]["arguments"] for c in calls] == ['{"a": 1, "b": 2}', '{"a": 3, "b": 4']
    calls = once({"null_arguments": True}).json()["choices"][0]["message"]["tool_calls"]
    assert calls[0]["function"]["arguments"] is None
    assert once({"finish_reason": "stop"}).json()["choices"][0]["finish_reason"] == "stop"
    short = once({"truncate_after": 20}).json()["choices"][0]
    assert short["finish_reason"] == "length"
    assert sum(len(c["function"]["arguments"]) for c in short["message"]["tool_calls"]) == 20
    with pytest.raises(json.JSONDecodeError):
        once({"bad_body": True}).json()
    assert "[DONE]" not in once({"no_done": True}, stream=True).text
    assert '"server_error"' in once({"error_in_stream": True}, stream=True).text


def test_the_pace_is_kept_and_logged(client: httpx.Client) -> None:
    timing = {"first_token": 0.05, "between_calls": 0.1, "tokens_per_second": 400}
    scenario = Scenario(timing=timing).turn(calls=["add", "clock"], text="x" * 80)
    with ScriptedServer(scenario) as server:
        ask(client, server, "x", tools=TOOLS, stream=True)
    exchange = server.requests[0]
    assert exchange.first_byte is not None
    assert exchange.finished is not None
    # pauses never shorten a reply; how much longer it takes is the machine's affair
    assert exchange.first_byte - exchange.received >= 0.045
    assert exchange.sealed[1] - exchange.sealed[0] >= 0.05
    assert exchange.finished - exchange.received >= 0.19


def test_a_client_that_goes_away_gets_the_turn_again(client: httpx.Client) -> None:
    scenario = Scenario().answer("slow", timing={"first_token": 0.3})
    scenario.conversations[0].turns[0] = scenario.conversations[0].turns[0]
    with ScriptedServer(scenario) as server:
        with pytest.raises(httpx.ReadTimeout):
            client.post(
                server.url + "/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": "x"}]},
                timeout=0.05,
            )
        assert "slow" in ask(client, server, "x").text
    server.assert_complete()


def test_bytes_are_split_anywhere_even_inside_characters(client: httpx.Client) -> None:
    answer = "平均值是 405 兆帕 🙂"
    with ScriptedServer(Scenario(wire={"bytes": 1, "chunk": 2}).answer(answer)) as server:
        assert text_of(ask(client, server, "x", stream=True)) == answer


def test_keys_models_and_unknown_urls(client: httpx.Client) -> None:
    with ScriptedServer(Scenario(api_key="sk-right", model="qwen-test").answer("x")) as server:
        wrong = client.get(server.url + "/models", headers={"Authorization": "Bearer sk-wrong"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
        right = {"Authorization": "Bearer sk-right"}
        models = client.get(server.url + "/models", headers=right).json()
        assert [m["id"] for m in models["data"]] == ["qwen-test"]
        assert client.get(server.url + "/nothing", headers=right).status_code == 404


def test_raw_http_oddities() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    with ScriptedServer(Scenario().answer("one").answer("two")) as server:
        port = int(server.url.rsplit(":", 1)[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(5)
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
            for at in range(0, len(body), 7):  # byte by byte, two requests in one connection
                part = body[at : at + 7]
                chunked += b"%x;ext=1\r\n%b\r\n" % (len(part), part)
            for byte in chunked + b"0\r\nTrailer: t\r\n\r\n":
                raw.sendall(bytes([byte]))
            assert b"one" in raw.recv(65536)
            raw.sendall(
                head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
            )
            reply = b""
            while part := raw.recv(65536):
                reply += part
            assert b"two" in reply
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"HELLO\r\n\r\n")
            assert b"400 Bad Request" in raw.recv(65536)


def test_results_are_put_into_later_turns(client: httpx.Client) -> None:
    scenario = sums()
    scenario.conversations[0].turns.pop()
    scenario.turn(calls=[("add", {"a": "${add#1}", "home": "${HOME}"})], text="${add:x=(\\d+)}")
    with ScriptedServer(scenario) as server:
        ask(client, server, "sums?", tools=TOOLS)
        messages = history(server)
        messages[3]["content"] = "x=12;"
        message = ask(client, server, messages, tools=TOOLS).json()["choices"][0]["message"]
    assert message["content"] == "12"
    arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"a": "r", "home": "${HOME}"}


def test_a_scenario_file_serves_as_long_as_the_process(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("turns:\n - answer: hello\n", encoding="utf-8")
    server = start_scripted(file)
    assert start_scripted(str(file)) is server
    for _ in range(3):
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        assert "hello" in httpx.post(server.url + "/chat/completions", json=body, timeout=60).text
    server.stop()


def test_starting_costs_next_to_nothing() -> None:
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        server = ScriptedServer(Scenario().answer("x")).start()
        times.append(time.perf_counter() - begin)
        server.stop()
    assert sorted(times)[4] < 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("turns", range(5))
def test_a_connection_that_comes_at_the_end_is_closed(turns: int) -> None:
    async def none(request: object, connection: object) -> None:
        raise AssertionError("nobody asks")

    async def end_while_clients_come() -> None:
        server = HttpServer(none)
        await server.start_here()
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for _ in range(turns):  # of the loop: how far the server has got with them
            await asyncio.sleep(0)
        await server.stop_here()
        for client in clients:
            client.close()

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        asyncio.run(end_while_clients_come())
        gc.collect()
    assert [str(warning.message) for warning in seen] == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("text", ["Done 🎉 灯", "half \ud83c"])
def test_what_json_writes_as_escapes_is_answered(tmp_path: Path, text: str, stream: bool) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"conversations": [{"say": "Go", "turns": [{"answer": text}]}]}))
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Go"}]}
    with ScriptedServer(file) as server:
        reply = httpx.post(f"{server.url}/chat/completions", json=body, timeout=60)
    lines = reply.text.split("\n") if stream else [reply.text]
    parts = [json.loads(line.removeprefix("data: ")) for line in lines if "choices" in line]
    choices = [choice for part in parts for choice in part["choices"]]
    said = [(one.get("delta") or one.get("message") or {}).get("content") for one in choices]
    assert "".join(piece or "" for piece in said) == text
