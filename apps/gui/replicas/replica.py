"""One of several servers of the chat that share a database: what it runs, and what it hears.

A turn runs where it was asked. The other replicas follow what it reports, and order there what a
person wants of it. When a replica dies, another one goes on with its turns from the last step that
was recorded, as a durable run does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import anyio

from qwenbelt.agents.sessions.approvals import ApprovalTable
from qwenbelt.agents.sessions.database import SessionBusyError
from qwenbelt.agents.sessions.durable import RUN
from qwenbelt.agents.sessions.session import Session
from qwenbelt.apps.gui.asking import TurnStarter
from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.hub import SessionRegistry
from qwenbelt.apps.gui.kept.store import ChatTurn, SessionRow
from qwenbelt.apps.gui.live_turn import LiveTurn, Queued, Records, joined_texts
from qwenbelt.apps.gui.own_cells import CELLS, OwnCell
from qwenbelt.apps.gui.replicas.following import FollowedTurn
from qwenbelt.apps.gui.replicas.postgres_store import (
    CHANNEL,
    ConversationState,
    PostgresChatStore,
    TakenTurn,
)
from qwenbelt.apps.gui.replicas.shared_files import SharedFiles
from qwenbelt.apps.gui.strings import PageError, say
from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.events import Notice, Retrying
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import detect_language

SIGN_SECONDS = 3.0
DEAD_SECONDS = 15.0  # without a sign
PART_SECONDS = 0.2  # between two parts of what turns report
MOST_TRIES = 4
_LATER_SECONDS = 2.0
_READY_SECONDS = 2.0
_LEAVING_SECONDS = 60.0
_QUEUE = "queue"
ORDERED = ("stop", "approve", "queue_now", "queue_take")  # actions of the page that go to the run
Action = Callable[[ChatSession, dict[str, Any]], Any]
log = logging.getLogger(__name__)


@dataclasses.dataclass
class _Mine:
    """A turn that runs here, and how much of it is kept in parts."""

    live: LiveTurn
    sent: int = 0
    part: int = 0


class Replica:
    """This server among those that share a store.

    Args:
        hub: the conversations that are open here.
        asker: starts turns.
        store: what the replicas share.
        files: the files of conversations.

    Attributes:
        files: the same.
        actions: of the page, by their names; orders of other replicas are done by them.
    """

    def __init__(
        self,
        hub: SessionRegistry,
        asker: TurnStarter,
        store: PostgresChatStore,
        files: SharedFiles,
    ) -> None:
        self.files = files
        self.actions: Mapping[str, Action] = {}
        self._hub = hub
        self._asker = asker
        self._store = store
        self._name = uuid.uuid4().hex
        self._mine: dict[str, _Mine] = {}
        self._taken: dict[str, TakenTurn] = {}  # of replicas that died, until they have ended
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stale: dict[str, bool] = {}  # conversations to look at; whether whole
        self._heard = asyncio.Event()
        self._connected = float("inf")  # since when every sign was written

    async def is_ready(self) -> bool:
        """Returns whether the database answers within two seconds."""
        with anyio.move_on_after(_READY_SECONDS), contextlib.suppress(QwenbeltError):
            await asyncio.to_thread(self._store.settings, "")
            return True
        return False

    # -- as long as the server runs -----------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Signs, listens and tells; at the end others go on with what runs."""
        loops = (self._signing, self._listening, self._telling, self._following)
        tasks = [asyncio.ensure_future(self._repeated(loop)) for loop in loops]
        try:
            yield
        finally:
            await self._hub.close()
            for task in (*tasks, *self._tasks):
                task.cancel()
            await asyncio.wait([*tasks, *self._tasks])
            with contextlib.suppress(QwenbeltError):
                await asyncio.to_thread(self._store.let_go, self._name)

    async def _repeated(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # the database may be away: whatever it raises, go on
                if loop == self._signing:
                    self._connected = float("inf")
                log.warning("%s", one_line(error, 300))
                await asyncio.sleep(1.0)

    async def _signing(self) -> None:
        before = dict(self._mine)  # what begins while this is written is not in the answer
        mine = await asyncio.to_thread(self._store.sign, self._name)
        self._connected = min(self._connected, time.monotonic())
        for session, kept in before.items():
            if (session, kept.live.turn.id) not in mine and not kept.live.over:
                kept.live.lost = True  # it was away for too long: another one goes on
                self._stop(kept.live)
        for name, turn in mine:  # it was taken, and the going on failed
            if name not in self._mine and turn in self._taken:
                self._go_on(self._taken[turn])
        await self._obey()
        # those who lost the database for a while may sign first when it is back
        if time.monotonic() - self._connected > DEAD_SECONDS:
            for taken in await asyncio.to_thread(self._store.take_over, self._name, DEAD_SECONDS):
                self._taken[taken.turn] = taken
                self._go_on(taken)
        await asyncio.sleep(SIGN_SECONDS)

    async def _listening(self) -> None:
        import psycopg

        async with await psycopg.AsyncConnection.connect(
            self._store.place, autocommit=True, connect_timeout=10
        ) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            for session in self._hub.known:  # what was missed before
                self._hear({"s": session, "k": "changed", "v": -1})
            async for told in connection.notifies():
                self._hear(loads_bounded(told.payload))

    def _hear(self, told: Mapping[str, Any]) -> None:
        session, kind = str(told.get("s", "")), told.get("k")
        if kind == "order" and session in self._mine:
            self._later(self._obey())
        found = self._hub.known.get(session)
        if found is None:
            return
        whole = kind == "changed" and told.get("v") != self._store.versions.get(session)
        if whole or (kind == "part" and found.watchers and session not in self._mine):
            self._stale[session] = self._stale.get(session, False) or whole
            self._heard.set()

    # -- turns that run here ------------------------------------------------------------------

    def claim(self, turn: ChatTurn) -> None:
        """Takes the right to run a turn.

        Raises:
            PageError: a turn of the conversation runs in another replica.
        """
        if not self._store.claim(turn, self._name):
            raise PageError("busy")

    def begun(self, live: LiveTurn, parts: int = 0) -> None:
        """A turn runs here from now on."""
        self._mine[live.turn.session] = _Mine(live, len(live.records) if parts else 0, parts)

    async def durable_run(
        self, session: ChatSession, agent: Any, asked: Records, options: Mapping[str, Any]
    ) -> Any:
        """Returns the run of the live turn; what it did in a replica that died is not repeated."""
        turn = session.turn_at_work().turn
        run_id = f"chat-{turn.id}"

        def begin() -> Any:
            self.files.bring(session.row.id)
            kept = Session(self._store.place, f"{RUN}{run_id}").open_turns()
            messages = kept[0][2] if kept else asked
            # an answer that was recorded is given once more by the run
            known = messages if not kept or kept[0][1] else messages[:-1]
            run = agent.stream(messages, durable=self._store.place, run_id=run_id, **options)
            turn.messages += known[len(asked) :]
            return run

        deadline = time.monotonic() + _LEAVING_SECONDS
        while True:
            try:
                return await asyncio.to_thread(begin)
            except SessionBusyError:  # a slow replica that has not noticed yet that it lost the run
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(SIGN_SECONDS / 3)

    def ended(self, session: ChatSession, live: LiveTurn, used: tuple[int, float]) -> None:
        """Keeps a turn that has ended here, as soon as the database can be written."""
        if live.lost:
            self._mine.pop(session.row.id, None)
            self._stale[session.row.id] = True
            self._heard.set()
            return
        try:
            self._keep(session, live, used)
        except QwenbeltError as error:
            log.warning("%s", error)
            self._later(self._keep_later(session, live, used))

    def _keep(self, session: ChatSession, live: LiveTurn, used: tuple[int, float]) -> None:
        turn = live.turn
        if not session.gone:
            self._store.save_turn(turn)
        for order in self._store.release(turn, self._name):
            if order["action"] == "send":  # it came in the last moment
                body = order["body"]
                session.queue.append(Queued(body["text"], body["files"]))
        self._mine.pop(session.row.id, None)
        self._taken.pop(turn.id, None)
        self._store.add_usage(session.row.user, *used)
        self._later(asyncio.to_thread(self._tidy, session.row.id, turn.id))

    async def _keep_later(
        self, session: ChatSession, live: LiveTurn, used: tuple[int, float]
    ) -> None:
        while True:
            await asyncio.sleep(_LATER_SECONDS)
            with contextlib.suppress(QwenbeltError):
                self._keep(session, live, used)
                break

    def _tidy(self, session: str, turn: str) -> None:
        with contextlib.suppress(QwenbeltError):
            Session(self._store.place, f"{RUN}chat-{turn}").clear()
            ApprovalTable(self._store.place).forget(f"chat-{turn}")  # of a turn that was stopped
            self.files.keep(session)

    async def _telling(self) -> None:
        await asyncio.sleep(PART_SECONDS)
        parts, fresh = [], []
        for session, kept in self._mine.items():
            records = kept.live.records[kept.sent :]
            if records:
                now = time.monotonic()
                # times of this machine's clock mean nothing elsewhere
                told = [{**record, "t": record["t"] - now} for record in records]
                parts.append((session, kept.live.turn.id, kept.part + 1, joined_texts(told)))
                fresh.append((kept, len(records)))
        if parts:
            await asyncio.to_thread(self._store.add_parts, parts)
            for kept, count in fresh:
                kept.sent += count
                kept.part += 1

    # -- what others do -----------------------------------------------------------------------

    def opened(self, session: ChatSession, row: SessionRow) -> None:
        """Looks at a conversation again, where another replica has changed it."""
        if row.version != self._store.versions.get(session.row.id):
            state = self._store.state(row.user, row.id)
            self._apply(session, state)
        elif isinstance(session.live, FollowedTurn) and not session.watchers:
            self._stale[session.row.id] = False
            self._heard.set()

    async def _following(self) -> None:
        await self._heard.wait()
        self._heard.clear()
        stale, self._stale = self._stale, {}
        for name, whole in stale.items():
            session = self._hub.known.get(name)
            if session is None:
                continue
            live = session.live
            if whole:
                user = session.row.user
                self._apply(session, await asyncio.to_thread(self._store.state, user, name))
            elif isinstance(live, FollowedTurn):
                records, part = await asyncio.to_thread(
                    self._store.new_parts, live.turn.id, live.parts
                )
                live.add_all(_here(records))
                live.parts = part
                session.notify()

    def _apply(self, session: ChatSession, state: ConversationState | None) -> None:
        """Makes a conversation what the database says."""
        name = session.row.id
        if state is None:
            self._store.versions.pop(name, None)
            session.gone = True
            session.stop()
            session.notify()
            return
        self._store.versions[name] = state.row.version
        self.files.changed(name)
        session.row = state.row
        session.turns = {turn.id: turn for turn in state.turns}
        for turn in state.turns:
            _with_own_paths(turn, session.folder)
        session.queue = [Queued(**entry) for entry in state.kept.get(_QUEUE) or ()]
        session.choice_here = state.kept.get("choice") or {}
        session.ratings = state.kept.get("ratings") or {}
        if session.own_cells.running is None:
            session.own_cells.cells = [OwnCell(**cell) for cell in state.kept.get(CELLS) or ()]
        mine = self._mine.get(name)
        if mine is not None:
            session.turns[mine.live.turn.id] = mine.live.turn
        elif not self._is_still_followed(session, state):
            self._follow(session, state)
        session.revision += 1
        session.notify()

    def _is_still_followed(self, session: ChatSession, state: ConversationState) -> bool:
        live = session.live
        if not isinstance(live, FollowedTurn) or state.live is None:
            return False
        if (live.turn.id, live.replica) != (state.live.turn, state.live.replica):
            return False
        session.turns[live.turn.id] = live.turn
        return True

    def _follow(self, session: ChatSession, state: ConversationState) -> None:
        if isinstance(session.live, FollowedTurn):
            session.live.over = True
            session.live = None
        running = state.live
        if running is None or running.replica == self._name or session.live is not None:
            return
        turn = session.turns.get(running.turn)
        if turn is not None:
            records = _here(state.records)
            session.live = FollowedTurn(self._store, turn, running.replica, records, state.parts)

    def forwarded(
        self, session: ChatSession, action: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Has an action done by the replica that runs the turn; None where this one has to."""
        live = session.live
        if not isinstance(live, FollowedTurn) or action not in ORDERED:
            return None
        taken: dict[str, Any] = {}
        if action == "queue_take":
            number = str(body.get("id", ""))
            found = next((entry for entry in session.queue if entry.id == number), None)
            if found is None:
                raise PageError("not_queued")
            taken = {"text": found.text, "files": found.files}
        if live.run.order(action, body):
            return taken
        self._apply(session, self._store.state(session.row.user, session.row.id))
        return None

    def sent(self, session: ChatSession, text: str, files: list[str]) -> bool:
        """Has a message wait for the answer that comes in another replica."""
        live = session.live
        if not isinstance(live, FollowedTurn):
            return False
        if live.run.order("send", {"text": text, "files": files}):
            return True
        self._apply(session, self._store.state(session.row.user, session.row.id))
        return False

    async def _obey(self) -> None:
        """Does what other replicas have ordered."""
        if not self._mine:
            return
        for name, order in await asyncio.to_thread(self._store.orders, self._name):
            session, body = self._hub.known.get(name), dict(order["body"])
            if session is None:
                continue
            try:
                self._do(session, str(order["action"]), body)
            except QwenbeltError as error:  # the person sees what became of it
                log.info("%s: %s", name, error)

    def _do(self, session: ChatSession, action: str, body: dict[str, Any]) -> None:
        if action == "send":
            self.files.changed(session.row.id)
            self.files.bring(session.row.id)
            self._asker.send(session, body["text"], body["files"])
        elif action == "answer":
            if session.live is not None and session.live.run is not None:
                session.live.questions.pop(body["question"], None)
                session.live.run.answer(body["question"], body["values"])
        elif action in ORDERED:
            self.actions[action](session, body)

    # -- replicas that died -------------------------------------------------------------------

    def _go_on(self, taken: TakenTurn) -> None:
        """Goes on with a turn whose replica died, or says that it is lost."""
        session = self._hub.open(taken.user, taken.session)
        state = self._store.state(taken.user, taken.session)
        turn = session.turns.get(taken.turn)
        if state is None or turn is None or turn.events:
            lost = ChatTurn(taken.session, "", id=taken.turn)
            self._store.release(turn or lost, self._name)
            self._taken.pop(taken.turn, None)
            return
        live = LiveTurn(turn, _here(state.records))
        session.live = live
        self.begun(live, state.parts)
        if self._asker.given is not None or taken.tries > MOST_TRIES:
            text = say("replica_lost", detect_language(turn.question))
            live.add({"event": "failed", "text": text})
            session.finish(live)
            return
        told = Notice(say("replica_taken", detect_language(turn.question)))
        void = Retrying(0, 1, 0.0, told.text)
        if live.records:
            live.add(void.to_dict(), void)
        live.add(told.to_dict(), told)
        session.revision += 1
        session.begin_run(self._asker.maker(session, turn.question))
        session.notify()

    @staticmethod
    def _stop(live: LiveTurn) -> None:
        if live.run is not None:
            live.run.cancel()
        else:
            live.over = True

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _here(records: Records) -> Records:
    """Returns events with times of this machine's clock."""
    now = time.monotonic()
    return [{**record, "t": now + record.get("t", 0.0)} for record in records]


def _with_own_paths(turn: ChatTurn, folder: Path) -> None:
    """Lets a question name its files where this replica has them."""
    content = turn.messages[0].get("content") if turn.files and turn.messages else None
    for part in content if isinstance(content, list) else ():
        for kind, value in part.items():
            if kind != "text" and Path(str(value)).name in turn.files:
                part[kind] = str(folder.resolve() / Path(str(value)).name)
