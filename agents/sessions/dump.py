"""Exports what sessions and servers store to a file of JSON lines, and imports it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwenbelt.agents.sessions.approvals import APPROVAL_TABLES
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
_COLUMNS = {
    "qwenbelt_session_turns": ("session", "turn", "is_open"),
    "qwenbelt_session_messages": ("session", "turn", "place", "message"),
    "qwenbelt_session_uses": ("session", "used"),
    "qwenbelt_approvals": ("run", "call", "name", "arguments", "reason", "asked", "allowed"),
    "qwenbelt_responses": (
        *("id", "owner", "created", "status", "body", "reply", "replica", "seen", "tries"),
    ),
}


class _Store(StoreTables):
    def __init__(self, place: str) -> None:
        super().__init__(place, (*SESSION_TABLES, *RESPONSE_TABLES, *APPROVAL_TABLES))

    def rows(self) -> Iterator[tuple[str, list[Any]]]:
        with self._transaction() as run:  # one transaction: what is read belongs together
            for table, columns in _COLUMNS.items():
                names = ", ".join(columns)
                for row in run(f"SELECT {names} FROM {table} ORDER BY 1, 2", ()):  # noqa: S608
                    yield table, list(row)

    def add(self, rows: Iterator[tuple[str, list[Any]]]) -> int:
        count = 0
        with self._transaction() as run:
            for table, values in rows:
                marks = ", ".join("?" * len(values))
                names = ", ".join(_COLUMNS[table])
                run(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608
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
                lines.write(json.dumps({"table": table, "row": row}, ensure_ascii=False) + "\n")
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
            yield table, row
