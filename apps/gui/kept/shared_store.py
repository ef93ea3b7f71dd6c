"""The page's conversations in the store that the terminal uses: `gui --store PLACE`.

The page's own database has more: versions of turns, and what happened in each. What is shown of a
conversation is also kept as a session of the shared store. Sessions that were begun elsewhere, and
turns that were added there, come in when the list or the conversation is read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.models.encoding import text_of
from qwenbelt.agents.sessions.session import Session, known_sessions
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn
from qwenbelt.apps.gui.message_lists import MessageLists
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Done

if TYPE_CHECKING:
    from qwenbelt.apps.gui.chat_session import ChatSession

log = logging.getLogger(__name__)
_LINK = "shared"  # what a conversation keeps the name of its session under
_OFTEN = 2.0  # seconds in which the store is not read again
_REST = 60.0  # seconds in which a store that is away is not read again
_MOST = 200  # sessions that are listed
Turns = list[list[dict[str, Any]]]


class SharedConversations:
    """What the page and the shared store tell each other.

    Args:
        place: the store, a SQLite file or `postgresql://…`.
        store: the page's own database.
        by_user: whether each user sees only sessions under a name of their own; without accounts
            the one user sees all.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the store cannot be used.
    """

    def __init__(self, place: str, store: ChatStore, *, by_user: bool) -> None:
        if "://" not in place:
            place = str(Path(place).expanduser())
        self._place = place
        self._store = store
        self._by_user = by_user
        self._read: dict[str, float] = {}
        self._away_until = 0.0
        Session(place, "")  # says at once what is wrong with the place

    def listed(self, user: str) -> None:
        """Like `bring_in`; a store that is away for a while costs no list."""
        with self._told_to_the_log():
            self.bring_in(user)

    def opened(self, session: ChatSession) -> None:
        """Like `bring_turns`; a store that is away for a while costs no conversation."""
        with self._told_to_the_log():
            self.bring_turns(session)

    def bring_in(self, user: str) -> None:
        """Lists what was begun elsewhere."""
        if self._was_read(f"list {user}"):
            return
        mine = self._prefix(user)
        for known in known_sessions(self._place)[:_MOST]:
            if known.name.startswith(mine) and not self._store.keeping(_LINK, known.name):
                title = known.begins or known.name.removeprefix(mine)
                row = self._store.new_session(
                    user, title[:60], updated=known.used or None, name=known.name
                )
                self._store.keep(row.id, _LINK, known.name)

    def bring_turns(self, session: ChatSession) -> None:
        """Adds the turns that were added elsewhere to a conversation; others become versions."""
        name = self._store.kept(session.row.id, _LINK)
        if name is None or session.live is not None or self._was_read(session.row.id):
            return
        kept = Session(self._place, name).open_turns()
        theirs = [messages for _, is_open, messages in kept if not is_open]
        path = session.path()
        same = _common([_plain(turn.messages) for turn in path], theirs)
        if len(theirs) > same:
            session.row.leaf = path[same - 1].id if same else None
            session.begin_with([_turn(session.row.id, messages) for messages in theirs[same:]])

    def write(self, session: ChatSession) -> None:
        """Keeps what is shown of a conversation as a session.

        Raises:
            InputError: the store cannot be used.
        """
        if session.demo:
            return
        path = [turn for turn in session.path() if turn.answer or turn.events]
        name = self._store.kept(session.row.id, _LINK)
        if name is None:
            if not path:
                return
            name = f"{self._prefix(session.row.user)}web-{session.row.id[:12]}"
            self._store.keep(session.row.id, _LINK, name)
        ours = [_plain(turn.messages) for turn in path]
        there = Session(self._place, name)
        there.put(ours)
        self._read[session.row.id] = time.monotonic()

    def delete(self, session: str) -> None:
        """Forgets a conversation in the shared store as well: else it would come back."""
        name = self._store.kept(session, _LINK)
        if name is not None:
            Session(self._place, name).clear()

    @contextlib.contextmanager
    def _told_to_the_log(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            # a connection that is not answered takes seconds, in which no page is served
            self._away_until = time.monotonic() + _REST
            log.warning("%s", error)

    def _prefix(self, user: str) -> str:
        return f"{user}/" if self._by_user else ""

    def _was_read(self, what: str) -> bool:
        now, before = time.monotonic(), self._read.get(what)
        if now < self._away_until or (before is not None and now - before < _OFTEN):
            return True
        self._read[what] = now
        return False


def _plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns messages as a database gives them back."""
    plain: list[dict[str, Any]] = json.loads(json.dumps(messages, default=str))
    return plain


def _common(ours: Turns, theirs: Turns) -> int:
    """Returns how many turns are the same from the first on."""
    same = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        same += 1
    return same


def _turn(session: str, messages: list[dict[str, Any]]) -> ChatTurn:
    """Returns a turn that others had, with events made from its messages."""
    asked = next((m for m in messages if m.get("role") == "user"), {"content": ""})
    told = [message for message in messages if message.get("role") != "user"]
    events: list[dict[str, Any]] = []
    lists = MessageLists(lambda event: events.append(event.to_dict()), with_names=False)
    lists.take(told, last=True)
    answer = text_of(told[-1].get("content")) if told else ""
    events.append(Done("answer", answer).to_dict())
    question = text_of(asked.get("content"))
    return ChatTurn(session, question, messages=messages, events=events, answer=answer)
