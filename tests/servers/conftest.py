from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mcp_types import CallToolResult

from qwenbelt.tools.mcp import McpServers


class Client:
    """A connection of ours to one server, with plain calls."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.servers = McpServers({"mcpServers": {"s": entry}})
        self.servers.ready(None)
        assert self.servers.failures() == {}
        self.connection = self.servers.connections["s"]

    def request(self, start: Callable[[Any], Any]) -> Any:
        return self.connection.loop.submit(self.connection.request(start, "test")).result()

    def call(self, name: str, **arguments: Any) -> CallToolResult:
        return self.request(lambda client: client.call_tool(name, arguments))

    def text(self, name: str, **arguments: Any) -> str:
        result = self.call(name, **arguments)
        text = "\n".join(block.text for block in result.content if block.type == "text")
        assert not result.is_error, text
        return text

    def error(self, name: str, **arguments: Any) -> str:
        result = self.call(name, **arguments)
        assert result.is_error
        return result.content[0].text


def python_server(name: str, *arguments: object, **keys: Any) -> dict[str, Any]:
    """The configuration of one of our servers over stdio."""
    args = ["-m", f"qwenbelt.mcp_servers.{name}", *(str(a) for a in arguments)]
    return {"command": sys.executable, "args": args, **keys}


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Starts one of our servers over stdio, or connects to a URL."""
    clients: list[Client] = []

    def start(name: str, *arguments: object, **keys: Any) -> Client:
        if name.startswith("http"):
            entry = {"url": name, "type": "http", **keys}
        else:
            entry = python_server(name, *arguments, **keys)
        clients.append(Client(entry))
        return clients[-1]

    yield start
    for client in clients:
        client.servers.close()


@pytest.fixture
def serve_http() -> Iterator[Callable[..., str]]:
    """Starts one of our servers over HTTP and gives its URL."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object, **env: str) -> str:
        options = [] if "--http" in arguments else ["--http", "0"]
        command = [sys.executable, "-m", f"qwenbelt.mcp_servers.{name}", *map(str, arguments)]
        process = subprocess.Popen(
            [*command, *options], stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        running.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert re.match(r"http://", line), line + process.stderr.read()
        return line.strip()

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
