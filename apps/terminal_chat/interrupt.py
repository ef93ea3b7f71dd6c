"""Runs coroutines on one loop so that Ctrl-C cancels them and leaves the loop usable."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")


class InterruptibleLoop:
    """An event loop for a program that sometimes awaits and sometimes reads the keyboard."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> InterruptibleLoop:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(
        self,
        coroutine: Coroutine[Any, Any, Result],
        on_interrupt: Callable[[], object] | None = None,
    ) -> Result:
        """Runs a coroutine to its end.

        Args:
            coroutine: what to run.
            on_interrupt: called at the first Ctrl-C to end the work in good order; without it, and
                at the second Ctrl-C, the coroutine is cancelled.

        Raises:
            KeyboardInterrupt: the coroutine was cancelled.
        """
        task = self._loop.create_task(coroutine)
        with _on_interrupt(self._loop, task, on_interrupt):
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None

    def close(self) -> None:
        """Cancels what is left and closes the loop."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


@contextlib.contextmanager
def _on_interrupt(
    loop: asyncio.AbstractEventLoop,
    task: asyncio.Task[Any],
    gently: Callable[[], object] | None,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    steps: list[Callable[[], object]] = [task.cancel]
    if gently is not None:
        steps.insert(0, gently)

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(steps.pop(0))
        if not steps:
            # pressed again: the person does not want to wait for the clean-up
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def quiet_keys() -> Callable[[], None]:
    """Keeps the terminal from writing typed keys, also ^C, into what is drawn on it.

    Returns:
        What makes it as it was. Does nothing where standard input is no terminal of this program.
    """
    try:
        import termios
    except ImportError:  # no such terminals on this platform
        return _nothing
    if not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return _nothing  # a program in the background would be stopped
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(number, termios.TCSANOW, quiet)
    return functools.partial(termios.tcsetattr, number, termios.TCSANOW, before)


def _nothing() -> None:
    pass


async def read_line(prompt: str) -> str:
    """Shows `prompt` on stderr and reads a line from the keyboard while the loop runs.

    Raises:
        EOFError: the input has ended.
    """
    sys.stderr.write(prompt)
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def put(line: str) -> None:
        if not answer.done():
            answer.set_result(line)

    def readable() -> None:
        # Ctrl-C empties the terminal's queue after it was found readable; reading would block
        if select.select([sys.stdin], [], [], 0)[0]:
            put(sys.stdin.readline())

    try:
        loop.add_reader(sys.stdin.fileno(), readable)
    except (NotImplementedError, OSError):
        # a loop or an input that cannot be watched; a daemon thread does not hold up the exit
        threading.Thread(
            target=lambda: loop.call_soon_threadsafe(put, sys.stdin.readline()), daemon=True
        ).start()
        line = await answer
    else:
        try:
            line = await answer
        except asyncio.CancelledError:
            sys.stderr.write("\n")
            raise
        finally:
            loop.remove_reader(sys.stdin.fileno())
    if not line:
        raise EOFError
    return line.rstrip("\n")
