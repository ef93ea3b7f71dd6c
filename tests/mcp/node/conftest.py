"""Peers on Node.js; without them their tests are skipped and say what installs them."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SECONDS = 400  # for one program; usual are 2 to 10


class Peers:
    """A folder that .ci/node_peers.py has filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = str(folder / "bin" / "node")
        self.env = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def main(self, package: str) -> str:
        """The script that a package's first command runs."""
        folder = self.folder / "node_modules" / "@modelcontextprotocol" / package
        commands = json.loads((folder / "package.json").read_text(encoding="utf-8"))["bin"]
        return str(folder / next(iter(commands.values())))

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.node, *map(str, command)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**self.env, **env},
            timeout=SECONDS,
            check=False,
        )

    def client(self, sdk: int, server: dict[str, Any], *steps: dict[str, Any]) -> list[Any]:
        """What a client on the TypeScript SDK gets for each step."""
        plan = json.dumps({**server, "steps": steps})
        done = self.run(HERE / "client.cjs", self.folder, sdk, plan)
        assert done.returncode == 0, done.stderr
        results: list[Any] = json.loads(done.stdout)["results"]
        return results


class Background:
    """A server that listens, and what it says on standard error."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env
        )
        assert self._process.stderr is not None
        self._words = self._process.stderr
        self._rest = threading.Thread(target=self._words.read)

    def said(self, pattern: str) -> str:
        """Waits until it says something that fits; gives it."""
        lines = []
        for line in self._words:
            lines.append(line)
            if found := re.search(pattern, line):
                self._rest.start()  # what it says later must not fill the pipe
                return found.group()
        raise AssertionError("".join(lines))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._rest.ident:
            self._rest.join()
        self._words.close()


@pytest.fixture(scope="session")
def peers() -> Peers:
    named = os.environ.get("QWENBELT_NODE_PEERS", "")
    folder = Path(named or "node-peers")
    if not (folder / "node_modules").is_dir():
        pytest.skip(
            "no Node peers: python .ci/node_peers.py FOLDER, then QWENBELT_NODE_PEERS=FOLDER"
        )
    return Peers(folder.resolve())


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Gives one of our servers with a little content, as a command or as a URL."""
    running: list[Background] = []
    arguments = _grounds(tmp_path)
    env = {"QWENBELT_WORKSPACE": str(tmp_path / "work"), "QWENBELT_ALLOW_UNSANDBOXED": "1"}

    def start(name: str, transport: str) -> dict[str, Any]:
        command = [sys.executable, "-m", f"qwenbelt.mcp_servers.{name}", *arguments[name]]
        if transport == "stdio":
            path = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            return {"command": command, "env": {**path, **env}}
        running.append(Background([*command, "--http", "0"], {**os.environ, **env}))
        return {"url": running[-1].said(r"http://\S+")}

    yield start
    for process in running:
        process.end()


def _grounds(folder: Path) -> dict[str, list[str]]:
    files, database = folder / "files", folder / "shop.db"
    files.mkdir()
    (files / "a.txt").write_text("hello 你好\n", encoding="utf-8")
    (files / "pump.md").write_text("# Pump\n\nThe rod bears 412 MPa.\n", encoding="utf-8")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO items (name) VALUES (?)", [("tea",), ("中文",)])
    connection.close()
    return {
        "filesystem": [str(files)],
        "sqlite": ["--db-path", str(database)],
        "memory": ["--file", str(folder / "m.db")],
        "toolbox": [str(files)],
    }


@pytest.fixture
def everything(peers: Peers) -> Iterator[Callable[[str], str]]:
    """Starts the TypeScript everything server over HTTP or SSE; gives its URL."""
    running: list[Background] = []

    def start(kind: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [peers.node, peers.main("server-everything"), kind]
        running.append(Background(command, {**peers.env, "PORT": str(port)}))
        running[-1].said(f"port {port}")
        return f"http://127.0.0.1:{port}/{'sse' if kind == 'sse' else 'mcp'}"

    yield start
    for process in running:
        process.end()
