"""Our own server over stdio: it says what the SDK's says, and starts without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from qwenbelt.mcp_servers import filesystem, frozen, memory
from qwenbelt.mcp_servers.service import McpService
from qwenbelt.mcp_servers.serving import build_server
from qwenbelt.mcp_servers.stdio import DaemonThreads, StdioSession
from qwenbelt.tools.arguments import NoArguments
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t"}}
# what the SDK, pydantic and their companions would add; counted, because times differ
MOST_MODULES = 330
HEAVY = ("pydantic", "mcp", "mcp_types", "anyio", "jsonschema", "httpx", "starlette", "numpy")


class Talk:
    """A server in this process, with requests that wait for their replies."""

    def __init__(self, service: McpService) -> None:
        source, self._to_server = os.pipe()
        self._from_server, target = os.pipe()
        server = StdioSession(service, target)
        self._lines = os.fdopen(source, "rb")
        self._target = target
        self._thread = threading.Thread(target=server.serve, args=(self._lines,), daemon=True)
        self._thread.start()
        self._replies = os.fdopen(self._from_server, "rb")
        self._last = 0

    def say(self, method: str, params: Any = None, number: Any = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if number is not None:
            message["id"] = number
        os.write(self._to_server, f"{json.dumps(message)}\n".encode())

    def heard(self) -> dict[str, Any]:
        return json.loads(self._replies.readline())

    def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        self._last += 1
        self.say(method, params, self._last)
        reply = self.heard()
        assert reply["id"] == self._last
        return reply

    def close(self) -> None:
        os.close(self._to_server)
        self._thread.join(5)
        self._lines.close()
        os.close(self._target)
        self._replies.close()


@pytest.fixture
def talk():
    talks: list[Talk] = []

    def start(service: McpService) -> Talk:
        talks.append(Talk(service))
        return talks[-1]

    yield start
    for one in talks:
        one.close()


ENTITY = {"name": "a", "entityType": "t", "observations": ["x\u2028温度"]}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("tools/list", {}),
    ("tools/call", {"name": "create_entities", "arguments": {"entities": [ENTITY]}}),
    ("tools/call", {"name": "open_nodes", "arguments": {"names": ["a"]}}),
    ("tools/call", {"name": "open_nodes", "arguments": {"names": 3}}),
    ("tools/call", {"name": "none"}),
    ("tools/call", {"name": "open_nodes", "arguments": []}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "memory://entity/a"}),
    ("resources/read", {"uri": "memory://none"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "none"}),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "memory://entity/{name}"},
            "argument": {"name": "name", "value": "A"},
        },
    ),
    ("none/such", {}),
]


def _with_envelope(params: dict[str, Any], modern: bool) -> dict[str, Any]:
    return {**params, "_meta": ENVELOPE} if modern else params


async def _said_by_the_sdk(service: McpService, modern: bool) -> list[dict[str, Any]]:
    """Replies of the SDK's server with our handlers."""
    send, received = anyio.create_memory_object_stream[Any](100)
    sent, reply = anyio.create_memory_object_stream[Any](100)
    found = []

    async def ask(number: int, method: str, params: dict[str, Any]) -> None:
        raw = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await send.send(SessionMessage(jsonrpc_message_adapter.validate_python(raw)))
        answer = (await reply.receive()).message
        found.append(answer.model_dump(by_alias=True, mode="json", exclude_none=True))

    async with anyio.create_task_group() as group:
        server = build_server(service)
        group.start_soon(lambda: serve_dual_era_loop(server, received, sent, lifespan_state={}))
        if modern:
            await ask(1, "server/discover", {"_meta": ENVELOPE})
        else:
            await ask(2, "initialize", {**HELLO, "clientInfo": {"name": "t", "version": "1"}})
        for number, (method, params) in enumerate(REQUESTS, 10):
            await ask(number, method, _with_envelope(params, modern))
        group.cancel_scope.cancel()
    for stream in (send, received, sent, reply):
        stream.close()
    return found


@pytest.mark.parametrize("modern", [False, True])
def test_it_says_what_the_sdks_server_says(talk, tmp_path: Path, modern: bool) -> None:
    """Both transports of ours answer alike, in both eras of the protocol."""
    graph = memory.service(tmp_path / "graph.db")
    theirs = anyio.run(_said_by_the_sdk, graph, modern)
    graph = memory.service(tmp_path / "again.db")
    ours = talk(graph)
    if modern:
        mine = [ours.ask("server/discover", {"_meta": ENVELOPE})]
    else:
        assert ours.ask("tools/list")["error"]["code"] == -32602, "before the handshake"
        mine = [ours.ask("initialize", HELLO)]
        ours.say("notifications/initialized")
    mine += [ours.ask(method, _with_envelope(params, modern)) for method, params in REQUESTS]
    for my, other in zip(mine, theirs, strict=True):
        if "error" in my:
            assert my["error"]["code"] == other["error"]["code"]
        else:
            assert _comparable(my["result"]) == _comparable(other["result"])


def _comparable(result: dict[str, Any]) -> dict[str, Any]:
    told = {**result}
    if "capabilities" in told:  # theirs are what was set to false or left out
        told["capabilities"] = sorted(told["capabilities"])
    for hint in ("ttlMs", "cacheScope"):  # the SDK has its own for server/discover
        if "supportedVersions" in told:
            told.pop(hint, None)
    return told


def test_cancelled_calls_end_and_progress_rises(talk) -> None:
    begun, ended = threading.Event(), threading.Event()

    def run(engine: Any, given: Any, call: OperationCall) -> OperationResult:
        call.report("half", 0.5)
        begun.set()
        call.cancelled.wait(10)
        ended.set()
        return OperationResult("too late", {})

    wait = Operation("wait", "Wait", "Waits.", NoArguments, run, {"type": "object"})
    ours = talk(McpService("s", "S", None, [wait]))
    ours.ask("initialize", HELLO)
    params = {"name": "wait", "arguments": {}, "_meta": {"progressToken": "p"}}
    ours.say("tools/call", params, 7)
    progress = ours.heard()
    assert progress["method"] == "notifications/progress"
    assert progress["params"] == {
        "progressToken": "p",
        "progress": 0.5,
        "total": 1.0,
        "message": "half",
    }
    assert begun.wait(5)
    assert ours.ask("ping")["result"] == {}, "a running call holds up nobody"
    ours.say("notifications/cancelled", {"requestId": 7})
    assert ended.wait(5)
    # no reply comes for the cancelled call: the next one is the next request's
    assert "tools" in ours.ask("tools/list")["result"]


def test_requests_that_are_piped_in_are_answered(tmp_path: Path) -> None:
    """`printf … | server`: the input ends before the replies are ready."""
    (tmp_path / "a.txt").write_text("piped")
    call = {"name": "read_text_file", "arguments": {"path": "a.txt"}}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    command = [sys.executable, "-m", "qwenbelt.mcp_servers.filesystem", str(tmp_path)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert "piped" in done.stdout.splitlines()[1]


def test_odd_requests_are_refused_and_end_nothing(talk) -> None:
    ours = talk(McpService("s", "S", None, []))
    wrong = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    refused = ours.ask("tools/list", {"_meta": wrong})["error"]
    assert refused["code"] == -32022
    assert refused["data"]["supported"] == ["2026-07-28"]
    lacking = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    assert ours.ask("tools/list", {"_meta": lacking})["error"]["code"] == -32602
    assert ours.ask("initialize", {})["error"]["code"] == -32602
    assert ours.ask("tools/list", [1])["error"]["code"] == -32602
    newer = ours.ask("initialize", {**HELLO, "protocolVersion": "2099-01-01"})
    assert newer["result"]["protocolVersion"] == "2025-11-25"
    assert ours.ask("resources/read", {"uri": 3})["error"]["code"] == -32602
    assert ours.ask("tools/list")["result"] == {"tools": []}


def test_a_name_that_is_no_text_is_sent_as_an_escape(talk) -> None:
    def run(engine: Any, given: Any, call: OperationCall) -> OperationResult:
        return OperationResult("f\udcff", {"path": Path("x"), "name": "f\udcff"})

    odd = Operation("odd", "Odd", "Odd.", NoArguments, run, {"type": "object"})
    ours = talk(McpService("s", "S", None, [odd]))
    ours.ask("initialize", HELLO)
    result = ours.ask("tools/call", {"name": "odd"})["result"]
    assert result["structuredContent"] == {"path": "x", "name": "f\udcff"}


def test_threads_are_reused_and_bounded() -> None:
    threads = DaemonThreads(2)
    gate, seen = threading.Event(), []
    done = threading.Semaphore(0)

    def job() -> None:
        gate.wait(5)
        seen.append(threading.current_thread().name)
        done.release()

    for _ in range(6):
        threads.run(job)
    gate.set()
    for _ in range(6):
        assert done.acquire(timeout=5)
    assert len(set(seen)) <= 2


@pytest.mark.parametrize("name", frozen.SERVERS)
def test_the_kept_list_is_the_computed_one(name: str) -> None:
    computed = frozen.computed_tools(name)
    assert frozen.frozen_tools(name) == computed, "python -m qwenbelt.mcp_servers.frozen"


def test_read_only_lists_as_it_serves(tmp_path: Path) -> None:
    service = filesystem.service((str(tmp_path),), read_only=True)
    assert service.declared is not None
    assert callable(service.operations)
    assert [t["name"] for t in service.declared()] == [o.name for o in service.operations()]


@pytest.mark.parametrize("name", frozen.SERVERS)
def test_the_list_goes_out_before_anything_heavy(name: str, tmp_path: Path) -> None:
    """What a server imports until its tools are told, counted in modules."""
    argument = "(sys.argv[1],)" if name == "filesystem" else "pathlib.Path(sys.argv[1], 'g.db')"
    code = f"""
import json, pathlib, sys
from qwenbelt.mcp_servers import command, {name} as server, stdio
handlers = stdio.StdioSession(server.service({argument}), 1)._handlers
assert len(handlers.tools()) > 8
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    modules = json.loads(done.stdout)
    assert not [m for m in modules if m.partition(".")[0] in HEAVY]
    assert len(modules) < MOST_MODULES, len(modules)


def test_the_sdks_client_speaks_with_it(tmp_path: Path) -> None:
    """The SDK's own client, in the era it chooses."""
    (tmp_path / "a.txt").write_text("hello")
    args = ["-m", "qwenbelt.mcp_servers.filesystem", str(tmp_path)]

    async def talk() -> str:
        async with Client(StdioServerParameters(command=sys.executable, args=args)) as client:
            assert client.protocol_version == "2026-07-28"
            result = await client.call_tool("read_text_file", {"path": "a.txt"})
            return result.content[0].text

    assert anyio.run(talk) == "hello"
