"""Conversations in a database: sessions, and the tree of their turns.

A turn is a question and its answer. Editing or retrying makes a sibling of the turn; the session
remembers which leaf of the tree is shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.agents.sessions.chat_tables import CONVERSATION_TABLES, named
from qwenbelt.core.errors import InputError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.transactions import use_write_ahead_log

_ROW = 'id, "user", title, leaf, created, updated'
TURN_COLUMNS = "id, session, parent, created, question, files, messages, events, answer"
_VERSIONS = "_versions"  # the field of the settings that counts the others' changes
SettingChange = Callable[[dict[str, Any], int, str], Any]


@dataclass
class ChatTurn:
    """A question and its answer.

    Attributes:
        parent: the turn before it, or None for the first.
        files: names of the attached files in the session's folder.
        messages: the question and the replies, as qwen-agent message dicts.
        events: what happened, as trace records.
    """

    session: str
    question: str
    parent: str | None = None
    files: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    answer: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    created: float = field(default_factory=time.time)


@dataclass
class SessionRow:
    """A conversation's entry in the list."""

    id: str
    user: str
    title: str
    leaf: str | None
    created: float
    updated: float
    version: int = 0  # counts the changes, where replicas share a store


class ChatStore:
    """The database; safe to use from several threads.

    Raises:
        InputError: the file cannot be opened as a database.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        try:
            if str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            use_write_ahead_log(self._db)
            # a power cut may cost the last moments, never the database; no write waits for the disk
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA busy_timeout = 5000")
            for statement in CONVERSATION_TABLES:
                self._db.execute(named(statement, ""))
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{path}: cannot be opened as a database ({error}).") from error

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._db.close()

    def _run(self, sql: str, values: Iterable[Any] = (), *, changed: str = "") -> list[Any]:
        """Runs a statement whose tables are named in brackets; `changed` names a conversation."""
        with self._lock, self._told():
            return self._db.execute(sql, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _alone(self, user: str) -> Iterator[Callable[[str, Iterable[Any]], list[Any]]]:
        """Gives what runs statements while nobody else changes the settings of a user."""
        with self._lock, self._told():
            yield lambda sql, values: self._db.execute(sql, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(
                f"The conversations cannot be used ({error}).",
                fix="Make room on the disk of the workspace; what was kept before is still there.",
            ) from error

    def rows_of(self, table: str, columns: Sequence[str]) -> list[Any]:
        """Returns all rows of a table."""
        return self._run(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608

    # -- sessions -----------------------------------------------------------------------------

    def new_session(
        self, user: str, title: str = "", *, updated: float | None = None, name: str = ""
    ) -> SessionRow:
        """Makes an empty conversation, unless one of that name is there.

        Args:
            user: whose.
            title: its title.
            updated: when another program used it last.
            name: the id is made of it, so that two that make it at once make one.
        """
        now = updated or time.time()
        digest = hashlib.sha256(f"{user} {name}".encode("utf-8", "replace")).hexdigest()
        row = SessionRow(digest[:32] if name else uuid.uuid4().hex, user, title, None, now, now)
        self._run(
            f"INSERT INTO [sessions] ({_ROW}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (id) DO NOTHING",
            (row.id, user, title, None, now, now),
        )
        return row

    def session(self, user: str, session: str) -> SessionRow | None:
        """Returns a user's conversation, or None if there is none or it is another user's."""
        sql = f'SELECT {_ROW} FROM [sessions] WHERE id = ? AND "user" = ?'  # noqa: S608
        rows = self._run(sql, (session, user))
        return SessionRow(*rows[0]) if rows else None

    def sessions(self, user: str, words: str = "", limit: int = 200) -> list[SessionRow]:
        """Returns a user's conversations, the latest first; not those where nothing was said yet.

        Args:
            user: whose.
            words: only those that contain them in the title, a question or an answer.
            limit: how many at most.
        """
        sql = (
            f"SELECT {_ROW} FROM [sessions]"  # noqa: S608
            " WHERE \"user\" = ? AND (leaf IS NOT NULL OR title <> '')"
        )
        values: list[Any] = [user]
        for word in words.split()[:8]:
            like = _like(word)
            sql += (
                " AND (title LIKE ? ESCAPE '\\' OR id IN (SELECT session FROM [turns]"
                " WHERE question LIKE ? ESCAPE '\\' OR answer LIKE ? ESCAPE '\\'))"
            )
            values += [like, like, like]
        rows = self._run(f"{sql} ORDER BY updated DESC LIMIT ?", [*values, limit])
        return [SessionRow(*row) for row in rows]

    def kept_by_session(self, user: str, name: str) -> dict[str, Any]:
        """Returns what a user's conversations keep under a name, by their ids."""
        sql = (
            "SELECT session, body FROM [kept] AS k JOIN [sessions] AS s ON s.id = k.session"
            ' WHERE "user" = ? AND name = ?'
        )
        return {row[0]: loads_bounded(row[1]) for row in self._run(sql, (user, name))}

    def found_around(self, session: str, word: str, characters: int = 60) -> str:
        """Returns a word with what stands around it in a conversation, or ""."""
        sql = (
            "SELECT question, answer FROM [turns] WHERE session = ?"
            " AND (question LIKE ? ESCAPE '\\' OR answer LIKE ? ESCAPE '\\') LIMIT 1"
        )
        for texts in self._run(sql, (session, _like(word), _like(word))):
            for text in texts:
                at = text.lower().find(word.lower())
                if at >= 0:
                    start, end = max(0, at - characters), at + len(word) + characters
                    around = " ".join(text[start:end].split())
                    return f"{'…' * (start > 0)}{around}{'…' * (end < len(text))}"
        return ""

    def rename(self, session: str, title: str) -> None:
        """Gives a conversation a title."""
        sql = "UPDATE [sessions] SET title = ? WHERE id = ?"
        self._run(sql, (title[:200], session), changed=session)

    def delete(self, session: str) -> None:
        """Deletes a conversation and its turns."""
        self._run("DELETE FROM [sessions] WHERE id = ?", (session,), changed=session)

    def delete_empty(self, seconds: float) -> None:
        """Deletes conversations that were begun this long ago and in which nothing was said."""
        self._run(
            "DELETE FROM [sessions] WHERE leaf IS NULL AND title = '' AND updated < ?",
            (time.time() - seconds,),
        )

    def show_leaf(self, session: str, leaf: str | None) -> None:
        """Remembers which turn is the last one shown."""
        now = time.time()
        sql = "UPDATE [sessions] SET leaf = ?, updated = ? WHERE id = ?"
        self._run(sql, (leaf, now, session), changed=session)

    # -- turns --------------------------------------------------------------------------------

    def save_turn(self, turn: ChatTurn) -> None:
        """Writes a turn; known secrets in it are masked."""
        self._run(
            f"INSERT INTO [turns] ({TURN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, files = excluded.files,"
            " messages = excluded.messages, events = excluded.events, answer = excluded.answer",
            (
                turn.id,
                turn.session,
                turn.parent,
                turn.created,
                turn.question,
                json.dumps(turn.files, ensure_ascii=False),
                mask_secrets(json.dumps(turn.messages, ensure_ascii=False, default=str)),
                mask_secrets(json.dumps(turn.events, ensure_ascii=False, default=str)),
                turn.answer,
            ),
            changed=turn.session,
        )

    def turns(self, session: str) -> list[ChatTurn]:
        """Returns all turns of a conversation, oldest first."""
        sql = f"SELECT {TURN_COLUMNS} FROM [turns] WHERE session = ? ORDER BY created"  # noqa: S608
        rows = self._run(sql, (session,))
        return [turn_of_row(row) for row in rows]

    # -- settings -----------------------------------------------------------------------------

    def settings(self, user: str) -> dict[str, Any]:
        """Returns what a user chose last."""
        rows = self._run('SELECT body FROM [settings] WHERE "user" = ?', (user,))
        return dict(loads_bounded(rows[0][0])) if rows else {}

    def setting_version(self, user: str, name: str) -> int:
        """Returns how often a field of a user's settings was changed."""
        return int((self.settings(user).get(_VERSIONS) or {}).get(name, (0, ""))[0])

    def change_setting(self, user: str, name: str, change: SettingChange, page: str = "") -> int:
        """Changes one field of a user's settings and leaves the others as they are.

        Args:
            user: whose.
            name: the field.
            change: gets the settings, the field's version and the page that wrote it, and
                returns the field's new value; what it raises leaves everything as it was.
            page: which page changes it.

        Returns:
            The field's new version.
        """
        with self._alone(user) as run:
            rows = run('SELECT body FROM [settings] WHERE "user" = ?', (user,))
            body: dict[str, Any] = dict(loads_bounded(rows[0][0])) if rows else {}
            versions = dict(body.get(_VERSIONS) or {})
            version, writer = versions.get(name, (0, ""))
            body[name] = change(body, version, writer)
            version += 1
            versions[name] = (version, page)
            text = json.dumps({**body, _VERSIONS: versions}, ensure_ascii=False)
            run(
                'INSERT INTO [settings] ("user", body) VALUES (?, ?)'
                ' ON CONFLICT ("user") DO UPDATE SET body = excluded.body',
                (user, text),
            )
        return int(version)

    # -- who used how much --------------------------------------------------------------------

    def add_usage(self, user: str, tokens: int, cost: float) -> None:
        """Adds what one turn took to a user's month; it stays when conversations are deleted."""
        now = time.time()
        self._run(
            'INSERT INTO [usage] ("user", month, turns, tokens, cost, last)'
            ' VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT ("user", month) DO UPDATE SET'
            " turns = [usage].turns + 1, tokens = [usage].tokens + excluded.tokens,"
            " cost = [usage].cost + excluded.cost, last = excluded.last",
            (user, _month(now), tokens, cost, now),
        )

    def usage(self, user: str) -> dict[str, float]:
        """Returns tokens and cost of a user's month."""
        sql = 'SELECT tokens, cost FROM [usage] WHERE "user" = ? AND month = ?'
        rows = self._run(sql, (user, _month(time.time())))
        return {"tokens": rows[0][0], "cost": rows[0][1]} if rows else {"tokens": 0, "cost": 0.0}

    def all_usage(self) -> list[dict[str, Any]]:
        """Returns what all users took, the latest months first."""
        rows = self._run(
            'SELECT "user", month, turns, tokens, cost, last FROM [usage]'
            " ORDER BY month DESC, cost DESC, tokens DESC"
        )
        names = ("user", "month", "turns", "tokens", "cost", "last")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # -- what else belongs to a conversation --------------------------------------------------

    def kept(self, session: str, name: str) -> Any:
        """Returns what was kept with a conversation under a name, or None."""
        sql = "SELECT body FROM [kept] WHERE session = ? AND name = ?"
        rows = self._run(sql, (session, name))
        return loads_bounded(rows[0][0]) if rows else None

    def keeping(self, name: str, body: Any) -> list[str]:
        """Returns the conversations that keep this value under a name."""
        text = mask_secrets(json.dumps(body, ensure_ascii=False))
        rows = self._run("SELECT session FROM [kept] WHERE name = ? AND body = ?", (name, text))
        return [row[0] for row in rows]

    def keep(self, session: str, name: str, body: Any) -> None:
        """Keeps a JSON value with a conversation."""
        text = mask_secrets(json.dumps(body, ensure_ascii=False))
        self._run(
            "INSERT INTO [kept] (session, name, body) VALUES (?, ?, ?)"
            " ON CONFLICT (session, name) DO UPDATE SET body = excluded.body",
            (session, name, text),
            changed=session,
        )


def _like(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _month(now: float) -> str:
    return time.strftime("%Y-%m", time.gmtime(now))


def turn_of_row(row: tuple[Any, ...]) -> ChatTurn:
    """Returns a turn of its row, with the columns of `TURN_COLUMNS`."""
    return ChatTurn(
        id=row[0],
        session=row[1],
        parent=row[2],
        created=row[3],
        question=row[4],
        files=loads_bounded(row[5]),
        messages=loads_bounded(row[6]),
        events=loads_bounded(row[7]),
        answer=row[8],
    )
