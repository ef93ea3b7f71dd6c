"""Approvals that durable runs wait for, kept where the runs are: nobody need hold a process.

qwenbelt run --durable "…"      # ends where it waits for an approval, and says so
qwenbelt approve                # lists what waits; `qwenbelt approve RUN` allows it
qwenbelt run --durable "…"      # the same command goes on behind it
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbelt.agents.sessions.database import StoreTables
from qwenbelt.core.errors import InputError, QwenbeltError
from qwenbelt.core.events import ApprovalAsked, Done, Event, ToolFinished, ToolStarted

if TYPE_CHECKING:
    from qwenbelt.agents.runtime.run import Run

APPROVAL_TABLES = (
    "CREATE TABLE IF NOT EXISTS qwenbelt_approvals ("
    "run TEXT NOT NULL, call TEXT NOT NULL, name TEXT NOT NULL, arguments TEXT NOT NULL, "
    "reason TEXT NOT NULL, asked DOUBLE PRECISION NOT NULL, allowed INTEGER, "
    "PRIMARY KEY (run, call))",
)
LOOK_SECONDS = 1.0  # between looks for an answer of another process
IDLE_SECONDS = 1.0  # without any event: nothing but an answer can move the run
_FIELDS = "run, call, name, arguments, reason, asked, allowed"


@dataclass(frozen=True)
class WaitingApproval:
    """A call that waits for a person.

    Attributes:
        run: the durable run's id.
        call: the call's id.
        name: the tool's name.
        arguments: as JSON.
        reason: why a person is asked.
        asked: when, in seconds since 1970.
    """

    run: str
    call: str
    name: str
    arguments: str
    reason: str
    asked: float


class ApprovalTable(StoreTables):
    """The table of what was asked and answered.

    Args:
        place: the path of a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, place: str | Path) -> None:
        super().__init__(place, APPROVAL_TABLES)

    def ask(self, run_id: str, event: ApprovalAsked) -> bool | None:
        """Keeps what is asked; returns the answer, if there is one about this very call."""
        with self._transaction() as run:
            rows = run(
                "SELECT name, arguments, allowed FROM qwenbelt_approvals "
                "WHERE run = ? AND call = ?",
                (run_id, event.call_id),
            )
            if rows and tuple(rows[0][:2]) == (event.name, event.arguments):
                return None if rows[0][2] is None else bool(rows[0][2])
            run(
                f"INSERT INTO qwenbelt_approvals ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, NULL) "  # noqa: S608
                "ON CONFLICT (run, call) DO UPDATE SET name = excluded.name, allowed = NULL, "
                "arguments = excluded.arguments, reason = excluded.reason, asked = excluded.asked",
                (
                    *(run_id, event.call_id, event.name, event.arguments, event.reason),
                    time.time(),
                ),
            )
        return None

    def waiting(self) -> list[WaitingApproval]:
        """Returns what nobody has answered, the oldest first."""
        with self._transaction() as run:
            rows = run(
                f"SELECT {_FIELDS} FROM qwenbelt_approvals WHERE allowed IS NULL "  # noqa: S608
                "ORDER BY asked, call",
                (),
            )
        return [
            WaitingApproval(run_id, call, name, arguments, reason, float(asked))
            for run_id, call, name, arguments, reason, asked, _ in rows
        ]

    def answer(self, run_id: str, call: str | None, allowed: bool) -> int:
        """Answers a call, or all calls of a run that wait; returns how many."""
        here = "" if call is None else " AND call = ?"
        with self._transaction() as run:
            rows = run(
                "UPDATE qwenbelt_approvals SET allowed = ? WHERE run = ? "  # noqa: S608
                f"AND allowed IS NULL{here} RETURNING call",
                (int(allowed), run_id, *([] if call is None else [call])),
            )
        return len(rows)

    def forget(self, run_id: str) -> None:
        """Forgets what a run asked."""
        with self._transaction() as run:
            run("DELETE FROM qwenbelt_approvals WHERE run = ?", (run_id,))


class RunApprovals:
    """What one durable run asks; its answers may come from this process or another one.

    Args:
        place: where the run is kept.
        run_id: its id.

    Attributes:
        run_id: its id.
        open: the ids of calls that wait.
    """

    def __init__(self, place: str | Path, run_id: str) -> None:
        self._place, self.run_id = place, run_id
        self.open: set[str] = set()
        self._made: ApprovalTable | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _table(self) -> ApprovalTable:
        if self._made is None:
            self._made = ApprovalTable(self._place)
        return self._made

    def asked(
        self,
        event: ApprovalAsked,
        answer: asyncio.Future[bool],
        tell: Callable[[ApprovalAsked], None],
    ) -> None:
        """Tells of a call that waits, unless it is answered already.

        Args:
            event: the call.
            answer: takes the answer of another process; holds that of this one.
            tell: reports the event to who reads the run.
        """
        self.open.add(event.call_id)
        task = asyncio.ensure_future(self._followed(event, answer, tell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _followed(
        self,
        event: ApprovalAsked,
        answer: asyncio.Future[bool],
        tell: Callable[[ApprovalAsked], None],
    ) -> None:
        known = await self._look(event)
        if known is None:
            tell(event)
        while known is None and not answer.done():
            await asyncio.wait({answer}, timeout=LOOK_SECONDS)
            if not answer.done():
                known = await self._look(event)
        if known is not None or not answer.cancelled():
            self.open.discard(event.call_id)
        if known is not None and not answer.done():
            answer.set_result(known)
        elif answer.done() and not answer.cancelled():
            with contextlib.suppress(QwenbeltError):  # it is asked again, should the run be killed
                await asyncio.to_thread(
                    self._table().answer, self.run_id, event.call_id, answer.result()
                )

    async def _look(self, event: ApprovalAsked) -> bool | None:
        with contextlib.suppress(QwenbeltError):  # the database may be away for a while
            return await asyncio.to_thread(lambda: self._table().ask(self.run_id, event))
        return None

    def forget(self) -> None:
        """Forgets what was asked, when the run has its answer."""
        if self._made is not None:
            self._made.forget(self.run_id)


class _Watch:
    """Knows whether anything but an answer can move a run."""

    def __init__(self) -> None:
        self.asked: dict[str, ApprovalAsked] = {}
        self._working: set[str] = set()

    def see(self, event: Event) -> None:
        """Takes the next event."""
        if isinstance(event, ApprovalAsked):
            self.asked[event.call_id] = event
        elif isinstance(event, (ToolStarted, ToolFinished)):
            change = self._working.add if isinstance(event, ToolStarted) else self._working.discard
            change(event.call_id)
            self.asked.pop(event.call_id, None)

    @property
    def seconds(self) -> float | None:
        """How long to wait for the next event; None for as long as it takes."""
        return IDLE_SECONDS if self.asked and not self._working else None


async def until_it_waits(run: Run) -> AsyncIterator[Event]:
    """Yields the events of a run, and ends it where it can only wait for an approval.

    Its last event then has the reason "approval".
    """
    watch, why = _Watch(), ""
    following = asyncio.ensure_future(anext(run))
    try:
        while True:
            await asyncio.wait({following}, timeout=None if why else watch.seconds)
            if not following.done():
                why = _told(run, watch.asked)
                run.cancel()
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            watch.see(event)
            if isinstance(event, Done) and why:
                event = dataclasses.replace(event, reason="approval", detail=why)
            yield event
            following = asyncio.ensure_future(anext(run))
    finally:
        following.cancel()


def _told(run: Run, asked: dict[str, ApprovalAsked]) -> str:
    names = ", ".join(dict.fromkeys(event.name for event in asked.values()))
    kept = run.plan.recorder.approvals if run.plan.recorder is not None else None
    name = kept.run_id if kept is not None else ""
    return f"Run {name} waits for a person's approval of {names}: `qwenbelt approve {name}`."


def waiting_approvals(place: str | Path) -> list[WaitingApproval]:
    """Returns the calls of durable runs that wait for a person, the oldest first.

    Args:
        place: where the runs are kept: a SQLite file, or `postgresql://…`.

    Raises:
        InputError: the database cannot be used.
    """
    return ApprovalTable(place).waiting()


def answer_approval(
    place: str | Path, run_id: str, call: str | None = None, *, allowed: bool = True
) -> int:
    """Answers what a durable run waits for, from any process; returns how many calls.

    A run that still has its process goes on within a second; else the same question, asked again
    under the same id, goes on.

    Args:
        place: where the run is kept.
        run_id: its id.
        call: the call's id; all that wait without it.
        allowed: whether they may run.

    Raises:
        InputError: nothing of that run waits.
    """
    count = ApprovalTable(place).answer(run_id, call, allowed)
    if not count:
        raise InputError(
            f"Nothing waits for an approval in the run {run_id}.",
            fix="`qwenbelt approve` lists what waits.",
        )
    return count
