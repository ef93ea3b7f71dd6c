"""A transaction is whole or not at all, whatever ends it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from qwenbelt.core.transactions import write_transaction


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
