"""Kernels forked from a warm process, in a sandbox or, when allowed, without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio

from qwenbelt.core.errors import ToolError
from qwenbelt.core.secrets import clean_environment
from qwenbelt.tools.code_interpreter.calls import CallChannel
from qwenbelt.tools.code_interpreter.mirror import Mirror
from qwenbelt.tools.code_interpreter.options import SessionLimits, SessionOptions
from qwenbelt.tools.code_interpreter.process import (
    PORTS,
    KernelProcess,
    ipc_connection,
    runtime_folder,
)
from qwenbelt.tools.code_interpreter.proxy import Proxy
from qwenbelt.tools.code_interpreter.sandbox.level import Layers, from_json
from qwenbelt.tools.code_interpreter.sandbox.privileges import FIRST_USER
from qwenbelt.tools.code_interpreter.view import chinese_font, import_path, readable

_LARGEST = 1 << 16
_START_SECONDS = 60.0
_END_SECONDS = 45.0  # longer than a supervisor takes to end what has multiplied
_USERS = 1 << 28
_PROXY_PORT = 3128
_LANDLOCK_WITH_PORTS = 4
_WITH_LISTENER = 3
_MAIN = "qwenbelt.tools.code_interpreter.zygote"


class Zygote:
    """The warm process. Lives on the host's loop; ends when its socket is closed."""

    def __init__(self) -> None:
        self.layers = Layers()
        self._owner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._owner.setblocking(False)
        self._runtime = runtime_folder()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", self._code(theirs.fileno(), str(self._runtime))],
                pass_fds=[theirs.fileno()],
                env=self._environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._sessions = 0

    @staticmethod
    def _code(number: int, runtime: str) -> str:
        return (
            f"import sys; sys.path[:] = {import_path()!r}; "
            f"from {_MAIN} import main; main({number}, {runtime!r}, {chinese_font()!r})"
        )

    @staticmethod
    def _environment() -> dict[str, str]:
        import platformdirs

        cache = platformdirs.user_cache_dir("qwenbelt", appauthor=False)
        return {
            **clean_environment(),
            "MPLCONFIGDIR": f"{cache}/matplotlib",
            "PYTHONUTF8": "1",
            # a fork keeps only one thread, so there must not be others
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def wait_ready(self) -> None:
        """Waits until the libraries are loaded.

        Raises:
            ToolError: the process has ended or does not answer.
        """
        loop = asyncio.get_running_loop()
        try:
            with anyio.fail_after(_START_SECONDS):
                hello = await loop.sock_recv(self._owner, _LARGEST)
            self.layers = from_json(json.loads(hello)["layers"])
        except (OSError, ValueError, KeyError) as error:
            raise ToolError("The code interpreter could not be started.") from error

    def fork(self, spec: dict[str, Any], session: socket.socket, calls: int) -> None:
        """Asks for a new session that talks on the socket, and calls tools on the other.

        Raises:
            OSError: the process is gone.
        """
        socket.send_fds(self._owner, [json.dumps(spec).encode()], [session.fileno(), calls])

    def session_folder(self) -> Path:
        """Makes a folder for the sockets and the like of one session."""
        self._sessions += 1
        folder = self._runtime / str(self._sessions)
        folder.mkdir(mode=0o755)
        return folder

    async def close(self) -> None:
        """Ends the process; running sessions continue."""
        self._owner.close()
        while self._process.poll() is None:  # noqa: ASYNC110  there is nothing else to wait on
            await asyncio.sleep(0.005)
        shutil.rmtree(self._runtime, ignore_errors=True)


class ForkedProcess(KernelProcess):
    """A session forked from the warm process. Lives on the host's loop.

    Args:
        zygote: the warm process.
        mode: "namespaces", "landlock" or "none".
        folder: the session folder, or None for a spare session that gets one later.
        options: limits and what may be read.
        packages: folders with further packages.

    Raises:
        ToolError: the network option needs more than there is here.
    """

    def __init__(
        self,
        zygote: Zygote,
        mode: str,
        folder: Path | None,
        options: SessionOptions,
        packages: Sequence[Path] = (),
    ) -> None:
        self._runtime = zygote.session_folder()
        super().__init__(ipc_connection(self._runtime / "ipc"), folder or Path("/"))
        self.mode = mode
        self.mirror: Mirror | None = None
        self._limits = options.limits
        self._packages = packages
        self._proxy = Proxy(options.hosts) if options.hosts and mode != "none" else None
        self._listener: socket.socket | None = None
        self._port = self._proxy_port(zygote.layers)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._descriptors: list[int] = []
        self._last_moment: asyncio.TimerHandle | None = None
        private = mode == "namespaces"
        self._user = (
            FIRST_USER + secrets.randbelow(_USERS) if private and not os.geteuid() else None
        )
        self._owner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._owner.setblocking(False)
        asyncio.get_running_loop().add_reader(self._owner.fileno(), self._listen)
        self.calls = CallChannel()
        with theirs:
            zygote.fork(self._spec(zygote.layers, folder, options), theirs, self.calls.fileno())
        self.calls.handed_over()

    def _proxy_port(self, layers: Layers) -> int:
        """Returns the port of the way out, or 0 when there is none."""
        if self._proxy is None:
            return 0
        if self.mode == "namespaces":
            return _PROXY_PORT  # in the session's own network
        if layers.landlock < _LANDLOCK_WITH_PORTS:
            raise ToolError("Network for code needs namespaces, or Linux 6.7 or newer.")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port: int = self._listener.getsockname()[1]
        return port

    def _spec(self, layers: Layers, folder: Path | None, options: SessionOptions) -> dict[str, Any]:
        names = ("root", "ipc", "tmp")
        stage, ipc, temporary = (self._runtime / name for name in names)
        for place in (stage, ipc, temporary):
            place.mkdir(mode=0o700)
        writable = [str(temporary), *([str(folder)] if folder else [])]
        return {
            "mode": self.mode,
            "landlock": layers.landlock,
            "folder": str(folder) if folder else "",
            "stage": str(stage),
            "ipc": str(ipc),
            "temporary": str(temporary),
            "writable": writable,
            "key": self.connection["key"],
            "ports": PORTS,
            "limits": _numbers(options.limits) if self.mode != "none" else {},
            "user": self._user,
            "read_only": readable([*options.read_only, *self._packages]),
            "paths": [str(path) for path in self._packages],
            "environment": _proxy_environment(self._port) if self._port else {},
            "port": self._port,
        }

    def _listen(self) -> None:
        try:
            told, descriptors, _, _ = socket.recv_fds(self._owner, _LARGEST, 4)
        except BlockingIOError:
            return
        except OSError:
            told, descriptors = b"", []
        self._descriptors += descriptors
        if not told:
            self._over("signal 9")
            return
        news = json.loads(told)
        if "ready" in news:
            self._opened()
        elif "ended" in news:
            self.ending = str(news["ended"])
        elif "failed" in news and (self._answer is None or self._answer.done()):
            self.ending = str(news["failed"])
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(news)

    def _opened(self) -> None:
        if self._port and len(self._descriptors) == _WITH_LISTENER:
            self._listener = socket.socket(fileno=self._descriptors.pop())
        if self.mode == "namespaces" and len(self._descriptors) == 2:
            work, ipc = self._descriptors
            self.mirror = Mirror(self.folder, work, self._user, self._limits.input_file)
            # the sandbox's own folder, which has no other name out here; see proc(5)
            self.connection["ip"] = f"/proc/self/fd/{ipc}/k"
        if not self._ready.done():
            self._ready.set_result(None)

    def _over(self, ending: str) -> None:
        self.ending = self.ending or ending
        if self._last_moment is not None:
            self._last_moment.cancel()
        asyncio.get_running_loop().remove_reader(self._owner.fileno())
        self._owner.close()
        if not self._ready.done():
            self._ready.set_exception(
                ToolError(f"The session could not be started ({self.ending}).")
            )
            self._ready.exception()  # must be readable by nobody
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({"failed": self.ending})
        self.ended.set()

    async def wait_ready(self) -> None:
        """Waits until the kernel can be connected to.

        Raises:
            ToolError: it could not be started.
        """
        with anyio.fail_after(_START_SECONDS):
            await asyncio.shield(self._ready)
        if self._proxy is not None and self._listener is not None:
            await self._proxy.start(self._listener)

    async def move_in(self, folder: Path) -> None:
        """Gives a spare session its folder.

        Raises:
            ToolError: the folder cannot be shown in the sandbox.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._send(do="adopt", folder=str(folder))
        with anyio.move_on_after(_START_SECONDS):
            await asyncio.shield(self._answer)
        news = self._answer.result() if self._answer.done() else {"failed": "no answer"}
        if "adopted" not in news:
            raise ToolError(f"The session folder cannot be used ({news.get('failed', 'ended')}).")
        self.folder = folder
        if self.mirror is not None:
            self.mirror.folder = folder

    def _send(self, **order: Any) -> None:
        with contextlib.suppress(OSError):
            self._owner.send(json.dumps(order).encode())

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel and what it has started."""
        self._send(do="interrupt")

    def busy(self, busy: bool) -> None:
        """Reports the supervisor whether a cell runs, so that it looks at the limits more often."""
        self._send(do="busy", busy=busy)

    def kill(self) -> None:
        """Lets the supervisor end, and with it every process of the session."""
        with contextlib.suppress(OSError):
            self._owner.shutdown(socket.SHUT_WR)
        if self._last_moment is None and not self.ended.is_set():
            self._last_moment = asyncio.get_running_loop().call_later(_END_SECONDS, self._given_up)

    def _given_up(self) -> None:
        if not self.ended.is_set():
            self._over("it did not end")

    async def close(self) -> None:
        """Kills it, waits for the end and removes its sockets and descriptors."""
        self.kill()
        await self.ended.wait()
        if self.calls is not None:
            self.calls.close()
        if self._proxy is not None:
            await self._proxy.close()
        if self._listener is not None:
            self._listener.close()
        if self.mirror is not None:
            self._descriptors.remove(self.mirror.inside)
            self.mirror.close()
        for number in self._descriptors:
            os.close(number)
        self._descriptors.clear()
        shutil.rmtree(self._runtime, ignore_errors=True)


def _proxy_environment(port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    environment = {name: url for upper in names for name in (upper, upper.lower())}
    return {**environment, "NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}


def _numbers(limits: SessionLimits) -> dict[str, Any]:
    names: Sequence[str] = (
        "memory",
        "disk",
        "processes",
        "open_files",
        "cpu_seconds",
        "background_seconds",
    )
    return {name: value for name, value in asdict(limits).items() if name in names}
