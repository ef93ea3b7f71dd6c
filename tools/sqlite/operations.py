"""The SQL tools: the reference server's names and arguments, with parameters and pages.

Source: `mcp-server-sqlite` 2025.4.25 for the six tools' names and arguments, the memo and the
prompt; the outputs are JSON here where it prints Python's repr.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from qwenbelt.core.errors import ToolError, ToolRefused
from qwenbelt.tools.arguments import NoArguments
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult
from qwenbelt.tools.sqlite.engine import MAX_ROWS, RowPage, first_word
from qwenbelt.tools.sqlite.pool import DatabasePool
from qwenbelt.tools.sqlite.strings import say

Values = list[str | int | float | bool | None] | dict[str, str | int | float | bool | None]


@dataclass
class SqlEngine:
    """A database and the memo that belongs to a conversation about it."""

    database: DatabasePool
    insights: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def memo(self) -> str:
        """Returns the insights as one text."""
        with self.lock:
            found = list(self.insights)
        if not found:
            return say("no_insights", "en")
        lines = "\n".join(f"- {insight}" for insight in found)
        return f"Business Intelligence Memo\n\nKey Insights Discovered:\n\n{lines}\n"


class QueryArguments(BaseModel):
    """A statement with values."""

    query: str = Field(description="One SQL statement")
    parameters: Values = Field([], description="Values for ? (a list) or :name (an object)")


class SelectArguments(QueryArguments):
    """A SELECT, a page at a time."""

    query: str = Field(description="SELECT SQL query to execute")
    max_rows: int = Field(MAX_ROWS, ge=1, le=100_000, description="Rows of one reply at most")
    cursor: str | None = Field(None, description="Where to go on, as the last reply said")


class TableArguments(BaseModel):
    """One table."""

    table_name: str = Field(description="Name of the table to describe")


class InsightArguments(BaseModel):
    """One insight."""

    insight: str = Field(description="Business insight discovered from data analysis")


def page_reply(page: RowPage, call: OperationCall) -> OperationResult:
    """Returns rows as JSON, labelled as data."""
    data: dict[str, Any] = {"columns": page.columns, "rows": page.rows}
    notes = [say("data", call.language)]
    if page.cursor is not None:
        data["cursor"] = page.cursor
        last = page.first + len(page.rows)
        notes.append(
            say("more", call.language, first=page.first + 1, last=last, cursor=page.cursor)
        )
    # one encoder for all: json.dumps makes a new one for every row
    encode = json.JSONEncoder(ensure_ascii=False).encode
    rows = ",\n ".join(map(encode, page.rows))
    columns = encode(page.columns)
    return OperationResult(f'{{"columns": {columns}, "rows": [\n {rows}]}}', data, "\n".join(notes))


def run_select(engine: SqlEngine, given: SelectArguments, call: OperationCall) -> OperationResult:
    """Runs a SELECT."""
    page = engine.database.query(
        given.query, given.parameters, max_rows=given.max_rows, cursor=given.cursor, call=call
    )
    return page_reply(page, call)


def run_change(engine: SqlEngine, given: QueryArguments, call: OperationCall) -> OperationResult:
    """Runs a statement that changes rows."""
    if first_word(given.query) == "SELECT":
        raise ToolError("SELECT queries are not allowed for write_query; use read_query.")
    return _changed(engine, given, call)


def create_table(engine: SqlEngine, given: QueryArguments, call: OperationCall) -> OperationResult:
    """Runs a CREATE TABLE."""
    if first_word(given.query) != "CREATE":
        raise ToolError("Only CREATE TABLE statements are allowed.")
    return _changed(engine, given, call)


def _changed(engine: SqlEngine, given: QueryArguments, call: OperationCall) -> OperationResult:
    if not engine.database.write_allowed:
        raise ToolRefused("The database is read-only here.", fix="Start the server with --write.")
    affected, page = engine.database.change(given.query, given.parameters, call=call)
    data: dict[str, Any] = {"affected_rows": affected}
    if page.columns:
        data |= {"columns": page.columns, "rows": page.rows}
    return OperationResult(json.dumps(data, ensure_ascii=False), data)


def _tables(engine: SqlEngine, given: NoArguments, call: OperationCall) -> OperationResult:
    data = {"tables": engine.database.tables()}
    return OperationResult(json.dumps(data, ensure_ascii=False, indent=1), data)


def _describe(engine: SqlEngine, given: TableArguments, call: OperationCall) -> OperationResult:
    data = engine.database.describe(given.table_name)
    return OperationResult(json.dumps(data, ensure_ascii=False, indent=1), data)


def _insight(engine: SqlEngine, given: InsightArguments, call: OperationCall) -> OperationResult:
    with engine.lock:
        engine.insights.append(given.insight)
        count = len(engine.insights)
    return OperationResult("Insight added to memo", {"insights": count})


_ROWS = {
    "columns": {"type": "array", "items": {"type": "string"}},
    "rows": {"type": "array", "items": {"type": "array"}},
}
_CHANGED = {
    "type": "object",
    "properties": {"affected_rows": {"type": "integer"}, **_ROWS},
    "required": ["affected_rows"],
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "read_query",
        "Read Query",
        "Execute a SELECT query on the SQLite database. Use parameters for values. Returns "
        "columns and rows as JSON; a long result comes in pages, with a cursor to go on.",
        SelectArguments,
        run_select,
        {
            "type": "object",
            "properties": {**_ROWS, "cursor": {"type": "string"}},
            "required": ["columns", "rows"],
        },
        read_only=True,
    ),
    Operation(
        "write_query",
        "Write Query",
        "Execute an INSERT, UPDATE, or DELETE query on the SQLite database, whole or not at all.",
        QueryArguments,
        run_change,
        _CHANGED,
        destructive=True,
    ),
    Operation(
        "create_table",
        "Create Table",
        "Create a new table in the SQLite database.",
        QueryArguments,
        create_table,
        _CHANGED,
    ),
    Operation(
        "list_tables",
        "List Tables",
        "List all tables and views in the SQLite database, with their columns.",
        NoArguments,
        _tables,
        {
            "type": "object",
            "properties": {"tables": {"type": "array", "items": {"type": "object"}}},
            "required": ["tables"],
        },
        read_only=True,
    ),
    Operation(
        "describe_table",
        "Describe Table",
        "Get the schema of a table: columns, keys, indexes, and its CREATE statement.",
        TableArguments,
        _describe,
        {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "columns": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["name", "columns"],
        },
        read_only=True,
    ),
    Operation(
        "append_insight",
        "Append Insight",
        "Add a business insight to the memo (resource memo://insights).",
        InsightArguments,
        _insight,
        {"type": "object", "properties": {"insights": {"type": "integer"}}},
    ),
)
