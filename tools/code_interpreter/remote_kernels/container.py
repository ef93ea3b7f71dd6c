"""Kernels in a Docker or Podman container, for machines without the Linux sandbox.

Only the engine's documented command line is used (https://docs.docker.com/reference/cli/docker,
https://docs.podman.io). Messages and files go over the container's standard streams: nothing is
mounted, no port is opened, and the engine may as well run in a virtual machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import shutil
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import ConfigError, ToolError, one_line
from qwenbelt.tools.code_interpreter.options import MEBIBYTE, SessionOptions
from qwenbelt.tools.code_interpreter.remote_kernels.distant import DistantProcess
from qwenbelt.tools.code_interpreter.remote_kernels.messages import JsonTransport
from qwenbelt.tools.code_interpreter.transport import Transport, TransportClosed

IMAGE = "jupyter/scipy-notebook"
_ENGINES = ("docker", "podman")
_LONGEST_LINE = 64 * MEBIBYTE
_LOOK_SECONDS = 20.0
_START_SECONDS = 60.0
_SHARED_MEMORY = 64 * MEBIBYTE  # process pools need some; it is taken from the disk
_COMPLAINTS = 4096
_NOBODY = "65534:65534"
_HOME = "/tmp"  # noqa: S108  the container's own


def find_engine(options: SessionOptions) -> str:
    """Returns the engine's program if there is one that has the image, else "".

    Nothing is pulled: an image can be large, and pulling one is the person's decision.
    """
    names = (options.engine,) if options.engine else _ENGINES
    return next((found for name in names if (found := _ready(name, options.image or IMAGE))), "")


@functools.cache
def container_level(options: SessionOptions | None = None) -> str:
    """Returns how code would be kept apart by a container, or "none"; found out once."""
    engine = find_engine(options or SessionOptions())
    return f"{Path(engine).stem} container" if engine else "none"


def _ready(name: str, image: str) -> str:
    program = shutil.which(name)
    if program is None:
        return ""
    command = [program, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        subprocess.run(command, capture_output=True, timeout=_LOOK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return program


def run_arguments(name: str, options: SessionOptions) -> list[str]:
    """Returns the arguments after `docker` that start a session's container.

    Args:
        name: the container's name.
        options: limits, the image and folders that may be read.
    """
    limits = options.limits
    shared = min(_SHARED_MEMORY, limits.disk // 4)
    ulimits = {"nofile": limits.open_files, "nproc": limits.processes, "core": 0}
    if limits.cpu_seconds:
        ulimits["cpu"] = limits.cpu_seconds
    fixed = ["run", "--rm", "--interactive", "--pull", "never", "--name", name]
    fixed += ["--network", "none", "--ipc", "private", "--log-driver", "none"]
    fixed += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    fixed += ["--user", _NOBODY, "--workdir", _HOME]
    fixed += ["--tmpfs", f"{_HOME}:rw,nosuid,nodev,size={limits.disk - shared},mode=1777"]
    fixed += ["--shm-size", str(shared), "--pids-limit", str(limits.processes)]
    fixed += ["--memory", str(limits.memory), "--memory-swap", str(limits.memory)]
    words = [f"--ulimit={kind}={value}:{value}" for kind, value in ulimits.items()]
    folders = (Path(path).absolute() for path in options.read_only)
    words += [f"--volume={path}:{path}:ro" for path in folders]
    places = {"HOME": "", "TMPDIR": "", "IPYTHONDIR": "/.ipython", "MPLCONFIGDIR": "/.matplotlib"}
    words += [f"--env={variable}={_HOME}{place}" for variable, place in places.items()]
    source = Path(__file__).parent.with_name("bridge.py").read_text(encoding="utf-8")
    return [*fixed, *words, "--entrypoint", "python3", options.image or IMAGE, "-c", source]


class PipeTransport(JsonTransport):
    """Messages as lines on a process's standard streams."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.ready = asyncio.Event()
        self.ending = ""
        self._process = process
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        out = self._process.stdout
        with contextlib.suppress(ValueError):  # a line that is longer than any message may be
            while out is not None and (line := await out.readline()):
                if line == b"!ready\n":
                    self.ready.set()
                elif line.startswith(b"!"):
                    self.ending = self.ending or one_line(line[1:].decode("utf-8", "replace"), 80)
                else:
                    self._take(line)
        self.gone.set()

    def order(self, line: str) -> None:
        """Sends an order to the bridge."""
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")

    async def _send(self, text: str) -> None:
        stdin = self._process.stdin
        if stdin is None or self.gone.is_set():
            raise TransportClosed("the container has ended")
        stdin.write(text.encode() + b"\n")
        try:
            await stdin.drain()
        except OSError:
            raise TransportClosed("the container has ended") from None

    async def close(self) -> None:
        """Ends the stream to the container, which ends it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


class ContainerProcess(DistantProcess):
    """A kernel in a container of its own.

    Args:
        engine: the engine's program.
        folder: the session folder on this machine.
        options: limits, the image and folders that may be read.

    Raises:
        ConfigError: an option is set that containers do not have.
    """

    def __init__(self, engine: str, folder: Path, options: SessionOptions) -> None:
        super().__init__(folder, options.limits)
        if options.hosts or options.packages:
            what = "network" if options.hosts else "packages"
            raise ConfigError(
                f"code_interpreter: {what} is not available in containers.",
                fix="Use an image that has what is needed, or a machine with the Linux sandbox.",
            )
        self._engine = engine
        self._options = options
        self._name = f"qwenbelt-{secrets.token_hex(8)}"
        self._process: Process | None = None
        self._pipe: PipeTransport | None = None
        self._complaints: _Complaints | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> Transport:
        """Starts the container.

        Raises:
            ToolError: it does not start.
        """
        command = [self._engine, *run_arguments(self._name, self._options)]
        complaints = _Complaints()
        self._complaints = complaints
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=complaints.writer,
                limit=_LONGEST_LINE,
                start_new_session=True,  # Ctrl-C in the terminal is this process's
            )
        except OSError as error:
            raise ToolError(f"The container cannot be started ({error}).") from None
        finally:
            complaints.started()
        self.transport = self._pipe = PipeTransport(self._process)
        self._later(self._watch(self._process, self._pipe))
        waits = [asyncio.ensure_future(w.wait()) for w in (self._pipe.ready, self._pipe.gone)]
        await asyncio.wait(waits, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self._pipe.ready.is_set():
            why = complaints.text() or "no answer"
            raise ToolError(f"The container cannot be started ({why}).")
        return self._pipe

    async def _watch(self, process: Process, pipe: PipeTransport) -> None:
        code = await process.wait()
        await pipe.gone.wait()  # the last lines say how the kernel ended
        # 137: killed, by its limit of memory or by us
        self.ending = pipe.ending or ("signal 9" if code in (137, -9) else f"exit code {code}")
        self.ended.set()

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def interrupt(self) -> None:
        """Has the bridge send SIGINT to the kernel."""
        if self._pipe is not None:
            self._pipe.order("!interrupt")

    def kill(self) -> None:
        """Has the engine end the container."""
        if self._process is not None and not self.ended.is_set():
            self._later(self._end())

    async def _end(self) -> None:
        await _quietly([self._engine, "rm", "--force", self._name])
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # the client; it has nothing more to report

    async def close(self) -> None:
        """Ends the container and waits for its end."""
        if self._process is not None:
            if not self.ended.is_set():
                await self._end()
            if self._pipe is not None:
                await self._pipe.close()
                self._pipe.gone.set()
            await self._process.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._complaints is not None:
            self._complaints.close()
        self.ended.set()


class _Complaints:
    """The beginning of what the engine writes on its standard error; the rest is dropped."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._kept = b""

    def started(self) -> None:
        """Leaves the writing end to the engine."""
        os.close(self.writer)
        asyncio.get_running_loop().add_reader(self._reader, self._read)

    def _read(self) -> None:
        piece = b""
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self._reader, _COMPLAINTS)
            if not piece:
                asyncio.get_running_loop().remove_reader(self._reader)
        self._kept += piece[: _COMPLAINTS - len(self._kept)]

    def text(self) -> str:
        """Returns it as one line."""
        self._read()
        return one_line(self._kept.decode("utf-8", "replace"), 300)

    def close(self) -> None:
        """Closes the reading end."""
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)


async def _quietly(command: Iterable[str]) -> None:
    with contextlib.suppress(OSError):
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        await process.wait()
