"""Carries the calls of code in a kernel elsewhere to the agent's tools.

A session on this machine inherits a socket. To a kernel on a Jupyter server or in a container there
is only its connection, so the bytes of that socket go over the channel that the protocol has for
input, which cells cannot use otherwise. The call channel at this end is the same, with all of its
checks and limits; what is held here is bounded too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
from pathlib import Path

from qwenbelt.tools.code_interpreter.calls import CallChannel
from qwenbelt.tools.code_interpreter.remote_kernels.messages import JsonTransport
from qwenbelt.tools.code_interpreter.transport import TransportClosed

_PIECE = 1 << 18
# bytes of calls that the channel has not taken yet, more than a cell may send; then it is closed
_HELD = 80 * 1024 * 1024
_PACKAGE = "qwenbelt.tools.code_interpreter"
_FAR_END = f"{_PACKAGE}.inside.far_end"
OPEN = f"""
import sys, types
for name, text in modules:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
sys.modules[{_FAR_END!r}].open_far_end(sys.modules[{f"{_PACKAGE}.tools_module"!r}])
result = ""
"""


def sources() -> list[tuple[str, str]]:
    """Returns the modules that the kernel needs and has not: their names and texts."""
    here = Path(__file__).parent.parent
    return [
        (f"{_PACKAGE}.tools_module", (here / "tools_module.py").read_text(encoding="utf-8")),
        (_FAR_END, (here / "inside" / "far_end.py").read_text(encoding="utf-8")),
    ]


class CallRelay:
    """Joins a call channel's far end with a kernel's channel for input."""

    def __init__(self, transport: JsonTransport, channel: CallChannel) -> None:
        self._end = socket.socket(fileno=os.dup(channel.fileno()))
        self._end.setblocking(False)
        channel.handed_over()
        self._transport = transport
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._held = 0
        transport.on_input = self._take
        self._tasks = [asyncio.create_task(work) for work in (self._give(), self._pass_on())]

    def _take(self, text: str) -> None:
        try:
            piece = base64.b64decode(text, validate=True)
        except ValueError:
            return  # of a cell that asks there by force; it is no frame
        self._held += len(piece)
        if self._held > _HELD:
            self._transport.on_input = None
            self._arrived.put_nowait(b"")
        elif piece:
            self._arrived.put_nowait(piece)

    async def _pass_on(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await self._arrived.get():
                await loop.sock_sendall(self._end, piece)
                self._held -= len(piece)
            self._end.shutdown(socket.SHUT_RDWR)  # which breaks the channel

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TransportClosed):
            await self._transport.give_input("")  # from which the kernel knows where to send
            while piece := await loop.sock_recv(self._end, _PIECE):
                await self._transport.give_input(base64.b64encode(piece).decode())
            await self._transport.give_input("!")

    async def close(self) -> None:
        """Ends it; may be called twice."""
        self._transport.on_input = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end.close()
