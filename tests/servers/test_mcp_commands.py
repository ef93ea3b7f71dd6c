"""`qwenbelt mcp serve|list|test`."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAULTY = str(Path(__file__).parents[1] / "mcp" / "faulty_server.py")


def qwenbelt(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from qwenbelt.apps.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def write(**servers: dict[str, Any]) -> Path:
        file = tmp_path / "mcp.json"
        file.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        return file

    return write


def ours(*arguments: object) -> dict[str, Any]:
    """A server as people configure it: by the command line."""
    code = "from qwenbelt.apps.cli import main; main()"
    return {"command": sys.executable, "args": ["-c", code, "mcp", "serve", *map(str, arguments)]}


def test_all_servers_run_by_the_command_line(config, tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    sqlite3.connect(database).close()
    file = config(
        files=ours("filesystem", tmp_path, "--read-only"),
        db=ours("sqlite", "--db-path", database),
        memory=ours("memory", "--file", tmp_path / "m.db"),
    )
    done = qwenbelt("mcp", "test", file, "--json")
    assert done.returncode == 0, done.stderr
    servers = {entry["name"]: entry for entry in json.loads(done.stdout)["servers"]}
    assert {name: entry["called"] for name, entry in servers.items()} == {
        "files": "list_allowed_directories",
        "db": "list_tables",
        "memory": "read_graph",
    }
    assert all(entry["ok"] and entry["seconds"] > 0 for entry in servers.values())
    done = qwenbelt("mcp", "list", file)
    assert "read_query" in done.stdout
    assert "search_nodes" in done.stdout


def test_what_is_wrong_is_said(config) -> None:
    fine = {"command": sys.executable, "args": [FAULTY]}
    file = config(
        good=fine,
        broken={"command": sys.executable, "args": [FAULTY, "exit"]},
        missing={"command": "no-such-program"},
        deaf={"command": sys.executable, "args": [FAULTY, "deaf"], "start_timeout": 0.5},
    )
    done = qwenbelt("mcp", "test", file)
    assert done.returncode == 1
    assert "good: ready in" in done.stdout
    assert (
        "broken: MCP server broken did not start: it ended with exit code 2: cannot open"
        in done.stdout
    )
    assert "'no-such-program' was not found" in done.stdout
    assert "did not answer within 0.5 s" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert qwenbelt("mcp", "list", file.parent / "none.json").returncode == 2
    assert qwenbelt("mcp", "serve", "nonsense").returncode == 2
    assert (
        "needs a token"
        in qwenbelt("mcp", "serve", "memory", "--http", "0", "--host", "0.0.0.0").stderr
    )


def test_help_names_the_servers() -> None:
    text = qwenbelt("mcp", "serve", "--help").stdout
    for name in ("sqlite", "filesystem", "memory", "toolbox"):
        assert name in text
    assert "--db-path" in qwenbelt("mcp", "serve", "sqlite", "--help").stdout
