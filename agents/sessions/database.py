"""The tables of sessions, in one SQLite file or in PostgreSQL.

A turn is a question and all that followed; its messages are rows of their own, so that each is
kept the moment it is there. A turn is open until its run has ended.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwenbelt.agents.sessions.connections import OpenFile, file_at, idle_connections
from qwenbelt.agents.sessions.owners import other_at_work, this_process
from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.extras import require_extra
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.transactions import use_write_ahead_log

Message = dict[str, Any]
Turn = tuple[int, bool, list[Message]]
_PASSWORD = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)
# what databases say when they have no more connections, and no more room
_CROWDED = ("too many clients", "too many connections", "remaining connection slots")
_FULL = ("disk is full", "disk I/O error", "No space left")
_POSTGRES = ("postgresql://", "postgres://")
SESSION_TABLES = (
    "CREATE TABLE IF NOT EXISTS qwenbelt_session_turns ("
    "session TEXT NOT NULL, turn INTEGER NOT NULL, is_open INTEGER NOT NULL, "
    "PRIMARY KEY (session, turn))",
    "CREATE TABLE IF NOT EXISTS qwenbelt_session_messages ("
    "session TEXT NOT NULL, turn INTEGER NOT NULL, place INTEGER NOT NULL, message TEXT NOT NULL, "
    "PRIMARY KEY (session, turn, place))",
    "CREATE TABLE IF NOT EXISTS qwenbelt_session_uses ("
    "session TEXT NOT NULL PRIMARY KEY, used DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE IF NOT EXISTS qwenbelt_session_owners ("
    "session TEXT NOT NULL PRIMARY KEY, turn INTEGER NOT NULL, owner TEXT NOT NULL)",
)

_MAKING = 0x51574279  # the lock under which tables are made
_made_tables: set[tuple[str, ...]] = set()


class SessionBusyError(InputError):
    """Another process is answering in the session."""


def is_postgres(place: str | Path) -> bool:
    """Returns whether a place is the URL of a PostgreSQL database."""
    return str(place).startswith(_POSTGRES)


class StoreTables:
    """Tables in a SQLite file or in PostgreSQL; may be used from many threads and processes.

    Args:
        place: the path of a SQLite file, or the URL of a PostgreSQL database.
        tables: the statements that make them where they are missing.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the database cannot be used.
    """

    def __init__(self, place: str | Path, tables: Sequence[str]) -> None:
        self.place = str(place)
        self._postgres = is_postgres(self.place)
        self._lock = threading.Lock()
        scheme, mark, _ = self.place.partition("://")
        if mark and not self._postgres:
            raise InputError(
                f"{scheme}:// is no database that can be used here.",
                fix="Give the path of a SQLite file or postgresql://….",
            )
        if self._postgres:
            require_extra("postgres")
        if (self.place, *tables) in _made_tables:
            return
        with self._transaction() as run:
            if self._postgres:  # two that make a table at once would fail, one of them
                run(f"SELECT pg_advisory_xact_lock({_MAKING})", ())
            for table in tables:
                run(table, ())
        if self._postgres:  # a file may be deleted and made anew
            _made_tables.add((self.place, *tables))

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Gives a function that runs a statement with `?` and returns its rows."""
        with self._lock, self._connection() as connection:
            try:
                with connection if not self._postgres else connection.transaction():

                    def run(statement: str, values: Sequence[Any]) -> list[Any]:
                        if self._postgres:
                            statement = statement.replace("?", "%s")
                        cursor = connection.execute(statement, values)
                        return cursor.fetchall() if cursor.description else []

                    yield run
            except (sqlite3.Error, self._other_error()) as error:
                raise _unusable(self.place, error) from error

    @contextmanager
    def _writing(self, name: str) -> Iterator[Any]:
        """Gives what `_transaction` gives, to one process at a time for the rows of a name."""
        with self._transaction() as run:
            if self._postgres:
                run("SELECT pg_advisory_xact_lock(hashtext(?))", (f"qwenbelt {name}",))
            else:
                run("BEGIN IMMEDIATE", ())
            yield run

    def _now(self, run: Any) -> float:
        """The time by the one clock that all have: those of machines may differ by minutes."""
        if not self._postgres:
            return time.time()
        return float(run("SELECT extract(epoch FROM clock_timestamp())", ())[0][0])

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Gives a connection, which is kept for the next ones of this process."""
        idle = idle_connections()
        connection = idle.take(self.place) or self._connect()
        try:
            yield connection
        except BaseException:  # whatever went wrong with it, nobody else is to meet it
            connection.close()
            raise
        if (self._postgres and connection.closed) or os.name == "nt":  # there, it cannot be deleted
            connection.close()
        else:
            idle.keep(self.place, connection)

    def _connect(self) -> Any:
        if self._postgres:
            import psycopg

            try:
                return psycopg.connect(self.place, connect_timeout=10, autocommit=True)
            except psycopg.Error as error:
                raise _unusable(self.place, error) from error
        try:
            connection = sqlite3.connect(
                self.place,
                timeout=30,
                isolation_level="IMMEDIATE",
                check_same_thread=False,  # by one thread at a time
                factory=OpenFile,
            )
            use_write_ahead_log(connection)
            connection.file = file_at(self.place)
        except sqlite3.Error as error:
            raise _unusable(self.place, error) from error
        return connection

    def _other_error(self) -> type[Exception]:
        if not self._postgres:
            return sqlite3.Error
        import psycopg

        error: type[Exception] = psycopg.Error
        return error


class SessionDatabase(StoreTables):
    """Where sessions are kept.

    Args:
        place: the path of a SQLite file, or the URL of a PostgreSQL database.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the database cannot be used.
    """

    def __init__(self, place: str | Path) -> None:
        super().__init__(place, SESSION_TABLES)

    def turns(self, session: str) -> list[Turn]:
        """Returns the turns of a session in order: number, whether it is open, messages."""
        with self._transaction() as run:
            return _turns(run, session)

    def take(self, session: str, question: Sequence[Message]) -> tuple[list[Turn], Turn]:
        """Returns the turns before a question, and its own: an open one of the same, or a new one.

        Raises:
            InputError: another process is answering in the session.
        """
        asked = list(question)
        with self._writing(session) as run:
            turns = _turns(run, session)
            if turns and turns[-1][1]:
                owners = run(
                    "SELECT owner FROM qwenbelt_session_owners WHERE session = ? AND turn = ?",
                    (session, turns[-1][0]),
                )
                if owners and (process := other_at_work(owners[0][0])):
                    raise SessionBusyError(
                        f"The session {session!r} is answering in process {process}.",
                        fix="Wait until that has ended, or ask in a fork of the session.",
                    )
                if turns[-1][2][: len(asked)] == asked:
                    _own(run, session, turns[-1][0])
                    return turns[:-1], turns[-1]
                _close(run, session, turns[-1][0])
            number = _begin(run, session, asked)
            _own(run, session, number)
        return turns, (number, True, asked)

    def disown(self, session: str, turn: int) -> None:
        """Leaves an open turn to any process that asks."""
        with self._transaction() as run:
            _disown(run, session, turn)

    def begin(self, session: str, messages: Sequence[Message]) -> int:
        """Opens a turn with its question; returns its number."""
        with self._writing(session) as run:
            return _begin(run, session, messages)

    def append(self, session: str, turn: int, messages: Sequence[Message]) -> None:
        """Adds messages to a turn."""
        with self._writing(session) as run:
            _append(run, session, turn, messages)

    def replace(self, session: str, turn: int, messages: Sequence[Message]) -> None:
        """Puts the whole of a turn in its place and closes it."""
        with self._writing(session) as run:
            run(
                "DELETE FROM qwenbelt_session_messages WHERE session = ? AND turn = ?",
                (session, turn),
            )
            _append(run, session, turn, messages)
            _close(run, session, turn)

    def copy(self, session: str, other: str, turns: int) -> None:
        """Copies the first turns of a session into another one.

        Raises:
            InputError: the other one is there already.
        """
        with self._writing(other) as run:
            if run("SELECT 1 FROM qwenbelt_session_turns WHERE session = ? LIMIT 1", (other,)):
                raise InputError(f"There is a session {other!r} already.")
            first = run(
                "SELECT turn FROM qwenbelt_session_turns WHERE session = ? ORDER BY turn LIMIT ?",
                (session, turns),
            )
            last = first[-1][0] if first else 0
            for table in ("turns", "messages"):
                rest = "turn, is_open" if table == "turns" else "turn, place, message"
                run(
                    f"INSERT INTO qwenbelt_session_{table} (session, {rest}) "  # noqa: S608
                    f"SELECT ?, {rest} FROM qwenbelt_session_{table} "
                    "WHERE session = ? AND turn <= ?",
                    (other, session, last),
                )

    def drop(self, session: str, turns: int | None = None) -> None:
        """Forgets the last turns of a session, or all of them."""
        with self._writing(session) as run:
            numbers = run(
                "SELECT turn FROM qwenbelt_session_turns WHERE session = ? ORDER BY turn DESC",
                (session,),
            )
            gone = numbers if turns is None else numbers[:turns]
            if gone:
                for table in ("turns", "messages"):
                    run(
                        f"DELETE FROM qwenbelt_session_{table} "  # noqa: S608
                        "WHERE session = ? AND turn >= ?",
                        (session, gone[-1][0]),
                    )

    def recent(self) -> list[tuple[str, float, int, str]]:
        """Returns all sessions, the one used last first: name, time, turns, first message."""
        with self._transaction() as run:
            rows = run(
                "SELECT t.session, COALESCE(MAX(u.used), 0), COUNT(*), MIN(t.turn) "
                "FROM qwenbelt_session_turns t "
                "LEFT JOIN qwenbelt_session_uses u ON u.session = t.session "
                "GROUP BY t.session ORDER BY 2 DESC, 1",
                (),
            )
            found = []
            for name, used, turns, first in rows:
                said = run(
                    "SELECT message FROM qwenbelt_session_messages "
                    "WHERE session = ? AND turn = ? ORDER BY place LIMIT 1",
                    (name, first),
                )
                found.append((name, float(used), int(turns), said[0][0] if said else "{}"))
        return found

    def names(self) -> list[str]:
        """Returns the names of all sessions."""
        with self._transaction() as run:
            rows = run("SELECT DISTINCT session FROM qwenbelt_session_turns ORDER BY session", ())
        return [row[0] for row in rows]


def _turns(run: Any, session: str) -> list[Turn]:
    rows = run(
        "SELECT turn, is_open FROM qwenbelt_session_turns WHERE session = ? ORDER BY turn",
        (session,),
    )
    said = run(
        "SELECT turn, message FROM qwenbelt_session_messages WHERE session = ? "
        "ORDER BY turn, place",
        (session,),
    )
    messages: dict[int, list[Message]] = {}
    for turn, text in said:
        messages.setdefault(turn, []).append(loads_bounded(text))
    return [(turn, bool(is_open), messages.get(turn, [])) for turn, is_open in rows]


def _begin(run: Any, session: str, messages: Sequence[Message]) -> int:
    ((last,),) = run(
        "SELECT COALESCE(MAX(turn), 0) FROM qwenbelt_session_turns WHERE session = ?",
        (session,),
    )
    turn = int(last) + 1
    run("INSERT INTO qwenbelt_session_turns VALUES (?, ?, 1)", (session, turn))
    run(
        "INSERT INTO qwenbelt_session_uses VALUES (?, ?) "
        "ON CONFLICT (session) DO UPDATE SET used = excluded.used",
        (session, time.time()),
    )
    _append(run, session, turn, messages)
    return turn


def _own(run: Any, session: str, turn: int) -> None:
    run(
        "INSERT INTO qwenbelt_session_owners VALUES (?, ?, ?) ON CONFLICT (session) "
        "DO UPDATE SET turn = excluded.turn, owner = excluded.owner",
        (session, turn, this_process()),
    )


def _disown(run: Any, session: str, turn: int) -> None:
    run("DELETE FROM qwenbelt_session_owners WHERE session = ? AND turn = ?", (session, turn))


def _close(run: Any, session: str, turn: int) -> None:
    run(
        "UPDATE qwenbelt_session_turns SET is_open = 0 WHERE session = ? AND turn = ?",
        (session, turn),
    )
    _disown(run, session, turn)


def _append(run: Any, session: str, turn: int, messages: Sequence[Message]) -> None:
    ((place,),) = run(
        "SELECT COALESCE(MAX(place), 0) FROM qwenbelt_session_messages "
        "WHERE session = ? AND turn = ?",
        (session, turn),
    )
    for number, message in enumerate(messages, int(place) + 1):
        text = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace").decode()
        run(
            "INSERT INTO qwenbelt_session_messages VALUES (?, ?, ?, ?)",
            (session, turn, number, text.replace("\\u0000", "")),
        )


def _unusable(place: str, error: Exception) -> InputError:
    """Returns the error that says who can mend it."""
    told, where = one_line(error, 200), _shown(place)
    if any(sign in told for sign in _CROWDED):
        return InputError(
            f"The sessions in {where} cannot be used ({told}).",
            fix="Give the database more connections (max_connections), or run fewer servers on it.",
        )
    if any(sign in told for sign in _FULL):
        return InputError(
            f"The sessions in {where} cannot be used ({told}).",
            fix="Make room on the disk of the database; what was kept before is still there.",
        )
    if is_postgres(place) and "connection" in told:
        return InputError(
            f"The sessions in {where} cannot be used ({told}).",
            fix="See whether it runs, and whether address, user and password in its URL are right.",
        )
    return InputError(f"The sessions in {where} cannot be used ({told}).")


def _shown(place: str) -> str:
    """The place without a password, which a URL may also have behind its question mark."""
    head, at, tail = place.rpartition("@")
    if at and "://" in head:
        place = f"{head.partition('://')[0]}://…@{tail}"
    return _PASSWORD.sub(r"\1…", place)
