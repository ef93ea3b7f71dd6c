"""Threads for tools that wait.

There is one for every call in flight, whatever the number of cores: 16 sleeping tools on 2 cores
take one tool's time, and a tool that runs an agent of its own cannot starve that agent's tools.
Threads are daemons, so a tool that hangs holds up neither the next call nor the end of the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from qwenbelt.core.processes.per_process import per_process

KEPT_THREADS = 64


class Work:
    """One function on its way to a thread; its future gets the result or the error."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._function = function
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def run(self) -> None:
        """Runs the function in this thread, unless it is no longer wanted."""
        if self.future.cancelled():
            return
        result, error = None, None
        try:
            result = self._context.run(self._function)
        except BaseException as raised:  # whatever a tool raises is its result
            error = _fit_for_a_future(raised)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _fit_for_a_future(error: BaseException) -> BaseException:
    """Futures and tasks give StopIteration, SystemExit and their kind a meaning of their own."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}".rstrip(": "))


class WorkerPool:
    """Threads that are kept for the next call; more are started whenever none is free.

    Args:
        kept: idle threads that stay.
    """

    def __init__(self, kept: int = KEPT_THREADS) -> None:
        self._kept = kept
        self._idle = 0
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Runs `function` in a thread; call it inside a running event loop.

        Cancelling the future before the function has begun keeps it from running.
        """
        work = Work(function)
        with self._lock:
            reserved = self._idle > 0
            self._idle -= reserved
        if reserved:
            self._work.put(work)
        else:
            threading.Thread(
                target=self._serve, args=(work,), name="qwenbelt-tool", daemon=True
            ).start()
        return work.future

    def _serve(self, first: Work) -> None:
        first.run()
        del first
        while self._stays():
            self._work.get().run()

    def _stays(self) -> bool:
        with self._lock:
            if self._idle >= self._kept:
                return False
            self._idle += 1
            return True


shared_pool = per_process(WorkerPool)  # of all runs of this process
