"""Which workers of a batch are alive.

A worker holds a lock under its own name for as long as it lives: on one machine the lock of a
file, over PostgreSQL an advisory lock of its session. Both end with the process, however it ends,
so no clocks are compared and no heartbeat is missed. Whose lock can be had is dead, and what it
was doing is given to others.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import IO, Any, Protocol

from qwenbelt.core.errors import ConfigError, QwenbeltError, one_line


class Liveness(Protocol):
    """Who is alive."""

    def hold(self, worker: str) -> None:
        """Holds a worker's lock until `close`, or the end of the process."""

    def is_dead(self, worker: str) -> bool:
        """Says whether nobody holds a worker's lock."""

    def close(self) -> None:
        """Lets go."""


class FileLocks:
    """Locks of files, for the workers of one machine.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, IO[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def hold(self, worker: str) -> None:
        """Holds the lock of a worker's file."""
        file = self._path(worker).open("wb")
        _lock(file)
        self._held[worker] = file

    def is_dead(self, worker: str) -> bool:
        """Says whether the lock can be had; the file of a dead worker is removed."""
        if worker in self._held:
            return False
        path = self._path(worker)
        try:
            with path.open("r+b") as file:
                _lock(file)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        with contextlib.suppress(OSError):
            path.unlink()
        return True

    def close(self) -> None:
        """Lets go of the locks and removes the files."""
        for worker, file in self._held.items():
            file.close()
            with contextlib.suppress(OSError):
                self._path(worker).unlink()
        self._held.clear()

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"


def _lock(file: IO[bytes]) -> None:
    """Locks a file, or raises OSError when another process holds it."""
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    import fcntl

    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class PostgresLocks:
    """Advisory locks of a PostgreSQL session, for workers on any number of machines.

    Args:
        url: the database; the session is one connection of its own.
        space: a number that sets the locks of one batch apart.

    Raises:
        ConfigError: the database cannot be reached.
    """

    def __init__(self, url: str, space: str) -> None:
        self._url = url
        self._space = space
        self._names: list[str] = []
        self._mutex = threading.Lock()
        self._connection: Any = self._connect()

    def hold(self, worker: str) -> None:
        """Holds the lock of a worker."""
        self._names.append(worker)
        self._ask("SELECT pg_advisory_lock(%s)", worker)

    def is_dead(self, worker: str) -> bool:
        """Says whether nobody holds a worker's lock."""
        if worker in self._names:
            return False
        if not self._ask("SELECT pg_try_advisory_lock(%s)", worker):
            return False
        self._ask("SELECT pg_advisory_unlock(%s)", worker)
        return True

    def close(self) -> None:
        """Ends the session, and with it the locks."""
        self._connection.close()

    def _ask(self, query: str, worker: str) -> bool:
        import psycopg

        with self._mutex:
            try:
                row = self._connection.execute(query, (self._number(worker),)).fetchone()
            except psycopg.OperationalError:
                # the server went away for a moment: what was held is held again, on a new session
                self._connection = self._connect()
                for name in self._names:
                    self._connection.execute(
                        "SELECT pg_try_advisory_lock(%s)", (self._number(name),)
                    )
                row = self._connection.execute(query, (self._number(worker),)).fetchone()
        return bool(row and row[0])

    def _connect(self) -> Any:
        import psycopg

        try:
            # a machine that vanishes without a word is noticed within half a minute
            return psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=10,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=4,
                tcp_user_timeout=30_000,
            )
        except psycopg.Error as error:
            raise unreachable(error) from error

    def _number(self, worker: str) -> int:
        digest = hashlib.sha256(f"{self._space}\n{worker}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def unreachable(error: Exception) -> QwenbeltError:
    """Returns the error for a database that cannot be used; its password is not in it."""
    reason = one_line(error, 200)
    return ConfigError(
        f"The database cannot be used: {reason}",
        fix="Give --db postgresql://USER@HOST/DATABASE of a running server.",
    )
