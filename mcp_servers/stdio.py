"""Serving one client over standard input and output, without the SDK.

The SDK's server takes most of a second to import and about a millisecond for a call, most of it in
models and streams between tasks. A server over stdio has one client and needs neither: lines come
in on this thread, calls run in threads, replies go out as they are ready. Both eras of the protocol
are understood, request by request: the handshake up to 2025-11-25, and 2026-07-28's envelope.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.language import user_language
from qwenbelt.mcp_servers.handlers import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    McpHandlers,
    ProtocolFault,
    package_version,
)
from qwenbelt.mcp_servers.progress import progress_reporter
from qwenbelt.tools.operation import OperationCall

if TYPE_CHECKING:
    from qwenbelt.mcp_servers.service import McpService

log = logging.getLogger("qwenbelt.mcp")
MAX_LINE_BYTES = 64 * 1024 * 1024
HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
_UNSUPPORTED_VERSION = -32022
_META = "io.modelcontextprotocol/"
_VERSION_KEY, _CAPABILITIES_KEY = f"{_META}protocolVersion", f"{_META}clientCapabilities"
_THREADS = 64
_GRACE_SECONDS = 2.0  # that running calls have to answer in after the end of the input
_HINTS = ("ttlMs", "cacheScope")  # 2026-07-28's


def serve_stdio(service: McpService) -> None:
    """Serves one client over standard input and output, until the input ends."""
    source, target = _own_streams()
    StdioSession(service, target).serve(_lines(source))


def _own_streams() -> tuple[int, int]:
    """Returns input and output as descriptors that no child of ours and no `print` touches."""
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, target


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yields the lines of the input; those that are too long are left out."""
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if line.endswith(b"\n"):
                yield line
                continue
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
            if not rest and len(line) < MAX_LINE_BYTES:
                yield line  # the last line, without its end
            else:
                print("A message of more than 64 MiB was left out.", file=sys.stderr)


class StdioSession:
    """The session of one client.

    Args:
        service: what is offered.
        target: the descriptor that replies are written to.
    """

    def __init__(self, service: McpService, target: int) -> None:
        self._service = service
        self._handlers = McpHandlers(service)
        self._target = target
        self._writing = threading.Lock()
        self._running: dict[Any, OperationCall] = {}
        self._greeted = False
        self._threads = DaemonThreads(_THREADS)
        self._warm = False

    def serve(self, lines: Iterator[bytes]) -> None:
        """Answers the requests of the lines; what runs on after their end is cancelled."""
        for line in lines:
            try:
                message = loads_bounded(line.decode("utf-8", "replace"), max_bytes=MAX_LINE_BYTES)
            except ValueError:
                continue  # junk between messages must not end a server
            if isinstance(message, dict):
                self._take(message)
        # who pipes requests in and closes the input at once still wants the replies
        end = time.monotonic() + _GRACE_SECONDS
        while self._running and time.monotonic() < end:
            time.sleep(_GRACE_SECONDS / 200)
        for call in list(self._running.values()):
            call.cancelled.set()

    def _take(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        params = message.get("params")
        if not isinstance(method, str):
            return  # we ask clients nothing, so it is no reply to us
        known = params if isinstance(params, Mapping) else {}
        if number is None:
            self._notified(method, known)
            return
        if isinstance(number, bool) or not isinstance(number, (str, int, float)):
            return
        if params is not None and not isinstance(params, Mapping):
            self._fault(number, ProtocolFault(INVALID_PARAMS, "params must be an object."))
            return
        try:
            modern = self._era(method, known)
            if method in ("initialize", "ping", "server/discover"):
                self._reply(number, self._handshake(method, known, modern), modern)
                return
            if method not in self._handlers.methods:
                raise ProtocolFault(METHOD_NOT_FOUND, "Method not found", one_line(method, 100))
            if not modern and not self._greeted:
                raise ProtocolFault(
                    INVALID_PARAMS, f"initialize first, or send {_VERSION_KEY} in params._meta."
                )
            if number in self._running:
                raise ProtocolFault(INVALID_REQUEST, "A request with this id is running.")
        except ProtocolFault as fault:
            self._fault(number, fault)
            return
        call = OperationCall(language=user_language())
        call.report = self._reporter(known)
        self._running[number] = call
        self._threads.run(lambda: self._answer(number, method, known, modern, call))

    def _era(self, method: str, params: Mapping[str, Any]) -> bool:
        """Returns whether a request is one of 2026-07-28, which says so itself."""
        meta = params.get("_meta")
        if method == "initialize" or not isinstance(meta, Mapping) or _VERSION_KEY not in meta:
            return False
        version = meta[_VERSION_KEY]
        if not isinstance(version, str):
            raise ProtocolFault(INVALID_PARAMS, f"{_VERSION_KEY} must be a string.")
        if version not in MODERN_VERSIONS:
            known = {"supported": list(MODERN_VERSIONS), "requested": version}
            raise ProtocolFault(_UNSUPPORTED_VERSION, "Unsupported protocol version", known)
        if _CAPABILITIES_KEY not in meta:
            raise ProtocolFault(INVALID_PARAMS, f"params._meta lacks {_CAPABILITIES_KEY}.")
        return True

    def _handshake(self, method: str, params: Mapping[str, Any], modern: bool) -> dict[str, Any]:
        if method == "ping" and not modern:
            return {}
        told: dict[str, Any] = {"capabilities": self._handlers.capabilities()}
        if self._service.instructions:
            told["instructions"] = self._service.instructions
        if method == "server/discover" and modern:
            lasting = {"ttlMs": 3_600_000, "cacheScope": "private"}
            return {"supportedVersions": list(MODERN_VERSIONS), **told, **lasting}
        if method != "initialize":
            raise ProtocolFault(METHOD_NOT_FOUND, "Method not found", method)
        asked = params.get("protocolVersion")
        if not isinstance(asked, str):
            raise ProtocolFault(INVALID_PARAMS, "protocolVersion must be a string.")
        self._greeted = True
        version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        return {"protocolVersion": version, "serverInfo": self._who(), **told}

    def _who(self) -> dict[str, Any]:
        service = self._service
        return {"name": service.name, "title": service.title, "version": package_version()}

    def _notified(self, method: str, params: Mapping[str, Any]) -> None:
        number = params.get("requestId")
        if method == "notifications/cancelled" and isinstance(number, (str, int, float)):
            call = self._running.get(number)
            if call is not None:
                call.cancelled.set()

    def _answer(
        self, number: Any, method: str, params: Mapping[str, Any], modern: bool, call: OperationCall
    ) -> None:
        try:
            result = self._handlers.handle(method, params, call)
            tell = functools.partial(self._reply, number, result, modern)
        except ProtocolFault as fault:
            tell = functools.partial(self._fault, number, fault)
        except Exception:  # the client gets one line, the log gets the rest
            log.exception("%s failed", method)
            inside = ProtocolFault(INTERNAL_ERROR, "Internal server error")
            tell = functools.partial(self._fault, number, inside)
        if not call.cancelled.is_set():  # nobody waits for the reply to a cancelled request
            tell()
        self._running.pop(number, None)
        if method == "tools/list" and not self._warm:
            # the client has its list; what the first call needs is imported meanwhile
            self._warm = True
            with contextlib.suppress(Exception):  # it is reported when a call needs it
                self._handlers.operations()

    def _reply(self, number: Any, result: dict[str, Any], modern: bool) -> None:
        if modern:
            meta = {**result.get("_meta", {}), f"{_META}serverInfo": self._who()}
            result = {"resultType": "complete", **result, "_meta": meta}
        else:
            result = {key: value for key, value in result.items() if key not in _HINTS}
        self._send({"jsonrpc": "2.0", "id": number, "result": result})

    def _fault(self, number: Any, fault: ProtocolFault) -> None:
        error: dict[str, Any] = {"code": fault.code, "message": fault.message}
        if fault.data is not None:
            error["data"] = fault.data
        self._send({"jsonrpc": "2.0", "id": number, "error": error})

    def _send(self, message: dict[str, Any]) -> None:
        data = _encoded(message)
        with self._writing, contextlib.suppress(OSError):  # a client that left ends the input too
            while data:
                data = data[os.write(self._target, data) :]

    def _reporter(self, params: Mapping[str, Any]) -> Callable[..., None]:
        meta = params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, Mapping) else None
        if token is None:
            return lambda text, fraction=None: None

        def tell(done: float, total: float | None, text: str | None) -> None:
            told: dict[str, Any] = {"progressToken": token, "progress": done}
            if total is not None:
                told["total"] = total
            if text:
                told["message"] = text
            self._send({"jsonrpc": "2.0", "method": "notifications/progress", "params": told})

        return progress_reporter(tell)


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), default=str)
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half a surrogate pair, of a file's name: valid only as an escape
        return f"{json.dumps(message, separators=(',', ':'), default=str)}\n".encode()


class DaemonThreads:
    """Runs jobs in threads that do not hold up the end; at most so many at once, others wait."""

    def __init__(self, most: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._most = most
        self._count = 0

    def run(self, job: Callable[[], None]) -> None:
        """Runs a job as soon as a thread is free; called by one thread only."""
        if not self._free.acquire(blocking=False) and self._count < self._most:
            self._count += 1
            threading.Thread(target=self._work, daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:  # a thread must serve on
                log.exception("A reply failed.")
            self._free.release()
