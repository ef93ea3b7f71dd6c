"""`asyncio.run` in a session, whose own loop runs already: scripts that models write call it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import Any

_END_SECONDS = 0.3  # for what was cancelled to end


def install() -> None:
    """Lets `asyncio.run` work inside a running loop: it runs in a new thread and waits for it."""
    original = asyncio.run

    @functools.wraps(original)
    def run(main: Any, **options: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return original(main, **options)
        return _Aside(original, main, options).result()

    asyncio.run = run


class _Aside:
    """A coroutine that runs in another thread, with this one's context."""

    def __init__(self, run: Any, main: Any, options: dict[str, Any]) -> None:
        self._run, self._main, self._options = run, main, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._serve,), daemon=True)

    def _serve(self) -> None:
        async def started() -> Any:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            return await self._main

        try:
            if not asyncio.iscoroutine(self._main):
                raise ValueError(f"a coroutine was expected, got {self._main!r}")
            self._value = self._run(started(), **self._options)
        except BaseException as error:  # is raised where it was called
            self._error = error

    def result(self) -> Any:
        """Waits for the result; an interrupt cancels what runs."""
        self._thread.start()
        try:
            self._thread.join()
        except BaseException:  # an interrupt ends what is waited for, and is raised again
            if self._loop is not None and self._task is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(_END_SECONDS)
            raise
        if self._error is not None:
            raise self._error
        return self._value
