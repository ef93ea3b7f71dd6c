"""The one thread whose event loop owns all MCP sessions of this process.

Sessions are bound to the loop that opened them, while tools are called from any thread and any
loop. So all of them live here, and callers hand in coroutines.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_EXIT_SECONDS = 6.0


class LoopThread:
    """A daemon thread with an event loop; starts with the first coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closers: set[Callable[[], Coroutine[Any, Any, None]]] = set()
        self._thread = threading.Thread(target=self._run, name="qwenbelt-mcp", daemon=True)
        self._thread.start()
        atexit.register(self._close)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Runs a coroutine on the loop; cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def post(self, function: Callable[[], object]) -> None:
        """Calls a function on the loop soon; does nothing when the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def at_exit(self, close: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Has `close` awaited when the interpreter ends; returns what takes that back."""
        self._closers.add(close)
        return lambda: self._closers.discard(close)

    def _close(self) -> None:
        async def close_all() -> None:
            await asyncio.gather(*(close() for close in self._closers), return_exceptions=True)

        if not self._closers:
            return
        done = concurrent.futures.wait([self.submit(close_all())], _EXIT_SECONDS)
        del done


_loops: dict[int, LoopThread] = {}
_lock = threading.Lock()


def loop_thread() -> LoopThread:
    """Returns the loop thread of this process; a forked copy gets one of its own."""
    with _lock:
        pid = os.getpid()
        if pid not in _loops:
            _loops[pid] = LoopThread()
        return _loops[pid]
