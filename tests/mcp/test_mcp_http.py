"""The client over HTTP: the SDK's server, and one written by hand that misbehaves."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError, ToolError, ToolTimeout
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp import mcp_tools


@pytest.mark.parametrize(
    ("kind", "type_key"),
    [("http", "streamable-http"), ("http", None), ("sse", "sse"), ("sse", None)],
)
def test_every_transport(listening, tools_of, kind, type_key) -> None:
    config = {"url": listening("sdk_server.py", kind)}
    if type_key:
        config["type"] = type_key
    tools = tools_of(s=config)
    assert tools["s-add"].call({"a": 1, "b": 2}) == "3"
    told: list[tuple[str, float | None]] = []
    context = ToolContext(report=lambda text, fraction=None: told.append((text, fraction)))
    assert tools["s-count"].call({"to": 4}, context=context) == "counted to 4"
    assert ("at 1", 0.25) in told

    async def cancel() -> None:
        task = asyncio.create_task(tools["s-wait_long"].acall({}))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    end = time.monotonic() + 3
    while tools["s-cancellations"].call({}) != "1" and time.monotonic() < end:
        time.sleep(0.05)
    assert tools["s-cancellations"].call({}) == "1"


def test_a_reply_of_several_megabytes(listening, tools_of) -> None:
    tools = tools_of(s={"url": listening("sdk_server.py", "http"), "type": "http"})
    reply = tools["s-big"].call({"size": 3_000_000})
    assert reply.startswith("xxx")
    assert len(reply) < 100_000  # shortened for the model
    assert "bytes left out" in reply


def test_a_run_gets_all_of_a_long_reply_and_keeps_what_it_shortens(listening, tools_of) -> None:
    tools = tools_of(s={"url": listening("sdk_server.py", "http"), "type": "http"})
    assert len(tools["s-big"].call({"size": 300_000}, context=ToolContext())) == 300_000


def test_headers_are_sent(listening, tools_of, monkeypatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "abc-secret-value")
    headers = {"Authorization": "Bearer ${SERVICE_TOKEN}"}
    tools = tools_of(s={"url": listening("http_server.py", "ok"), "headers": headers})
    seen = {k.lower(): v for k, v in json.loads(tools["s-headers"].call({})).items()}
    assert seen["authorization"] == "Bearer abc-secret-value"


def test_a_forgotten_session_is_opened_again(listening, tools_of) -> None:
    tools = tools_of(s={"url": listening("http_server.py", "forget"), "type": "streamable-http"})
    assert [tools["s-echo"].call({}) for _ in range(3)] == ["echo"] * 3


def error(code: int, words: str) -> dict:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": words}}


@pytest.mark.parametrize(
    "lost",
    [
        [404, error(-32001, "Session not found")],  # TypeScript and C#
        [400, error(-32000, "Bad Request: No valid session ID provided")],  # its examples
        [400, error(-32000, "Bad Request: Server not initialized")],
        [404, error(-32600, "Session has been terminated")],  # Python
        [400, "Missing session ID"],
        [404, "session not found"],  # Go
        [401, "Unauthorized: Session not found"],  # Rust
        [410, None],
        [200, error(-32600, "Invalid or expired session")],
    ],
)
def test_a_lost_session_in_the_words_of_any_sdk(listening, tools_of, lost) -> None:
    url = listening("http_server.py", "forget", json.dumps(lost))
    tools = tools_of(s={"url": url, "type": "http", "call_timeout": 20})
    assert [tools["s-echo"].call({}) for _ in range(3)] == ["echo"] * 3


def test_what_may_have_run_is_not_sent_again(listening, tools_of) -> None:
    url = listening("http_server.py", "cut")
    tools = tools_of(s={"url": url, "type": "http", "call_timeout": 20})
    for _ in range(2):
        with pytest.raises(ToolError, match=r"was cut off: .*It may have run"):
            tools["s-echo"].call({})


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_server_that_is_started_again(tools_of, kind) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, str(Path(__file__).parent / "sdk_server.py"), kind, port]

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def stop(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        process.stdout.close()

    first = start()
    path = "mcp" if kind == "http" else "sse"
    config = {"url": f"http://127.0.0.1:{port}/{path}", "type": kind, "call_timeout": 20}
    tools = tools_of(s=config)
    assert tools["s-add"].call({"a": 1, "b": 1}) == "2"
    stop(first)
    with pytest.raises(ToolError, match="no connection"):
        tools["s-add"].call({"a": 1, "b": 2})
    second = start()
    try:
        assert tools["s-add"].call({"a": 1, "b": 3}) == "4"
    finally:
        stop(second)


def test_a_silent_call_over_http(listening, tools_of) -> None:
    url = listening("http_server.py", "ok")
    tools = tools_of(s={"url": url, "type": "http", "call_timeout": 0.5})
    started = time.monotonic()
    with pytest.raises(ToolTimeout):
        tools["s-silent"].call({})
    assert time.monotonic() - started < 15
    assert tools["s-echo"].call({}) == "echo"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("silent", "did not answer within 1 s"),
        ("401", r"it refused us \(HTTP 401\); check its headers"),
        ("500", "it answered HTTP 500"),
        ("404", "it answered HTTP 404"),
    ],
)
def test_http_servers_that_do_not_start(listening, fault, said) -> None:
    config = {"url": listening("http_server.py", fault), "type": "http", "start_timeout": 1}
    with pytest.raises(ConfigError, match=said):
        mcp_tools({"mcpServers": {"s": config}})


def test_nobody_listens() -> None:
    with pytest.raises(ConfigError, match=r"MCP server s at http://127.0.0.1:9/mcp: no connection"):
        mcp_tools({"mcpServers": {"s": {"url": "http://127.0.0.1:9/mcp", "type": "http"}}})
