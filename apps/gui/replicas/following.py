"""A turn that runs in another replica, as this one shows, stops and answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwenbelt.apps.gui.kept.store import ChatTurn
from qwenbelt.apps.gui.live_turn import LiveTurn, Records
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
from qwenbelt.core.events import ElicitationAsked


class RemoteRun:
    """Passes on what a person wants of a run to the replica that has it.

    Args:
        store: what the replicas share.
        turn: the turn that runs.
    """

    def __init__(self, store: PostgresChatStore, turn: ChatTurn) -> None:
        self._store = store
        self._turn = turn

    def order(self, action: str, body: Mapping[str, Any]) -> bool:
        """Has an action of the page done there; False where the turn has ended meanwhile."""
        told = {"action": action, "body": dict(body)}
        return self._store.order(self._turn.session, self._turn.id, told)

    def cancel(self) -> None:
        """Ends the run."""
        self.order("stop", {})

    def approve(self, call_id: str, allowed: bool = True) -> None:
        """Answers what was asked about a call."""
        self.order("approve", {"call": call_id, "answer": "allow" if allowed else "refuse"})

    def answer(self, request_id: str, values: Mapping[str, Any] | None) -> None:
        """Answers a server's question."""
        self.order("answer", {"question": request_id, "values": values})


class FollowedTurn(LiveTurn):
    """A turn that runs in another replica.

    Args:
        store: what the replicas share.
        turn: the turn.
        replica: which replica runs it.
        records: what it has reported.
        parts: the number of the last part of that.
    """

    elsewhere = True

    def __init__(
        self,
        store: PostgresChatStore,
        turn: ChatTurn,
        replica: str,
        records: Records,
        parts: int,
    ) -> None:
        super().__init__(turn)
        self.replica = replica
        self.parts = parts
        self.run = RemoteRun(store, turn)
        self.add_all(records)

    def add_all(self, records: Records) -> None:
        """Takes further events."""
        for record in records:
            number = str(record.get("request_id", ""))
            if record["event"] == "elicitation_asked":
                given = {k: v for k, v in record.items() if k not in ("event", "t")}
                self.questions[number] = ElicitationAsked(**given)
            elif record["event"] == "elicitation_answered":
                self.questions.pop(number, None)
        self.records += records
