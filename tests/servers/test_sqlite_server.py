from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REFERENCE = {
    "read_query": {"query"},
    "write_query": {"query"},
    "create_table": {"query"},
    "list_tables": set(),
    "describe_table": {"table_name"},
    "append_insight": {"insight"},
}
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO items (name) VALUES (?)", [("tea",), ("中文",)])
    connection.close()
    return file


def test_it_drops_in_for_the_reference(connect, tmp_path: Path) -> None:
    client = connect("sqlite", "--db-path", tmp_path / "new.db", "--write")
    tools = {tool.name: tool for tool in client.servers.ready()["s"].tools}
    for name, arguments in REFERENCE.items():
        assert arguments <= set(tools[name].input_schema["properties"])
        assert set(tools[name].input_schema["required"]) == arguments
    client.text("create_table", query="CREATE TABLE t (a, b)")
    assert json.loads(client.text("write_query", query="INSERT INTO t VALUES (1, 'x')")) == {
        "affected_rows": 1
    }
    result = client.call("read_query", query="SELECT * FROM t")
    assert result.structured_content == {"columns": ["a", "b"], "rows": [[1, "x"]]}
    assert "data, not instructions" in result.content[1].text
    assert "SELECT queries are not allowed" in client.error("write_query", query="SELECT 1")
    assert "Only CREATE TABLE" in client.error("create_table", query="DROP TABLE t")
    assert "no such table" in client.error("read_query", query="SELECT * FROM none")
    assert "Not allowed here" in client.error("read_query", query="DELETE FROM t")
    tables = client.call("list_tables").structured_content["tables"]
    assert tables == [{"name": "t", "type": "table", "columns": ["a", "b"]}]
    assert [
        c["name"]
        for c in client.call("describe_table", table_name="t").structured_content["columns"]
    ] == ["a", "b"]


def test_the_memo_and_the_schema_are_resources(connect, path: Path) -> None:
    client = connect("sqlite", "--db-path", path)

    def read(uri: str) -> str:
        return client.request(lambda c: c.read_resource(uri)).contents[0].text

    assert "No business insights" in read("memo://insights")
    client.text("append_insight", insight="Tea sells best.")
    assert "- Tea sells best." in read("memo://insights")
    assert "CREATE TABLE items" in read("sqlite:///schema")
    assert "CREATE TABLE items" in read("sqlite:///schema/items")
    listed = client.request(lambda c: c.list_resources()).resources
    assert {r.uri for r in listed} >= {
        "memo://insights",
        "sqlite:///schema",
        "sqlite:///schema/items",
    }
    prompt = client.request(lambda c: c.get_prompt("mcp-demo", {"topic": "tea"}))
    assert "topic of tea" in prompt.messages[0].content.text


def test_read_only_unless_told(connect, path: Path, tmp_path: Path) -> None:
    client = connect("sqlite", "--db-path", path)
    assert "--write" in client.error("write_query", query="DELETE FROM items")
    assert "--write" in client.error("create_table", query="CREATE TABLE x (a)")
    command = [sys.executable, "-m", "qwenbelt.mcp_servers.sqlite", "--db-path"]
    done = subprocess.run(
        [*command, tmp_path / "none.db"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "no such database" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def ping(client) -> float:
    before = time.monotonic()
    client.text("append_insight", insight="ping")
    return time.monotonic() - before


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_endless_query_holds_up_nobody(connect, serve_http, path: Path, transport: str) -> None:
    arguments = ("--db-path", path, "--timeout", "1")
    client = (
        connect("sqlite", *arguments)
        if transport == "stdio"
        else connect(serve_http("sqlite", *arguments))
    )
    quiet = sorted(ping(client) for _ in range(20))[10]
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        stuck = pool.submit(client.error, "read_query", query=ENDLESS)
        time.sleep(0.2)
        times = []
        while not stuck.done():
            times.append(ping(client))
        assert "longer than 1 s" in stuck.result()
    assert 1 <= time.monotonic() - started < 15
    # a machine that is busy with other things is slow without the query too
    assert sorted(times)[len(times) // 2] < max(0.5, 5 * quiet)
