"""A small HTTP/1.1 server on asyncio: keep-alive, chunked bodies, streams, broken connections.

It is for tests on the loopback interface. Starting it costs a socket and a thread; it accepts
connections from the moment that `start` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024 * 1024
_REASONS = {int(status): status.phrase for status in HTTPStatus}
_TURNS_TO_CLOSE = 5


@dataclass(frozen=True)
class HttpRequest:
    """A request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class BadRequest(Exception):
    """What came is not HTTP, or is too large."""


class ChunkedReader:
    """Decodes `Transfer-Encoding: chunked` (RFC 9112, section 7.1) as bytes arrive."""

    def __init__(self) -> None:
        self.body = bytearray()

    def feed(self, data: bytearray) -> bool:
        """Takes what is complete from the front of `data`; True when the body has ended."""
        while True:
            end = data.find(b"\r\n")
            if end < 0:
                return False
            try:
                size = int(data[:end].split(b";")[0], 16)
            except ValueError:
                raise BadRequest("a chunk's size is not a number") from None
            if size == 0:
                close = data.find(b"\r\n\r\n", end)  # trailers are in between
                if close < 0:
                    return False
                del data[: close + 4]
                return True
            if len(data) < end + 2 + size + 2:
                return False
            self.body += data[end + 2 : end + 2 + size]
            if len(self.body) > MAX_BODY:
                raise BadRequest("the body is too large")
            del data[: end + 2 + size + 2]


class ClientConnection(asyncio.Protocol):
    """One client; its requests are handled one after another."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.buffer = bytearray()
        self.transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None
        self.head: tuple[str, str, dict[str, str]] | None = None
        self.chunks: ChunkedReader | None = None
        self.streaming = False
        self.unsent = b""
        self.number = 0
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the client."""
        self.transport = transport  # type: ignore[assignment]
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.connections.add(self)
        self.server.accepted += 1
        self.number = self.server.accepted

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops what still answers."""
        self.server.connections.discard(self)
        self.writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """Waits for a slow client."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Goes on."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; a complete request is handled."""
        self.buffer += data
        if self.task is None:
            self._advance()

    def _advance(self) -> None:
        try:
            request = self._complete()
        except BadRequest as error:
            self.send_json(400, {"error": {"message": str(error), "type": "bad_request"}})
            self.transport.close()
            return
        if request is not None:
            self.task = asyncio.get_running_loop().create_task(self._handle(request))

    def _complete(self) -> HttpRequest | None:
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self.buffer) > MAX_HEAD:
                    raise BadRequest("the head is too large")
                return None
            self.head = _parse_head(bytes(self.buffer[:end]))
            del self.buffer[: end + 4]
            if self.head[2].get("expect", "").lower() == "100-continue":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        method, path, headers = self.head
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self.chunks = self.chunks or ChunkedReader()
            if not self.chunks.feed(self.buffer):
                return None
            body = bytes(self.chunks.body)
        else:
            length = _content_length(headers)
            if len(self.buffer) < length:
                return None
            body = bytes(self.buffer[:length])
            del self.buffer[:length]
        self.head = self.chunks = None
        return HttpRequest(method, path, headers, body)

    async def _handle(self, request: HttpRequest) -> None:
        try:
            await self.server.handler(request, self)
        except ConnectionError:
            return
        if self.streaming:
            self.end_stream()
        self.task = None
        if request.headers.get("connection", "").lower() == "close":
            self.transport.close()
        elif self.buffer and not self.transport.is_closing():
            self._advance()

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends a whole response."""
        self.transport.write(
            _response_head(status, {**headers, "Content-Length": str(len(body))}) + body
        )

    def send_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        """Sends a JSON response."""
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
        self.send(status, body, {"Content-Type": "application/json", **(headers or {})})

    def start_stream(self, status: int, headers: Mapping[str, str]) -> None:
        """Begins a response whose length is not known; its head goes out with the first piece."""
        self.streaming = True
        self.unsent = _response_head(status, {**headers, "Transfer-Encoding": "chunked"})

    async def send_chunk(self, data: bytes, *, last: bool = False) -> None:
        """Sends a piece of a stream, and with `last` its end too.

        Raises:
            ConnectionError: the client has gone.
        """
        if self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        out = self.unsent
        if data:  # an empty chunk would end the stream
            out += b"%x\r\n%b\r\n" % (len(data), data)
        if last:
            out += b"0\r\n\r\n"
            self.streaming = False
        self.unsent = b""
        self.transport.write(out)
        if not self.writable.is_set():
            await self.writable.wait()

    def end_stream(self) -> None:
        """Ends a stream."""
        self.streaming = False
        if not self.transport.is_closing():
            self.transport.write(self.unsent + b"0\r\n\r\n")
        self.unsent = b""

    def break_off(self) -> None:
        """Breaks the connection, after what was written has been sent."""
        self.streaming = False
        if not self.transport.is_closing():
            self.transport.write(self.unsent)
        self.unsent = b""
        self.transport.close()


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    first = lines[0].split(" ")
    if len(first) != 3 or not first[2].startswith("HTTP/1."):
        raise BadRequest("not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("a header line has no colon")
        headers[name.strip().lower()] = value.strip()
    return first[0], first[1], headers


def _content_length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not text.isdigit() or int(text) > MAX_BODY:
        raise BadRequest("Content-Length is not a number, or too large")
    return int(text)


def _response_head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Handler = Callable[[HttpRequest, ClientConnection], Awaitable[None]]


class HttpServer:
    """Serves `handler` on the loopback interface, in its own thread or in a running loop.

    Args:
        handler: answers a request through its connection.
        host: the address to listen on.
        port: the port; 0 takes a free one.

    Attributes:
        at_end: awaited when the server stops, in its loop.
    """

    def __init__(self, handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.handler = handler
        self.host = host
        self.port = port
        self.connections: set[ClientConnection] = set()
        self.accepted = 0
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: asyncio.AbstractServer | None = None
        self._stopping: asyncio.Event
        self.at_end: Callable[[], Awaitable[None]] | None = None

    @property
    def running(self) -> bool:
        """Whether it accepts connections."""
        return self._socket is not None

    def start(self) -> None:
        """Serves from its own thread.

        Raises:
            ConfigError: the address is taken or not allowed.
        """
        self._bind()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name=f"qwenbelt-http-{self.port}", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Stops serving and breaks open connections; safe to call twice."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or not thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):  # the loop ended in between
            loop.call_soon_threadsafe(self._stopping.set)
        thread.join(5)
        self._thread = None

    async def start_here(self) -> None:
        """Serves in the running event loop."""
        self._bind()
        await self._listen()

    async def stop_here(self) -> None:
        """Stops serving in the running event loop."""
        await self._shut()

    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise ConfigError("The server is not running.")
        return self._socket

    def _bind(self) -> None:
        if self._socket is not None:
            raise ConfigError("The server is already running.")
        try:
            self._socket = socket.create_server((self.host, self.port), backlog=512)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"Cannot listen on {self.host}:{self.port} ({reason}).") from error
        self.port = int(self._socket.getsockname()[1])

    def _run(self, ready: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve(ready))
        finally:
            ready.set()
            loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        try:
            await self._listen()
            ready.set()
            await self._stopping.wait()
        finally:
            await self._shut()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: ClientConnection(self), sock=self._bound()
        )

    async def _shut(self) -> None:
        loop = asyncio.get_running_loop()
        if self._listener is not None and self._socket is not None:
            # no more clients, and only then no server: asyncio forgets the socket of a client that
            # it has accepted and not yet given to a server that closes meanwhile (Python 3.11)
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.remove_reader(self._socket)
        # an accepted client is known two turns of the loop later; an aborted one is closed in the
        # next
        for _ in range(_TURNS_TO_CLOSE):
            tasks = [c.task for c in self.connections if c.task is not None]
            for connection in list(self.connections):
                connection.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)
        if self._listener is not None:
            self._listener.close()
        if self.at_end is not None:
            await self.at_end()
        self._listener = self._socket = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
