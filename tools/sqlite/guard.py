"""Restricts what a statement may do to a database, and its sizes.

`mode=ro` alone is not enough: ATTACH and VACUUM INTO write other files, PRAGMA query_only can be
switched off, load_extension runs code. So everything is refused that is not on a list, by SQLite's
authorizer, which sees each action of a statement, its views and its triggers while it is compiled.
Sources: https://www.sqlite.org/c3ref/set_authorizer.html and /security.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

_RECURSIVE = 33  # SQLITE_RECURSIVE, which the sqlite3 module does not name everywhere
_MAX_VALUE_BYTES = 16 * 1024 * 1024
_LIMITS = {
    "SQLITE_LIMIT_LENGTH": _MAX_VALUE_BYTES,
    "SQLITE_LIMIT_SQL_LENGTH": 1024 * 1024,
    "SQLITE_LIMIT_EXPR_DEPTH": 500,
    "SQLITE_LIMIT_COMPOUND_SELECT": 200,
    "SQLITE_LIMIT_LIKE_PATTERN_LENGTH": 5000,
    "SQLITE_LIMIT_ATTACHED": 0,
    "SQLITE_LIMIT_WORKER_THREADS": 0,
}
_REFUSED_FUNCTIONS = {
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "edit",
    "zipfile",
    "fsdir",
    "sqlite_log",
}
_REFUSED_TABLES = {"sqlite_dbpage", "fsdir", "zipfile", "csv"}
_READING_PRAGMAS = {
    "collation_list",
    "compile_options",
    "data_version",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
}
_WITH_ARGUMENT = {name for name in _READING_PRAGMAS if name.endswith(("_info", "_xinfo", "_list"))}
_WITH_ARGUMENT |= {"foreign_key_check", "integrity_check", "quick_check"}
_READING = {sqlite3.SQLITE_SELECT, _RECURSIVE}
_WRITING = {
    sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_ANALYZE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_CREATE_VIEW,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_DROP_TRIGGER,
    sqlite3.SQLITE_DROP_VIEW,
    sqlite3.SQLITE_DROP_VTABLE,
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_UPDATE,
}
_MODULES = {"fts5", "fts4", "rtree"}

Authorizer = Callable[[int, "str | None", "str | None", "str | None", "str | None"], int]


def sqlite_authorizer(*, write: bool) -> Authorizer:
    """Returns SQLite's authorizer callback for reading, or for reading and writing."""

    def decide(
        action: int, first: str | None, second: str | None, schema: str | None, source: str | None
    ) -> int:
        return (
            sqlite3.SQLITE_OK
            if _action_allowed(action, first, second, write)
            else sqlite3.SQLITE_DENY
        )

    return decide


def _action_allowed(action: int, first: str | None, second: str | None, write: bool) -> bool:
    if action in _READING or (write and action in _WRITING):
        return True
    if action == sqlite3.SQLITE_READ:
        return (first or "").lower() not in _REFUSED_TABLES
    if action == sqlite3.SQLITE_FUNCTION:
        return (second or "").lower() not in _REFUSED_FUNCTIONS
    if action == sqlite3.SQLITE_PRAGMA:
        name = (first or "").lower()
        return name in _READING_PRAGMAS and (second is None or name in _WITH_ARGUMENT)
    if action == sqlite3.SQLITE_UPDATE:
        # asked when a virtual table such as json_each is declared, which writes nothing; a real
        # update of the schema needs PRAGMA writable_schema
        return first == "sqlite_master"
    if write and action == sqlite3.SQLITE_CREATE_VTABLE:
        return (second or "").lower() in _MODULES
    return False


def connect_guarded(path: Path, *, write: bool, immutable: bool = False) -> sqlite3.Connection:
    """Opens a database with every limit set, before any statement of others runs.

    Args:
        path: of the database; any character in it is taken as it is.
        write: whether it may be changed, and made if it is missing.
        immutable: whether to ignore locks and journals, for files that cannot change.
    """
    mode = "rwc" if write else "ro"
    name = f"file:{quote(str(path.absolute()))}?mode={mode}" + ("&immutable=1" if immutable else "")
    connection = sqlite3.connect(
        name, uri=True, timeout=5, isolation_level=None, check_same_thread=False
    )
    try:
        connection.text_factory = _text
        _set_limits(connection)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _set_limits(connection: sqlite3.Connection) -> None:
    if hasattr(connection, "setlimit"):  # since Python 3.11
        for name, value in _LIMITS.items():
            connection.setlimit(getattr(sqlite3, name), value)
    defensive = getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE", None)  # since Python 3.12
    if defensive is not None:
        connection.setconfig(defensive, True)  # type: ignore[attr-defined]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
