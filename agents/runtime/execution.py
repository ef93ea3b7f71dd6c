"""One execution of a tool: on the loop or in a thread, with its limit and its retries."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from qwenbelt.agents.runtime.thread_pool import shared_pool
from qwenbelt.core.errors import ToolError, ToolTimeout
from qwenbelt.tools.base import Tool, ToolContext

STOP_GRACE = 0.03  # seconds a call gets to stop by itself after a limit or a cancel
_BACKOFF = 0.2


class Execution:
    """Runs a tool's call.

    Args:
        tool: the tool.
        raw: the arguments as read from JSON, for `call`, which checks them itself.
        arguments: the checked arguments, for `acall`.
        keywords: further keyword arguments.
        context: the call's context; its `cancelled` is set when the call is to stop.

    Attributes:
        abandoned: whether something was left running that could not be stopped.
    """

    def __init__(
        self, tool: Any, raw: Any, arguments: Any, keywords: dict[str, Any], context: ToolContext
    ) -> None:
        self._tool = tool
        self._raw = raw
        self._arguments = arguments
        self._keywords = keywords
        self._context = context
        self.abandoned = False

    async def run(self, limit: float | None) -> Any:
        """Returns the tool's result; what `retry_on` names is tried again.

        Raises:
            ToolTimeout: the limit, in seconds, passed; the call was stopped, or left behind.
            Exception: whatever the tool raised.
        """
        transient: tuple[type[Exception], ...] = getattr(self._tool, "retry_on", ())
        retries = getattr(self._tool, "max_retries", 0) if transient else 0
        for attempt in range(retries):
            try:
                return await self._once(limit)
            except transient:
                if self._context.cancelled.is_set():
                    raise
                await asyncio.sleep(_BACKOFF * 2**attempt)
        return await self._once(limit)

    async def _once(self, limit: float | None) -> Any:
        work = self._start()
        try:
            while True:
                done, _ = await asyncio.wait({work}, timeout=limit)
                if done:
                    return _result_of(work)
                if not self._context.resting:  # a person may take any time to answer
                    break
        finally:
            if not work.done():
                await self._stop(work)
        raise ToolTimeout(f"{self._tool.name} took longer than {limit:g} s and was stopped.")

    def _start(self) -> asyncio.Future[Any]:
        tool = self._tool
        if isinstance(tool, Tool) and tool.is_async:
            return asyncio.ensure_future(
                _guarded_call(tool.acall(self._arguments, **self._keywords))
            )
        return shared_pool().submit(self._in_thread())

    def _in_thread(self) -> Callable[[], Any]:
        call, raw, keywords = self._tool.call, self._raw, self._keywords

        def function() -> Any:
            result = call(raw, **keywords)
            return list(result) if inspect.isgenerator(result) else result

        return function

    async def _stop(self, work: asyncio.Future[Any]) -> None:
        """Asks the call to stop and gives it a moment; threads can only be left behind."""
        self._context.cancelled.set()
        work.add_done_callback(_retrieve_error)
        if isinstance(work, asyncio.Task):
            work.cancel()
        await asyncio.wait({work}, timeout=STOP_GRACE)
        self.abandoned = not work.done()
        work.cancel()


async def _guarded_call(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and its kind would end the event loop
        raise ToolError(f"{type(error).__name__}: {error}") from error


def _result_of(work: asyncio.Future[Any]) -> Any:
    if work.cancelled():
        raise ToolError("The call was cancelled from inside the tool.")
    return work.result()


def _retrieve_error(work: asyncio.Future[Any]) -> None:
    """Retrieves the error of abandoned work, so that asyncio does not complain."""
    if not work.cancelled():
        work.exception()
