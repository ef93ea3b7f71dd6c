"""Several processes behind one port: each is this command again, on a socket that all share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import FrameType

from qwenbelt.apps.echo import echo
from qwenbelt.apps.serve.metrics import SHARED_VARIABLE, process_ended
from qwenbelt.apps.strings import say
from qwenbelt.core.errors import ConfigError, QwenbeltError

SOCKET_VARIABLE = "QWENBELT_SERVE_SOCKET"  # for a worker: the socket that it inherits
_SOON = 3.0  # seconds; a worker that ends sooner did not get going
_MOST_FAILED = 3  # starts in a row that may fail
_LEAVE_SECONDS = 5.0  # beyond the workers' own grace
_RUN = "import sys; from qwenbelt.apps.cli import main; sys.exit(main())"


def inherited_socket() -> socket.socket | None:
    """Returns the socket of the process that started this worker; None in other processes."""
    number = os.environ.pop(SOCKET_VARIABLE, "")
    return socket.socket(fileno=int(number)) if number else None


class WorkerProcesses:
    """Keeps several copies of this command running.

    Args:
        count: how many.
        listening: the socket they share.
        grace: seconds for which a worker that is to leave may go on with its answers.

    Raises:
        ConfigError: this system cannot hand sockets on.
    """

    def __init__(self, count: int, listening: socket.socket, grace: float = 0.0) -> None:
        if os.name != "posix":
            raise ConfigError("Several workers need Linux or macOS.", fix="Leave --workers out.")
        self._count = count
        self._listening = listening
        self._running: dict[subprocess.Popen[bytes], float] = {}
        self._leaving = False
        self._grace = grace
        self._counts = tempfile.TemporaryDirectory(prefix="qwenbelt-metrics-")

    def run(self, ready: Callable[[], None]) -> None:
        """Runs until a signal ends it; a worker that dies is replaced.

        Raises:
            QwenbeltError: workers end as soon as they start; their own words say why.
        """
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, self._leave)
        failed = 0
        try:
            for _ in range(self._count):
                self._start()
            ready()
            while not self._leaving:
                failed = self._replaced(failed)
                if failed >= _MOST_FAILED:
                    raise QwenbeltError("The workers end as soon as they start; see above.")
                time.sleep(0.1)
        finally:
            self._end()

    def _start(self) -> None:
        number = self._listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *sys.argv[1:]],
            pass_fds=(number,),
            env={
                **os.environ,
                SOCKET_VARIABLE: str(number),
                SHARED_VARIABLE: self._counts.name,
            },
        )
        self._running[process] = time.monotonic()

    def _replaced(self, failed: int) -> int:
        for process, started in list(self._running.items()):
            if process.poll() is None:
                continue
            del self._running[process]
            process_ended(process.pid, self._counts.name)
            failed = failed + 1 if time.monotonic() - started < _SOON else 0
            if failed < _MOST_FAILED:
                self._start()
        return failed

    def _leave(self, signal_number: int, frame: FrameType | None) -> None:
        self._leaving = True

    def _end(self) -> None:
        for process in self._running:
            process.terminate()
        deadline = time.monotonic() + self._grace + _LEAVE_SECONDS
        for process in self._running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._counts.cleanup()


def run_workers(count: int, host: str, port: int, grace: float = 0.0) -> None:
    """Listens on an address and runs several copies of this command on it.

    Raises:
        InputError: the port is taken.
        QwenbeltError: see `WorkerProcesses`.
    """
    from qwenbelt.apps.gui.server import listening_on

    listening = listening_on(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}/v1"
    try:
        WorkerProcesses(count, listening, grace).run(lambda: echo(say("serving", url=url)))
    finally:
        listening.close()
