"""Running coroutines on another thread's event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def submitted(
    work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop
) -> concurrent.futures.Future[T]:
    """Starts a coroutine on a loop that runs in another thread.

    Cancelling the future cancels it there. What the coroutine makes of the cancel, an exception of
    its own for instance, has nobody who waits for it: it is dropped here, where asyncio alone would
    print "Task exception was never retrieved".
    """
    started: list[concurrent.futures.Future[T]] = []

    async def run() -> T:
        try:
            return await work
        except Exception:  # of any kind: asked is only whether somebody still waits for it
            if started and started[0].cancelled():
                raise asyncio.CancelledError from None
            raise

    started.append(asyncio.run_coroutine_threadsafe(run(), loop))
    return started[0]
