"""Exports what sessions and servers store to a file of JSON lines, and imports it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.agents.sessions.approvals import APPROVAL_TABLES
from qwenbelt.agents.sessions.chat_tables import (
    COLUMNS,
    CONVERSATION_TABLES,
    FILE_TABLE,
    named,
)
from qwenbelt.agents.sessions.database import SESSION_TABLES, StoreTables
from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.limits import input_file

MAX_BYTES = 4 * 1024**3
_LINE_BYTES = 256 * 1024**2
RESPONSE_TABLES = (
    "CREATE TABLE IF NOT EXISTS qwenbelt_responses ("
    "id TEXT PRIMARY KEY, owner TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, "
    "status TEXT NOT NULL, body TEXT NOT NULL, reply TEXT NOT NULL, "
    "replica TEXT NOT NULL, seen DOUBLE PRECISION NOT NULL, tries INTEGER NOT NULL)",
)
_CHUNK = 200  # rows that are read at once
_BYTES = "base64"  # how bytes are written
_COLUMNS = {
    "qwenbelt_session_turns": ("session", "turn", "is_open"),
    "qwenbelt_session_messages": ("session", "turn", "place", "message"),
    "qwenbelt_session_uses": ("session", "used"),
    "qwenbelt_approvals": ("run", "call", "name", "arguments", "reason", "asked", "allowed"),
    "qwenbelt_responses": (
        *("id", "owner", "created", "status", "body", "reply", "replica", "seen", "tries"),
    ),
    **{named(table): columns for table, columns in COLUMNS.items()},
}
_CHAT_TABLES = tuple(named(text) for text in (*CONVERSATION_TABLES, FILE_TABLE))


class _Store(StoreTables):
    def __init__(self, place: str) -> None:
        tables = (*SESSION_TABLES, *RESPONSE_TABLES, *APPROVAL_TABLES, *_CHAT_TABLES)
        super().__init__(place, tables)

    def rows(self) -> Iterator[tuple[str, list[Any]]]:
        """Yields all rows as they were at one moment, whatever others write meanwhile."""
        with self._transaction() as run:
            begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
            run(begin if self._postgres else "BEGIN", ())
            for table, columns in _COLUMNS.items():
                sql = f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2"  # noqa: S608
                for row in self._read_on(run, sql):
                    yield table, list(row)

    def _read_on(self, run: Any, sql: str) -> Iterator[Any]:
        """Yields rows without holding a whole table of a server in memory."""
        if not self._postgres:
            yield from run(sql, ())
            return
        run(f"DECLARE dumped CURSOR FOR {sql}", ())
        while rows := run(f"FETCH {_CHUNK} FROM dumped", ()):
            yield from rows
        run("CLOSE dumped", ())

    def add(self, rows: Iterator[tuple[str, list[Any]]]) -> int:
        count = 0
        with self._transaction() as run:
            for table, values in rows:
                marks = ", ".join("?" * len(values))
                names = ", ".join(_COLUMNS[table])
                sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
                if not run(f"{sql} ON CONFLICT DO NOTHING RETURNING 1", values):
                    raise InputError(
                        f"A row of the dump is there already, in {table}; nothing was changed.",
                        fix="Restore into an empty store.",
                    )
                count += 1
        return count


def dump_store(place: str, file: Path) -> int:
    """Writes all that a database keeps to a file; returns the number of rows.

    Raises:
        InputError: the database or the file cannot be used.
    """
    if "://" not in place:
        input_file(place, max_bytes=1024**4)
    store = _Store(place)
    part = file.with_name(f"{file.name}.part")
    count = 0
    try:
        with part.open("w", encoding="utf-8") as lines:
            for table, row in store.rows():
                told = [_written(value) for value in row]
                lines.write(json.dumps({"table": table, "row": told}, ensure_ascii=False) + "\n")
                count += 1
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{file}: cannot be written ({one_line(error)}).") from error
    return count


def restore_store(place: str, file: Path) -> int:
    """Reads a dump into a database, all of it or nothing; returns the number of rows.

    Raises:
        InputError: the file is no dump, a row is there already, or the database cannot be used.
    """
    path = input_file(file, max_bytes=MAX_BYTES)
    return _Store(place).add(_read(path))


def _read(path: Path) -> Iterator[tuple[str, list[Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                value = loads_bounded(line, max_bytes=_LINE_BYTES)
                table, row = value["table"], value["row"]
                good = len(row) == len(_COLUMNS[table])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}: line {number} is not of a dump ({one_line(error, 80)})."
                ) from error
            if not good:
                raise InputError(f"{path}: line {number} has another number of values.")
            yield table, [_as_it_was(value) for value in row]


def _written(value: Any) -> Any:
    return {_BYTES: b64encode(value).decode()} if isinstance(value, bytes) else value


def _as_it_was(value: Any) -> Any:
    return b64decode(value[_BYTES]) if isinstance(value, dict) and _BYTES in value else value
