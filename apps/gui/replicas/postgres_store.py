"""The chat's conversations in PostgreSQL, and what its replicas tell each other there.

Every change of a conversation counts up its version and is announced (`NOTIFY`). A running turn
belongs to one replica, which signs every few seconds, by the database's clock: those of machines
may differ. What the turn reports is kept in parts until it ends, for whoever watches elsewhere, and
for the replica that goes on when this one dies.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.agents.sessions.chat_tables import (
    CONVERSATION_TABLES,
    FILE_TABLE,
    REPLICA_TABLES,
    named,
)
from qwenbelt.agents.sessions.database import StoreTables
from qwenbelt.apps.gui.kept.store import (
    TURN_COLUMNS,
    ChatStore,
    ChatTurn,
    SessionRow,
    turn_of_row,
)
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets

CHANNEL = "qwenbelt_chat"
_NOW = "extract(epoch FROM clock_timestamp())"
_RECORDS_BYTES = 96 * 1024 * 1024
_TABLES = tuple(named(text) for text in (*CONVERSATION_TABLES, FILE_TABLE, *REPLICA_TABLES))
Records = list[dict[str, Any]]
Runner = Callable[[str, Iterable[Any]], list[Any]]


@dataclass(frozen=True)
class LiveRow:
    """Which turn of a conversation runs, and where."""

    turn: str
    replica: str


@dataclass
class ConversationState:
    """All that is kept of a conversation at one moment."""

    row: SessionRow
    turns: list[ChatTurn]
    kept: dict[str, Any]
    live: LiveRow | None = None
    records: Records = field(default_factory=list)
    parts: int = 0


@dataclass(frozen=True)
class TakenTurn:
    """A turn whose replica gave no sign any more."""

    session: str
    user: str
    turn: str
    tries: int


class _Tables(StoreTables):
    @contextlib.contextmanager
    def run(self) -> Iterator[Runner]:
        """Gives a function that runs a statement whose tables are named in brackets."""
        with self._transaction() as run:
            yield lambda sql, values: run(_for_postgres(sql), [_plain(v) for v in values])


class PostgresChatStore(ChatStore):
    """The database of several replicas; safe to use from several threads.

    Args:
        place: `postgresql://…`.

    Attributes:
        place: the same.
        versions: of each conversation that is open here, which version is known.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the database cannot be used.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.versions: dict[str, int] = {}
        self._tables = _Tables(place, _TABLES)
        self._beside = _Tables(place, _TABLES)  # of the tasks: no request waits for them

    def close(self) -> None:
        """The connections belong to the process."""

    def _run(self, sql: str, values: Iterable[Any] = (), *, changed: str = "") -> list[Any]:
        with self._tables.run() as run:
            rows = run(sql, values)
            version = _touched(run, changed) if changed else 0
        if changed and self.versions.get(changed) == version - 1:
            self.versions[changed] = version
        return rows

    @contextlib.contextmanager
    def _alone(self, user: str) -> Iterator[Runner]:
        with self._tables.run() as run:
            run("SELECT pg_advisory_xact_lock(hashtext(?))", (f"qwenbelt chat {user}",))
            yield run

    def add_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows of a table that are not there yet, all of them or none."""
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
        with self._tables.run() as run:
            for row in rows:
                run(f"{sql} ON CONFLICT DO NOTHING", row)

    # -- conversations as others left them ----------------------------------------------------

    def session(self, user: str, session: str) -> SessionRow | None:
        """Returns a user's conversation with its version, or None."""
        sql = (
            'SELECT id, "user", title, leaf, created, updated, COALESCE(version, 0)'
            " FROM [sessions] LEFT JOIN [versions] ON session = id"
            ' WHERE id = ? AND "user" = ?'
        )
        rows = self._run(sql, (session, user))
        return SessionRow(*rows[0]) if rows else None

    def state(self, user: str, session: str) -> ConversationState | None:
        """Returns all of a conversation at one moment, or None if there is none."""
        with self._tables.run() as run:
            run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", ())
            rows = run(
                'SELECT id, "user", title, leaf, created, updated, COALESCE(version, 0)'
                " FROM [sessions] LEFT JOIN [versions] ON session = id"
                ' WHERE id = ? AND "user" = ?',
                (session, user),
            )
            if not rows:
                return None
            kept = run("SELECT name, body FROM [kept] WHERE session = ?", (session,))
            live = run("SELECT turn, replica FROM [live] WHERE session = ?", (session,))
            turns = _turns(run, session)
            parts = _parts(run, live[0][0], 0) if live else []
        state = ConversationState(
            SessionRow(*rows[0]), turns, {name: loads_bounded(body) for name, body in kept}
        )
        if live:
            state.live = LiveRow(*live[0])
            state.records, state.parts = _joined(parts)
        return state

    def new_parts(self, turn: str, after: int) -> tuple[Records, int]:
        """Returns what a running turn has reported after a part, and the number of the last."""
        with self._beside.run() as run:
            records, last = _joined(_parts(run, turn, after))
        return records, max(last, after)

    # -- turns that run -----------------------------------------------------------------------

    def claim(self, turn: ChatTurn, replica: str) -> bool:
        """Gives a replica the right to run a turn; False where another turn runs."""
        rows = self._run(
            "INSERT INTO [live] (session, turn, replica, seen, tries)"  # noqa: S608
            f" VALUES (?, ?, ?, {_NOW}, 1) ON CONFLICT (session) DO NOTHING RETURNING turn",
            (turn.session, turn.id, replica),
        )
        return bool(rows)

    def release(self, turn: ChatTurn, replica: str) -> list[dict[str, Any]]:
        """Ends the right to run a turn; returns the orders that came for it at last."""
        with self._tables.run() as run:
            # those who write an order hold the row: all that were written are there afterwards
            run(
                "DELETE FROM [live] WHERE session = ? AND turn = ? AND replica = ?",
                (turn.session, turn.id, replica),
            )
            run("DELETE FROM [parts] WHERE turn = ?", (turn.id,))
            orders = run("DELETE FROM [orders] WHERE session = ? RETURNING body", (turn.session,))
            version = _touched(run, turn.session)
        if self.versions.get(turn.session) == version - 1:
            self.versions[turn.session] = version
        return [loads_bounded(body) for (body,) in orders]

    def add_parts(self, parts: Sequence[tuple[str, str, int, Records]]) -> None:
        """Keeps what running turns have reported: session, turn, part, records."""
        with self._beside.run() as run:
            # what a crash of the database loses here is in the record of the run as well
            run("SET LOCAL synchronous_commit TO OFF", ())
            for session, turn, part, records in parts:
                text = mask_secrets(json.dumps(records, ensure_ascii=False, default=str))
                run(
                    "INSERT INTO [parts] (turn, part, session, records)"
                    " SELECT ?, ?, id, ? FROM [sessions] WHERE id = ?"
                    " ON CONFLICT (turn, part) DO NOTHING",
                    (turn, part, text, session),
                )
                _announce(run, {"s": session, "k": "part"})

    def sign(self, replica: str) -> set[tuple[str, str]]:
        """Says that a replica lives; returns the conversations and turns that it has to run."""
        with self._beside.run() as run:
            rows = run(
                f"UPDATE [live] SET seen = {_NOW} WHERE replica = ? RETURNING session, turn",  # noqa: S608
                (replica,),
            )
        return {(session, turn) for session, turn in rows}

    def take_over(self, replica: str, seconds: float) -> list[TakenTurn]:
        """Gives this replica the turns whose replica gave no sign for so long."""
        with self._beside.run() as run:
            rows = run(
                f"UPDATE [live] AS l SET replica = ?, seen = {_NOW}, tries = tries + 1"  # noqa: S608
                f" FROM [sessions] AS s WHERE s.id = l.session AND l.seen < {_NOW} - ?"
                ' RETURNING l.session, s."user", l.turn, l.tries',
                (replica, seconds),
            )
            for row in rows:
                _touched(run, row[0])
        return [TakenTurn(*row) for row in rows]

    def let_go(self, replica: str) -> None:
        """Leaves the turns of a replica that ends to the others, at once."""
        with self._beside.run() as run:
            run("UPDATE [live] SET seen = 0, tries = tries - 1 WHERE replica = ?", (replica,))

    def order(self, session: str, turn: str, order: Mapping[str, Any]) -> bool:
        """Tells the replica that runs a turn to do something; False where it has ended."""
        with self._tables.run() as run:
            rows = run("SELECT turn FROM [live] WHERE session = ? FOR SHARE", (session,))
            if not rows or rows[0][0] != turn:
                return False
            run("INSERT INTO [orders] (session, body) VALUES (?, ?)", (session, json.dumps(order)))
            _announce(run, {"s": session, "k": "order"})
        return True

    def orders(self, replica: str) -> list[tuple[str, dict[str, Any]]]:
        """Takes the orders for the turns of a replica: conversation and order, in their order."""
        with self._beside.run() as run:
            rows = run(
                "DELETE FROM [orders] USING [live] WHERE [live].session = [orders].session"
                " AND [live].replica = ? RETURNING id, [orders].session, body",
                (replica,),
            )
        return [(session, loads_bounded(body)) for _, session, body in sorted(rows)]

    # -- who is logged in ---------------------------------------------------------------------

    def add_login(self, digest: str, user: str, seconds: float) -> None:
        """Keeps that somebody logged in."""
        self._run(f"DELETE FROM [logins] WHERE until < {_NOW}")  # noqa: S608
        self._run(
            f'INSERT INTO [logins] (digest, "user", until) VALUES (?, ?, {_NOW} + ?)',  # noqa: S608
            (digest, user, seconds),
        )

    def login(self, digest: str) -> str | None:
        """Returns who logged in, while it lasts."""
        sql = f'SELECT "user" FROM [logins] WHERE digest = ? AND until > {_NOW}'  # noqa: S608
        rows = self._run(sql, (digest,))
        return str(rows[0][0]) if rows else None

    def end_login(self, digest: str) -> None:
        """Forgets a login."""
        self._run("DELETE FROM [logins] WHERE digest = ?", (digest,))

    # -- files --------------------------------------------------------------------------------

    def file_digests(self, session: str) -> dict[str, tuple[str, bool]]:
        """Returns for each file of a conversation its digest, and whether its body is here."""
        rows = self._run(
            "SELECT name, digest, body IS NOT NULL FROM [files] WHERE session = ?", (session,)
        )
        return {name: (digest, bool(here)) for name, digest, here in rows}

    def file_body(self, session: str, name: str) -> bytes | None:
        """Returns what a file holds, or None where it is not kept here."""
        sql = "SELECT body FROM [files] WHERE session = ? AND name = ?"
        rows = self._run(sql, (session, name))
        return bytes(rows[0][0]) if rows and rows[0][0] is not None else None

    def keep_file(
        self, session: str, name: str, size: int, digest: str, body: bytes | None
    ) -> None:
        """Keeps a file, or only that it is kept elsewhere."""
        self._run(
            "INSERT INTO [files] (session, name, size, digest, body)"
            " SELECT id, ?, ?, ?, ?::bytea FROM [sessions] WHERE id = ?"
            " ON CONFLICT (session, name) DO UPDATE SET size = excluded.size,"
            " digest = excluded.digest, body = excluded.body",
            (name, size, digest, body, session),
            changed=session,
        )


@functools.lru_cache(maxsize=200)
def _for_postgres(sql: str) -> str:
    return named(sql).replace(" LIKE ", " ILIKE ")  # SQLite's LIKE does not tell cases apart


def _plain(value: Any) -> Any:
    """Returns a value that PostgreSQL takes: no NUL, no halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    return value


def _touched(run: Runner, session: str) -> int:
    """Counts and announces a change; returns the version, 0 where the conversation is gone."""
    rows = run(
        "INSERT INTO [versions] (session, version) SELECT id, 1 FROM [sessions] WHERE id = ?"
        " ON CONFLICT (session) DO UPDATE SET version = [versions].version + 1"
        " RETURNING version",
        (session,),
    )
    version = int(rows[0][0]) if rows else 0
    _announce(run, {"s": session, "k": "changed", "v": version})
    return version


def _announce(run: Runner, told: Mapping[str, Any]) -> None:
    run("SELECT pg_notify(?, ?)", (CHANNEL, json.dumps(told)))


def _turns(run: Runner, session: str) -> list[ChatTurn]:
    sql = f"SELECT {TURN_COLUMNS} FROM [turns] WHERE session = ? ORDER BY created"  # noqa: S608
    return [turn_of_row(row) for row in run(sql, (session,))]


def _parts(run: Runner, turn: str, after: int) -> list[Any]:
    sql = "SELECT part, records FROM [parts] WHERE turn = ? AND part > ? ORDER BY part"
    return run(sql, (turn, after))


def _joined(parts: Sequence[Any]) -> tuple[Records, int]:
    records: Records = []
    for _, text in parts:
        records += loads_bounded(text, max_bytes=_RECORDS_BYTES)
    return records, parts[-1][0] if parts else 0
