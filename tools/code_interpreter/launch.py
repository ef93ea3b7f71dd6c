"""Starts kernels: with the best isolation that works here, and a spare kept ready."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import zmq.asyncio

from qwenbelt.core.errors import ToolError, ToolRefused
from qwenbelt.core.settings import load_settings
from qwenbelt.tools.code_interpreter import strings
from qwenbelt.tools.code_interpreter.forked import ForkedProcess, Zygote
from qwenbelt.tools.code_interpreter.options import SessionOptions
from qwenbelt.tools.code_interpreter.packages import package_folder
from qwenbelt.tools.code_interpreter.process import KernelProcess, PlainProcess
from qwenbelt.tools.code_interpreter.remote_kernels.container import (
    IMAGE,
    ContainerProcess,
    container_level,
    find_engine,
)
from qwenbelt.tools.code_interpreter.remote_kernels.distant import DistantProcess
from qwenbelt.tools.code_interpreter.remote_kernels.remote import RemoteProcess
from qwenbelt.tools.code_interpreter.sandbox.level import Layers
from qwenbelt.tools.code_interpreter.session import RunningKernel, execute_request
from qwenbelt.tools.code_interpreter.transport import Message, Transport, ZmqTransport

_OPEN_SECONDS = 60.0
_ASK_SECONDS = 0.1
_DELAY_SECONDS = 0.4  # in which a session that has just begun has the processors for itself
_NOTHING_SECONDS = 10.0
_MOST_SPARES = 2  # for different options; each is a process that waits


@contextlib.asynccontextmanager
async def _closed_on_failure(what: Zygote | KernelProcess | RunningKernel) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:  # a cancelled start, too, must leave no process behind
        await asyncio.shield(what.close())
        raise


class Launcher:
    """Starts kernels. Lives on the host's loop.

    Args:
        context: makes the sockets.
        register: holds every kernel that is not closed yet.
    """

    def __init__(self, context: zmq.asyncio.Context, register: set[RunningKernel]) -> None:
        self._context = context
        self._register = register
        self._zygote: Zygote | None = None
        self._zygote_lock = asyncio.Lock()
        self._spares: dict[SessionOptions, asyncio.Task[RunningKernel]] = {}
        self._delayed: set[SessionOptions] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, folder: Path, options: SessionOptions) -> RunningKernel:
        """Returns a kernel that works in the folder.

        Raises:
            ToolRefused: there is no sandbox here and running without one is not allowed.
            ToolError: no kernel can be started.
        """
        # a Jupyter server or a container of its own: isolation is theirs
        if options.server:
            return await self._distant(
                RemoteProcess(options.server, options.token, options.kernel, folder, options.limits)
            )
        engine = await self._engine(options)
        if engine:
            return await self._distant(ContainerProcess(engine, folder, options))
        # macOS, Windows: no namespaces, Landlock or seccomp; only where that is allowed
        if sys.platform != "linux":
            check_allowed(Layers(), options)
            return await self._open(PlainProcess(folder))
        # Linux: a kernel that was forked in advance moves into the folder, else one is forked now
        spare = await self._take_spare(options)
        if spare is not None:
            try:
                await spare.process.move_in(folder)
            except ToolError:
                await spare.close()
                raise
            self._keep_spare(options, _DELAY_SECONDS)
            return spare
        kernel = await self._fork(folder, options)
        # only namespaces can be entered first and given a folder later; Landlock's rules are fixed
        if isinstance(kernel.process, ForkedProcess) and kernel.process.mode == "namespaces":
            self._keep_spare(options, _DELAY_SECONDS)
        return kernel

    async def warm(self, options: SessionOptions) -> None:
        """Gets ready in the background for a first call."""
        if options.server or sys.platform != "linux" or options.isolation == "container":
            return
        zygote = await self._get_zygote()
        if mode_of(zygote.layers, options) == "namespaces":
            self._keep_spare(options)

    async def layers(self) -> Layers:
        """Returns the layers of isolation that work here."""
        return (await self._get_zygote()).layers

    async def _engine(self, options: SessionOptions) -> str:
        """Returns the container engine to use, or "" when the code is not run in a container.

        Raises:
            ToolRefused: a container is insisted on and there is none.
        """
        insisted = options.isolation == "container"
        if not insisted:
            layers = await self.layers() if sys.platform == "linux" else Layers()
            if options.isolation or mode_of(layers, options) != "none":
                return ""
        engine = await asyncio.to_thread(find_engine, options)
        if insisted and not engine:
            image = options.image or IMAGE
            raise ToolRefused(strings.NO_CONTAINER, fix=strings.NO_CONTAINER_FIX.format(image))
        return engine

    async def _get_zygote(self) -> Zygote:
        async with self._zygote_lock:
            if self._zygote is not None and not self._zygote.alive:
                await self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                zygote = Zygote()
                async with _closed_on_failure(zygote):
                    await zygote.wait_ready()
                self._zygote = zygote
            return self._zygote

    async def _fork(self, folder: Path | None, options: SessionOptions) -> RunningKernel:
        zygote = await self._get_zygote()
        mode = check_allowed(zygote.layers, options)
        packages = await self._packages(options)
        try:
            process = ForkedProcess(zygote, mode, folder, options, packages)
        except OSError as error:
            raise ToolError(f"The session could not be started ({error.strerror}).") from error
        return await self._open(process)

    async def _distant(self, process: DistantProcess) -> RunningKernel:
        async with _closed_on_failure(process):
            transport = await process.open()
        return await self._connect(process, transport)

    @staticmethod
    async def _packages(options: SessionOptions) -> list[Path]:
        if not options.packages:
            return []
        home = load_settings().workspace / "packages"
        wanted = options.packages, home, options.package_options
        return [await asyncio.to_thread(package_folder, *wanted)]

    async def _open(self, process: KernelProcess) -> RunningKernel:
        async with _closed_on_failure(process):
            if isinstance(process, ForkedProcess):
                await process.wait_ready()
            transport = ZmqTransport(self._context, process.connection)
        return await self._connect(process, transport)

    async def _connect(self, process: KernelProcess, transport: Transport) -> RunningKernel:
        kernel = RunningKernel(process, transport)
        self._register.add(kernel)
        kernel.on_closed = self._register.discard
        async with _closed_on_failure(kernel):
            await _opened(kernel)
        return kernel

    async def _take_spare(self, options: SessionOptions) -> RunningKernel | None:
        if options in self._delayed and options in self._spares:
            self._forget_spare(options)  # it still waits for its delay: a new one is there sooner
        making = self._spares.pop(options, None)
        if making is None:
            return None
        try:
            kernel = await making
        except ToolError:
            return None  # a fresh start reports what is wrong
        if kernel.process.ended.is_set():
            await kernel.close()
            return None
        return kernel

    def _keep_spare(self, options: SessionOptions, delay: float = 0.0) -> None:
        if options not in self._spares:
            while len(self._spares) >= _MOST_SPARES:
                self._forget_spare(next(iter(self._spares)))
            self._spares[options] = asyncio.create_task(self._make_spare(options, delay))

    async def _make_spare(self, options: SessionOptions, delay: float) -> RunningKernel:
        self._delayed.add(options)
        try:
            await asyncio.sleep(delay)
        finally:
            self._delayed.discard(options)
        kernel = await self._fork(None, options)
        async with _closed_on_failure(kernel):
            await _run_nothing(kernel)
        return kernel

    def _forget_spare(self, options: SessionOptions) -> None:
        ending = asyncio.create_task(_cancelled(self._spares.pop(options)))
        self._closing.add(ending)
        ending.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Ends the spares and the warm process, not the kernels that were handed out."""
        for options in list(self._spares):
            self._forget_spare(options)
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._zygote is not None:
            await self._zygote.close()


async def _run_nothing(kernel: RunningKernel) -> None:
    """Lets a spare session run an empty cell: what the first one has to make is there then."""
    replied = asyncio.Event()

    def take(channel: str, message: Message) -> None:
        if message["header"]["msg_type"] == "execute_reply":
            replied.set()

    kernel.transport.handler = take
    request = {**execute_request("None"), "store_history": False}
    await kernel.transport.request("execute_request", request)
    with anyio.move_on_after(_NOTHING_SECONDS):
        await replied.wait()
    kernel.transport.handler = None


async def _cancelled(making: asyncio.Task[RunningKernel]) -> None:
    making.cancel()
    with contextlib.suppress(asyncio.CancelledError, ToolError):
        await (await making).close()


def mode_of(layers: Layers, options: SessionOptions) -> str:
    """Returns how code would be kept apart: "namespaces", "landlock" or "none"."""
    wanted = options.isolation or layers.mode
    works = {"namespaces": layers.namespaces, "landlock": bool(layers.landlock), "none": True}
    return wanted if works.get(wanted) and (layers.seccomp or wanted == "none") else "none"


def mode_level(layers: Layers, options: SessionOptions) -> str:
    """Returns the level in force in words, for example "Landlock 6 + seccomp", or "none"."""
    mode = mode_of(layers, options)
    if mode == "none" or options.isolation == "container":
        contained = options.isolation in ("", "container")
        return container_level(options) if contained else "none"
    return str(layers if mode == layers.mode else replace(layers, namespaces=False))


def check_allowed(layers: Layers, options: SessionOptions) -> str:
    """Returns how code will be kept apart.

    Raises:
        ToolRefused: not at all, or not as insisted on, and that is not allowed.
    """
    mode = mode_of(layers, options)
    if mode == "none" and not options.allow_unsandboxed:
        raise ToolRefused(f"{strings.REFUSED}.", fix=strings.REFUSED_FIX)
    return mode


async def _opened(kernel: RunningKernel) -> None:
    """Waits until messages of the kernel arrive.

    ipykernel welcomes a subscriber (JEP 65), but when the subscription comes just as it sends
    something, it does not notice it before the next event; so it is asked now and then.

    Raises:
        ToolError: no message arrives.
    """
    ended = asyncio.ensure_future(kernel.process.ended.wait())
    opened = asyncio.ensure_future(kernel.transport.opened.wait())
    deadline = time.monotonic() + _OPEN_SECONDS
    try:
        while not ended.done() and not opened.done() and time.monotonic() < deadline:
            await asyncio.wait(
                {ended, opened}, timeout=_ASK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not opened.done() and not ended.done():
                await kernel.transport.request("kernel_info_request", {})
    finally:
        ended.cancel()
        opened.cancel()
    if not kernel.transport.opened.is_set():
        why = kernel.process.ending or "no answer"
        raise ToolError(f"The session could not be started ({why}).")
