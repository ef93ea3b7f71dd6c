"""Python processes that answer requests with lines of JSON, and those of them that are idle.

Used where work must be stoppable at any moment or may crash its process: reading documents and
running queries. A child ends when its standard input does; the watchdog ends it when its parent
was killed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.processes.per_process import PerProcess, per_process, watchdog
from qwenbelt.core.secrets import clean_environment

_POLL_SECONDS = 0.05  # between two looks at whether the answer is still wanted
_SLEEPING = (
    0.02  # of the time that has passed: a child that used less of a processor is not at work
)
_HAS_WORK = "RTtD"  # states of a thread: runs or waits for a processor, halted, waits for a disk
_numbers = itertools.count(1)


class ChildEnded(Exception):
    """The process has ended, or does not read what it is asked."""


class ChildTooSlow(Exception):
    """No answer came in time.

    Attributes:
        starved: whether the child had work to do and was given too little of a processor.
    """

    def __init__(self, *, starved: bool = False) -> None:
        super().__init__()
        self.starved = starved


class ChildProcess:
    """One process, used by one caller at a time.

    Args:
        module: the module whose `main` the process runs.
        arguments: texts for `main`.
        environment: variables beside those that are safe to pass on.

    Attributes:
        number: distinguishes this process from all others that this one has started.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.number = next(_numbers)
        count = 1 + len(arguments)
        # -I keeps the working folder and PYTHON* variables out; our own path is passed on
        code = (
            f"import sys; arguments = sys.argv[1:{count}]; sys.path[:] = sys.argv[{count}:]; "
            f"from {module} import main; main(*arguments)"
        )
        path = [entry for entry in sys.path if entry]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", code, *arguments, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**clean_environment(), **(environment or {})},
            start_new_session=True,
            bufsize=0,
        )
        watchdog().add(self._process.pid)
        self._lines: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a line whose end has not come yet

    def send(self, request: Mapping[str, Any]) -> None:
        """Sends one request.

        Raises:
            ChildEnded: the process has ended.
        """
        target = self._process.stdin
        line = memoryview(json.dumps(request).encode() + b"\n")
        try:
            while target is not None and line:
                line = line[target.write(line) :]
        except (OSError, ValueError):
            raise ChildEnded from None

    def receive(
        self,
        seconds: float,
        is_cancelled: Callable[[], bool] | None = None,
        *,
        slack: float = 1.0,
    ) -> dict[str, Any] | None:
        """Returns the next line of an answer, or None when it was cancelled.

        Args:
            seconds: how long to wait.
            is_cancelled: asked now and then whether the answer is still wanted.
            slack: how many times `seconds` may pass by the clock for a child that is at work but
                was given less processor time than `seconds`, as on a busy machine.

        Raises:
            ChildEnded: the process has ended.
            ChildTooSlow: no line came in time.
        """
        began, used_before = time.monotonic(), self._cpu_seconds() if slack > 1 else None
        end = began + seconds
        while not self._lines:
            if is_cancelled is not None and is_cancelled():
                return None
            left = end - time.monotonic()
            if left <= 0:
                passed, used = time.monotonic() - began, self._cpu_since(used_before)
                working = passed * _SLEEPING < used or (slack > 1 and self._has_work())
                if passed >= seconds * slack or not working or used >= seconds:
                    raise ChildTooSlow(starved=working and used < seconds)
                left = min(seconds - used, seconds * slack - passed) + _POLL_SECONDS
                end = time.monotonic() + left
            self._read(min(left, _POLL_SECONDS) if is_cancelled is not None else left)
        try:
            answer: dict[str, Any] = loads_bounded(self._lines.popleft())
        except json.JSONDecodeError:  # something took its standard output, or more than we read
            raise ChildEnded from None
        return answer

    def _cpu_since(self, before: float | None) -> float:
        now = self._cpu_seconds()
        return 0.0 if before is None or now is None else now - before

    def _cpu_seconds(self) -> float | None:
        """Returns the processor time the child has used; None where the system does not say."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]  # after the name: field 3 onwards
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _has_work(self) -> bool:
        """Returns whether a thread of the child would run if it could; False where none tells."""
        for file in Path(f"/proc/{self._process.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # it ended just now
                if file.read_text(encoding="utf-8").rpartition(")")[2].split()[0] in _HAS_WORK:
                    return True
        return False

    def _read(self, seconds: float) -> None:
        output = self._process.stdout
        if output is None or output.closed:
            raise ChildEnded
        if not select.select([output], [], [], seconds)[0]:
            return
        chunk = os.read(output.fileno(), 1 << 20)
        if not chunk:
            raise ChildEnded
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._lines.extend(lines)
            self._parts = []
        self._parts.append(rest)

    def stop(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.wait()
        watchdog().remove(self._process.pid)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@dataclass
class _Idle:
    lock: threading.Lock = field(default_factory=threading.Lock)
    children: list[ChildProcess] = field(default_factory=list)
    closed: bool = False


class IdleChildren:
    """Processes that wait for their next caller; a forked copy of this process has none of them.

    Args:
        most: how many are kept; the oldest are stopped first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._idle: PerProcess[_Idle] = per_process(_Idle)

    def __len__(self) -> int:
        return len(self._idle().children)

    def take(self, number: int | None = None) -> ChildProcess | None:
        """Returns the process of that number if it is idle, else the one that was used last."""
        idle = self._idle()
        with idle.lock:
            for child in idle.children:
                if child.number == number:
                    idle.children.remove(child)
                    return child
            return idle.children.pop() if idle.children else None

    def give_back(self, child: ChildProcess) -> None:
        """Keeps a process for the next caller, or stops it where there are enough."""
        idle = self._idle()
        with idle.lock:
            idle.children.append(child)
            kept = 0 if idle.closed else self.most
            dropped = [idle.children.pop(0) for _ in range(len(idle.children) - kept)]
        for other in dropped:
            other.stop()

    def close(self, *, for_good: bool = False) -> None:
        """Stops the idle processes; `for_good` also stops those that are given back later."""
        idle = self._idle()
        with idle.lock:
            idle.closed = idle.closed or for_good
            children, idle.children = idle.children, []
        for child in children:
            child.stop()
