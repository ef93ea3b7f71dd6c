"""Queries in processes of their own: what nothing inside SQLite would stop is stopped."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qwenbelt.core.errors import ConfigError, ToolCancelled, ToolError, ToolRefused, ToolTimeout
from qwenbelt.tools.operation import OperationCall
from qwenbelt.tools.sqlite.pool import DatabasePool

# each keeps one step of SQLite's machine busy for minutes or hours
STUCK = [
    "SELECT instr(hex(zeroblob(7000000)), hex(zeroblob(3000000)) || '1')",
    "SELECT replace(hex(zeroblob(7000000)), hex(zeroblob(3000000)) || '1', '')",
    "SELECT printf('%.*c', 2000000000, 'x'), printf('%.*c', 2000000000, 'x')",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO items (name) VALUES (?)", [("a",), ("b",), ("c",)])
    connection.close()
    return file


@pytest.mark.parametrize("sql", STUCK)
def test_a_function_that_takes_hours_is_ended(path: Path, sql: str) -> None:
    pool = DatabasePool(path, seconds=0.3)
    started = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        stuck = threads.submit(pool.query, sql)
        time.sleep(0.2)
        assert pool.query("SELECT count(*) FROM items").rows == [[3]]
        with pytest.raises(ToolTimeout, match=r"longer than 0.3 s and was stopped"):
            stuck.result()
    assert time.monotonic() - started < 15
    assert pool.query("SELECT 1").rows == [[1]]
    pool.close()


def test_memory_is_limited(path: Path) -> None:
    pool = DatabasePool(path, seconds=2)
    values = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)"
    with pytest.raises(ToolError):
        pool.query(
            f"{values} SELECT count(*) FROM (SELECT randomblob(15000000) b FROM n ORDER BY b)"
        )
    assert pool.query("SELECT 1").rows == [[1]]
    pool.close()


def test_a_query_can_be_cancelled(path: Path) -> None:
    pool = DatabasePool(path)
    call = OperationCall()
    threading.Timer(0.2, call.cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(ToolCancelled):
        pool.query(STUCK[0], call=call)
    assert time.monotonic() - started < 10
    pool.close()


def test_a_process_that_was_killed_is_replaced(path: Path) -> None:
    pool = DatabasePool(path)
    (worker,) = pool._idle._idle().children
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(ToolError):
        pool.query("SELECT 1")
    assert pool.query("SELECT 1").rows == [[1]]
    assert worker not in pool._idle._idle().children
    pool.close()


def test_many_at_once_and_few_kept(path: Path) -> None:
    pool = DatabasePool(path)
    with ThreadPoolExecutor(24) as threads:
        found = list(threads.map(lambda i: pool.query("SELECT ?", [i]).rows[0][0], range(100)))
    assert found == list(range(100))
    assert len(pool._idle) <= 4
    pool.close()


def test_pages_go_on_in_any_process(path: Path) -> None:
    pool = DatabasePool(path)
    sql = "SELECT id FROM items ORDER BY id"
    first = pool.query(sql, max_rows=1)
    assert pool.query(sql, max_rows=1, cursor=first.cursor).rows == [[2]]
    first = pool.query(sql, max_rows=1)
    pool._idle.close()
    assert pool.query(sql, max_rows=5, cursor=first.cursor).rows == [[2], [3]]
    with pytest.raises(ToolError, match="no cursor"):
        pool.query(sql, cursor="x")
    pool.close()


def test_writing_and_errors(path: Path, tmp_path: Path) -> None:
    pool = DatabasePool(tmp_path / "new.db", write=True)
    pool.change("CREATE TABLE t (a UNIQUE)")
    assert pool.change("INSERT INTO t VALUES (?) RETURNING a", [1])[1].rows == [[1]]
    with pytest.raises(ToolError, match="UNIQUE"):
        pool.change("INSERT INTO t VALUES (1)")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: pool.change("INSERT INTO t VALUES (?)", [i]), range(10, 60)))
    assert pool.query("SELECT count(*) FROM t").rows == [[51]]
    assert pool.tables()[0]["name"] == "t"
    pool.close()
    with pytest.raises(ToolRefused, match="read-only"):
        DatabasePool(path).change("DELETE FROM items")
    with pytest.raises(ToolRefused, match="use one SELECT"):
        DatabasePool(path).query("DELETE FROM items")
    with pytest.raises(ConfigError, match="no such database"):
        DatabasePool(tmp_path / "none.db")
