"""Queries of a SQLite database: limited in time and size, page by page, many at once."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import (
    ConfigError,
    ToolCancelled,
    ToolError,
    ToolRefused,
    ToolTimeout,
    one_line,
)
from qwenbelt.tools.operation import MAX_REPLY_BYTES, OperationCall
from qwenbelt.tools.sqlite.guard import connect_guarded, sqlite_authorizer

QUERY_SECONDS = 30.0
MAX_ROWS = 1000
_CELL_CHARACTERS = 16 * 1024
_BLOB_BYTES = 256
_STEPS = 10_000  # of SQLite's machine between two looks at the clock; costs under 1 %
_IDLE_CONNECTIONS = 8
_OPEN_STATEMENTS = 16
_STATEMENT_SECONDS = 300.0
_JSON = json.JSONEncoder(ensure_ascii=False).encode
_COMMENT = re.compile(r"\s+|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)|;", re.DOTALL)

Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class RowPage:
    """Some rows of a result.

    Attributes:
        columns: the columns' names.
        rows: values as JSON has them; see `Database.query`.
        first: the number of the first row in the whole result, from 0.
        cursor: where the next page begins, or None at the end.
    """

    columns: list[str]
    rows: list[list[Any]]
    first: int = 0
    cursor: str | None = None


@dataclass
class _Statement:
    """A running SELECT, kept between two pages."""

    connection: sqlite3.Connection
    cursor: sqlite3.Cursor
    sql: str
    columns: list[str]
    clock: _Clock
    position: int = 0
    waiting: list[Any] | None = None
    used: float = field(default_factory=time.monotonic)


class _Clock:
    """Ends a statement that takes too long or that is no longer wanted."""

    def __init__(self) -> None:
        self.end = math.inf
        self.call = OperationCall()

    def start(self, seconds: float, call: OperationCall) -> None:
        self.end, self.call = time.monotonic() + seconds, call

    def __call__(self) -> int:
        return int(self.call.cancelled.is_set() or time.monotonic() > self.end)


class Database:
    """A database file.

    Each query has a connection of its own while it runs, so that none waits for another.

    Args:
        path: the file; made when `write` is set and it is missing.
        write: whether it may be changed.
        seconds: the time one query or page may take.

    Raises:
        ConfigError: it is missing, or not a SQLite database.
    """

    def __init__(self, path: Path, *, write: bool = False, seconds: float = QUERY_SECONDS) -> None:
        self.path = path
        self.write_allowed = write
        self.seconds = seconds
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._idle: list[tuple[sqlite3.Connection, _Clock]] = []
        self._open: dict[str, _Statement] = {}
        self._immutable = False
        self._file = (0, 0)
        if not write and not path.is_file():
            raise ConfigError(f"{path}: no such database.", fix="Name another, or use --write.")
        try:
            if write:
                connect_guarded(path, write=True).close()
            self._release(*self._reader())
            self._file = (path.stat().st_dev, path.stat().st_ino)
        except sqlite3.Error as error:
            raise ConfigError(f"{path}: {one_line(error)}.") from error

    # ------------------------------------------------------------------ reading

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        max_rows: int = MAX_ROWS,
        cursor: str | None = None,
        call: OperationCall | None = None,
    ) -> RowPage:
        """Returns a page of a SELECT's rows; the statement stays open for the next page.

        Numbers, texts and NULL are themselves; infinite numbers are texts; a blob is
        `{"blob": base64 of its beginning, "bytes": length}`; long texts are cut, with a mark.

        Args:
            sql: one statement that only reads.
            parameters: values for `?` or `:name`.
            max_rows: how many rows the page may have; it also ends at 256 KiB of JSON.
            cursor: what the page before gave, with the same statement.
            call: the running call.

        Raises:
            ToolError: SQLite does not take the statement.
            ToolRefused: the statement does more than read.
            ToolTimeout: it takes too long.
        """
        call = call or OperationCall()
        statement = self._statement(sql, parameters, cursor, call)
        closing = self._closing_on_error(statement.connection, statement.clock)
        with self._told(statement.clock, call), closing:
            page = self._page(statement, max_rows)
        self._put_back(statement, page.cursor)
        return page

    def _statement(
        self, sql: str, parameters: Parameters, cursor: str | None, call: OperationCall
    ) -> _Statement:
        key, _, position = (cursor or "").partition(":")
        skip = 0
        if cursor is not None:
            if not position.isdigit():
                raise ToolError("That is no cursor of this tool.")
            with self._lock:
                kept = self._open.pop(key, None)
            if kept is not None and kept.sql == sql and kept.position == int(position):
                kept.clock.start(self.seconds, call)
                return kept
            if kept is not None:
                self._release(kept.connection, kept.clock)
            skip = int(position)  # closed meanwhile: run it again up to there
        return self._start(sql, parameters, skip, call)

    def _start(
        self, sql: str, parameters: Parameters, skip: int, call: OperationCall
    ) -> _Statement:
        connection, clock = self._take()
        clock.start(self.seconds, call)
        with self._closing_on_error(connection, clock), self._told(clock, call):
            found = connection.execute(sql, _checked(parameters))
            columns = [str(entry[0]) for entry in found.description or ()]
            statement = _Statement(connection, found, sql, columns, clock)
            for _ in range(skip):
                if found.fetchone() is None:
                    break
                statement.position += 1
            return statement

    def _page(self, statement: _Statement, max_rows: int) -> RowPage:
        rows: list[list[Any]] = []
        size = 0
        first = statement.position
        while len(rows) < max_rows:
            row = statement.waiting
            statement.waiting = None
            if row is None:
                found = statement.cursor.fetchone()
                if found is None:
                    return RowPage(statement.columns, rows, first)
                row = [_value(cell) for cell in found]
            size += len(_JSON(row).encode("utf-8", "replace")) + 2
            if size > MAX_REPLY_BYTES and rows:
                statement.waiting = row
                break
            rows.append(row)
            statement.position += 1
        if statement.waiting is None:
            found = statement.cursor.fetchone()
            if found is None:
                return RowPage(statement.columns, rows, first)
            statement.waiting = [_value(cell) for cell in found]
        cursor = f"{secrets.token_hex(4)}:{statement.position}"
        return RowPage(statement.columns, rows, first, cursor)

    def _put_back(self, statement: _Statement, cursor: str | None) -> None:
        if cursor is None:
            self._release(statement.connection, statement.clock)
            return
        statement.used = time.monotonic()
        statement.clock.end = math.inf
        statement.clock.call = OperationCall()
        with self._lock:
            self._open[cursor.partition(":")[0]] = statement
            old = [
                key
                for key, kept in self._open.items()
                if statement.used - kept.used > _STATEMENT_SECONDS
            ]
            more = len(self._open) - len(old) - _OPEN_STATEMENTS
            old += [key for key in self._open if key not in old][: max(more, 0)]
            dropped = [self._open.pop(key) for key in old]
        for kept in dropped:
            self._release(kept.connection, kept.clock)

    @contextlib.contextmanager
    def _closing_on_error(self, connection: sqlite3.Connection, clock: _Clock) -> Iterator[None]:
        try:
            yield
        except BaseException:  # an interrupt, too, must not leave the connection taken
            self._release(connection, clock)
            raise

    # ------------------------------------------------------------------ connections

    def _reader(self) -> tuple[sqlite3.Connection, _Clock]:
        try:
            connection = connect_guarded(self.path, write=False, immutable=self._immutable)
        except sqlite3.OperationalError:
            if self.write_allowed or self._immutable:
                raise
            # a database in WAL mode in a folder that cannot be written
            connection = connect_guarded(self.path, write=False, immutable=True)
            self._immutable = True
        clock = _Clock()
        connection.set_authorizer(sqlite_authorizer(write=False))
        connection.set_progress_handler(clock, _STEPS)
        return connection, clock

    def _take(self) -> tuple[sqlite3.Connection, _Clock]:
        self._drop_if_replaced()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return self._reader()
        except sqlite3.Error as error:
            raise ToolError(f"The database cannot be opened ({one_line(error)}).") from error

    def _drop_if_replaced(self) -> None:
        """Closes connections to a file that has given its name to another one."""
        try:
            facts = self.path.stat()
        except OSError:
            raise ToolError(f"{self.path.name} is not there any more.") from None
        with self._lock:
            if self._file == (facts.st_dev, facts.st_ino):
                return
            self._file = (facts.st_dev, facts.st_ino)
            old, self._idle = self._idle, []
        for connection, _ in old:
            connection.close()

    def _release(self, connection: sqlite3.Connection, clock: _Clock) -> None:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.rollback()
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append((connection, clock))
                return
        connection.close()

    def close(self) -> None:
        """Closes what is open."""
        with self._lock:
            connections = [c for c, _ in self._idle]
            connections += [kept.connection for kept in self._open.values()]
            self._idle.clear()
            self._open.clear()
        for connection in connections:
            connection.close()

    @contextlib.contextmanager
    def _told(self, clock: _Clock, call: OperationCall) -> Iterator[None]:
        """Turns SQLite's errors into one line for the model."""
        try:
            yield
        except sqlite3.Error as error:
            text = one_line(error)
            if "interrupted" in text:
                if call.cancelled.is_set():
                    raise ToolCancelled("The query was cancelled.") from None
                raise ToolTimeout(
                    f"The query ran longer than {self.seconds:g} s and was stopped."
                ) from None
            if "not authorized" in text or "prohibited" in text or "readonly" in text:
                raise ToolRefused(f"Not allowed here: {text}. {self._allowed()}") from None
            raise ToolError(f"SQLite: {text}.") from None
        except (sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            raise ToolError(f"SQLite: {one_line(error) or type(error).__name__}.") from None

    def _allowed(self) -> str:
        if self.write_allowed:
            return "Other databases, files, extensions and settings cannot be reached."
        return "The database is read-only: use one SELECT statement."

    # ------------------------------------------------------------------ writing

    def change(
        self, sql: str, parameters: Parameters = (), *, call: OperationCall | None = None
    ) -> tuple[int, RowPage]:
        """Runs one statement that changes the database, whole or not at all.

        Returns:
            The number of rows affected, and those of a RETURNING clause, at most one page.

        Raises:
            ToolRefused: the database is read-only, or the statement does more than change it.
            ToolError: SQLite does not take the statement.
            ToolTimeout: it takes too long; nothing has changed.
        """
        if not self.write_allowed:
            raise ToolRefused("The database is read-only.", fix="The person can allow writing.")
        call = call or OperationCall()
        clock = _Clock()
        with self._writing, self._told(clock, call):
            connection = connect_guarded(self.path, write=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.set_authorizer(sqlite_authorizer(write=True))
                connection.set_progress_handler(clock, _STEPS)
                clock.start(self.seconds, call)
                cursor = connection.execute(sql, _checked(parameters))
                columns = [str(entry[0]) for entry in cursor.description or ()]
                page = self._page(_Statement(connection, cursor, sql, columns, clock), MAX_ROWS)
                affected = cursor.rowcount
                cursor.close()
                connection.set_authorizer(None)
                connection.execute("COMMIT")
            finally:
                connection.close()
        return max(affected, 0), RowPage(page.columns, page.rows)

    # ------------------------------------------------------------------ schema

    def tables(self) -> list[dict[str, Any]]:
        """Returns the tables and views, with their columns' names."""
        page = self.query(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            max_rows=100_000,
        )
        return [
            {"name": name, "type": kind, "columns": [c["name"] for c in self.columns(name)]}
            for name, kind in page.rows
        ]

    def columns(self, table: str) -> list[dict[str, Any]]:
        """Returns the columns of a table or view.

        Raises:
            ToolError: there is no such table.
        """
        sql = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?)'
        with contextlib.suppress(ToolError):  # a view that no longer works
            rows = self.query(sql, [table], max_rows=10_000).rows
            return [
                {"name": n, "type": t, "notnull": bool(nn), "default": d, "primary_key": bool(pk)}
                for n, t, nn, d, pk in rows
            ]
        return []

    def describe(self, table: str) -> dict[str, Any]:
        """Returns a table's columns, keys, indexes and the statement that made it.

        Raises:
            ToolError: there is no such table; those that exist are named.
        """
        sql = (
            "SELECT name, type, sql FROM sqlite_master "
            "WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')"
        )
        rows = self.query(sql, [table]).rows
        if not rows:
            known = ", ".join(entry["name"] for entry in self.tables()) or "none"
            raise ToolError(f"There is no table {table!r}; there are: {one_line(known)}.")
        name, kind, made_by = rows[0]
        keys = self.query(
            'SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', [name]
        ).rows
        indexes = self.query('SELECT name, "unique" FROM pragma_index_list(?)', [name]).rows
        return {
            "name": name,
            "type": kind,
            "columns": self.columns(name),
            "foreign_keys": [{"column": a, "table": b, "references": c} for a, b, c in keys],
            "indexes": [{"name": n, "unique": bool(u)} for n, u in indexes],
            "sql": made_by,
        }

    def schema(self) -> str:
        """Returns the statements that made all tables, views, indexes and triggers."""
        page = self.query(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", max_rows=100_000
        )
        return ";\n".join(str(row[0]) for row in page.rows) + (";\n" if page.rows else "")


def first_word(sql: str) -> str:
    """Returns the first keyword of a statement, in upper case, past comments and space."""
    position = 0
    while match := _COMMENT.match(sql, position):
        position = match.end()
    found = re.compile(r"[A-Za-z]*").match(sql, position)
    return found.group().upper() if found else ""


def _checked(parameters: Parameters) -> Parameters:
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    for value in values:
        if not isinstance(value, (str, int, float, type(None))):
            raise ToolError("Parameters must be texts, numbers, true, false or null.")
    return parameters


def _value(cell: Any) -> Any:
    if isinstance(cell, str):
        if len(cell) > _CELL_CHARACTERS:
            rest = len(cell) - _CELL_CHARACTERS
            return f"{cell[:_CELL_CHARACTERS]}… [{rest} more characters; use substr()]"
        return cell
    if isinstance(cell, bytes):
        start = base64.b64encode(cell[:_BLOB_BYTES]).decode("ascii")
        return {"blob": start, "bytes": len(cell)}
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell
