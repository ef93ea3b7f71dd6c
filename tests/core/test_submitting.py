"""Coroutines on another thread's loop: what a cancel becomes there is nobody's loss."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from qwenbelt.core.errors import ToolCancelled
from qwenbelt.core.processes.submitting import submitted


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def test_an_error_made_of_a_cancel_is_not_reported_as_lost(
    loop: asyncio.AbstractEventLoop,
) -> None:
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    waiting, ended = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            waiting.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ToolCancelled("The call was cancelled.") from None
        finally:
            ended.set()

    future = submitted(work(), loop)
    assert waiting.wait(60)
    future.cancel()
    assert ended.wait(60)
    del future  # it holds the task, which is reported when it goes

    async def settled() -> None:
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        gc.collect()

    submitted(settled(), loop).result(60)
    assert reported == []


def test_results_and_errors_arrive(loop: asyncio.AbstractEventLoop) -> None:
    async def work(value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value

    assert submitted(work(3), loop).result(60) == 3
    with pytest.raises(ValueError, match="negative"):
        submitted(work(-1), loop).result(60)
