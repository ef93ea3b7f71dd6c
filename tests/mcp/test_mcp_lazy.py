"""Servers that start only when one of their tools is called; what they offer is kept."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents.fncall import FnCallAgent
from qwenbelt.core.errors import ToolError
from qwenbelt.core.events import ToolFinished
from qwenbelt.testing import Scenario, ScriptedServer
from qwenbelt.tools.mcp import mcp_tools

SERVER = """
import json, os, sys
with open(sys.argv[1], "a") as log:
    print(os.getpid(), file=log)
tools = [{"name": n, "description": d, "inputSchema": {"type": "object"}} for n, d in
         json.loads(sys.argv[2]).items()]
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "s", "version": "1"}},
        "tools/list": {"tools": tools},
        "tools/call": {"content": [{"type": "text", "text": "done " + sys.argv[1][-5:]}]},
    }.get(asked["method"])
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setenv("QWENBELT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "server.py").write_text(SERVER)

    def make(name: str, tools: str, **keys: Any) -> dict[str, Any]:
        arguments = [str(tmp_path / "server.py"), str(tmp_path / name), tools]
        return {"command": sys.executable, "args": arguments, **keys}

    return make


def starts(place: Path) -> int:
    return len(place.read_text().splitlines()) if place.exists() else 0


def test_the_list_of_tools_starts_no_server_the_second_time(server: Any, tmp_path: Path) -> None:
    config = {"mcpServers": {"a": server("a.log", '{"x": "An x."}')}}
    first = mcp_tools(config, lazy=True)
    assert ([tool.name for tool in first], starts(tmp_path / "a.log")) == (["a-x"], 1)
    again = mcp_tools(config, lazy=True)
    assert [(t.name, t.description) for t in again] == [(t.name, t.description) for t in first]
    assert starts(tmp_path / "a.log") == 1
    assert again[0].call("{}") == again[0].call("{}") == "done a.log"
    assert starts(tmp_path / "a.log") == 2


def test_only_the_server_of_a_called_tool_is_started(server: Any, tmp_path: Path) -> None:
    config = {
        "mcpServers": {
            "mail": server("m.log", '{"send": "Sends an e-mail to somebody."}'),
            "money": server("c.log", '{"convert": "Converts money into another currency."}'),
        }
    }
    mcp_tools(config, lazy=True)
    before = starts(tmp_path / "m.log"), starts(tmp_path / "c.log")
    scenario = Scenario().turn(calls=[("search_tools", {"query": "convert money"})])
    scenario.turn(calls=[("call_tool", {"name": "money-convert", "arguments": {}})])
    with ScriptedServer(scenario.answer("Done.")) as endpoint:
        llm = {"model": "m", "model_server": endpoint.url, "api_key": "k"}
        agent = FnCallAgent([config], llm, defer_tools=True)
        finished = [e for e in agent.ask("Convert.").trace if isinstance(e, ToolFinished)]
    assert [e.name for e in finished] == ["search_tools", "money-convert"]
    after = starts(tmp_path / "m.log"), starts(tmp_path / "c.log")
    assert (after[0] - before[0], after[1] - before[1]) == (0, 1)


def test_a_changed_program_is_asked_anew_behind_what_is_known(server: Any, tmp_path: Path) -> None:
    config = {"mcpServers": {"a": server("a.log", '{"x": "An x."}')}}
    mcp_tools(config, lazy=True)
    text = SERVER.replace('"inputSchema"', '"title": "New", "inputSchema"').replace("An x", "New")
    (tmp_path / "server.py").write_text(
        text.replace("sys.argv[2]).items", '\'{"y": "A y."}\').items')
    )
    (tool,) = mcp_tools(config, lazy=True)
    assert tool.name == "a-x"
    end = time.monotonic() + 30
    while tool.connection.latest is None and time.monotonic() < end:
        time.sleep(0.01)
    assert list(tool.source.current()) == ["a-y"]
    assert [t.name for t in mcp_tools(config, lazy=True)] == ["a-y"]
    assert starts(tmp_path / "a.log") == 2


def test_what_is_old_or_damaged_is_not_trusted(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"mcpServers": {"a": server("a.log", '{"x": "An x."}')}}
    mcp_tools(config, lazy=True)
    (entry,) = (tmp_path / "cache" / "mcp").glob("*.json")
    assert os.stat(entry.parent / "key").st_mode & 0o077 == 0
    for damage in ("", "[]", '{"time": 1, "program": [], "offer": {"tools": [1]}}'):
        entry.write_text(damage)
        assert [t.name for t in mcp_tools(config, lazy=True)] == ["a-x"]
    assert starts(tmp_path / "a.log") == 4
    monkeypatch.setenv("QWENBELT_CACHE", "off")
    mcp_tools(config, lazy=True)
    assert starts(tmp_path / "a.log") == 5


def test_offers_of_two_accounts_are_kept_apart_and_tell_no_secret(
    server: Any, tmp_path: Path
) -> None:
    for token in ("secret-of-anna", "secret-of-bert"):
        entry = server("a.log", '{"x": "An x."}', env={"TOKEN": token})
        mcp_tools({"mcpServers": {"a": entry}}, lazy=True)
    kept = list((tmp_path / "cache" / "mcp").glob("*.json"))
    assert len(kept) == 2
    assert not any("secret-of" in path.read_text() for path in kept)


def test_a_server_that_is_gone_is_told_when_its_tool_is_called(server: Any, tmp_path: Path) -> None:
    entry = server("a.log", '{"x": "An x."}')
    mcp_tools({"mcpServers": {"a": entry}}, lazy=True)
    (tmp_path / "server.py").unlink()
    (tool,) = mcp_tools({"mcpServers": {"a": entry}}, lazy=True)
    with pytest.raises(ToolError, match="a"):
        tool.call("{}")
