"""Our client with servers that nobody here wrote, and in the conformance suite."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.base import ToolContext
from qwenbelt.tools.mcp import McpServers

pytestmark = pytest.mark.node
HERE = Path(__file__).parent


def over_stdio(peers: Any, package: str, *arguments: object, **keys: Any) -> dict[str, Any]:
    args = [peers.main(package), *map(str, arguments)]
    return {"command": peers.node, "args": args, "start_timeout": 150, **keys}


def test_the_typescript_filesystem_server(peers, tools_of, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    tools = tools_of(fs=over_stdio(peers, "server-filesystem", tmp_path))
    path = str(tmp_path / "a.txt")
    assert tools["fs-read_text_file"].call({"path": path, "head": 1}).strip() == "one"
    edit = {"path": path, "edits": [{"oldText": "two", "newText": "2"}]}
    assert "+2" in tools["fs-edit_file"].call(edit)
    assert (tmp_path / "a.txt").read_text() == "one\n2\n"
    with pytest.raises(ToolError, match="outside allowed directories"):
        tools["fs-read_text_file"].call({"path": "/etc/passwd"})
    assert tools["fs-read_text_file"].read_only
    assert not tools["fs-write_file"].read_only


def test_the_typescript_memory_server(peers, tools_of, tmp_path: Path) -> None:
    env = {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl")}
    tools = tools_of(mem=over_stdio(peers, "server-memory", env=env))
    entity = {"name": "Ada", "entityType": "person", "observations": ["喜欢茶"]}
    tools["mem-create_entities"].call({"entities": [entity]})
    found = json.loads(tools["mem-search_nodes"].call({"query": "茶"}))
    assert found["entities"] == [entity]


@pytest.mark.parametrize("transport", ["stdio", "streamableHttp", "sse"])
def test_the_typescript_everything_server(
    peers, everything, tools_of, tmp_path: Path, transport: str
) -> None:
    if transport == "stdio":
        entry = over_stdio(peers, "server-everything", "stdio")
    else:
        entry = {"url": everything(transport)}
    tools = tools_of(e=entry)
    assert "你好" in tools["e-echo"].call({"message": "你好"})
    assert "7" in tools["e-get-sum"].call({"a": 3, "b": 4})
    weather = tools["e-get-structured-content"].call({"location": "New York"})
    assert "temperature" in weather
    context = ToolContext(folder=tmp_path)
    items = tools["e-get-tiny-image"].call({}, context=context)
    (image,) = [item.image for item in items if item.image]
    assert Path(image).read_bytes().startswith(b"\x89PNG")
    told: list[tuple[str, float | None]] = []
    context = ToolContext(report=lambda text, fraction=None: told.append((text, fraction)))
    long = tools["e-trigger-long-running-operation"]
    assert "completed" in long.call({"duration": 1, "steps": 4}, context=context)
    assert 0.5 in [fraction for _, fraction in told]

    async def cancel() -> float:
        task = asyncio.create_task(long.acall({"duration": 60, "steps": 2}))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(cancel()) < 30
    assert "again" in tools["e-echo"].call({"message": "again"})
    assert "resources" in json.loads(tools["e-list_resources"].call({}))


def test_prompts_of_the_everything_server(peers) -> None:
    entry = over_stdio(peers, "server-everything", "stdio")
    with McpServers({"mcpServers": {"e": entry}}) as servers:
        servers.ready(None)
        assert "simple-prompt" in {prompt.name for prompt in servers.prompts("e")}
        assert servers.prompt("e", "simple-prompt", {}).messages


@pytest.mark.parametrize("scenario", ["initialize", "tools_call", "sse-retry"])
def test_conformance_of_the_client(peers, scenario: str) -> None:
    command = f"{sys.executable} {HERE / 'conformance_client.py'}"
    options = ["--command", command, "--scenario", scenario, "--timeout", "150000"]
    # the suite measures how soon we reconnect: on a busy machine one of three must do
    for _ in range(3 if scenario == "sse-retry" else 1):
        done = peers.run(peers.main("conformance"), "client", *options)
        said = done.stdout + done.stderr
        if done.returncode == 0 and ", 0 failed, 0 warnings" in said:
            return
    raise AssertionError(said)
