"""Ends child processes when this process is gone, even after `kill -9`.

A process that is killed cannot clean up, so a second, tiny process does it: it holds one end of a
pipe, and when the other end closes it kills the process group of every registered child. The
children must be leaders of their own groups (`start_new_session=True`).

The same file is the program of that second process; it runs without site-packages, so it imports
the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading

_POLL_SECONDS = 1.0  # a forked copy of the owner may hold the pipe open: look at the parent too


class Watchdog:
    """Watches over the children of this process; starts with the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._pipe = -1

    def add(self, pid: int) -> None:
        """Has the process group `pid` killed when this process ends without `remove`."""
        with self._lock:
            self._groups.add(pid)
            if not self._tell(f"+{pid}\n"):
                self._pipe = _start()
                self._tell("".join(f"+{group}\n" for group in self._groups))

    def remove(self, pid: int) -> None:
        """Takes back `add`, once the child has ended."""
        with self._lock:
            self._groups.discard(pid)
            self._tell(f"-{pid}\n")

    def _tell(self, lines: str) -> bool:
        try:
            os.write(self._pipe, lines.encode("ascii"))
        except OSError:
            return False
        return True


def _start() -> int:
    reading, writing = os.pipe()
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
    finally:
        os.close(reading)
    return writing


def _watch(parent: int) -> set[int]:
    """Reads what to watch until the parent is gone; returns the groups that are left."""
    groups: set[int] = set()
    pending = b""
    while True:
        orphaned = os.getppid() != parent  # asked first: what was written before is still read
        if not select.select([0], [], [], 0 if orphaned else _POLL_SECONDS)[0]:
            if orphaned:
                break
            continue
        chunk = os.read(0, 4096)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            change = groups.add if line[:1] == b"+" else groups.discard
            change(int(line[1:]))
    return groups


def main() -> None:
    """Runs the watching process."""
    os.setsid()  # what interrupts its owner's group must not end it
    for group in _watch(int(sys.argv[1])):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
