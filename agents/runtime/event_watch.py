"""Shows a run's events to the hooks that only look on, without holding the run up."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.events import Event

MOST_WAITING = 10_000  # events that a slow method has not seen yet; more are passed over
log = logging.getLogger(__name__)


class EventWatch:
    """The `on_event` methods of a run's hooks.

    Plain ones see the events one after another in a thread, async ones run on the loop. Who only
    looks on does not stop a run: what a method raises is logged.
    """

    def __init__(self, methods: list[Callable[..., Any]]) -> None:
        self._plain = [m for m in methods if not inspect.iscoroutinefunction(m)]
        self._async = [m for m in methods if inspect.iscoroutinefunction(m)]
        self._waiting: deque[Event] = deque()
        self._lock = threading.Lock()
        self._busy = False
        self._behind = False
        self._when_seen: Callable[[], None] | None = None
        self._tasks: set[Any] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def see(self, event: Event) -> None:
        """Shows an event; called on the run's loop."""
        for method in self._async:
            self._follow(method(event))
        if not self._plain:
            return
        with self._lock:
            if len(self._waiting) >= MOST_WAITING and event.kind != "done":
                behind, self._behind = self._behind, True
                if not behind:
                    log.warning(
                        "a hook's on_event is %d events behind; more are not shown to it",
                        MOST_WAITING,
                    )
                return
            self._waiting.append(event)
            begins, self._busy = not self._busy, True
        if begins:
            self._loop = asyncio.get_running_loop()
            shared_pool().submit(self._show)

    def then(self, call: Callable[[], None], seconds: float) -> None:
        """Calls on the loop once all has been seen, or when so many seconds are over."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._busy:
                call()
                return
            timer = loop.call_later(seconds, call)

            def seen() -> None:
                timer.cancel()
                call()

            self._when_seen = seen

    def _show(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    seen, self._when_seen = self._when_seen, None
                    break
                event = self._waiting.popleft()
            for method in self._plain:
                try:
                    found = method(event)
                except Exception:  # of the person's own code; the others must still see the event
                    log.exception("a hook's on_event failed")
                    continue
                if inspect.isawaitable(found):
                    self._on_loop(functools.partial(self._follow, found))
        if seen is not None:
            self._on_loop(seen)

    def _on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _follow(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._saw)

    def _saw(self, task: Any) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a hook's on_event failed", exc_info=error)
