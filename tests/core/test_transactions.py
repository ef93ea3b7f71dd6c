"""A transaction is whole or not at all, whatever ends it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from qwenbelt.core.transactions import use_write_ahead_log, write_transaction


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, sqlite3.IntegrityError])
def test_whatever_ends_it_early_takes_everything_back(
    tmp_path: Path, error: type[BaseException]
) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("CREATE TABLE t (x)")

    def broken() -> None:
        with write_transaction(connection) as file:
            file.execute("INSERT INTO t VALUES (1)")
            raise error

    with pytest.raises(error):
        broken()
    with write_transaction(connection) as file:
        file.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
    connection.close()


def test_the_log_waits_for_another_that_holds_the_file(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    freed = threading.Event()

    def free() -> None:
        holder.execute("COMMIT")
        freed.set()

    threading.Timer(0.2, free).start()
    opened = sqlite3.connect(tmp_path / "a.db", timeout=0)
    use_write_ahead_log(opened)
    assert freed.is_set()
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    opened.close()
    holder.close()


def test_the_log_of_what_is_no_database_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"words " * 400)
    opened = sqlite3.connect(tmp_path / "a.db")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        use_write_ahead_log(opened)
    opened.close()
