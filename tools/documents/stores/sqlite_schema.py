"""The tables of an index file, and connections to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from qwenbelt.core import transactions
from qwenbelt.core.errors import InputError
from qwenbelt.core.kept_files import keep_file_closed
from qwenbelt.core.processes.per_process import PerThread
from qwenbelt.tools.documents.search.tokens import TOKENS_VERSION
from qwenbelt.tools.documents.stores.fulltext_snapshot import SECTION_WEIGHT, TOKENIZER, table
from qwenbelt.tools.documents.stores.sqlite_sources import begin_log, forget, is_damage, is_known

SCHEMA_VERSION = 6
BUSY_SECONDS = 60.0
_SYNCHRONOUS = "PRAGMA synchronous = NORMAL"
APPLICATION_ID = 0x51574278  # "QWBx": marks a SQLite file as one of ours

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE collections (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL REFERENCES collections (id),
  key TEXT NOT NULL,
  title TEXT NOT NULL,
  kind TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  outline TEXT NOT NULL,
  state TEXT NOT NULL,
  first_chunk INTEGER NOT NULL DEFAULT 0,
  last_chunk INTEGER NOT NULL DEFAULT -1,
  notes TEXT NOT NULL DEFAULT '[]',
  UNIQUE (collection, key)
);
CREATE TABLE names (
  collection INTEGER NOT NULL REFERENCES collections (id),
  path TEXT NOT NULL,
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  document INTEGER NOT NULL REFERENCES documents (id),
  current INTEGER NOT NULL,
  added TEXT NOT NULL,
  meta TEXT NOT NULL,
  PRIMARY KEY (collection, path, version)
);
CREATE INDEX names_by_document ON names (document);
CREATE INDEX names_by_name ON names (collection, name);
CREATE TABLE pages (
  document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  width REAL NOT NULL,
  height REAL NOT NULL,
  text TEXT NOT NULL,
  lines BLOB NOT NULL,
  tables TEXT NOT NULL,
  headings TEXT NOT NULL,
  captions TEXT NOT NULL,
  notes TEXT NOT NULL,
  label TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (document, number)
);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  page INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  kind TEXT NOT NULL,
  section TEXT NOT NULL,
  context TEXT NOT NULL,
  tokens INTEGER NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document, page);
"""
_VECTORS = """
CREATE TABLE vectors (
  chunk INTEGER NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
  model TEXT NOT NULL,
  data BLOB NOT NULL,
  parts BLOB NOT NULL,
  PRIMARY KEY (chunk, model)
) WITHOUT ROWID
"""


def revision(connection: sqlite3.Connection, collection: int) -> int:
    """Returns a number that grows with every change of a collection."""
    row = connection.execute("SELECT revision FROM collections WHERE id = ?", (collection,))
    return int(row.fetchone()[0])


def touch(connection: sqlite3.Connection, collection: int) -> None:
    """Says that a collection changed: what was kept of it in memory is void."""
    connection.execute("UPDATE collections SET revision = revision + 1 WHERE id = ?", (collection,))


class DamagedIndex(InputError):
    """An index file is damaged; it can be made again from its sources."""


def _is_ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(72)[68:] == APPLICATION_ID.to_bytes(4, "big")


class Connections:
    """One connection for each thread to one index file; WAL, so readers never wait for a writer.

    Raises:
        InputError: the file is not an index of this program, or cannot be written.
        DamagedIndex: it is an index, but damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = PerThread(self._connect, sqlite3.Connection.close)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_known(path) and path.exists() and not path.stat().st_size:
                raise sqlite3.DatabaseError("malformed: the file is empty")
            is_new = not path.exists()
            if is_new:
                forget(path)
            self._prepare(self.get(), is_new=is_new)
            begin_log(path, self.get())
        except (OSError, sqlite3.Error) as error:
            self.close()
            if is_damage(error) and (is_known(path) or _is_ours(path)):
                raise DamagedIndex(f"{path}: the index file is damaged.") from error
            raise InputError(f"{path}: cannot be used as a document index ({error}).") from error
        except BaseException:  # an index of another program, an interrupt: nothing stays open
            self.close()
            raise

    def get(self) -> sqlite3.Connection:
        """Returns this thread's connection."""
        return self._connections.get()

    def _connect(self) -> sqlite3.Connection:
        keep_file_closed(
            self.path
        )  # for good: code in the folder writes to no index that was ever open
        made = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        made.execute("PRAGMA foreign_keys = ON")
        made.execute(_SYNCHRONOUS)
        made.execute("PRAGMA cache_size = -32000")
        return made

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several queries that see the same state."""
        connection = self.get()
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that writes; rolled back on any error."""
        with transactions.write_transaction(self.get()) as connection:
            yield connection

    def another(self) -> sqlite3.Connection:
        """Returns a new connection that the caller closes."""
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)

    def close(self) -> None:
        """Closes the connections of all threads."""
        self._connections.close()

    def _prepare(self, connection: sqlite3.Connection, *, is_new: bool) -> None:
        if is_new:  # empty tables: nothing is lost with the power that is not made again
            connection.execute("PRAGMA synchronous = OFF")
        transactions.use_write_ahead_log(connection)
        with self.writing():
            self._make_tables(connection)
        connection.execute(_SYNCHRONOUS)

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION_ID:
            self._check_versions(connection)
            return
        if count:
            raise InputError(f"{self.path}: is a database, but not a document index.")
        for statement in [*_TABLES.split(";\n"), _VECTORS]:
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        values = [("schema", str(SCHEMA_VERSION)), ("tokens", str(TOKENS_VERSION))]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", values)

    def _check_versions(self, connection: sqlite3.Connection) -> None:
        found = dict(connection.execute("SELECT key, value FROM meta"))
        if found.get("schema") == "4":  # it had one vector a chunk
            connection.execute("DROP TABLE vectors")
            connection.execute(_VECTORS)
            found["schema"] = "5"
        if found.get("schema") == "5":  # its pages had no labels
            columns = {row[1] for row in connection.execute("PRAGMA table_info(pages)")}
            if "label" not in columns:
                connection.execute("ALTER TABLE pages ADD COLUMN label TEXT NOT NULL DEFAULT ''")
            connection.execute("UPDATE meta SET value = '6' WHERE key = 'schema'")
            found["schema"] = "6"
        wanted = {"schema": str(SCHEMA_VERSION), "tokens": str(TOKENS_VERSION)}
        if any(found.get(key) != value for key, value in wanted.items()):
            raise InputError(
                f"{self.path}: was made by another version of qwenbelt.",
                fix="Delete it and add the files again.",
            )

    def collection(self, name: str) -> int:
        """Returns a collection's number; a new one gets its own full-text table."""
        query = "SELECT id FROM collections WHERE name = ?"
        row = self.get().execute(query, (name,)).fetchone()
        if row is not None:
            return int(row[0])
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO collections (name) VALUES (?)", (name,))
            (number,) = connection.execute(query, (name,)).fetchone()
            connection.execute(
                f"""CREATE VIRTUAL TABLE IF NOT EXISTS words_{number} USING fts5 (
                body, context, content='', tokenize="{TOKENIZER}")"""
            )
            connection.execute(table(f"fast_{number}"))
            connection.execute(
                f"INSERT INTO words_{number} (words_{number}, rank) VALUES ('rank', ?)",  # noqa: S608
                (f"bm25(1.0, {SECTION_WEIGHT})",),
            )
        return int(number)
