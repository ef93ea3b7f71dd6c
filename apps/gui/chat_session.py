"""An open conversation: its runs continue, whether or not a browser watches."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from qwenbelt.agents.answers.question import user_message
from qwenbelt.apps.agent_choice import AgentChoice, function_list, trusted_tools
from qwenbelt.apps.gui.drawing.faces import ToolFaces
from qwenbelt.apps.gui.kept.store import ChatStore, ChatTurn, SessionRow
from qwenbelt.apps.gui.live_turn import LiveTurn, Queued, ended_well, state_name
from qwenbelt.apps.gui.own_cells import CELLS, OwnCell, OwnCells
from qwenbelt.apps.gui.pairs import PAIRS, AnswerPair, AnswerPairs, second_agent, short_model
from qwenbelt.apps.gui.strings import PageError
from qwenbelt.apps.timeline import Timeline
from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.events import (
    ApprovalAsked,
    Done,
    ElicitationAnswered,
    ElicitationAsked,
    Event,
    Notice,
    RunStarted,
)
from qwenbelt.tools.code_interpreter.states.kept_states import NO_CODE_YET

if TYPE_CHECKING:
    from qwenbelt.apps.gui.kept.shared_store import SharedConversations
    from qwenbelt.apps.gui.replicas.replica import Replica

TITLE_CHARACTERS = 60
_QUEUE = "queue"


class ChatSession:
    """An open conversation."""

    def __init__(
        self,
        row: SessionRow,
        store: ChatStore,
        folder: Path,
        at_once: asyncio.Semaphore | None = None,
    ) -> None:
        self.row = row
        self.folder = folder
        self.turns: dict[str, ChatTurn] = {turn.id: turn for turn in store.turns(row.id)}
        self.live: LiveTurn | None = None
        self.beside: LiveTurn | None = None  # another model answers the same question
        self.pairs = AnswerPairs(
            store.kept(row.id, PAIRS), lambda rows: store.keep(row.id, PAIRS, rows)
        )
        self.revision = 0
        self.used = time.monotonic()
        self.watchers = 0
        self.gone = False  # deleted
        self.left = False  # the server ends
        self.queue: list[Queued] = [Queued(**row) for row in store.kept(row.id, _QUEUE) or ()]
        self.demo = store.kept(row.id, "demo") is not None
        self.own_cells = OwnCells(
            store.kept(row.id, CELLS), lambda cells: store.keep(row.id, CELLS, cells)
        )
        self.choice_here: dict[str, Any] = store.kept(row.id, "choice") or {}
        self.ratings: dict[str, Any] = store.kept(row.id, "ratings") or {}
        self.shared: SharedConversations | None = None
        self.replica: Replica | None = None  # where others may serve this conversation as well
        self.start_queued: Callable[[ChatSession], None] | None = None
        self._store = store
        self._at_once = at_once
        self._agent: Any = None
        self._choice: AgentChoice | None = None
        self._made: dict[str, Any] = {}
        self.faces = ToolFaces()
        self._made_beside: dict[str, Any] = {}
        self._allowed: set[str] = set()
        self._steps: set[tuple[str, str]] = set()  # a call, and a tool that it may call
        self._asked: dict[tuple[str, str], ApprovalAsked] = {}  # by turn and call
        self._changed = asyncio.Event()
        self._urgent = False  # the next waiting message is sent even after a stop

    # -- what is shown ------------------------------------------------------------------------

    def path(self) -> list[ChatTurn]:
        """Returns the turns from the first to the leaf that is shown."""
        out: list[ChatTurn] = []
        turn = self.turns.get(self.row.leaf or "")
        while turn is not None:
            out.append(turn)
            turn = self.turns.get(turn.parent or "")
        return out[::-1]

    def siblings(self, turn: ChatTurn) -> list[str]:
        """Returns the versions of a turn, oldest first."""
        same = [t for t in self.turns.values() if t.parent == turn.parent]
        return [t.id for t in sorted(same, key=lambda t: t.created)]

    def show(self, turn: str) -> None:
        """Shows another version of a turn, with what followed it last."""
        leaf = turn
        while True:
            after = [t for t in self.turns.values() if t.parent == leaf]
            if not after:
                break
            leaf = max(after, key=lambda t: t.created).id
        self._leaf(leaf)
        self._share()

    def undo(self) -> ChatTurn | None:
        """Takes the last turn out of what is shown and returns it; `show` brings it back."""
        path = self.path()
        self._leaf(path[-1].parent if path else None)
        self._share()
        return path[-1] if path else None

    def undone(self) -> ChatTurn | None:
        """Returns the turn that followed what is shown and was taken back, or None."""
        after = [turn for turn in self.turns.values() if turn.parent == self.row.leaf]
        return max(after, key=lambda turn: turn.created, default=None)

    def _leaf(self, leaf: str | None) -> None:
        self.row.leaf = leaf
        self._store.show_leaf(self.row.id, leaf)
        self.revision += 1
        self.notify()

    def _share(self) -> str:
        """Keeps what is shown in the shared store, if there is one; returns why it could not."""
        try:
            if self.shared is not None:
                self.shared.write(self)
        except QwenbeltError as error:
            return str(error)
        return ""

    def begin_with(self, turns: Sequence[ChatTurn]) -> None:
        """Puts turns that are over into an empty conversation."""
        for turn in turns:
            turn.parent = self.row.leaf
            self.turns[turn.id] = turn
            self._store.save_turn(turn)
            self._leaf(turn.id)

    def rename(self, title: str) -> None:
        """Gives the conversation another title."""
        self.row.title = title[:200]
        self._store.rename(self.row.id, self.row.title)
        self.notify()

    def notify(self) -> None:
        """Wakes all watchers."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, seconds: float) -> None:
        """Returns when something has changed, or after `seconds`."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()

    # -- messages that wait -------------------------------------------------------------------

    def enqueue(self, text: str, files: Sequence[str]) -> Queued:
        """Queues a message until the running answer has ended."""
        message = Queued(text, list(files))
        self.queue.append(message)
        self._keep_queue()
        return message

    def dequeue(self, message: str = "") -> Queued:
        """Takes a waiting message out of the queue, the first one by default.

        Raises:
            PageError: it no longer waits.
        """
        found = next((entry for entry in self.queue if message in ("", entry.id)), None)
        if found is None:
            raise PageError("not_queued")
        self.queue.remove(found)
        self._keep_queue()
        return found

    def send_now(self, message: str) -> None:
        """Ends the running answer and sends a waiting message next.

        Raises:
            PageError: it no longer waits.
        """
        self.queue.insert(0, self.dequeue(message))
        self._keep_queue()
        self._urgent = True
        if self.live is not None:
            self.stop()
        elif self.start_queued is not None:
            self._urgent = False
            self.start_queued(self)

    def _keep_queue(self) -> None:
        self._store.keep(self.row.id, _QUEUE, [dataclasses.asdict(entry) for entry in self.queue])
        self.notify()

    def _next(self) -> None:
        """Starts the first waiting message, if any."""
        self._urgent = False
        if self.queue and self.start_queued is not None and not (self.gone or self.left):
            try:
                self.start_queued(self)
            except QwenbeltError:  # a file is gone: it waits, and the person sees it there
                self.notify()

    # -- running ------------------------------------------------------------------------------

    def start(
        self,
        question: str,
        files: Sequence[Path],
        make_agent: Callable[[ChatSession], Any],
        parent: str | None,
    ) -> ChatTurn:
        """Begins a turn; it continues whether or not anyone watches.

        Raises:
            PageError: an answer is still coming.
        """
        if self.live is not None:
            raise PageError("busy")
        turn = ChatTurn(self.row.id, question, parent, [path.name for path in files])
        turn.messages = [user_message(question, list(files))]
        if self.replica is not None:
            self.replica.claim(turn)
        self.live = LiveTurn(turn)
        self.turns[turn.id] = turn
        if not self.row.title:
            self.row.title = " ".join(question.split())[:TITLE_CHARACTERS]
            self._store.rename(self.row.id, self.row.title)
        self._store.save_turn(turn)
        self._leaf(turn.id)
        if self.replica is not None:
            self.replica.begun(self.live)
        self.begin_run(make_agent)
        return turn

    def begin_run(self, make_agent: Callable[[ChatSession], Any]) -> None:
        """Begins the run of the live turn."""
        live = self.turn_at_work()
        before = [m for t in self.path()[:-1] for m in t.messages]
        live.task = asyncio.ensure_future(self._drive(live, before, make_agent))

    def turn_at_work(self) -> LiveTurn:
        """Returns the live turn.

        Raises:
            RuntimeError: there is none; who begins a run makes the turn first.
        """
        if self.live is None:
            raise RuntimeError("no turn of this conversation has been begun")
        return self.live

    def start_beside(self, usual: str, choice: AgentChoice, make: Callable[..., Any]) -> None:
        """Has another model answer the live turn's question too, with tools that only read.

        Args:
            usual: the model that answers in the live turn, for people.
            choice: what the other agent is made of.
            make: makes agents.
        """
        first = self.turn_at_work().turn
        turn = dataclasses.replace(
            first,
            id=uuid.uuid4().hex[:12],
            created=first.created + 0.001,
            messages=list(first.messages),
        )
        pair = AnswerPair(first.id, turn.id, [usual, short_model(choice.endpoint)])
        self.beside = LiveTurn(turn)
        self.turns[turn.id] = turn
        self._store.save_turn(turn)
        self.pairs.add(pair)

        def make_agent(session: ChatSession) -> Any:
            place = {"session": f"gui-{self.row.id}-beside", "folder": self.folder}
            self.folder.mkdir(parents=True, exist_ok=True)
            agent, pair.off = second_agent(choice, make, self._made_beside, **place)
            self.pairs.save()
            self.revision += 1
            return agent

        before = [m for t in self.path()[:-1] for m in t.messages]
        self.beside.task = asyncio.ensure_future(self._drive(self.beside, before, make_agent))

    def running(self, turn: str = "") -> LiveTurn | None:
        """Returns what runs for a turn; without a turn, or where there is one only, that."""
        lives = [live for live in (self.live, self.beside) if live is not None]
        return next((live for live in lives if live.turn.id == turn), None if turn else self.live)

    def go_on_with(self, turn: str) -> None:
        """Goes on with one of two answers; the other one, where it still runs, is stopped.

        Raises:
            PageError: there are no two answers.
        """
        pair = self.pairs.of(turn)
        if pair is None:
            raise PageError("no_conversation")
        pair.kept = turn
        self.pairs.save()
        other = self.running(self.pairs.other(turn))
        if other is not None:
            other.end()
        self.show(turn)

    async def _drive(
        self, live: LiveTurn, before: list[dict[str, Any]], make_agent: Callable[[ChatSession], Any]
    ) -> None:
        turn = live.turn
        try:
            async with self._at_once or contextlib.nullcontext():
                agent = await asyncio.to_thread(make_agent, self)
                if live.over:  # stopped before it began
                    return
                options = {"states": self._states(turn)} if agent is self._agent else {}
                asked = [*before, *turn.messages]
                if self.replica is not None and options:
                    live.run = await self.replica.durable_run(self, agent, asked, options)
                else:
                    live.run = agent.stream(asked, **options)
                async for event in live.run:
                    self._take(live, event)
        except QwenbeltError as error:
            live.add({"event": "failed", "text": str(error)})
        except Exception as error:  # a fault in an agent or a tool ends its turn, not the server
            live.add({"event": "failed", "text": f"{type(error).__name__}: {error}"})
        finally:
            self.finish(live)

    def _states(self, turn: ChatTurn) -> tuple[str, str]:
        """Returns the names of the code's variables after a turn, and before it.

        A branch has copies of the turns, with other ids: the same names are made of them.
        """
        after, before = NO_CODE_YET, self.own_cells.state_after("", NO_CODE_YET)
        for one in self.path():
            after = state_name(one)
            if one.id == turn.id:
                break
            if any(event.get("name") == "code_interpreter" for event in one.events):
                before = after
            before = self.own_cells.state_after(one.id, before)
        return after, before

    @property
    def goes_on(self) -> bool:
        """Whether another replica could go on with what runs here."""
        return self._agent is not None and self.live is not None and self.live.run is not None

    def begin_cell(self, code: str) -> tuple[OwnCell, tuple[str, str]]:
        """Adds a cell that a person runs after what is shown.

        Returns:
            The cell, and the names of the variables after and before it.

        Raises:
            PageError: an answer is coming, or another cell runs.
        """
        if self.live is not None:
            raise PageError("busy")
        path = self.path()
        before = self._states(ChatTurn(self.row.id, ""))[1]
        cell = self.own_cells.begin(code, path[-1].id if path else "")
        return cell, (cell.state, before)

    def tool(self, name: str, make: Callable[[str], Any]) -> Any:
        """Returns a tool of this conversation, which the next agent will use as well."""
        if name not in self._made:
            self._made[name] = make(name)
        return self._made[name]

    def _take(self, live: LiveTurn, event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            if self._needs_nobody(event):
                live.run.approve(event.call_id, True)
                return
            self._asked[live.turn.id, event.call_id] = event
        if isinstance(event, ElicitationAsked):
            live.questions[event.request_id] = event
        elif isinstance(event, ElicitationAnswered):
            live.questions.pop(event.request_id, None)
        live.add(event.to_dict(), event)
        if isinstance(event, RunStarted) and self.pairs.of(live.turn.id):
            self.revision += 1  # the model's name stands over its answer
        if isinstance(event, Done):
            live.turn.messages += event.messages
            live.turn.answer = event.text
        self.notify()

    def finish(self, live: LiveTurn) -> None:
        """Ends the live turn and keeps it; the next message that waits follows."""
        live.over = True
        if not live.records or live.records[-1]["event"] not in ("done", "failed"):
            done = Done("cancelled", "")
            live.add(done.to_dict(), done)
        is_shown = live.turn in self.path()
        told = bool(live.turn.answer) and is_shown and not (self.gone or live.lost)
        problem = self._share() if told else ""
        if problem:
            live.add(Notice(problem).to_dict(), Notice(problem))
        live.turn.events = live.stored()
        if live is not self.beside:  # of two answers the one that still comes is the live one
            self.live = self.beside
        self.beside = None
        if self.live is None:
            self._asked.clear()
            self._steps.clear()
        self.used = time.monotonic()
        timeline = Timeline(live.turn.events)
        used = sum(timeline.tokens), timeline.cost
        if self.replica is not None:
            self.replica.ended(self, live, used)
        else:
            self._keep(live, used)
        self.revision += 1
        self.notify()
        if self.live is None and not live.lost and (self._urgent or ended_well(live.turn)):
            self._next()  # after a stop or a failure the person decides

    def _keep(self, live: LiveTurn, used: tuple[int, float]) -> None:
        try:
            if not self.gone:
                self._store.save_turn(live.turn)
            self._store.add_usage(self.row.user, *used)
        except QwenbeltError as error:  # such as a full disk: the answer is there, until a restart
            live.turn.events.append({"t": time.monotonic(), **Notice(str(error)).to_dict()})

    def stop(self) -> None:
        """Ends the running turn; what it did so far is kept."""
        for live in (self.live, self.beside):
            if live is not None:
                live.end()

    def approve(self, call_id: str, allowed: bool, turn: str = "") -> None:
        """Answers what the running turn asked."""
        live = self.running(turn)
        if live is not None and live.run is not None:
            self._asked.pop((live.turn.id, call_id), None)
            live.run.approve(call_id, allowed)

    def approve_all(self, call_id: str, always_tool: str = "", turn: str = "") -> None:
        """Allows what the running turn asked, and what is like it: those that wait too.

        Args:
            call_id: the call that was asked about.
            turn: the turn whose call it is; the live one's by default.
            always_tool: a tool that runs unasked from now on; without it, the call's own tool
                does for the other calls of the same step, such as one piece of code.
        """
        live = self.running(turn)
        asked = self._asked.get((live.turn.id if live is not None else "", call_id))
        if always_tool:
            self._allowed.add(always_tool)
        elif asked is not None and asked.parent:
            self._steps.add((asked.parent, asked.name))
        self.approve(call_id, True, turn)
        for (of, _), other in list(self._asked.items()):
            if self._needs_nobody(other):
                self.approve(other.call_id, True, of)

    def _needs_nobody(self, asked: ApprovalAsked) -> bool:
        return asked.name in self._allowed or (asked.parent, asked.name) in self._steps

    # -- the agent ----------------------------------------------------------------------------

    def agent(self, choice: AgentChoice, make: Callable[..., Any]) -> Any:
        """Returns this conversation's agent; made again only when the choice has changed.

        The tool objects stay the same, and so does what they hold, such as a kernel.
        """
        if self._agent is None or choice != self._choice:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"gui-{self.row.id}"
            self._agent = make(choice, self._made, session=name, folder=self.folder)
            self._choice = choice
            self.trust(self._agent)
            self.faces.learn(self._agent)
        return self._agent

    def tools_of(self, choice: AgentChoice) -> list[Any]:
        """Returns the tools that an agent of a choice has in this conversation."""
        return function_list(choice, self._made)

    def trust(self, agent: Any) -> None:
        """Lets those tools of an agent run unasked that keep to the conversation's folder."""
        self._allowed |= trusted_tools(agent)

    def rest(self) -> None:
        """Gives the agent and what its tools hold back."""
        self._agent = self._choice = None
        self._made.clear()
        self._made_beside.clear()

    def file(self, name: str) -> Path | None:
        """Returns a file of this conversation by its bare name, or None."""
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            return None
        path = self.folder / name
        if self.replica is not None:
            self.replica.files.bring(self.row.id, name)
        return path if path.is_file() and not path.is_symlink() else None
