"""The host's end of the module `tools`: reads calls from a session, and answers them.

What comes in is hostile by default. Frames of any process but the kernel's own are dropped (the
operating system says who sent a byte, so a fork cannot pose as it), a frame that breaks the form
closes the channel for good, and what is held in memory for a session is bounded whatever it sends.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import one_line
from qwenbelt.tools.code_interpreter.answers import failure

if TYPE_CHECKING:
    from qwenbelt.tools.base import CallsFromCode

LARGEST_FRAME = 4 * 1024 * 1024
_LARGEST_ANSWER = 64 * 1024 * 1024
_HELD = 16 * 1024 * 1024  # of calls that run, and of answers that are not read yet; then it waits
_BYTES_OF_A_CELL = 64 * 1024 * 1024
_PIECE = 1 << 16
_HEAD = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")
_NAME_LENGTH = 200
_ENDED = "the cell has ended; it cannot call tools any more"
_TOO_MUCH = "the arguments of this cell's calls are too large together"
_BURST_SECONDS = 0.02  # of handling frames before others get their turn


class BrokenChannel(Exception):
    """What came in breaks the form."""


@dataclass
class CallingCell:
    """A cell that may call: its number, what answers its calls, and what it has used up."""

    number: int
    calls: CallsFromCode
    room: asyncio.Semaphore
    made: int = 0
    taken: int = 0


class CallChannel:
    """One session's channel. Lives on the host's loop.

    Attributes:
        dropped: bytes that came from other processes than the kernel.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._ours.setblocking(False)
        self.dropped = 0
        self.broken = ""
        self.installed = ""  # what the module in the kernel was made from
        self._kernel = 0
        self._buffer = bytearray()
        self._out = bytearray()
        self._number = 0
        self._cells = 0
        self._cell: CallingCell | None = None
        self._held = 0
        self._room = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self._writing = False
        self._resume: asyncio.TimerHandle | None = None
        self._closed = False
        self._look()

    def fileno(self) -> int:
        """Returns the session's end, to be handed over once."""
        return self._theirs.fileno()

    def handed_over(self) -> None:
        """The session has its end; this side keeps no copy."""
        self._theirs.close()

    # -- cells ----------------------------------------------------------------------------------

    def open(self, calls: CallsFromCode) -> int:
        """A cell begins that may call; returns its number."""
        self._cells += 1
        self._cell = CallingCell(self._cells, calls, asyncio.Semaphore(max(1, calls.side_by_side)))
        return self._cells

    async def end(self) -> None:
        """The cell has ended: what it still runs is stopped, and nothing of it can call."""
        self._cell = None
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=1.0)

    def close(self) -> None:
        """Closes the channel; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._cell = None
        self._wait_for(reading=False, writing=False)
        if self._resume is not None:
            self._resume.cancel()
        for task in list(self._running):
            task.cancel()
        self._ours.close()
        self._theirs.close()
        self._buffer.clear()
        self._out.clear()

    # -- what comes in --------------------------------------------------------------------------

    def _wait_for(self, *, reading: bool, writing: bool) -> None:
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self._ours.fileno(), self._readable)
            else:
                self._loop.remove_reader(self._ours.fileno())
        if writing != self._writing:
            self._writing = writing
            if writing:
                self._loop.add_writer(self._ours.fileno(), self._writable)
            else:
                self._loop.remove_writer(self._ours.fileno())

    def _look(self) -> None:
        """Reads only while there is room for more."""
        if self._closed:
            return
        full = self._held + len(self._out) > _HELD or self._resume is not None
        self._wait_for(reading=not self.broken and not full, writing=bool(self._out))

    def _readable(self) -> None:
        began = time.monotonic()
        try:
            while not self._closed and time.monotonic() - began < _BURST_SECONDS:
                if self._held + len(self._out) > _HELD or not self._take():
                    break
            else:
                self._pause()
        except BrokenChannel as error:
            self._break(str(error))
        self._look()

    def _pause(self) -> None:
        """A session that floods lets the others have their turn."""

        def resume() -> None:
            self._resume = None
            self._look()

        if not self._closed:
            self._resume = self._loop.call_later(_BURST_SECONDS, resume)

    def _take(self) -> bool:
        """Reads a piece; returns whether there may be more.

        The operating system never joins pieces of different senders in one.
        """
        space = socket.CMSG_SPACE(_CREDENTIALS.size)
        try:
            piece, told, _, _ = self._ours.recvmsg(_PIECE, space)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            raise BrokenChannel("the channel ended") from None
        if not piece:
            raise BrokenChannel("the channel ended")
        sender = _sender(told)
        if not self._kernel:
            self._kernel = sender
        if sender != self._kernel:
            self.dropped += len(piece)
            return True
        self._buffer += piece
        self._frames()
        return True

    def _frames(self) -> None:
        while len(self._buffer) >= _HEAD.size:
            size = _HEAD.unpack_from(self._buffer)[0]
            if size > LARGEST_FRAME:
                raise BrokenChannel(f"a frame of {size} bytes")
            if len(self._buffer) < _HEAD.size + size:
                return
            frame = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
            del self._buffer[: _HEAD.size + size]
            self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        try:
            call = json.loads(frame)
        except (ValueError, RecursionError):
            raise BrokenChannel("a frame that is not JSON") from None
        if call == {}:  # the greeting
            return
        if not isinstance(call, dict):
            raise BrokenChannel("a frame of another form")
        number, cell, name, arguments = (call.get(k) for k in ("n", "cell", "name", "arguments"))
        if type(number) is not int or type(cell) is not int or not isinstance(name, str):
            raise BrokenChannel("a frame of another form")
        if len(name) > _NAME_LENGTH or not isinstance(arguments, dict):
            raise BrokenChannel("a frame of another form")
        if number <= self._number:
            raise BrokenChannel("a number that was used before")
        self._number = number
        self._called(number, cell, name, arguments, len(frame))

    def _called(
        self, number: int, cell: int, name: str, arguments: dict[str, Any], size: int
    ) -> None:
        now = self._cell
        if now is None or cell != now.number:
            self._answer(number, failure(_ENDED, "refused"))
            return
        now.made += 1
        now.taken += size
        if now.made > now.calls.most:
            most = now.calls.most
            self._answer(
                number, failure(f"a cell may make {most} calls of tools, not more", "refused")
            )
        elif now.taken > _BYTES_OF_A_CELL:
            self._answer(number, failure(_TOO_MUCH, "refused"))
        else:
            self._held += size
            task = self._loop.create_task(self._run(now, number, name, arguments, size))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(
        self, cell: CallingCell, number: int, name: str, arguments: dict[str, Any], size: int
    ) -> None:
        answered = False
        try:
            async with cell.room:
                answer = await self._result(cell, name, arguments)
                answered = True
                self._answer(number, answer)
                await self._drained()  # a session that does not read gets no further results
        except asyncio.CancelledError:
            if not answered:
                self._answer(number, failure("the call was stopped", "cancelled"))
        finally:
            self._held -= size
            self._look()

    async def _result(
        self, cell: CallingCell, name: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            work: Awaitable[dict[str, Any]] = cell.calls.call(name, arguments)
            if cell.calls.loop is not self._loop:
                running = asyncio.run_coroutine_threadsafe(_awaited(work), cell.calls.loop)
                work = asyncio.wrap_future(running)
            return await work
        except Exception as error:  # whatever goes wrong is the call's answer
            return failure(one_line(f"{type(error).__name__}: {error}"))

    async def _drained(self) -> None:
        while len(self._out) > _HELD and not (self._closed or self.broken):
            self._room.clear()
            await self._room.wait()

    # -- what goes out --------------------------------------------------------------------------

    def _answer(self, number: int, answer: dict[str, Any]) -> None:
        if self._closed or self.broken:
            return
        body = json.dumps({"n": number, **answer}, ensure_ascii=False).encode("utf-8", "replace")
        if len(body) > _LARGEST_ANSWER:
            large = failure(f"the result is over {_LARGEST_ANSWER // 1024 // 1024} MB")
            body = json.dumps({"n": number, **large}).encode()
        self._out += _HEAD.pack(len(body)) + body
        self._writable()

    def _writable(self) -> None:
        try:
            while self._out and (sent := self._ours.send(bytes(self._out[:_PIECE]))):
                del self._out[:sent]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._out.clear()
        if len(self._out) <= _HELD:
            self._room.set()
        self._look()

    def _break(self, why: str) -> None:
        """Closes the channel for good; the session's code learns it when it waits or calls."""
        self.broken = why
        self._buffer.clear()
        self._out.clear()
        self._room.set()
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        for task in list(self._running):
            task.cancel()


async def _awaited(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await work


def _sender(told: list[Any]) -> int:
    """Returns the process that sent a piece; descriptors that came with it are closed."""
    sender = 0
    for level, kind, data in told:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            sender = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            for number in numbers:
                os.close(number)
    return sender
