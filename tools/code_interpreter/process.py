"""A kernel's process as its session sees it: interrupt it, kill it, know how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ToolError
from qwenbelt.core.secrets import clean_environment
from qwenbelt.tools.code_interpreter.calls import CallChannel
from qwenbelt.tools.code_interpreter.files import Carried, Trouble
from qwenbelt.tools.code_interpreter.mirror import Mirror

_POLL_SECONDS = 0.02
_AT_ONCE_BYTES = 1 << 20  # is copied on the loop itself; handing it to a thread would take longer
_LONGEST_PARENT = 107 - len("/qwenbelt-12345678/1234567/ipc/k-1")
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


class KernelProcess(ABC):
    """One kernel and everything it has started.

    Attributes:
        connection: what a Jupyter connection file holds.
        folder: the folder on this machine in which the code's files appear.
        ended: set when the kernel has ended.
        ending: how it ended, for example "signal 9"; empty while it runs.
        calls: the way of code in it to the agent's tools; None where there is none.
        mirror: keeps `folder` and the sandbox's own copy alike; None where there is no copy.
        troubles: files that could not be copied and why; the reporter clears it.
    """

    mirror: Mirror | None = None
    calls: CallChannel | None = None

    def __init__(self, connection: dict[str, Any], folder: Path) -> None:
        self.troubles: list[Trouble] = []
        self.connection = connection
        self.folder = folder
        self.ended = asyncio.Event()
        self.ending = ""

    @abstractmethod
    def interrupt(self) -> None:
        """Asks the running cell to stop, as Ctrl-C does."""

    async def reach_tools(self) -> CallChannel | None:
        """Returns the way of code in it to the agent's tools; kernels elsewhere make one now."""
        return self.calls

    def busy(self, busy: bool) -> None:  # noqa: B027  most need not know
        """Reports whether a cell runs."""

    async def push(self) -> None:
        """Brings what is new in the session folder to where the code runs."""
        mirror = self.mirror
        if mirror is None:
            return
        if not (mirror.small and mirror.push(_AT_ONCE_BYTES)):
            await asyncio.to_thread(mirror.push)
        self._take_troubles(mirror)

    async def pull(self, carried: Carried) -> None:
        """Brings what the code has written into the session folder.

        Args:
            carried: counts what the session takes on this machine's disk.
        """
        mirror = self.mirror
        if mirror is None:
            return
        if not (mirror.small and mirror.pull(carried, _AT_ONCE_BYTES)):
            await asyncio.to_thread(mirror.pull, carried)
        self._take_troubles(mirror)

    def _take_troubles(self, mirror: Mirror) -> None:
        self.troubles += mirror.troubles
        mirror.troubles.clear()

    async def farewell(self) -> None:  # noqa: B027  most have nothing to do
        """Does what must be done while the kernel still answers."""

    async def move_in(self, folder: Path) -> None:
        """Gives a spare session its folder.

        Raises:
            ToolError: the folder cannot be used.
        """
        raise ToolError("This session has its folder already.")

    @abstractmethod
    def kill(self) -> None:
        """Ends the kernel and everything it has started, at once; may be called twice."""

    @abstractmethod
    async def close(self) -> None:
        """Kills it, waits for the end and removes what belonged to it."""


def runtime_folder() -> Path:
    """Makes a private folder for sockets.

    A socket's address holds at most 107 bytes (unix(7)), so a temporary folder with a long name is
    passed over for /tmp.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_PARENT and os.access("/tmp", os.W_OK):  # noqa: S108
        parent = "/tmp"  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="qwenbelt-", dir=parent))


def ipc_connection(folder: Path) -> dict[str, Any]:
    """Returns a connection over local sockets in `folder`, with a new key."""
    return {
        "transport": "ipc",
        "ip": str(folder / "k"),
        "key": secrets.token_hex(16),
        "signature_scheme": "hmac-sha256",
        **PORTS,
    }


class PlainProcess(KernelProcess):
    """A stock ipykernel as a child process, without any isolation but a clean environment."""

    def __init__(self, folder: Path) -> None:
        self._runtime = runtime_folder()
        super().__init__(ipc_connection(self._runtime), folder)
        file = self._runtime / "connection.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(self.connection), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ipykernel_launcher", "-f", str(file), *_SETTINGS],
            cwd=folder,
            env={
                **clean_environment(),
                "IPYTHONDIR": str(self._runtime / "ipython"),
                "JPY_PARENT_PID": str(os.getpid()),  # it ends itself when this process is gone
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        # waiting in a thread would take one thread for every kernel
        while (code := self._process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        self.ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.ended.set()

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel and what it has started."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Sends SIGKILL to the kernel's process group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def close(self) -> None:
        """Kills it, waits for the end and removes its sockets."""
        self.kill()
        await self.ended.wait()
        await self._watcher
        shutil.rmtree(self._runtime, ignore_errors=True)


_SETTINGS = (
    "--InteractiveShell.colors=NoColor",
    "--HistoryManager.enabled=False",
    "--IPKernelApp.matplotlib=inline",
    "--quiet",
)
