"""The transport to a server that is a child process: JSON-RPC, one message a line.

Unlike the SDK's it bounds what it keeps of a line, tolerates junk and bad UTF-8 between messages,
keeps the server's last words for error messages, and has the process killed when we are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Sequence

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    jsonrpc_message_adapter,
)

from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.processes.per_process import watchdog
from qwenbelt.core.secrets import clean_environment, mask_secrets
from qwenbelt.tools.mcp.config import ServerConfig, find_program
from qwenbelt.tools.mcp.progress_gate import NO_JSON_RPC

MAX_LINE_BYTES = 64 * 1024 * 1024
_KEPT_LINES = 80
_HEAD_BYTES = 200
# the head of a reply whose rest cannot be parsed
_REPLY = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,\s*"result"'
)
_WAITING_MESSAGES = 1024
_GRACE_SECONDS = 1.0  # for each of: after end of input, after SIGTERM
_ALWAYS = ("USER", "LOGNAME", "SHELL", "TERM")
# what surrounds the reason: frames of a stack, the runtime's own name, npm's closing lines
_NOISE = re.compile(
    r"^\s*(at\s|\^|[{}()\[\],;]*$|File \"|Traceback|throw |Node\.js v|code: |errno: |syscall: )"
    r"|^npm (error|ERR!)\s*(A complete log|code |errno |\d{3}\s*$|\d{3} (Note|You can|If you)|$)"
    r"|^node:internal|^\s+\||^usage:",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"error|exception|fatal|panic|fail|cannot|can't|could not|unable|not found|no such|denied"
    r"|missing|required|invalid|refused|unknown|not (set|allowed|installed|supported|in this)"
    r"|expected|already|too (old|new|many)|unsupported|无法|错误|失败|缺少|找不到",
    re.IGNORECASE,
)

Received = MemoryObjectSendStream[SessionMessage | Exception]
Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]


class StdioServer:
    """A server process, from its start to its end.

    Attributes:
        ended: set once the server will send nothing more.
        returncode: its exit code, or None while it runs.
        fault: why we gave it up, or "".
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.ended = asyncio.Event()
        self.returncode: int | None = None
        self.fault = ""
        self._words: deque[str] = deque(maxlen=_KEPT_LINES)

    def last_words(self) -> str:
        """Returns the lines that say why, among those that were not messages."""
        return mask_secrets(one_line(" / ".join(telling_lines(list(self._words))), 400))

    def ending(self) -> str:
        """Returns how it ended, with its last words, for a message."""
        if self.fault:
            return self.fault
        code = self.returncode
        how = "it ended" if code is None else f"it ended with exit code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"it was ended by {signal.Signals(-code).name}"
        words = self.last_words()
        return f"{how}: {words}" if words else how

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Streams]:
        """Starts the process and gives the streams of its messages; ends it on leaving.

        Raises:
            ConfigError: the program is not found or cannot be started.
        """
        process = await self._start()
        watchdog().add(process.pid)
        incoming: Received
        incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](
            _WAITING_MESSAGES
        )
        write, outgoing = anyio.create_memory_object_stream[SessionMessage](_WAITING_MESSAGES)
        tasks = [
            asyncio.create_task(self._read(process, incoming)),
            asyncio.create_task(self._write(process, outgoing)),
            asyncio.create_task(self._listen(process)),
        ]
        try:
            yield read, write
        finally:
            write.close()
            await _finish_uncancelled(asyncio.create_task(self._stop(process, tasks)))
            for stream in (incoming, read, outgoing):
                stream.close()

    async def _start(self) -> asyncio.subprocess.Process:
        config = self.config
        environment = {**clean_environment(_ALWAYS), **config.env}
        program = find_program(config)
        try:
            return await asyncio.create_subprocess_exec(
                program,
                *config.args,
                env=environment,
                cwd=config.cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"{program} cannot be started ({error.strerror}).") from error

    async def _read(self, process: asyncio.subprocess.Process, incoming: Received) -> None:
        try:
            async for line in _stream_lines(_pipe_lines(process.stdout)):
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    broken = _broken_reply(line)
                    if broken is None:
                        self._words.append(line[:1000].decode("utf-8", "replace"))
                    else:
                        self._words.append(broken.error.message)
                        await incoming.send(SessionMessage(broken))
                    continue
                await incoming.send(SessionMessage(message))
        except _LineTooLong:
            limit = MAX_LINE_BYTES // 2**20
            self.fault = f"it sent a line of more than {limit} MiB and was stopped"
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # the session has closed its end
        finally:
            incoming.close()
            self.ended.set()

    async def _write(
        self,
        process: asyncio.subprocess.Process,
        outgoing: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        pipe = process.stdin
        try:
            async for message in outgoing:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                if pipe is not None:
                    pipe.write(text.encode("utf-8", "replace") + b"\n")
                    await pipe.drain()
        except (OSError, anyio.ClosedResourceError):
            pass  # it has closed its end; the reader sees it too

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(OSError, _LineTooLong):
            async for line in _stream_lines(_pipe_lines(process.stderr)):
                self._words.append(line[:1000].decode("utf-8", "replace"))

    async def _stop(
        self, process: asyncio.subprocess.Process, tasks: list[asyncio.Task[None]]
    ) -> None:
        if process.stdin is not None:
            process.stdin.close()
        for end in (None, signal.SIGTERM, signal.SIGKILL):
            if end is not None:
                _signal_group(process, end)
            if await _process_ended(process):
                break
        self.returncode = process.returncode
        # what it started in its own group goes too, as it would by closing a terminal
        _signal_group(process, signal.SIGKILL)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        watchdog().remove(process.pid)
        transport = getattr(process, "_transport", None)
        if transport is not None:  # a grandchild that left the group may hold a pipe open
            transport.close()


def telling_lines(lines: Sequence[str]) -> list[str]:
    """Returns at most two lines of a program's output that say what went wrong.

    The last line alone is often a stack frame, the runtime's version, or where a log is.
    """
    said = [line.strip() for line in lines if line.strip() and not _NOISE.search(line)]
    telling = [line for line in dict.fromkeys(said) if _TELLS.search(line)]
    if telling:
        return telling[-2:]
    return said[-1:] or [line.strip() for line in lines if line.strip()][-1:]


def _broken_reply(line: bytes) -> JSONRPCError | None:
    """Returns an error in place of a reply that cannot be read, so that nobody waits for it.

    That is a `result` that is a list, an error without a number, or JSON that is nested deeper
    than the parser goes.
    """
    number: object = None
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(line)
        if not isinstance(told, dict) or "method" in told:
            return None
        number = told.get("id") if "result" in told or "error" in told else None
        if number is None:
            return None
    if number is None:
        found = _REPLY.match(line[:_HEAD_BYTES])
        number = int(found[1]) if found and line.rstrip().endswith(b"}") else None
    if isinstance(number, bool) or not isinstance(number, (int, str)):
        return None
    fault = ErrorData(code=INVALID_REQUEST, message=NO_JSON_RPC)
    return JSONRPCError(jsonrpc="2.0", id=number, error=fault)


class _LineTooLong(Exception):
    """A line is longer than we keep."""


def _pipe_lines(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise OSError("the process has no such pipe")
    return stream


async def _stream_lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(256 * 1024):
        first, *rest = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if size > MAX_LINE_BYTES:
            raise _LineTooLong
        if rest:
            yield b"".join(parts)
            for line in rest[:-1]:
                yield line
            parts, size = [rest[-1]], len(rest[-1])
    if size:
        yield b"".join(parts)


async def _process_ended(process: asyncio.subprocess.Process) -> bool:
    # Process.wait() also waits for the pipes, which a grandchild may hold open
    for _ in range(int(_GRACE_SECONDS / 0.01)):
        if process.returncode is not None:
            return True
        await asyncio.sleep(0.01)
    return process.returncode is not None


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.kill()


async def _finish_uncancelled(task: asyncio.Task[None]) -> None:
    """Waits for a task that must be finished even when we are cancelled meanwhile."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
