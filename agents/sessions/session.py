"""`Session`: a conversation that outlives the process.

    agent.ask("What grew?", files=["a.pdf"], session=Session("chats.db", "anna"))
    agent.ask("And in 2023?", session=Session("chats.db", "anna"))

Each reply is kept before its calls run, each result as it comes. When a process dies in a turn,
asking the same question again goes on where it was: replies that were recorded are not asked for
again, calls that were recorded are not made again. A call whose effect was done but not yet
recorded is made again: no order of the two can avoid that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbelt.agents.runtime.history import reply_messages, result_message
from qwenbelt.agents.sessions.database import Message, SessionDatabase
from qwenbelt.core.errors import InputError, one_line
from qwenbelt.core.events import ToolFinished
from qwenbelt.core.files import write_text

OWN_SESSIONS = ("run:", "response-")  # names of what runs keep for themselves
if TYPE_CHECKING:
    from qwenbelt.agents.sessions.approvals import RunApprovals

_CALLED = ("cancelled", "error")  # ends that leave a turn open: asked again, it goes on


class Session:
    """A conversation under a name in a database.

    Args:
        place: the path of a SQLite file, or `postgresql://…`.
        name: the conversation's name.

    Raises:
        ConfigError: psycopg is not installed.
        InputError: the database cannot be used.
    """

    def __init__(self, place: str | Path, name: str = "default") -> None:
        if not isinstance(name, str):
            raise InputError(f"The name of a session is a text, not {name!r}.")
        self.name = name
        self._database = SessionDatabase(place)

    @property
    def place(self) -> str | Path:
        """Where it is kept."""
        return self._database.place

    @property
    def history(self) -> list[Message]:
        """All messages so far, as qwen-agent message dicts."""
        return [message for turn in self.turns for message in turn]

    @property
    def turns(self) -> list[list[Message]]:
        """The messages of each turn, the question first."""
        return [messages for _, _, messages in self._database.turns(self.name)]

    def fork(self, at: int | None = None, name: str | None = None) -> Session:
        """Returns a new session with the first turns of this one.

        Args:
            at: how many turns; all by default.
            name: of the new session; "NAME~2" and so on by default.

        Raises:
            InputError: a session of that name is there, or there are fewer turns.
        """
        wanted = self._count(at)
        if name is not None and not isinstance(name, str):
            raise InputError(f"The name of a session is a text, not {name!r}.")
        if name is None:
            known = set(self._database.names())
            name = next(n for k in range(2, 10**9) if (n := f"{self.name}~{k}") not in known)
        self._database.copy(self.name, name, wanted)
        return Session(self._database.place, name)

    def rewind(self, turns: int = 1) -> None:
        """Forgets the last turns.

        Raises:
            InputError: there are fewer.
        """
        self._database.drop(self.name, self._count(turns))

    def _count(self, wanted: object) -> int:
        """Returns a number of turns that are there; all of them for None.

        Raises:
            InputError: it is no number, there are fewer, or nothing was said under the name.
        """
        count = len(self.turns)
        if not count and wanted != 0:
            known = ", ".join(repr(name) for name in self._database.names()[:10])
            raise InputError(
                f"There is no session {self.name!r} in the database.",
                fix=f"Known are: {known or 'none'}.",
            )
        if wanted is None:
            return count
        if isinstance(wanted, bool) or not isinstance(wanted, int):
            raise InputError(f"The number of turns is a whole number, not {wanted!r}.")
        if not 0 <= wanted <= count:
            raise InputError(f"The session has {count} turns, not {wanted}.")
        return wanted

    def clear(self) -> None:
        """Forgets the whole session."""
        self._database.drop(self.name)

    def export(self, path: str | Path) -> Path:
        """Writes the conversation: Markdown (.md), JSON (.json), or training data (.jsonl).

        Raises:
            InputError: the ending is another one, or the file cannot be written.
        """
        target = Path(path)
        writers = {".md": _markdown, ".json": _json, ".jsonl": _training}
        if target.suffix not in writers:
            raise InputError(f"{target}: sessions are written as .md, .json or .jsonl.")
        write_text(target, writers[target.suffix](self.turns))
        return target

    def put(self, turns: Sequence[Sequence[Message]]) -> None:
        """Makes these the turns of the session; the first ones that are the same stay."""
        kept = self._database.turns(self.name)
        same = 0
        for (_, is_open, messages), wanted in zip(kept, turns, strict=False):
            if is_open or messages != list(wanted):
                break
            same += 1
        if len(kept) > same:
            self._database.drop(self.name, len(kept) - same)
        for wanted in turns[same:]:
            self._database.replace(self.name, self._database.begin(self.name, wanted), wanted)

    def open_turns(self) -> list[tuple[int, bool, list[Message]]]:
        """Returns all turns: their numbers, whether one is open, and their messages."""
        return self._database.turns(self.name)

    def settle(self, messages: Sequence[Message]) -> None:
        """Closes the last turn, if it is open, with these messages; they may be none."""
        turns = self._database.turns(self.name)
        if turns and turns[-1][1]:
            if messages:
                self._database.replace(self.name, turns[-1][0], messages)
            else:
                self._database.drop(self.name, 1)

    def turn_for(
        self, question: Sequence[Message], recorder: type[TurnRecorder] | None = None
    ) -> tuple[list[Message], TurnRecorder]:
        """Returns the messages to send for a question, and what records its turn.

        An open turn of the same question is gone on with; another open turn is closed.

        Raises:
            InputError: another process is answering in the session.
        """
        before, (number, _, known) = self._database.take(self.name, question)
        sent = [message for _, _, messages in before for message in messages]
        return [*sent, *known], (recorder or TurnRecorder)(self, number, known)


@dataclass(frozen=True)
class KnownSession:
    """A session in a list.

    Attributes:
        name: its name.
        used: when a question was last asked, in seconds since 1970; 0 when not known.
        turns: how many there are.
        begins: how the first question begins.
    """

    name: str
    used: float
    turns: int
    begins: str


def known_sessions(place: str | Path, query: str = "") -> list[KnownSession]:
    """Returns the sessions in a database, the one used last first.

    Args:
        place: as of `Session`.
        query: words that the name or the first question must hold.
    """
    from qwenbelt.agents.models.encoding import text_of

    found = []
    words = query.lower().split()
    for name, used, turns, first in SessionDatabase(place).recent():
        begins = one_line(text_of(json.loads(first).get("content")), 80)
        told = f"{name} {begins}".lower()
        if not name.startswith(OWN_SESSIONS) and all(word in told for word in words):
            found.append(KnownSession(name, used, turns, begins))
    return found


class TurnRecorder:
    """Records a turn while its run is running.

    Args:
        session: whose turn it is.
        turn: its number.
        known: the messages of the turn that are kept already.

    Attributes:
        approvals: keeps what a durable run asks a person, or None.
    """

    approvals: RunApprovals | None = None

    def __init__(self, session: Session, turn: int, known: list[Message]) -> None:
        self._database = session._database
        self._name = session.name
        self._turn = turn
        self._known = list(known)
        self._begun = list(known)  # what the run was given of the turn
        self._early: list[Message] = []
        self._replied = True
        self._lock = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def turn_name(self) -> str:
        """The turn's name: the same when it is gone on with in another process."""
        return f"{self._name}#{self._turn}"

    async def reply(self, reply: Any) -> None:
        """Keeps a reply with calls, before they may have effects."""
        early, self._early = self._early, []
        self._replied = True  # a result that comes while this is written is kept behind it
        await self._write([*reply_messages(reply), *early])

    def begin_reply(self) -> None:
        """A reply begins to arrive: results are held back until it is kept."""
        self._early, self._replied = [], False

    def result(self, event: ToolFinished) -> None:
        """Keeps the result of a call; one of a reply that still arrives after that reply."""
        message = result_message(
            event.call_id,
            event.name,
            event.result,
            event.items,
            bool(event.artifacts),
            event.status,
        )
        if not self._replied:
            self._early.append(message)
            return
        task = asyncio.ensure_future(self._write([message]))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def settled(self) -> None:
        """Waits until all that came is kept."""
        if self._writing:
            await asyncio.gather(*self._writing)

    async def end(self, messages: Sequence[Message], reason: str) -> None:
        """Closes the turn, unless the run was broken off: then it can be gone on with.

        Args:
            messages: what the run added.
            reason: why it ended.
        """
        if self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)
        if reason in _CALLED:
            await asyncio.to_thread(self._database.disown, self._name, self._turn)
            return
        kept = [*self._begun, *messages]
        await asyncio.to_thread(self._database.replace, self._name, self._turn, kept)

    async def _write(self, messages: list[Message]) -> None:
        async with self._lock:
            await asyncio.to_thread(self._database.append, self._name, self._turn, messages)
            self._known += messages


def _markdown(turns: Sequence[Sequence[Message]]) -> str:
    from qwenbelt.agents.models.encoding import text_of

    heads = {"user": "## ", "assistant": "", "function": "> "}
    parts = []
    for turn in turns:
        for message in turn:
            text = text_of(message.get("content")).strip()
            call = message.get("function_call")
            if call:
                parts.append(f"`{call['name']}({call['arguments']})`")
            elif message["role"] == "function":
                parts.append("\n".join(f"> {line}" for line in text.splitlines()))
            elif text:
                parts.append(heads.get(message["role"], "") + text)
    return "\n\n".join(parts) + "\n"


def _json(turns: Sequence[Sequence[Message]]) -> str:
    return json.dumps({"turns": turns}, ensure_ascii=False, indent=2) + "\n"


def _training(turns: Sequence[Sequence[Message]]) -> str:
    from qwenbelt.agents.models.codecs import codec_for
    from qwenbelt.agents.models.encoding import to_wire

    messages = [message for turn in turns for message in turn]
    line = {"messages": to_wire(messages, codec_for("native"), "en")}
    return json.dumps(line, ensure_ascii=False) + "\n"
