"""The first process of a session: builds its surroundings, starts its kernel, ends everything.

It holds one end of a socket; the other end is the owner's. When the owner asks, or is gone, or the
kernel has ended, every process of the session is killed. As the first process of its own process
tree nothing can outlive it; without one it is the foster parent of all that is orphaned.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qwenbelt.tools.code_interpreter.sandbox import linux

_BUSY_SECONDS, _CALM_SECONDS = 0.1, 1.0
_CLEANUP_SECONDS = 30.0
_PAGE = 4096
Spec = Mapping[str, Any]


def run(spec: Spec, owner: socket.socket, calls: int) -> None:
    """Sets a session up and watches over it; returns when it is over."""
    from qwenbelt.tools.code_interpreter import confinement

    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    os.setsid()
    confinement.surroundings(spec)
    wakeup, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    reader, writer = os.pipe()
    kernel = os.fork()
    if kernel == 0:
        for number in (reader, wakeup, wakeup_writer):
            os.close(number)
        owner.close()
        _run_kernel(spec, writer, calls)
    os.close(writer)
    os.close(calls)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
    Supervisor(spec, owner, kernel, reader, wakeup).watch()


def _run_kernel(spec: Spec, ready: int, calls: int) -> None:
    from qwenbelt.tools.code_interpreter import confinement

    code = 1
    try:
        confinement.become_kernel(spec, ready, calls)
        code = 0
    except BaseException as error:  # this copy must end here, whatever happened, and say why
        with contextlib.suppress(OSError):
            os.write(ready, f"{type(error).__name__}: {error}".encode()[:500])
    finally:
        os._exit(code)


class Supervisor:
    """Watches one kernel."""

    def __init__(
        self, spec: Spec, owner: socket.socket, kernel: int, ready: int, wakeup: int
    ) -> None:
        self.owner = owner
        self.kernel = kernel
        self._spec = spec
        self._ready = ready
        self._wakeup = wakeup
        self._busy = False
        self._over = False

    def watch(self) -> None:
        """Waits for the kernel's end, the owner's wishes or his end."""
        poll = select.poll()
        for number in (self.owner.fileno(), self._ready, self._wakeup):
            poll.register(number, select.POLLIN)
        while not self._over:
            pause = _BUSY_SECONDS if self._busy else _CALM_SECONDS
            happened = {number for number, _ in poll.poll(pause * 1000)}
            if self._wakeup in happened:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._ready in happened:
                poll.unregister(self._ready)
                self._announce()
            if self.owner.fileno() in happened:
                self._listen()
            if not happened:
                self._check_limits()
        self._kill_all()

    def _tell(self, **what: Any) -> None:
        with contextlib.suppress(OSError):
            self.owner.send(json.dumps(what).encode())

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            if process == self.kernel:
                code = os.waitstatus_to_exitcode(status)
                self._tell(ended=f"signal {-code}" if code < 0 else f"exit code {code}")
                self._over = True

    def _announce(self) -> None:
        """Tells the owner that the kernel can be talked to, and hands him its folders."""
        told = os.read(self._ready, 512)
        os.close(self._ready)
        if told != b"1":  # it died before, which will be told as well
            self._tell(failed=told.decode("utf-8", "replace"))
            return
        folders = self._spec["mode"] == "namespaces"
        from qwenbelt.tools.code_interpreter.sandbox.namespaces import QUOTA, listen

        numbers = []
        if folders:
            flags = os.O_RDONLY | os.O_DIRECTORY
            numbers = [os.open(f"{QUOTA}/{name}", flags) for name in ("work", "ipc")]
        if folders and self._spec["port"]:
            numbers.append(listen(self._spec["port"]).detach())
        with contextlib.suppress(OSError):
            socket.send_fds(self.owner, [json.dumps({"ready": True}).encode()], numbers)
        for number in numbers:
            os.close(number)

    def _listen(self) -> None:
        try:
            wish = self.owner.recv(65536)
        except OSError:
            wish = b""
        if not wish:
            self._over = True
            return
        order = json.loads(wish)
        if order["do"] == "interrupt":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.kernel, signal.SIGINT)
        elif order["do"] == "busy":
            self._busy = bool(order["busy"])
        elif order["do"] == "adopt":
            from qwenbelt.tools.code_interpreter.sandbox.namespaces import show_folder

            try:
                show_folder(order["folder"])
                os.kill(self.kernel, signal.SIGUSR1)
            except OSError as error:
                self._tell(failed=str(error))
            else:
                self._tell(adopted=True)

    def _check_limits(self) -> None:
        limits = self._spec["limits"]
        if not limits:
            return
        processes = list(_descendants(os.getpid()))
        memory = sum(_memory(process) for process in processes)
        reason = ""
        if memory > limits["memory"]:
            reason = "memory"
        elif sum(_threads(process) for process in processes) > limits["processes"]:
            reason = "processes"
        elif self._spec["mode"] != "namespaces" and self._disk(processes) > limits["disk"]:
            reason = "disk"
        if reason:
            self._tell(ended=f"over its limit of {reason}")
            self._over = True

    def _disk(self, processes: list[int]) -> int:
        used = sum(_folder_bytes(folder) for folder in self._spec["writable"])
        return used + sum(_deleted_bytes(process) for process in processes)

    def _kill_all(self) -> None:
        first = os.getpid() == 1  # of its own process tree, so that it can reach all others at once
        deadline = time.monotonic() + _CLEANUP_SECONDS
        while time.monotonic() < deadline:
            if first:
                _signal([-1], signal.SIGKILL)
            else:
                _signal(_stopped(deadline), signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.002)


def _stopped(deadline: float) -> set[int]:
    """Stops all processes of the session and returns them.

    What is killed makes room for another; what is stopped keeps its place and makes no more.
    """
    stopped: set[int] = set()
    while time.monotonic() < deadline:
        found = set(_descendants(os.getpid()))
        if found <= stopped:
            break
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found
    return stopped


def _signal(processes: Iterable[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _descendants(process: int) -> Iterator[int]:
    """Gives all processes below `process`, from /proc."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as children:
                found = [int(word) for word in children.read().split()]
        except OSError:
            continue
        for child in found:
            yield child
            yield from _descendants(child)


def _threads(process: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{process}/task"))
    return 0


def _memory(process: int) -> int:
    """Returns bytes that only this process uses: resident ones without shared file pages."""
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as statm:
            _, resident, shared = (int(word) for word in statm.read().split()[:3])
    except (OSError, ValueError):
        return 0
    return max(0, resident - shared) * _PAGE


def _folder_bytes(folder: str) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


def _deleted_bytes(process: int) -> int:
    """Returns bytes of files that are open but have no name any more."""
    total = 0
    folder = f"/proc/{process}/fd"
    with contextlib.suppress(OSError):
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):
                info = os.stat(f"{folder}/{number}")
                if stat.S_ISREG(info.st_mode) and info.st_nlink == 0:
                    total += info.st_blocks * 512
    return total
