from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qwenbelt.core.errors import (
    ConfigError,
    QwenbeltError,
    ToolCancelled,
    ToolError,
    ToolRefused,
    ToolTimeout,
)
from qwenbelt.tools.operation import MAX_REPLY_BYTES, OperationCall
from qwenbelt.tools.sqlite.engine import Database, first_word

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data" / "shop.db"
    file.parent.mkdir()
    with sqlite3.connect(file) as connection:
        connection.executescript(
            """
            CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL DEFAULT 1);
            INSERT INTO items (name, price) VALUES ('tea', 2.5), ('coffee', 3), ('中文', NULL);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, item INTEGER REFERENCES items(id));
            CREATE INDEX orders_item ON orders(item);
            CREATE VIEW dear AS SELECT * FROM items WHERE price > 2;
            CREATE VIRTUAL TABLE notes USING fts5(body);
            INSERT INTO notes VALUES ('green tea leaves'), ('black coffee');
            """
        )
    connection.close()
    return file


def state(path: Path) -> dict[str, str]:
    return {
        str(p.relative_to(path.parent)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(path.parent.rglob("*"))
    }


HOSTILE = [
    "INSERT INTO items (name) VALUES ('x')",
    "UPDATE items SET name = 'x'",
    "DELETE FROM items",
    "REPLACE INTO items (id, name) VALUES (1, 'x')",
    "DROP TABLE items",
    "DROP VIEW dear",
    "DROP INDEX orders_item",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TABLE t AS SELECT * FROM items",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE INDEX i ON items(name)",
    "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",
    "CREATE TEMP TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "CREATE VIRTUAL TABLE t USING dbstat",
    "ALTER TABLE items RENAME TO things",
    "ALTER TABLE items ADD COLUMN c",
    "ATTACH DATABASE '{folder}/new.db' AS other",
    "ATTACH DATABASE ':memory:' AS other",
    "ATTACH DATABASE '' AS other",
    "ATTACH 'file:{folder}/new.db?mode=rwc' AS other",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO '{folder}/copy.db'",
    "VACUUM main INTO '{folder}/copy.db'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "PRAGMA query_only = OFF",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = WAL",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA page_size = 512",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA incremental_vacuum",
    "PRAGMA optimize",
    "PRAGMA temp_store_directory = '{folder}'",
    "PRAGMA trusted_schema = ON",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA schema_version = 99",
    "PRAGMA mmap_size = 100000000000",
    "PRAGMA key = 'x'",
    "SELECT load_extension('{folder}/x.so')",
    "SELECT load_extension('libc.so.6', 'system')",
    "SELECT fts3_tokenizer('simple', x'4141414142424242')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT writefile('{folder}/x', 'y')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x')",
    "SELECT * FROM fsdir('/')",
    "SELECT * FROM sqlite_dbpage",
    "INSERT INTO notes(notes) VALUES ('rebuild')",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x(a)')",
    "DELETE FROM sqlite_sequence",
    "WITH x AS (SELECT 1) INSERT INTO items (name) SELECT 'x'",
    "WITH x AS (SELECT 1) DELETE FROM items",
    "SELECT 1; DELETE FROM items",
    "SELECT 1; ATTACH '{folder}/new.db' AS other",
    "/* SELECT */ DELETE FROM items",
    "-- SELECT\nDELETE FROM items",
    "EXPLAIN DELETE FROM items; DELETE FROM items",
    "SELECT zeroblob(100000000)",
    "SELECT length(randomblob(1000000000))",
    "SELECT replace(hex(zeroblob(30000000)), '0', '0000')",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + " UNION SELECT ".join("1" for _ in range(1000)),
    "SELECT 1" + " " * 2_000_000,
    ENDLESS,
    "SELECT count(*) FROM items a, items b, items c, items d, items e, items f, items g, items h, "
    "items i, items j, items k, items l, items m, items n, items o, items p, items q, items r",
    "",
    ";",
    "SELECT",
    "\0",
    "SELECT '\0",
    "SELECT \ud800",
]


def test_there_are_enough_hostile_statements() -> None:
    assert len(set(HOSTILE)) >= 40


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_statement_writes_or_lasts(path: Path, number: int) -> None:
    if sys.version_info < (3, 11) and ("blob(" in HOSTILE[number] or "printf" in HOSTILE[number]):
        pytest.skip("sizes cannot be limited before Python 3.11")
    database = Database(path, seconds=0.3)
    before = state(path)
    started = time.monotonic()
    try:
        page = database.query(HOSTILE[number].replace("{folder}", str(path.parent)))
    except QwenbeltError:
        pass  # some are harmless and may succeed
    else:
        assert page.rows in ([], [[None]]), HOSTILE[number]
    assert time.monotonic() - started < 15
    assert database.query("SELECT count(*) FROM items").rows == [[3]]
    database.close()
    assert state(path) == before


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{folder}/new.db' AS other",
        "VACUUM INTO '{folder}/copy.db'",
        "PRAGMA journal_mode = WAL",
        "PRAGMA writable_schema = ON",
        "SELECT load_extension('x')",
        "COMMIT",
        "BEGIN",
        "CREATE VIRTUAL TABLE t USING csv(filename='/etc/passwd')",
        "UPDATE sqlite_master SET sql = ''",
        "INSERT INTO items (name) VALUES ('kept?'); ATTACH 'x' AS y",
    ],
)
def test_writing_does_not_allow_everything(path: Path, sql: str) -> None:
    database = Database(path, write=True)
    before = state(path)
    with pytest.raises(QwenbeltError):
        database.change(sql.replace("{folder}", str(path.parent)))
    database.close()
    assert state(path) == before


def test_reading(path: Path) -> None:
    database = Database(path)
    page = database.query("SELECT name, price FROM items WHERE price > ? ORDER BY id", [2])
    assert (page.columns, page.rows) == (["name", "price"], [["tea", 2.5], ["coffee", 3.0]])
    assert database.query("SELECT :a + :b AS sum", {"a": 1, "b": 2}).rows == [[3]]
    assert database.query("SELECT name FROM dear").rows == [["tea"], ["coffee"]]
    found = database.query("SELECT body FROM notes WHERE notes MATCH 'tea'").rows
    assert found == [["green tea leaves"]]
    assert database.query("SELECT value FROM json_each('[1,2]')").rows == [[1], [2]]
    assert database.query("PRAGMA table_info(items)").rows[0][1] == "id"
    assert len(database.query("EXPLAIN QUERY PLAN SELECT * FROM items").rows) == 1
    assert database.query("VALUES (1), (2)").rows == [[1], [2]]


def test_odd_values(path: Path) -> None:
    database = Database(path)
    row = database.query(
        "SELECT 9e999, x'00ff', CAST(x'ff41' AS TEXT), NULL, 9223372036854775807"
    ).rows[0]
    assert row == ["inf", {"blob": "AP8=", "bytes": 2}, "\ufffdA", None, 9223372036854775807]
    long = database.query("SELECT printf('%.*c', 20000, 'x')").rows[0][0]
    assert long.endswith("… [3616 more characters; use substr()]")


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("SELECT * FROM none", [], "no such table: none"),
        ("SELEC 1", [], "syntax error"),
        ("SELECT ?", [], "binding"),
        ("SELECT :a", {}, "binding"),
        ("SELECT ?", [[1]], "Parameters must be"),
        ("SELECT ?", [2**70], "too large"),
        ("DELETE FROM items", [], "use one SELECT statement"),
    ],
)
def test_errors_are_one_line_that_helps(path: Path, sql: str, parameters: list, said: str) -> None:
    with pytest.raises((ToolError, ToolRefused), match=said):
        Database(path).query(sql, parameters)


def test_an_endless_query_ends_and_holds_up_nobody(path: Path) -> None:
    database = Database(path, seconds=1.0)
    with ThreadPoolExecutor(4) as pool:
        started = time.monotonic()
        stuck = [pool.submit(database.query, ENDLESS) for _ in range(3)]
        time.sleep(0.2)
        times = []
        for _ in range(10):
            before = time.monotonic()
            database.query("SELECT 1")
            times.append(time.monotonic() - before)
            time.sleep(0.02)
        for future in stuck:
            with pytest.raises(ToolTimeout, match="longer than 1 s"):
                future.result()
    assert 0.9 < time.monotonic() - started < 15
    assert sorted(times)[5] < 0.9


def test_cancel_ends_a_query(path: Path) -> None:
    call = OperationCall()
    threading.Timer(0.2, call.cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(ToolCancelled):
        Database(path).query(ENDLESS, call=call)
    assert time.monotonic() - started < 10


MANY = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
    SELECT i, 'row number ' || i AS name FROM n
"""


def pages(database: Database, sql: str, max_rows: int) -> list[int]:
    found, cursor = [], None
    while True:
        page = database.query(sql, max_rows=max_rows, cursor=cursor)
        found += [row[0] for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            return found


def test_pages_fit_and_lose_no_row(path: Path) -> None:
    database = Database(path)
    assert pages(database, MANY.format(25_000), 100_000) == list(range(1, 25_001))
    assert pages(database, MANY.format(20), 7) == list(range(1, 21))
    assert pages(database, MANY.format(14), 7) == list(range(1, 15))
    page = database.query(MANY.format(100_000), max_rows=100_000)
    assert len(str(page.rows)) < MAX_REPLY_BYTES * 1.1


def test_a_cursor_whose_statement_was_closed_still_goes_on(path: Path) -> None:
    database = Database(path)
    first = database.query(MANY.format(50), max_rows=10)
    for _ in range(20):
        database.query(MANY.format(50), max_rows=10)  # more than are kept open
    second = database.query(MANY.format(50), max_rows=10, cursor=first.cursor)
    assert [row[0] for row in second.rows] == list(range(11, 21))
    with pytest.raises(ToolError, match="no cursor"):
        database.query(MANY.format(50), cursor="nonsense")


def test_many_rows_in_flat_memory(path: Path) -> None:
    database = Database(path)
    tracemalloc.start()
    cursor, count = None, 0
    while True:
        page = database.query(MANY.format(30_000), max_rows=100_000, cursor=cursor)
        count += len(page.rows)
        cursor = page.cursor
        if cursor is None:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak < 10_000_000


def test_writing(path: Path) -> None:
    database = Database(path, write=True)
    assert database.change("INSERT INTO items (name) VALUES (?), (?)", ["a", "b"])[0] == 2
    affected, page = database.change("UPDATE items SET price = 9 RETURNING id")
    assert (affected, len(page.rows)) == (5, 5)
    assert database.query("SELECT count(*) FROM items WHERE price = 9").rows == [[5]]
    database.change("CREATE TABLE t (a UNIQUE)")
    with pytest.raises(ToolError, match="UNIQUE constraint failed"):
        database.change("INSERT INTO t VALUES (1), (2), (1)")
    assert database.query("SELECT count(*) FROM t").rows == [[0]]
    with pytest.raises(ToolError, match="FOREIGN KEY"):
        database.change("INSERT INTO orders (item) VALUES (999)")
    slow = Database(path, write=True, seconds=0.3)
    with pytest.raises(ToolTimeout):
        slow.change(f"INSERT INTO t {ENDLESS}")
    assert database.query("SELECT count(*) FROM t").rows == [[0]]
    with pytest.raises(ToolRefused, match="read-only"):
        Database(path).change("DELETE FROM items")


def test_writers_wait_for_each_other(path: Path) -> None:
    database = Database(path, write=True)
    database.change("CREATE TABLE counter (n)")
    database.change("INSERT INTO counter VALUES (0)")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: database.change("UPDATE counter SET n = n + 1"), range(100)))
    assert database.query("SELECT n FROM counter").rows == [[100]]


def test_schema(path: Path) -> None:
    database = Database(path)
    tables = {t["name"]: t for t in database.tables()}
    assert tables["items"]["columns"] == ["id", "name", "price"]
    assert tables["dear"]["type"] == "view"
    described = database.describe("ORDERS")
    assert described["foreign_keys"] == [{"column": "item", "table": "items", "references": "id"}]
    assert described["indexes"] == [{"name": "orders_item", "unique": False}]
    assert described["sql"].startswith("CREATE TABLE orders")
    with pytest.raises(ToolError, match=r"there are: .*items"):
        database.describe("items; DROP TABLE items")
    assert "CREATE INDEX orders_item" in database.schema()


def test_files_that_are_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such database"):
        Database(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("hello, this is not a database at all" * 50)
    with pytest.raises(ConfigError, match="not a database"):
        Database(tmp_path / "text.db")
    with pytest.raises(ConfigError):
        Database(tmp_path)
    odd = tmp_path / "a?mode=rwc#%20 é.db"
    sqlite3.connect(odd).close()
    odd.write_bytes(b"")
    assert Database(odd).query("SELECT 1").rows == [[1]]
    assert sorted(os.listdir(tmp_path)) == sorted(["text.db", odd.name])


def test_a_replaced_file_is_seen(path: Path) -> None:
    database = Database(path)
    assert database.query("SELECT count(*) FROM items").rows == [[3]]
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE items (a)")
    connection.close()
    assert database.query("SELECT count(*) FROM items").rows == [[0]]


def test_wal_in_a_folder_that_cannot_be_written(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    os.chmod(path.parent, 0o555)
    try:
        assert Database(path).query("SELECT count(*) FROM items").rows == [[3]]
    finally:
        os.chmod(path.parent, 0o755)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "SELECT"),
        ("  -- x\n /* y */ Insert into", "INSERT"),
        ("/* never closed", ""),
        ("", ""),
        (";;SELECT", "SELECT"),
    ],
)
def test_first_word(sql: str, word: str) -> None:
    assert first_word(sql) == word
