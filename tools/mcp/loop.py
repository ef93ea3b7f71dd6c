"""The one thread whose event loop owns all MCP sessions of this process.

Sessions are bound to the loop that opened them, while tools are called from any thread and any
loop. So all of them live here, and callers hand in coroutines.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from qwenbelt.core.processes.per_process import per_process
from qwenbelt.core.processes.submitting import submitted

T = TypeVar("T")
_EXIT_SECONDS = 6.0


class LoopThread:
    """A daemon thread with an event loop; starts with the first coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closers: set[Callable[[], Coroutine[Any, Any, None]]] = set()
        self._thread = threading.Thread(target=self._run, name="qwenbelt-mcp", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Runs a coroutine on the loop; cancelling the future cancels it there."""
        return submitted(coroutine, self._loop)

    def post(self, function: Callable[[], object]) -> None:
        """Calls a function on the loop soon; does nothing when the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def at_exit(self, close: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Has `close` awaited when the interpreter ends; returns what takes that back."""
        self._closers.add(close)
        return lambda: self._closers.discard(close)

    def close(self) -> None:
        """Awaits what `at_exit` was given, for a while."""

        async def close_all() -> None:
            await asyncio.gather(*(close() for close in self._closers), return_exceptions=True)

        if not self._closers:
            return
        done = concurrent.futures.wait([self.submit(close_all())], _EXIT_SECONDS)
        del done


loop_thread = per_process(LoopThread, LoopThread.close)  # of all servers of this process
