"""The thread that owns all kernels of this process.

ZeroMQ's asyncio sockets belong to one event loop, while agents may run in many loops and threads;
so every socket and every session lives on the loop of one thread, and callers submit to it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import zmq.asyncio

from qwenbelt.core.errors import ToolError
from qwenbelt.core.processes.per_process import per_process
from qwenbelt.core.processes.submitting import submitted
from qwenbelt.tools.code_interpreter.launch import Launcher
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.session import CellResult, CodeCell, CodeSession, RunningKernel

T = TypeVar("T")
_SWEEP_SECONDS = 5.0
_CLOSE_SECONDS = 20.0
_FORGET_SECONDS = 24 * 3600.0


class KernelHost:
    """Owns sessions; may be used from any thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.sessions: dict[tuple[str, SessionOptions], CodeSession] = {}
        self._loop = asyncio.new_event_loop()
        self._launcher: Launcher | None = None
        self._kernels: set[RunningKernel] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="qwenbelt-kernels", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        context = zmq.asyncio.Context()
        self._launcher = Launcher(context, self._kernels)
        self._sweeper = self._loop.create_task(self._sweep())
        try:
            self._loop.run_forever()
        finally:
            context.destroy(linger=0)
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Starts a coroutine on the host's loop; cancelling the future cancels it."""
        if self._closed:
            work.close()
            raise ToolError("The code interpreter is shutting down.")
        return submitted(work, self._loop)

    async def run(
        self, name: str, folder: Path, options: SessionOptions, call: CodeCell
    ) -> CellResult:
        """Runs a call in the session of that name, which is made when it is not there."""
        key = (name, options)
        launcher = self._get_launcher()
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = CodeSession(
                folder, options, launcher.start, self.sessions.values
            )
        return await session.run(call)

    async def variables(self, name: str) -> list[dict[str, str]] | None:
        """Returns the variables of the session of that name; None where no kernel rests there."""
        for key, session in self.sessions.items():
            if key[0] == name:
                told = await session.variables()
                if told is not None:
                    return told
        return None

    def _get_launcher(self) -> Launcher:
        if self._launcher is None or self._closed:
            raise ToolError("The code interpreter is shutting down.")
        return self._launcher

    async def warm(self, options: SessionOptions) -> None:
        """Gets ready in the background for a first call."""
        with contextlib.suppress(ToolError):  # the first call will say what is wrong
            await self._get_launcher().warm(options)

    async def end(self, name: str) -> None:
        """Ends all sessions of that name; their folders stay."""
        ending = [key for key in self.sessions if key[0] == name]
        sessions = [self.sessions.pop(key) for key in ending]
        await asyncio.gather(*(session.close() for session in sessions))

    async def _sweep(self) -> None:
        """Ends sessions that have been idle for long."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for key, session in list(self.sessions.items()):
                unused = now - session.used
                if not session.busy and unused > key[1].limits.idle:
                    await session.rest()
                if not session.busy and unused > _FORGET_SECONDS:
                    self.sessions.pop(key, None)

    async def _end_all(self) -> None:
        for session in self.sessions.values():
            session.kill()
        self.sessions.clear()
        if self._launcher is not None:
            await self._launcher.close()
        # a session that is being ended elsewhere is waited for as well
        await asyncio.gather(*(kernel.close() for kernel in list(self._kernels)))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        """Ends every session and the thread."""
        if self._closed or os.getpid() != self.pid:
            return
        ending = asyncio.run_coroutine_threadsafe(self._end_all(), self._loop)
        self._closed = True
        with contextlib.suppress(concurrent.futures.TimeoutError):
            ending.result(_CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)


kernel_host = per_process(KernelHost, KernelHost.close)
running_host = kernel_host.existing  # this process's host if there is one


def close_host() -> None:
    """Ends every kernel of this process; the next call starts a new host."""
    host = kernel_host.drop()
    if host is not None:
        host.close()
