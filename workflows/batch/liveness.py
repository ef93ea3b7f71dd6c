"""Which workers of a batch are alive.

A worker holds a lock under its own name for as long as it lives: on one machine the lock of a
file, over PostgreSQL an advisory lock of its session. Both end with the process, however it ends,
so no clocks of two machines are compared. Whose lock can be had is dead, and what it was doing is
given to others.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Protocol

from qwenbelt.core.errors import ConfigError, one_line

# a machine that vanishes without a word is noticed within half a minute
IDLE_SECONDS, PROBE_SECONDS, PROBES, SILENT_SECONDS = 10, 5, 4, 30
_SERVER_SIDE = {
    "tcp_keepalives_idle": IDLE_SECONDS,
    "tcp_keepalives_interval": PROBE_SECONDS,
    "tcp_keepalives_count": PROBES,
    "tcp_user_timeout": 1000 * SILENT_SECONDS,
}
GRACE_SECONDS = 3.0  # a worker whose lock has been free for so long counts as dead


class Liveness(Protocol):
    """Who is alive."""

    def hold(self, worker: str) -> None:
        """Holds a worker's lock until `close`, or the end of the process."""

    def keep(self) -> None:
        """Makes sure that what is held is still held; call it again and again."""

    def is_dead(self, worker: str) -> bool:
        """Returns whether a worker's lock is free."""

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
        _lock_file(file)
        self._held[worker] = file

    def keep(self) -> None:
        """Does nothing: a file's lock is not lost."""

    def is_dead(self, worker: str) -> bool:
        """Returns whether the lock can be had; the file of a dead worker is removed."""
        if worker in self._held:
            return False
        path = self._path(worker)
        try:
            with path.open("r+b") as file:
                _lock_file(file)
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


def _lock_file(file: IO[bytes]) -> None:
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
        self._free_since: dict[str, float] = {}
        self._mutex = threading.Lock()
        self._connection: Any = self._connect()

    def hold(self, worker: str) -> None:
        """Holds the lock of a worker."""
        self._names.append(worker)
        self.keep()

    def keep(self) -> None:
        """Holds the locks again on a new session, if the server was away for a moment."""
        for name in self._names:
            self._ask("SELECT pg_try_advisory_lock(%s)", name)

    def is_dead(self, worker: str) -> bool:
        """Returns whether a worker's lock has been free for a while.

        At once would be too early: a worker whose session was cut, for example because the server
        was started again, needs a moment to hold its lock on a new one.
        """
        if worker in self._names:
            return False
        if not self._ask("SELECT pg_try_advisory_lock(%s)", worker):
            self._free_since.pop(worker, None)
            return False
        self._ask("SELECT pg_advisory_unlock(%s)", worker)
        now = time.monotonic()
        return now - self._free_since.setdefault(worker, now) >= GRACE_SECONDS

    def is_free(self, worker: str) -> bool:
        """Returns whether a worker's lock was free when it was looked at last."""
        return worker in self._free_since

    def close(self) -> None:
        """Ends the session, and with it the locks."""
        self._connection.close()

    def _ask(self, query: str, worker: str) -> bool:
        import psycopg

        with self._mutex:
            try:
                row = self._connection.execute(query, (self._number(worker),)).fetchone()
            except psycopg.OperationalError:
                self._connection.close()
                self._connection = self._connect()
                row = self._connection.execute(query, (self._number(worker),)).fetchone()
        return bool(row and row[0])

    def _connect(self) -> Any:
        import psycopg

        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=10,
                keepalives_idle=IDLE_SECONDS,
                keepalives_interval=PROBE_SECONDS,
                keepalives_count=PROBES,
                tcp_user_timeout=1000 * SILENT_SECONDS,
            )
        except psycopg.Error as error:
            raise unreachable_database(error) from error
        # the same on the server's side, which holds the locks of a machine that vanished
        for name, value in _SERVER_SIDE.items():
            with contextlib.suppress(psycopg.Error):  # an older server, or a pool that forbids it
                connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
        return connection

    def _number(self, worker: str) -> int:
        digest = hashlib.sha256(f"{self._space}\n{worker}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def dead_among(locks: Liveness, workers: Iterable[str]) -> set[str]:
    """Returns which of some workers are dead; takes seconds where one of PostgreSQL may be."""
    asked = set(workers)
    dead = {worker for worker in asked if locks.is_dead(worker)}
    if isinstance(locks, PostgresLocks) and any(locks.is_free(w) for w in asked - dead):
        threading.Event().wait(GRACE_SECONDS + 0.1)
        dead |= {worker for worker in asked - dead if locks.is_dead(worker)}
    return dead


class Unreachable(ConfigError):
    """The database cannot be used."""


def unreachable_database(error: Exception) -> Unreachable:
    """Returns the error for a database that cannot be used; its password is not in it."""
    if isinstance(error, Unreachable):
        return error
    reason = one_line(error, 200)
    return Unreachable(
        f"The database cannot be used: {reason}",
        fix="Give --db postgresql://USER@HOST/DATABASE of a running server.",
    )
