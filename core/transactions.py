"""An SQLite file that several threads and processes use: its log, and a transaction that writes."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator

_SWITCH_SECONDS = 30.0


def use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Lets readers and a writer of a file work side by side (WAL).

    SQLite fails at once where another connection holds the file at the moment of the switch: its
    own wait for locks does not cover it, so two processes that open a new file together need this.

    Raises:
        sqlite3.Error: the file is locked for half a minute, or is no database.
    """
    end = time.monotonic() + _SWITCH_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # by its text: Python 3.10 has no error code here
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


@contextlib.contextmanager
def write_transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Takes the write lock at once, so that nothing that was read can change before the writing.

    Whatever ends the block early, an interrupt too, takes everything back. The connection must be
    in autocommit mode (`isolation_level=None`).
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:  # an interrupt must not leave the file locked either
        if connection.in_transaction:  # a full disk has SQLite take all back by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
