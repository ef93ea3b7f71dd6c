from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FAULTY = str(HERE / "faulty_server.py")


@pytest.fixture
def faulty() -> Callable[..., dict[str, Any]]:
    """Makes the configuration of one hand-written server that misbehaves as named."""

    def make(fault: str = "", number: float = 0, **keys: Any) -> dict[str, Any]:
        return {"command": sys.executable, "args": [FAULTY, fault, str(number)], **keys}

    return make


@pytest.fixture
def tools_of() -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts servers and gives their tools by name; ends them after the test."""
    from qwenbelt.tools.mcp import mcp_tools

    connections = []

    def start(**servers: dict[str, Any]) -> dict[str, Any]:
        tools = mcp_tools({"mcpServers": servers})
        connections.extend({id(t.connection): t.connection for t in tools}.values())
        return {tool.name: tool for tool in tools}

    yield start
    for connection in connections:
        connection.loop.submit(connection.close()).result(10)


@pytest.fixture
def listening() -> Iterator[Callable[..., str]]:
    """Starts a script of this folder that prints the URL where it listens; gives that URL."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> str:
        command = [sys.executable, str(HERE / script), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
