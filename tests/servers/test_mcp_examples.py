"""The examples of this part run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCENARIO = """
turns:
  - calls:
      - shop-read_query: {query: SELECT name FROM items}
  - expect:
      results: {shop-read_query: {contains: green tea}}
    answer: The shop sells green tea.
"""


def run(name: str, *words: object, **env: str) -> str:
    # the example starts the command `qwenbelt`
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PATH": path, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mcp_in_five_lines(tmp_path: Path) -> None:
    database, scenario = tmp_path / "shop.db", tmp_path / "s.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE items (name TEXT)")
        connection.execute("INSERT INTO items VALUES ('green tea')")
    connection.close()
    endpoint = f"scripted:{scenario}"
    said = run("mcp_five_lines.py", database, "What?", QWENBELT_ENDPOINT=endpoint)
    assert '[["green tea"]]' in said.replace("\n", "").replace(" [", "[")
    assert said.splitlines()[-1] == "assistant: The shop sells green tea."


def test_tools_without_servers(tmp_path: Path) -> None:
    said = run("mcp_tools_without_servers.py", tmp_path)
    assert "+二" in said
    assert "喜欢喝茶" in said
    assert '["Ada", "person"]' in said
    assert (tmp_path / "notes.txt").read_bytes() == "one\r\n二\r\n".encode()
