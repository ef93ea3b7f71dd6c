"""Connections to databases that a process keeps open for the next one who asks.

Making one to a server takes longer than a statement; opening a file and closing it again has the
disk write it out three times.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Any

from qwenbelt.core.processes.per_process import PerProcess

_TO_ONE_PLACE = 4
_TO_FILES = 8  # in all: each has three files open


class OpenFile(sqlite3.Connection):
    """A connection to a file, which knows the file from one of the same name that came later."""

    file: tuple[int, int] | None = None


class IdleConnections:
    """Keeps connections that nobody uses, those used last; may be used from many threads."""

    def __init__(self) -> None:
        self._held: list[tuple[str, Any]] = []  # the one used last at the end
        self._lock = threading.Lock()

    def take(self, place: str) -> Any:
        """Returns a kept connection that still works, or None."""
        while True:
            with self._lock:
                at = [n for n, (where, _) in enumerate(self._held) if where == place]
                if not at:
                    return None
                _, connection = self._held.pop(at[-1])
            if _works(connection, place):
                return connection
            connection.close()

    def keep(self, place: str, connection: Any) -> None:
        """Takes a connection back; the ones used longest ago are closed where it becomes many."""
        surplus = []
        with self._lock:
            self._held.append((place, connection))
            here = [entry for entry in self._held if entry[0] == place]
            surplus += here[:-_TO_ONE_PLACE]
            files = [entry for entry in self._held if isinstance(entry[1], OpenFile)]
            surplus += [entry for entry in files[:-_TO_FILES] if entry not in surplus]
            self._held = [entry for entry in self._held if entry not in surplus]
        for _, one in surplus:
            one.close()

    def close(self) -> None:
        """Closes all."""
        for _, connection in self._held:
            connection.close()
        self._held.clear()


def _works(connection: Any, place: str) -> bool:
    if isinstance(connection, OpenFile):
        return connection.file is not None and connection.file == file_at(place)
    import psycopg

    try:
        connection.execute("SELECT 1")
    except psycopg.Error:  # the server is lost: another connection is made
        return False
    return True


def file_at(place: str) -> tuple[int, int] | None:
    """Returns what tells a file from others; None where it is missing, or cannot be told."""
    try:
        found = os.stat(place)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


idle_connections: PerProcess[IdleConnections] = PerProcess(IdleConnections, IdleConnections.close)
