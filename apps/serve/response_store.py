"""Stored replies that any replica can return or continue.

A reply that is written in the background belongs to a replica, which renews its lease every few
seconds. When the lease ends, another replica takes over and continues from what was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbelt.agents.sessions.database import StoreTables
from qwenbelt.agents.sessions.dump import RESPONSE_TABLES
from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets

_OPEN = ("queued", "in_progress")
SIGN_SECONDS = 3.0
DEAD_SECONDS = 15.0  # without a sign
MOST_TRIES = 4
MAX_BYTES = 96 * 1024 * 1024
Json = dict[str, Any]


@dataclass(frozen=True)
class StoredResponse:
    """A reply as it is kept.

    Attributes:
        body: the request, its input whole.
        reply: what clients are given.
    """

    id: str
    status: str
    body: Json
    reply: Json


class ResponseStore(StoreTables):
    """The table of replies.

    Args:
        place: the path of a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place, RESPONSE_TABLES)

    def put(self, owner: str, stored: StoredResponse, replica: str = "") -> None:
        """Keeps a new reply, or one that a replica is about to write."""
        texts = (_json_text(stored.body), _json_text(stored.reply))
        with self._transaction() as run:
            now = self._now(run)
            row = (stored.id, owner, now, stored.status, *texts, replica, now, 1)
            run("INSERT INTO qwenbelt_responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def get(self, identity: str, owner: str) -> StoredResponse | None:
        """Returns a reply of this owner, or None."""
        with self._transaction() as run:
            rows = run(
                "SELECT status, body, reply FROM qwenbelt_responses WHERE id = ? AND owner = ?",
                (identity, owner),
            )
        if not rows:
            return None
        status, body, reply = rows[0]
        return StoredResponse(identity, status, _json_value(body), _json_value(reply))

    def end(self, identity: str, replica: str, reply: Mapping[str, Any]) -> None:
        """Keeps how a reply ended, unless it was cancelled or belongs to another by now."""
        with self._transaction() as run:
            run(
                "UPDATE qwenbelt_responses SET status = ?, reply = ? "
                "WHERE id = ? AND replica = ? AND status IN (?, ?)",
                (reply["status"], _json_text(reply), identity, replica, *_OPEN),
            )

    def cancel(self, identity: str, owner: str) -> None:
        """Marks a reply that is being written as cancelled."""
        stored = self.get(identity, owner)
        if stored is None or stored.status not in _OPEN:
            return
        with self._transaction() as run:
            run(
                "UPDATE qwenbelt_responses SET status = ?, reply = ? "
                "WHERE id = ? AND status IN (?, ?)",
                (
                    "cancelled",
                    _json_text({**stored.reply, "status": "cancelled"}),
                    identity,
                    *_OPEN,
                ),
            )

    def delete(self, identity: str, owner: str) -> bool:
        """Deletes a reply; returns whether it existed."""
        with self._transaction() as run:
            found = run(
                "DELETE FROM qwenbelt_responses WHERE id = ? AND owner = ? RETURNING id",
                (identity, owner),
            )
        return bool(found)

    def sign(self, replica: str) -> set[str]:
        """Says that a replica lives; returns the replies that it has to write."""
        with self._transaction() as run:
            run(
                "UPDATE qwenbelt_responses SET seen = ? WHERE replica = ? AND status IN (?, ?)",
                (self._now(run), replica, *_OPEN),
            )
            rows = run(
                "SELECT id FROM qwenbelt_responses WHERE replica = ? AND status IN (?, ?)",
                (replica, *_OPEN),
            )
        return {row[0] for row in rows}

    def take_over(self, replica: str, seconds: float) -> list[tuple[str, Json, int]]:
        """Gives this replica the replies whose replica gave no sign for so long.

        Returns:
            Each one's id, request, and how often it was begun.
        """
        with self._transaction() as run:
            now = self._now(run)
            rows = run(
                "UPDATE qwenbelt_responses SET replica = ?, seen = ?, tries = tries + 1 "
                "WHERE status IN (?, ?) AND seen < ? RETURNING id, body, tries",
                (replica, now, *_OPEN, now - seconds),
            )
        return [(row[0], _json_value(row[1]), row[2]) for row in rows]

    def let_go(self, replica: str) -> None:
        """Leaves the replies of a replica that ends to the others, at once."""
        with self._transaction() as run:
            run(
                "UPDATE qwenbelt_responses SET seen = 0, tries = tries - 1 "
                "WHERE replica = ? AND status IN (?, ?)",
                (replica, *_OPEN),
            )


def _json_text(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return text.replace("\\u0000", "")


def _json_value(text: str) -> Json:
    value: Json = loads_bounded(text, max_bytes=MAX_BYTES)
    return value


class BackgroundResponses:
    """Writes replies in the background, and those of replicas that died.

    Args:
        store: where they are kept.
        write: runs a request under an id; returns the whole reply.
    """

    def __init__(self, store: ResponseStore, write: Callable[[str, Json], Awaitable[Json]]) -> None:
        self._store = store
        self._write = write
        self._replica = uuid.uuid4().hex
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks after replies as long as the server runs."""
        watching = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.wait({watching, *self._tasks.values()})
            with contextlib.suppress(QwenbeltError):
                await asyncio.to_thread(self._store.let_go, self._replica)

    async def begin(self, owner: str, stored: StoredResponse) -> None:
        """Keeps a request and begins to write its reply."""
        await asyncio.to_thread(self._store.put, owner, stored, self._replica)
        self._start(stored.id, stored.body)

    def stop(self, identity: str) -> None:
        """Ends the writing of a reply, if it is written here."""
        task = self._tasks.get(identity)
        if task is not None:
            task.cancel()

    def _start(self, identity: str, body: Json) -> None:
        task = asyncio.ensure_future(self._written(identity, body))
        self._tasks[identity] = task
        task.add_done_callback(lambda done: self._tasks.pop(identity, None))

    async def _written(self, identity: str, body: Json) -> None:
        try:
            reply = await self._write(identity, body)
        except Exception as error:  # a client that asks for the reply must learn that there is none
            reply = _failed_reply(identity, error)
        await asyncio.to_thread(self._store.end, identity, self._replica, reply)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(QwenbeltError):  # the database may be away for a while
                await self._look()
            await asyncio.sleep(SIGN_SECONDS)

    async def _look(self) -> None:
        before = dict(self._tasks)  # what begins while this is written is not in the answer
        mine = await asyncio.to_thread(self._store.sign, self._replica)
        for identity, task in before.items():
            if identity not in mine:  # cancelled elsewhere, deleted, or taken over
                task.cancel()
        for identity, body, tries in await asyncio.to_thread(
            self._store.take_over, self._replica, DEAD_SECONDS
        ):
            if tries > MOST_TRIES:
                error = RuntimeError(f"{tries - 1} replicas ended while they wrote it")
                reply = _failed_reply(identity, error)
                await asyncio.to_thread(self._store.end, identity, self._replica, reply)
            elif identity not in self._tasks:
                self._start(identity, body)


def _failed_reply(identity: str, error: Exception) -> Json:
    told = {"code": "server_error", "message": mask_secrets(one_line(error, 2000))}
    return {
        "id": identity,
        "object": "response",
        "created_at": int(time.time()),
        "status": "failed",
        "output": [],
        "error": told,
    }
