"""`sql_query`: SQL on a database of the conversation or of the configuration."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.core.language import Language
from qwenbelt.core.paths import Fence
from qwenbelt.tools.base import Tool, ToolContext, ToolResult
from qwenbelt.tools.local import tool_result
from qwenbelt.tools.operation import OperationCall, OperationResult
from qwenbelt.tools.sqlite.engine import MAX_ROWS, QUERY_SECONDS, first_word
from qwenbelt.tools.sqlite.operations import (
    QueryArguments,
    SelectArguments,
    SqlEngine,
    Values,
    run_change,
    run_select,
)
from qwenbelt.tools.sqlite.pool import DatabasePool

_READING = ("SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA")


class SqlArguments(BaseModel):
    """A statement and, where none is configured, the database."""

    sql: str = Field(description="One SQL statement; use ? or :name for values")
    parameters: Values = Field([], description="Values for ? (a list) or :name (an object)")
    database: str | None = Field(
        None, description="The database file; needed only if several are there"
    )
    max_rows: int = Field(MAX_ROWS, ge=1, le=100_000, description="Rows of one reply at most")
    cursor: str | None = Field(None, description="Where to go on, as the last reply said")


class SqlQuery(Tool):
    """Queries a SQLite database.

    Args:
        cfg: `database` (a path; default: a database file of the conversation), `write` (bool:
            allow changes; only with `database`), `seconds` (time of one query).
    """

    name = "sql_query"
    description = (
        "Runs one SQL statement on a SQLite database and returns columns and rows as JSON. "
        "To see the tables: SELECT name, sql FROM sqlite_master. A long result comes in pages: "
        "repeat the statement with the cursor that the reply ends with."
    )
    Arguments = SqlArguments
    read_only = True
    idempotent = True

    def __init__(self, cfg: dict[str, Any] | None = None) -> None:
        super().__init__(cfg)
        self.write = bool(self.cfg.get("write"))
        self.read_only = self.idempotent = not self.write
        self.destructive = self.write
        self.seconds = float(self.cfg.get("seconds", QUERY_SECONDS))
        self.timeout = self.seconds + 10
        if self.write and not self.cfg.get("database"):
            raise ConfigError("sql_query with write needs a database in its configuration.")

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the database as read or written."""
        name = {f"sqlite:{self.cfg.get('database') or arguments.database or ''}"}
        reads = first_word(arguments.sql) in _READING
        return (name, set()) if reads or not self.write else (set(), name)

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Runs the statement."""
        given: SqlArguments = self.parse(params)
        context = kwargs.get("context") or ToolContext()
        language: Language = "zh" if context.language == "zh" else "en"
        call = OperationCall(context.report, context.cancelled, language)
        return tool_result(self._run(self._database(given, context), given, call), context)

    def _run(
        self, database: DatabasePool, given: SqlArguments, call: OperationCall
    ) -> OperationResult:
        engine = SqlEngine(database)
        if self.write and first_word(given.sql) not in _READING:
            return run_change(
                engine, QueryArguments(query=given.sql, parameters=given.parameters), call
            )
        page = SelectArguments(
            query=given.sql,
            parameters=given.parameters,
            max_rows=given.max_rows,
            cursor=given.cursor,
        )
        return run_select(engine, page, call)

    def _database(self, given: SqlArguments, context: ToolContext) -> DatabasePool:
        if self.cfg.get("database"):
            path = Path(str(self.cfg["database"])).expanduser()
            return _opened(str(path), self.write, self.seconds)
        path = _of_conversation(given.database, context)
        try:
            return _opened(str(path), False, self.seconds)
        except ConfigError as error:
            raise ToolError(error.message) from error


@functools.lru_cache(maxsize=32)
def _opened(path: str, write: bool, seconds: float) -> DatabasePool:
    return DatabasePool(Path(path), write=write, seconds=seconds)


def _of_conversation(name: str | None, context: ToolContext) -> Path:
    known = {n: Path(p) for n, p in context.files.items() if _is_database(Path(p))}
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        names = ", ".join(known) or "none"
        raise ToolError(f"Name the database file. Databases of this conversation: {names}.")
    if name in known:
        return known[name]
    if context.folder is None:
        raise ToolError(f"There is no database {name!r} in this conversation.")
    with Fence([context.folder]).reading(name) as (descriptor, facts):
        path = Path(os.path.realpath(context.folder / name))
        # SQLite opens by path: at least it was this very file a moment ago
        if not os.path.samestat(facts, path.lstat()):
            raise ToolError(f"{name} was exchanged meanwhile; try again.")
        if os.pread(descriptor, 16, 0) != b"SQLite format 3\0":
            raise ToolError(f"{name} is not a SQLite database.")
    return path


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
