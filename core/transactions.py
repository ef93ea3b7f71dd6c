"""One transaction of an SQLite file that writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator


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
