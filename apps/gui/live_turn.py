"""A turn that runs, here or in another replica, and messages that wait for its end."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import time
import uuid
from collections.abc import Sequence
from typing import Any

from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.core.events import ElicitationAsked, Event
from qwenbelt.core.trace import TraceWriter

Records = list[dict[str, Any]]


class LiveTurn:
    """A running turn: its events so far, and its run.

    Args:
        turn: the turn.
        earlier: what it reported in a replica that died.

    Attributes:
        elsewhere: whether it runs in another replica.
        lost: whether another replica goes on with it.
    """

    elsewhere = False

    def __init__(self, turn: ChatTurn, earlier: Sequence[dict[str, Any]] = ()) -> None:
        self.turn = turn
        self.records: Records = list(earlier)
        self.questions: dict[str, ElicitationAsked] = {}  # of servers, that wait for the person
        self.over = False
        self.lost = False
        self.run: Any = None
        self.task: asyncio.Task[None] | None = None
        self._earlier = joined_texts(earlier)
        self._trace = TraceWriter(None)

    def add(self, record: dict[str, Any], event: Event | None = None) -> None:
        """Keeps an event, for watchers and for the store."""
        self.records.append({"t": time.monotonic(), **record})
        if event is not None:
            self._trace.write(event)

    def end(self) -> None:
        """Stops the run; what it did so far is kept."""
        if self.run is not None:
            self.run.cancel()
        else:
            self.over = True

    def stored(self) -> Records:
        """Returns the events with stretches of text joined."""
        self._trace.flush()
        failed = [record for record in self.records if record["event"] == "failed"]
        return [*self._earlier, *self._trace.lines, *failed]


def joined_texts(records: Sequence[dict[str, Any]]) -> Records:
    """Returns events with stretches of text joined, as a trace has them."""
    out: Records = []
    for record in records:
        kind = record["event"]
        if out and kind in ("text", "thinking") and out[-1]["event"] == kind:
            out[-1] = {**out[-1], "text": out[-1]["text"] + record["text"]}
        else:
            out.append(record)
    return out


@dataclasses.dataclass
class Queued:
    """A message that waits for the running answer.

    Attributes:
        files: names of files in the conversation's folder.
    """

    text: str
    files: list[str]
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:12])


def ended_well(turn: ChatTurn) -> bool:
    """Returns whether a turn was answered to the end."""
    return any(r.get("event") == "done" and r.get("reason") == "answer" for r in turn.events)


def state_name(turn: ChatTurn) -> str:
    """Returns the name of the code's variables after a turn; a copy of it has the same."""
    told = f"{turn.created!r} {turn.question}"
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]
