"""The open conversations of a server."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import re
import shutil
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn, SessionRow
from qwenbelt.apps.gui.live_turn import state_name
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.tools.code_interpreter.states.kept_states import forget_state

if TYPE_CHECKING:
    from qwenbelt.apps.gui.kept.shared_store import SharedConversations
    from qwenbelt.apps.gui.replicas.replica import Replica

IDLE_SECONDS = 1800.0  # a conversation that rests this long gives its agent and kernel back
STOP_SECONDS = 5.0  # that a turn has to end in when its conversation is deleted
EMPTY_SECONDS = 24 * 3600.0  # conversations without a word are forgotten after this


class SessionRegistry:
    """All open conversations of this server.

    Args:
        store: where they are kept.
        workspace: the folder that has a subfolder for each.
    """

    def __init__(self, store: ChatStore, workspace: Path) -> None:
        self.store = store
        self.workspace = workspace
        self.shared: SharedConversations | None = None
        self.replica: Replica | None = None
        self.at_once: asyncio.Semaphore | None = None  # how many turns may run side by side
        self._sessions: dict[str, ChatSession] = {}

    def open(self, user: str, session: str) -> ChatSession:
        """Returns a user's conversation.

        Raises:
            PageError: the user has no such conversation.
        """
        row = self.store.session(user, session)
        if row is None:
            self._sessions.pop(session, None)
            raise PageError("no_conversation")
        found = self._sessions.get(session)
        if found is None:
            found = ChatSession(row, self.store, self.workspace / session, self.at_once)
            self._sessions[session] = found
            found.replica = self.replica
        found.row.title = row.title
        found.used = time.monotonic()
        found.shared = self.shared
        if self.replica is not None:
            self.replica.opened(found, row)
        if self.shared is not None:
            self.shared.opened(found)
        return found

    @property
    def known(self) -> Mapping[str, ChatSession]:
        """The conversations that are open here."""
        return self._sessions

    def listed(self, user: str, words: str = "") -> list[SessionRow]:
        """Returns a user's conversations, the latest first."""
        if self.shared is not None:
            self.shared.listed(user)
        return self.store.sessions(user, words)

    def branch(self, session: ChatSession, upto: ChatTurn) -> SessionRow:
        """Makes a new conversation of the turns up to one, with copies of the files."""
        user = session.row.user
        titles = {row.title for row in self.store.sessions(user)}
        row = self.store.new_session(user, _next_title(session.row.title, titles))
        parent = None
        for turn in session.path():
            copy = dataclasses.replace(
                turn,
                id=uuid.uuid4().hex[:12],
                session=row.id,
                parent=parent,
                # paths in them lead to the copies of the files
                messages=json.loads(json.dumps(turn.messages).replace(session.row.id, row.id)),
                events=json.loads(json.dumps(turn.events).replace(session.row.id, row.id)),
            )
            self.store.save_turn(copy)
            parent = copy.id
            if turn.id == upto.id:
                break
        self.store.show_leaf(row.id, parent)
        if self.replica is not None:
            self.replica.files.bring(session.row.id)
        if session.folder.is_dir():
            _copy_files(session.folder, self.workspace / row.id)
        if self.replica is not None:
            self.replica.files.keep(row.id)
        return row

    async def delete(self, user: str, session: str) -> None:
        """Deletes a conversation with its files; what runs in it is ended first.

        Raises:
            PageError: the user has no such conversation.
        """
        found = self.open(user, session)
        found.gone = True
        self._sessions.pop(session, None)
        lives = [live for live in (found.live, found.beside) if live is not None]
        running = [live.task for live in lives if live.task is not None]
        found.stop()
        found.own_cells.cancelled.set()
        if running:
            await asyncio.wait(running, timeout=STOP_SECONDS)
        found.rest()
        for turn in found.turns.values():
            forget_state(state_name(turn))
        for cell in found.own_cells.cells:
            forget_state(cell.state)
        if self.shared is not None:
            self.shared.delete(session)
        if self.replica is not None:
            self.replica.files.forget(session)
        self.store.delete(session)
        found.notify()
        await asyncio.to_thread(shutil.rmtree, found.folder, ignore_errors=True)

    def rest_idle(self, seconds: float = IDLE_SECONDS) -> int:
        """Closes conversations that have been idle and unwatched for a while; returns how many."""
        self.store.delete_empty(EMPTY_SECONDS)
        limit = time.monotonic() - seconds
        idle = [
            name
            for name, session in self._sessions.items()
            if session.live is None
            and session.own_cells.running is None
            and not session.watchers
            and session.used < limit
        ]
        for name in idle:
            self._sessions.pop(name).rest()
        return len(idle)

    def leave(self) -> None:
        """Lets the browsers go, so that the server can end at once."""
        for session in self._sessions.values():
            session.left = True
            session.notify()

    async def close(self) -> None:
        """Ends what runs."""
        tasks = []
        for session in self._sessions.values():
            if session.beside is not None and session.beside.task is not None:
                tasks.append(session.beside.task)
            if session.live is not None and session.live.task is not None:
                # another replica goes on with what can be gone on with
                session.live.lost = self.replica is not None and session.goes_on
                session.stop()
                tasks.append(session.live.task)
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)


def _copy_files(folder: Path, target: Path) -> None:
    """Copies what a conversation holds: its files and folders.

    Links and pipes that its code has made stay behind: a link can lead to a person's own files, and
    a copy of what it leads to would be shown like one of the conversation's.
    """

    def odd(place: str, names: list[str]) -> list[str]:
        found = (Path(place) / name for name in names)
        return [p.name for p in found if p.is_symlink() or not (p.is_file() or p.is_dir())]

    # a file that becomes a link while it is copied becomes one there too
    copy = functools.partial(shutil.copy2, follow_symlinks=False)
    shutil.copytree(
        folder, target, symlinks=True, ignore=odd, copy_function=copy, dirs_exist_ok=True
    )


def _next_title(title: str, taken: Collection[str]) -> str:
    """Returns the title of a branch: "Title (2)", or the next number that is free."""
    base = re.sub(r" \(\d+\)$", "", title)
    number = 2
    while f"{base} ({number})" in taken:
        number += 1
    return f"{base} ({number})"
