"""One event loop in its own thread, for callers without asyncio.

All sync runs of a process share it, and with it the open connections to the endpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

from qwenbelt.core.processes.per_process import per_process

T = TypeVar("T")
_CLOSE_SECONDS = 2.0


class BackgroundLoop:
    """An event loop that runs in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="qwenbelt-loop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        with contextlib.suppress(RuntimeError):
            self.loop.run_until_complete(self._end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS / 2)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine and returns its result."""
        with self._elsewhere() as home:
            return asyncio.run_coroutine_threadsafe(coroutine, home.loop).result()

    def iterate(self, make: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """Yields what an async generator yields; closing this closes it, and stops its work."""
        for item in self.iterate_with_pauses(make, None):
            if item is not None:
                yield item

    def iterate_with_pauses(
        self, make: Callable[[], AsyncGenerator[T, None]], seconds: float | None
    ) -> Iterator[T | None]:
        """Yields what an async generator yields, and None whenever this many seconds bring nothing.

        Closing this closes the generator and stops its work.
        """
        items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        with self._elsewhere() as home:
            future = asyncio.run_coroutine_threadsafe(_pump_items(make, items), home.loop)
            kind = ""
            try:
                while kind != "end":
                    kind, value = _next_item(items, seconds)
                    if kind == "error":
                        raise value
                    if kind != "end":
                        yield value
            finally:
                if kind != "end":
                    future.cancel()
                    _wait_for_end(items)

    @contextlib.contextmanager
    def _elsewhere(self) -> Iterator[BackgroundLoop]:
        """Gives a loop that this thread may wait for: another one, in the loop's own thread.

        That is where an async tool runs an agent without awaiting it.
        """
        if threading.current_thread() is not self._thread:
            yield self
            return
        other = BackgroundLoop()
        try:
            yield other
        finally:
            other.close()

    def close(self) -> None:
        """Ends the loop, what runs on it, and its connections."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_CLOSE_SECONDS)


async def _pump_items(
    make: Callable[[], AsyncGenerator[T, None]], items: queue.SimpleQueue[tuple[str, Any]]
) -> None:
    stream = make()
    try:
        async for item in stream:
            items.put(("item", item))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # handed to the caller's thread
        items.put(("error", error))
    finally:
        await stream.aclose()
        items.put(("end", None))


def _next_item(items: queue.SimpleQueue[tuple[str, Any]], seconds: float | None) -> tuple[str, Any]:
    try:
        return items.get(timeout=seconds)
    except queue.Empty:
        return "pause", None


def _wait_for_end(items: queue.SimpleQueue[tuple[str, Any]]) -> None:
    with contextlib.suppress(queue.Empty):
        while items.get(timeout=_CLOSE_SECONDS)[0] != "end":
            pass


background_loop = per_process(BackgroundLoop, BackgroundLoop.close)  # of all sync runs
