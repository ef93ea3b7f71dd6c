"""One conversation's kernel: starts it when needed, runs cells, keeps to the limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from qwenbelt.core import dirfd
from qwenbelt.core.errors import ToolCancelled, ToolError, ToolRefused
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.code_interpreter import files
from qwenbelt.tools.code_interpreter.files import Trouble
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.outcome import CellOutcome, Collector, Message
from qwenbelt.tools.code_interpreter.process import KernelProcess
from qwenbelt.tools.code_interpreter.states import kept_states
from qwenbelt.tools.code_interpreter.states.kept_states import KeptState
from qwenbelt.tools.code_interpreter.transport import Transport

if TYPE_CHECKING:
    from qwenbelt.tools.base import CallsFromCode

_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5  # for a cell to stop after an interrupt at its time limit
_CANCEL_GRACE_SECONDS = 0.06  # the same when the result is no longer wanted
_LAST_WORDS_SECONDS = 0.5  # for output that is still on its way after the reply
_CANCEL_POLL_SECONDS = 0.02
# the module that the session has loaded; the code's own names get no imports of ours
BEGIN = (
    "(lambda m, loads: m['qwenbelt.tools.code_interpreter.tools_module'].begin({cell}, {entries}))"
    "(__import__('sys').modules, __import__('json').loads)"
)
_MOST_TOLD = 100_000  # characters about a session's variables
STATES = "__import__('sys').modules['qwenbelt.tools.code_interpreter.states.saved_state']."
_STATE_SECONDS = 20.0
_FEW_FILES = 200  # are looked through on the loop; handing it to a thread would take longer


class RunningKernel:
    """A running kernel: its process and the connection to it.

    Attributes:
        on_closed: called when it has been closed.
    """

    def __init__(self, process: KernelProcess, transport: Transport) -> None:
        self.process = process
        self.transport = transport
        self.on_closed: Callable[[RunningKernel], None] = lambda kernel: None
        self._closing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Ends both; may be called more than once."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self.process.farewell()
        await self.transport.close()
        await self.process.close()
        self.on_closed(self)


Start = Callable[[Path, SessionOptions], Awaitable[RunningKernel]]


@dataclass
class CodeCell:
    """What one call asks for.

    Attributes:
        code: the cell's source.
        seconds: its time limit.
        restart: whether to begin with a fresh kernel.
        files: the conversation's files by name.
        report: called with each piece of printed text.
        cancelled: set when the result is no longer wanted.
        calls: the tools that the code may call, or None.
        states: names of what the variables are after this turn, and after the last turn before it
            that ran code (`NO_CODE_YET` where there is none); empty where nobody goes back.
    """

    code: str
    seconds: float
    restart: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    report: Callable[[str], None] = lambda text: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    calls: CallsFromCode | None = None
    states: Sequence[str] = ()


@dataclass
class CellResult:
    """An outcome and the files that came of it."""

    outcome: CellOutcome
    pictures: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    more_files: int = 0
    troubles: list[Trouble] = field(default_factory=list)


class CodeSession:
    """Runs one call after the other in one kernel. Lives on the host's loop.

    Attributes:
        folder: the session folder on this machine.
        used: when the last call ended, `time.monotonic()`.
        state: the name of what the variables are, or "" (see `CodeCell.states`).
    """

    def __init__(
        self,
        folder: Path,
        options: SessionOptions,
        start: Start,
        peers: Callable[[], Iterable[CodeSession]] = tuple,
    ) -> None:
        self.state = ""
        self._peers = peers
        self.folder = folder
        self.options = options
        self.used = time.monotonic()
        self._start = start
        self._kernel: RunningKernel | None = None
        self._lock = asyncio.Lock()
        self._lost = ""
        self._carried = files.Carried(options.limits.disk)  # over all kernels of the session

    @property
    def busy(self) -> bool:
        """Whether a call runs or waits."""
        return self._lock.locked()

    async def run(self, call: CodeCell) -> CellResult:
        """Runs one cell.

        Raises:
            ToolCancelled: the call was cancelled; the session can be used again.
            ToolError: no kernel can be started.
        """
        async with self._lock:
            try:
                return await self._run(call)
            finally:
                self.used = time.monotonic()

    async def _run(self, call: CodeCell) -> CellResult:
        if call.restart:
            await self._drop()
            self._lost = ""
        troubles = files.bring_in(self.folder, call.files, self.options.limits.input_file)
        unkept = await self._at_state(call)
        kernel = await self._ready(call)
        lost, self._lost = self._lost, ""
        if kernel.process.mirror is not None:
            kernel.process.mirror.given.update(call.files)
        await kernel.process.push()
        before = files.snapshot(self.folder)
        try:
            outcome = await self._execute(kernel, call)
        finally:
            await kernel.process.pull(self._carried)
            troubles += kernel.process.troubles
            kernel.process.troubles.clear()
            if kernel.process.ended.is_set():
                await self._drop()
        outcome.lost_before = lost
        outcome.unkept = unkept
        mirror = kernel.process.mirror
        outcome.own_files = set(mirror.taken) if mirror is not None else None
        if len(before) > _FEW_FILES or len(outcome.rich) > _FEW_FILES:
            return await asyncio.to_thread(self._gather, outcome, before, troubles)
        return self._gather(outcome, before, troubles)

    async def _ready(self, call: CodeCell) -> RunningKernel:
        kernel = self._kernel
        if kernel is not None and kernel.process.ended.is_set():
            self._lost = kernel.process.ending
            await self._drop()
        if self._kernel is None:
            starting = asyncio.ensure_future(self._start(self.folder, self.options))
            await _until(starting, call.cancelled, _START_SECONDS)
            if not starting.done():
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
                if call.cancelled.is_set():
                    raise ToolCancelled("The call was cancelled before the session started.")
                raise ToolError("The session did not start in time; try again.")
            self._kernel = starting.result()
        return self._kernel

    # -- going back to an earlier turn --------------------------------------------------------

    async def _at_state(self, call: CodeCell) -> dict[str, str] | None:
        """Sees to it that the variables are those of the turns before this one.

        Returns:
            The names that could not be kept, where a state was taken up; else None.
        """
        if len(call.states) != 2:
            return None
        after, before = call.states
        running = self._kernel is not None and not self._kernel.process.ended.is_set()
        goes_on = self.state in ("", after, before)
        if running and self.state != after:
            await self._keep()
        self.state, held = after, self.state
        if running and not goes_on:
            await self._drop()
        if (running and goes_on) or call.restart or before == kept_states.NO_CODE_YET:
            return None
        if held and goes_on:
            return None  # it has ended, which is told
        state = await self._found(before)
        if state is None:
            self._lost = "not kept"
            return None
        return await self._take(state, call)

    async def _found(self, name: str) -> KeptState | None:
        path = kept_states.find_state(name)
        if path is None:
            peer = next((p for p in self._peers() if p.state == name and not p.busy), None)
            if peer is not None and peer is not self:
                await peer.keep()
                path = kept_states.find_state(name)
        return kept_states.read_state(path) if path is not None else None

    async def keep(self) -> None:
        """Keeps the variables under the name of their state."""
        async with self._lock:
            await self._keep()

    async def _keep(self) -> None:
        kernel, name = self._kernel, kept_states.new_state_file()
        if kernel is None or not self.state or kept_states.find_state(self.state) is not None:
            return
        if await self._silently(kernel, f"keep_state({str(self.folder / name)!r})"):
            with self._inside(kernel) as folder:
                state = await asyncio.to_thread(kept_states.take_out, folder, name)
            if state is not None:
                await asyncio.to_thread(kept_states.store_state, self.state, state)

    async def _take(self, state: KeptState, call: CodeCell) -> dict[str, str] | None:
        kernel, name = await self._ready(call), kept_states.new_state_file()
        mirror = kernel.process.mirror
        owner = mirror.owner if mirror is not None else None
        try:
            with self._inside(kernel) as folder:
                await asyncio.to_thread(kept_states.put_in, folder, name, state, owner)
        except OSError:
            return None
        taken = await self._silently(kernel, f"take_state({str(self.folder / name)!r})")
        return state.lost if taken else None

    @contextlib.contextmanager
    def _inside(self, kernel: RunningKernel) -> Iterator[int]:
        """Gives a descriptor of the folder in which the code works."""
        if kernel.process.mirror is not None:
            yield kernel.process.mirror.inside
            return
        with dirfd.opened_folder(self.folder) as folder:
            yield folder

    async def _silently(self, kernel: RunningKernel, call: str) -> bool:
        """Runs a function of the module that keeps states; says whether it did."""
        return await self._silent_cell(kernel, _Cell(Collector(1, 1, lambda text: None)), call)

    @staticmethod
    async def _silent_cell(kernel: RunningKernel, cell: _Cell, call: str) -> bool:
        kernel.transport.handler = cell.take
        try:
            cell.identity = await kernel.transport.request(
                "execute_request", execute_request(STATES + call, silent=True)
            )
            with anyio.move_on_after(_STATE_SECONDS):
                await cell.done()
        finally:
            kernel.transport.handler = None
        return cell.is_done and not cell.collector.outcome.error

    async def variables(self) -> list[dict[str, str]] | None:
        """Returns name, kind, size and a short text of each variable.

        None where no kernel runs, or a cell does.
        """
        kernel = self._kernel
        if self.busy or kernel is None or kernel.process.ended.is_set():
            return None
        async with self._lock:
            cell = _Cell(Collector(_MOST_TOLD, 1, lambda text: None))
            ran = await self._silent_cell(kernel, cell, "tell_variables()")
        try:
            told = loads_bounded(cell.collector.finish().stdout) if ran else None
        except ValueError:  # what code prints is anybody's
            return None
        return told if isinstance(told, list) else None

    async def _drop(self) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            await kernel.close()

    async def _execute(self, kernel: RunningKernel, call: CodeCell) -> CellOutcome:
        limits = self.options.limits
        cell = _Cell(Collector(limits.output, limits.rich, call.report))
        kernel.transport.handler = cell.take
        kernel.process.busy(True)
        try:
            await self._let_call(kernel, call)
            cell.identity = await kernel.transport.request(
                "execute_request", execute_request(call.code)
            )
            await self._watch(kernel, cell, call)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(kernel, cell, _CANCEL_GRACE_SECONDS))
            raise
        finally:
            kernel.transport.handler = None
            kernel.process.busy(False)
            if kernel.process.calls is not None:
                await kernel.process.calls.end()
        if cell.collector.outcome.interrupted == "cancelled":
            raise ToolCancelled("The call was cancelled.")
        return cell.collector.finish()

    @staticmethod
    async def _let_call(kernel: RunningKernel, call: CodeCell) -> None:
        """Opens the channel to the tools for the cell that comes next."""
        if call.calls is None:
            return
        channel = await kernel.process.reach_tools()
        if channel is None:
            raise ToolRefused(
                "Code in this kernel cannot reach the tools.",
                fix="Use Linux and a kernel of ipykernel 6 or newer, or set code_mode=False.",
            )
        functions = json.dumps(list(call.calls.functions))
        changed = functions != channel.installed
        channel.installed = functions
        number = channel.open(call.calls)
        source = BEGIN.format(cell=number, entries=f"loads({functions!r})" if changed else None)
        await kernel.transport.request("execute_request", execute_request(source, silent=True))

    async def _watch(self, kernel: RunningKernel, cell: _Cell, call: CodeCell) -> None:
        """Waits for the cell's end, its time limit, a cancellation or the kernel's death."""
        outcome = cell.collector.outcome
        ended = asyncio.ensure_future(kernel.process.ended.wait())
        done = asyncio.ensure_future(cell.done())
        try:
            both = asyncio.ensure_future(
                asyncio.wait({ended, done}, return_when=asyncio.FIRST_COMPLETED)
            )
            await _until(both, call.cancelled, call.seconds)
            if not both.done():
                outcome.interrupted = "cancelled" if call.cancelled.is_set() else "timeout"
                grace = _CANCEL_GRACE_SECONDS if call.cancelled.is_set() else _GRACE_SECONDS
                await self._stop(kernel, cell, grace)
            if kernel.process.ended.is_set() and not cell.is_done:
                outcome.ending = kernel.process.ending
        finally:
            for future in (ended, done, both):
                future.cancel()
            await asyncio.gather(ended, done, both, return_exceptions=True)

    async def _stop(self, kernel: RunningKernel, cell: _Cell, grace: float) -> None:
        """Interrupts the cell; a kernel that does not heed it is killed."""
        kernel.process.interrupt()
        with anyio.move_on_after(grace):
            await cell.done()
        if not cell.is_done:
            kernel.process.kill()
            await kernel.process.ended.wait()

    def _gather(
        self, outcome: CellOutcome, before: Mapping[str, files.Stamp], troubles: list[Trouble]
    ) -> CellResult:
        after = files.snapshot(self.folder)
        limit = self.options.limits.artifacts
        kept = files.keep_rich(self.folder, outcome.rich[:limit], set(after), troubles)
        pictures = [path for path in kept if path.suffix in (".png", ".jpg")]
        names = files.changed(before, after)
        if outcome.own_files is not None:  # others may write into the folder at the same time
            names = [name for name in names if name in outcome.own_files]
        written = [self.folder / name for name in names[:limit]]
        others = [path for path in kept if path not in pictures]
        more = max(0, len(names) - limit)
        return CellResult(outcome, pictures, others + written, more, troubles)

    async def rest(self) -> None:
        """Ends the kernel of a session that has been idle for long."""
        async with self._lock:
            if self._kernel is not None:
                self._lost = "idle"
                await self._drop()

    async def close(self) -> None:
        """Ends the kernel; the folder stays."""
        async with self._lock:
            await self._drop()

    def kill(self) -> None:
        """Kills the kernel at once, without waiting."""
        if self._kernel is not None:
            self._kernel.process.kill()


class _Cell:
    """One running cell: filters the messages that belong to it."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.identity = ""
        self._replied = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether the kernel has replied."""
        return self._replied.is_set()

    async def done(self) -> None:
        """Waits for the reply, and a moment for output that is still on its way."""
        await self._replied.wait()
        with anyio.move_on_after(_LAST_WORDS_SECONDS):
            await self._idle.wait()

    def take(self, channel: str, message: Message) -> None:
        if not self.identity or message["parent_header"].get("msg_id") != self.identity:
            return
        kind, content = message["header"]["msg_type"], message["content"]
        if channel == "shell" and kind == "execute_reply":
            self.collector.reply(content)
            self._replied.set()
        elif channel == "iopub" and kind == "status":
            if content.get("execution_state") == "idle":
                self._idle.set()
        elif channel == "iopub":
            self.collector.take(message)


def execute_request(code: str, *, silent: bool = False) -> dict[str, Any]:
    """Returns the content of the message that asks a kernel to run a cell."""
    return {
        "code": code,
        "silent": silent,
        "store_history": not silent,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }


async def _until(future: asyncio.Future[Any], cancelled: threading.Event, seconds: float) -> None:
    """Waits until the future is done, the event is set or the time is over."""
    deadline = time.monotonic() + seconds
    while not future.done() and not cancelled.is_set():
        left = deadline - time.monotonic()
        if left <= 0:
            return
        await asyncio.wait({future}, timeout=min(left, _CANCEL_POLL_SECONDS))
