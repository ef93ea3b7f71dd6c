"""The tables of the browser chat's conversations, for SQLite and PostgreSQL.

A table is named in brackets here: the page's own SQLite file has the plain names, a database that
is shared with others has them with a prefix.
"""

from __future__ import annotations

import re

SHARED_PREFIX = "qwenbelt_chat_"
_NAMED = re.compile(r"\[(\w+)\]")

CONVERSATION_TABLES = (
    "CREATE TABLE IF NOT EXISTS [sessions] ("
    "id TEXT PRIMARY KEY, \"user\" TEXT NOT NULL, title TEXT NOT NULL DEFAULT '', "
    "leaf TEXT, created DOUBLE PRECISION NOT NULL, updated DOUBLE PRECISION NOT NULL)",
    'CREATE INDEX IF NOT EXISTS [sessions_of_user] ON [sessions] ("user", updated)',
    "CREATE TABLE IF NOT EXISTS [turns] ("
    "id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES [sessions] (id) ON DELETE CASCADE, "
    "parent TEXT, created DOUBLE PRECISION NOT NULL, question TEXT NOT NULL, files TEXT NOT NULL, "
    "messages TEXT NOT NULL, events TEXT NOT NULL, answer TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS [turns_of_session] ON [turns] (session, created)",
    'CREATE TABLE IF NOT EXISTS [settings] ("user" TEXT PRIMARY KEY, body TEXT NOT NULL)',
    "CREATE TABLE IF NOT EXISTS [usage] ("
    '"user" TEXT NOT NULL, month TEXT NOT NULL, turns BIGINT NOT NULL, tokens BIGINT NOT NULL, '
    'cost DOUBLE PRECISION NOT NULL, last DOUBLE PRECISION NOT NULL, PRIMARY KEY ("user", month))',
    "CREATE TABLE IF NOT EXISTS [kept] ("
    "session TEXT NOT NULL REFERENCES [sessions] (id) ON DELETE CASCADE, name TEXT NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (session, name))",
)
FILE_TABLE = (
    "CREATE TABLE IF NOT EXISTS [files] ("
    "session TEXT NOT NULL REFERENCES [sessions] (id) ON DELETE CASCADE, name TEXT NOT NULL, "
    "size BIGINT NOT NULL, digest TEXT NOT NULL, body BYTEA, PRIMARY KEY (session, name))"
)
# what replicas tell each other; nothing of it outlives the turn that runs
REPLICA_TABLES = (
    "CREATE TABLE IF NOT EXISTS [versions] ("
    "session TEXT PRIMARY KEY REFERENCES [sessions] (id) ON DELETE CASCADE, "
    "version BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS [live] ("
    "session TEXT PRIMARY KEY REFERENCES [sessions] (id) ON DELETE CASCADE, turn TEXT NOT NULL, "
    "replica TEXT NOT NULL, seen DOUBLE PRECISION NOT NULL, tries INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS [parts] ("
    "turn TEXT NOT NULL, part INTEGER NOT NULL, "
    "session TEXT NOT NULL REFERENCES [sessions] (id) ON DELETE CASCADE, records TEXT NOT NULL, "
    "PRIMARY KEY (turn, part))",
    "CREATE TABLE IF NOT EXISTS [orders] ("
    "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "session TEXT NOT NULL REFERENCES [sessions] (id) ON DELETE CASCADE, body TEXT NOT NULL)",
    'CREATE TABLE IF NOT EXISTS [logins] (digest TEXT PRIMARY KEY, "user" TEXT NOT NULL, '
    "until DOUBLE PRECISION NOT NULL)",
)
COLUMNS = {
    "[sessions]": ("id", '"user"', "title", "leaf", "created", "updated"),
    "[turns]": (
        *("id", "session", "parent", "created", "question", "files", "messages", "events"),
        "answer",
    ),
    "[settings]": ('"user"', "body"),
    "[usage]": ('"user"', "month", "turns", "tokens", "cost", "last"),
    "[kept]": ("session", "name", "body"),
    "[files]": ("session", "name", "size", "digest", "body"),
}


def named(statement: str, prefix: str = SHARED_PREFIX) -> str:
    """Returns a statement with the names that its tables have in a database."""
    return _NAMED.sub(rf"{prefix}\1", statement)
