"""The tables of an index in PostgreSQL, and connections to it.

Schema 1 kept the words of a chunk as a tsvector with a GIN index; schema 2 keeps lists of our own
(see `postgres_words`). A database of schema 1 is used as it is until it is brought forward (see
`postgres_upgrade`), so that replicas of the version before go on meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from qwenbelt.core.errors import ConfigError, InputError, one_line
from qwenbelt.core.processes.per_process import PerThread
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.tools.documents.search.tokens import TOKENS_VERSION

SCHEMA_VERSION = 2
_LOCK = 0x51574278  # "QWBx": taken while the tables are made
SECONDS = 15  # to connect

_TABLES = """
CREATE SCHEMA IF NOT EXISTS qwenbelt;
CREATE TABLE IF NOT EXISTS qwenbelt.meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS qwenbelt.collections (
  id serial PRIMARY KEY, name text NOT NULL UNIQUE, revision bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS qwenbelt.documents (
  id bigserial PRIMARY KEY,
  collection integer NOT NULL REFERENCES qwenbelt.collections,
  key text NOT NULL, title text NOT NULL, kind text NOT NULL, bytes bigint NOT NULL,
  pages integer NOT NULL, outline text NOT NULL, state text NOT NULL,
  chunks integer NOT NULL DEFAULT 0, tokens bigint NOT NULL DEFAULT 0,
  notes text NOT NULL DEFAULT '[]', UNIQUE (collection, key)
);
CREATE TABLE IF NOT EXISTS qwenbelt.names (
  collection integer NOT NULL, path text NOT NULL, version integer NOT NULL, name text NOT NULL,
  document bigint NOT NULL REFERENCES qwenbelt.documents, current boolean NOT NULL,
  added text NOT NULL, meta text NOT NULL, PRIMARY KEY (collection, path, version)
);
CREATE INDEX IF NOT EXISTS names_document ON qwenbelt.names (document);
CREATE INDEX IF NOT EXISTS names_name ON qwenbelt.names (collection, name);
CREATE TABLE IF NOT EXISTS qwenbelt.pages (
  document bigint NOT NULL REFERENCES qwenbelt.documents ON DELETE CASCADE,
  number integer NOT NULL, width real NOT NULL, height real NOT NULL, text text NOT NULL,
  lines bytea NOT NULL, tables text NOT NULL, headings text NOT NULL, captions text NOT NULL,
  notes text NOT NULL, PRIMARY KEY (document, number)
);
CREATE TABLE IF NOT EXISTS qwenbelt.chunks (
  id bigserial PRIMARY KEY,
  document bigint NOT NULL REFERENCES qwenbelt.documents ON DELETE CASCADE,
  collection integer NOT NULL, page integer NOT NULL, start integer NOT NULL,
  stop integer NOT NULL, kind text NOT NULL, section text NOT NULL, context text NOT NULL,
  tokens integer NOT NULL
);
CREATE INDEX IF NOT EXISTS chunks_document ON qwenbelt.chunks (document, page);
CREATE TABLE IF NOT EXISTS qwenbelt.vectors (
  chunk bigint NOT NULL REFERENCES qwenbelt.chunks ON DELETE CASCADE,
  model text NOT NULL, data bytea NOT NULL, PRIMARY KEY (chunk, model)
);
ALTER TABLE qwenbelt.vectors ADD COLUMN IF NOT EXISTS parts bytea NOT NULL DEFAULT '';
ALTER TABLE qwenbelt.pages ADD COLUMN IF NOT EXISTS label text NOT NULL DEFAULT '';
ALTER TABLE qwenbelt.documents ADD COLUMN IF NOT EXISTS packed boolean NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS qwenbelt.identity (value text NOT NULL);
CREATE TABLE IF NOT EXISTS qwenbelt.packed (
  document bigint PRIMARY KEY REFERENCES qwenbelt.documents ON DELETE CASCADE,
  collection integer NOT NULL, chunks integer NOT NULL, ids bytea NOT NULL,
  lengths bytea NOT NULL, terms text NOT NULL, ends bytea NOT NULL, lists bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS packed_collection ON qwenbelt.packed (collection);
CREATE TABLE IF NOT EXISTS qwenbelt.segments (
  id bigserial PRIMARY KEY, collection integer NOT NULL, chunks integer NOT NULL,
  ids bytea NOT NULL, lengths bytea NOT NULL, documents bytea NOT NULL, starts bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS segments_collection ON qwenbelt.segments (collection);
CREATE TABLE IF NOT EXISTS qwenbelt.postings (
  segment bigint NOT NULL, term text COLLATE "C" NOT NULL, list bytea NOT NULL,
  PRIMARY KEY (segment, term)
);
ALTER TABLE qwenbelt.postings ALTER COLUMN list SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS qwenbelt.dead (
  collection integer NOT NULL, document bigint NOT NULL, PRIMARY KEY (collection, document)
);
"""
_PLACED = """
CREATE TABLE IF NOT EXISTS qwenbelt.placed (
  chunk bigint NOT NULL REFERENCES qwenbelt.chunks ON DELETE CASCADE,
  model text NOT NULL, place vector NOT NULL, PRIMARY KEY (chunk, model)
)
"""


class Server:
    """One connection for each thread to a database.

    Attributes:
        has_vectors: whether the database has pgvector.
        identity: tells this database from another one at the same URL.

    Raises:
        ConfigError: the `postgres` extra is not installed.
        InputError: the database cannot be reached or used.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError(
                "An index in PostgreSQL needs an extra.", fix='pip install "qwenbelt[postgres]"'
            ) from error
        self._psycopg = psycopg
        self._url = url
        self.identity = ""
        self._connections: PerThread[Any] = PerThread(
            self._connect, lambda made: made.close(), lambda made: not made.closed
        )
        try:
            self.has_vectors = self._prepare()
        except psycopg.Error as error:
            self.close()
            reason = mask_secrets(one_line(error)).replace(url, "the database")
            raise InputError(f"The PostgreSQL index cannot be used: {reason}") from None
        except BaseException:  # an index of another program, an interrupt: nothing stays open
            self.close()
            raise

    def get(self) -> Any:
        """Returns this thread's connection; a lost one is reopened."""
        return self._connections.get()

    def _connect(self) -> Any:
        made = self._psycopg.connect(self._url, autocommit=True, connect_timeout=SECONDS)
        # as the SQLite store: a server that loses power may lose the last files, and nothing else
        made.execute("SET synchronous_commit = off")
        return made

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Runs a query and returns its rows."""
        found: list[Any] = self.get().execute(query, values).fetchall()
        return found

    @contextlib.contextmanager
    def writing(self, collection: int) -> Iterator[Any]:
        """One transaction that writes to a collection; writers of one wait for each other."""
        connection = self.get()
        with connection.transaction():
            self.lock(connection, collection)
            yield connection

    def lock(self, connection: Any, collection: int) -> None:
        """Waits until no other writer is at names and lists of a collection; to the end."""
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, collection))

    def close(self) -> None:
        """Closes the connections of all threads."""
        self._connections.close()

    def collection(self, name: str) -> int:
        """Returns a collection's number."""
        self.get().execute(
            "INSERT INTO qwenbelt.collections (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,)
        )
        ((number,),) = self.rows("SELECT id FROM qwenbelt.collections WHERE name = %s", name)
        return int(number)

    def _prepare(self) -> bool:
        exists = "SELECT to_regclass('qwenbelt.segments') IS NOT NULL"
        if not self.rows(exists)[0][0]:  # altering tables waits for whoever reads them
            with self.writing(0) as connection:
                connection.execute(_TABLES)
        with self.writing(0) as connection:
            connection.execute(
                """INSERT INTO qwenbelt.identity SELECT gen_random_uuid()::text
                WHERE NOT EXISTS (SELECT 1 FROM qwenbelt.identity)"""
            )
            values = {"schema": str(SCHEMA_VERSION), "tokens": str(TOKENS_VERSION)}
            for entry in values.items():
                query = "INSERT INTO qwenbelt.meta VALUES (%s, %s) ON CONFLICT DO NOTHING"
                connection.execute(query, entry)
            found = dict(connection.execute("SELECT key, value FROM qwenbelt.meta").fetchall())
            self._check(found)
            ((self.identity,),) = connection.execute(
                "SELECT value FROM qwenbelt.identity"
            ).fetchall()
        return self._place_vectors()

    def _check(self, found: dict[str, str]) -> None:
        # a newer version may say that this one can still use its tables
        least = int(found.get("least", found["schema"]))
        if least > SCHEMA_VERSION or found["tokens"] != str(TOKENS_VERSION):
            raise InputError(
                "The PostgreSQL index was made by another version of qwenbelt.",
                fix="Drop its schema qwenbelt and add the files again.",
            )

    def has_old_words(self) -> bool:
        """Returns whether chunks have the tsvector of schema 1."""
        return bool(
            self.rows(
                """SELECT 1 FROM pg_attribute WHERE attrelid = 'qwenbelt.chunks'::regclass
                AND attname = 'words' AND NOT attisdropped"""
            )
        )

    def schema(self) -> int:
        """Returns the schema that the tables have now."""
        ((found,),) = self.rows("SELECT value FROM qwenbelt.meta WHERE key = 'schema'")
        return int(found)

    def another(self) -> Any:
        """Returns a new connection that the caller closes."""
        return self._connect()

    @contextlib.contextmanager
    def alone(self, collection: int) -> Iterator[bool]:
        """Gives whether nobody else is putting a collection's words in order now."""
        connection = self.get()
        query = "SELECT {}(%s, %s)"
        values = (_LOCK + 1, collection)
        row = connection.execute(query.format("pg_try_advisory_lock"), values).fetchone()
        try:
            yield bool(row[0])
        finally:
            if row[0]:
                connection.execute(query.format("pg_advisory_unlock"), values)

    def _place_vectors(self) -> bool:
        known = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
        if not self.rows(known):
            return False
        try:
            with self.writing(0) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                connection.execute(_PLACED)
        except self._psycopg.errors.InsufficientPrivilege:
            return False  # without it vectors are compared here
        return True
