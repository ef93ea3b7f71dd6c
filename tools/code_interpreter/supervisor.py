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
import time
from collections.abc import Iterable, Mapping
from typing import Any

from qwenbelt.tools.code_interpreter import usage
from qwenbelt.tools.code_interpreter.sandbox import linux

_BUSY_SECONDS, _CALM_SECONDS = 0.1, 1.0
_LONGEST_PAUSE = 0.4  # with very many processes a look takes long, and most of the time goes by
_MOST_REAPED = 1000  # processes that have ended, between two looks at anything else
_MOST_UNDER_WAY = 10  # looks in a row that see descriptors under way
_CLEANUP_SECONDS = 30.0
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
        self._looked = self._began = time.monotonic()
        self._took = 0.0
        self._cpu = self._cpu_between = 0.0
        self._under_way = 0

    def watch(self) -> None:
        """Waits for the kernel to end, for the owner's requests or for his end."""
        poll = select.poll()
        for number in (self.owner.fileno(), self._ready, self._wakeup):
            poll.register(number, select.POLLIN)
        while not self._over:
            # by the clock: a busy process must not delay the check
            left = self._due() - time.monotonic()
            happened = {number for number, _ in poll.poll(max(0.0, left) * 1000)}
            if self._wakeup in happened:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._ready in happened:
                poll.unregister(self._ready)
                self._announce()
            if self.owner.fileno() in happened:
                self._listen()
            if not self._over and time.monotonic() >= self._due():
                began = time.monotonic()
                self._check_limits()
                self._looked = time.monotonic()
                self._took = self._looked - began
        self._kill_all()

    def _due(self) -> float:
        """Returns when to look next; looking takes a small part of the time only.

        A cell that begins is not looked at in its first moment: most are over by then, and a look
        would cost them as much time again. Short cells one after the other put it off only to the
        time of a calm session.
        """
        took = min(_LONGEST_PAUSE, self._took)
        calm = self._looked + max(_CALM_SECONDS, took)
        busy = max(self._looked, self._began) + max(_BUSY_SECONDS, took)
        return min(busy, calm) if self._busy else calm

    def _tell(self, **what: Any) -> None:
        with contextlib.suppress(OSError):
            self.owner.send(json.dumps(what).encode())

    def _reap(self) -> None:
        for _ in range(_MOST_REAPED):  # more may end meanwhile than can be waited for
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
        if told != b"1":  # it died before; that is reported as well
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
            self._began = time.monotonic()
            self._cpu_between = self._cpu
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
        processes = usage.session_processes()
        if usage.own_memory(processes) > 2 * limits["memory"]:  # seen in time even among hundreds
            self._tell(ended="over its limit of memory")
            self._over = True
            return
        private = self._spec["mode"] == "namespaces"
        holding = usage.held(processes)
        self._cpu = max(self._cpu, usage.cpu_seconds(processes))
        self._under_way = self._under_way + 1 if holding.pending else 0
        reason = ""
        if usage.memory(processes, limits["memory"], holding, private=private) > limits["memory"]:
            reason = "memory"
        elif sum(len(usage.threads(process)) for process in processes) > limits["processes"]:
            reason = "processes"
        elif limits["cpu_seconds"] and self._cpu > limits["cpu_seconds"]:
            reason = "processor time"
        elif not self._busy and self._cpu - self._cpu_between > limits["background_seconds"]:
            reason = "processor time between calls"
        elif not private:
            reason = self._disk(holding, limits["disk"])
        if reason:
            self._tell(ended=f"over its limit of {reason}")
            self._over = True

    def _disk(self, holding: usage.Held, limit: int) -> str:
        """Returns "disk" when more of it is used, or when it cannot be known how much is."""
        try:
            used = sum(usage.folder_bytes(folder) for folder in self._spec["writable"])
        except usage.TooMany:
            return "disk"
        used += sum(holding.deleted.values())
        # what is under way between sockets for that long is kept there so as not to be seen
        return "disk" if used > limit or self._under_way > _MOST_UNDER_WAY else ""

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
        found = set(usage.descendants(os.getpid()))
        if found <= stopped:
            break
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found
    return stopped


def _signal(processes: Iterable[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
