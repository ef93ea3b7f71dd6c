"""Several processes that serve one port.

The port is opened once, before the processes are forked: they take connections from one queue, and
what waits in it is taken by another one when one dies. With a socket for each process
(SO_REUSEPORT) the system would drop the queue of the dead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from qwenbelt.core.errors import ConfigError

GRACE_SECONDS = 5  # that running requests have to end in
_EARLY_SECONDS = 2.0
_MOST_EARLY_ENDS = 5
_STOPS = (signal.SIGTERM, signal.SIGINT)


def serve_by_workers(count: int, serve: Callable[[], None]) -> None:
    """Runs `serve` in so many processes until this one is told to stop.

    A process that ends is replaced. `serve` ends in good order by SIGTERM.

    Raises:
        ConfigError: processes cannot be forked here, or end as soon as they begin.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ConfigError("--workers needs a system that forks processes.", fix="Leave it out.")
    _Workers(count, serve).run()


class _Workers:
    def __init__(self, count: int, serve: Callable[[], None]) -> None:
        self._context = multiprocessing.get_context("fork")
        self._count = count
        self._serve = serve
        self._born: dict[BaseProcess, float] = {}
        self._early = 0
        self._told, self._tell = os.pipe()

    def run(self) -> None:
        before = {number: signal.signal(number, self._stop) for number in _STOPS}
        try:
            while True:
                while len(self._born) < self._count:
                    self._start()
                waited: list[Any] = [self._told, *(p.sentinel for p in self._born)]
                if self._told in wait(waited):
                    return
                for process in [p for p in self._born if not p.is_alive()]:
                    self._ended(process)
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._told)
            os.close(self._tell)

    def _start(self) -> None:
        process = self._context.Process(target=self._work)
        process.start()
        self._born[process] = time.monotonic()

    def _work(self) -> None:
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        self._serve()

    def _ended(self, process: BaseProcess) -> None:
        early = time.monotonic() - self._born.pop(process) < _EARLY_SECONDS
        process.join()
        self._early = self._early + 1 if early else 0
        if self._early >= _MOST_EARLY_ENDS:
            raise ConfigError(
                "The server's processes end as soon as they begin.",
                fix="Start it without --workers to see why.",
            )
        said = f"A process of the server ended ({process.exitcode}); another one begins."
        print(said, file=sys.stderr, flush=True)

    def _end_all(self) -> None:
        for process in self._born:
            process.terminate()
        end = time.monotonic() + GRACE_SECONDS + 2
        for process in self._born:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _stop(self, number: int, frame: object) -> None:
        os.write(self._tell, b"x")


def _end_with_parent() -> None:
    """Ends this process when the one that forked it is gone, so that no killed server serves on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
