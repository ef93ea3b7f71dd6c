"""The session's only way out: an HTTP proxy that lets through what the person has allowed.

It runs on this side of the sandbox. The host's name is resolved and checked here, once, and the
connection goes to the address that was checked; private addresses are refused unless the person
has named the host together with its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from urllib.parse import urlsplit

import anyio

from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.urls import Target, check_url

_HEAD_BYTES = 64 * 1024
_CHUNK = 64 * 1024
_HEAD_SECONDS = 60.0
_CONNECT_SECONDS = 20.0
_LAST_WORDS_SECONDS = 10.0
_AGAIN_SECONDS = 0.05
_MOST = 64  # connections of one session at a time; the others wait in the listener's queue
_PORTS = {80, 443}
_BAD, _FORBIDDEN, _NO_GATEWAY = "400 Bad Request", "403 Forbidden", "502 Bad Gateway"
ANY = "*"


class Proxy:
    """Serves one session. Lives on one loop.

    Args:
        hosts: "*" for every public host, names ("example.org" covers its subdomains), and names
            or addresses with a port ("127.0.0.1:8000"), which may be private.
    """

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = {host.lower().strip(".") for host in hosts}
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serves on a socket that listens already, perhaps in another network namespace."""
        listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listener))

    async def close(self) -> None:
        """Ends all connections; the listener is the caller's to close afterwards."""
        tasks = [*self._serving, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def allows(self, host: str, port: int) -> bool:
        """Returns whether code may connect to the host on the port."""
        host = host.lower().strip(".")
        if f"{host}:{port}" in self._hosts:
            return True
        if port not in _PORTS:
            return False
        parts = host.split(".")
        return ANY in self._hosts or any(
            ".".join(parts[n:]) in self._hosts for n in range(len(parts))
        )

    async def _accept(self, listener: socket.socket) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Semaphore(_MOST)
        while True:
            await room.acquire()
            client = await _accepted(loop, listener)
            task = loop.create_task(self._serve(client))
            self._serving.add(task)
            task.add_done_callback(functools.partial(self._served, client, room))

    def _served(
        self, client: socket.socket, room: asyncio.Semaphore, task: asyncio.Task[None]
    ) -> None:
        client.close()  # here, since a task may be cancelled before its first step
        self._serving.discard(task)
        room.release()

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client is gone
            await self._answer(client)

    async def _answer(self, client: socket.socket) -> None:
        try:
            with anyio.fail_after(_HEAD_SECONDS):
                head, rest = await _read_head(client)
            request = _Request(head)
        except (ValueError, TimeoutError):
            await _refuse(client, _BAD, "This is not a request that an HTTP proxy takes.")
            return
        target = await self._target(request.host, request.port, request.tunnel)
        if isinstance(target, str):
            await _refuse(client, _FORBIDDEN, target)
            return
        try:
            server = await _connected(target)
        except OSError as error:  # a TimeoutError is one
            why = one_line(error) or "no answer in time"
            place = f"{request.host}:{request.port}"
            await _refuse(client, _NO_GATEWAY, f"{place} cannot be reached ({why}).")
            return
        with server:
            loop = asyncio.get_running_loop()
            if request.tunnel:
                await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
            first = rest if request.tunnel else request.own_form() + rest
            await asyncio.gather(_relay(client, server, first), _relay(server, client))

    async def _target(self, host: str, port: int, tunnel: bool) -> Target | str:
        """Returns where to connect, or why not."""
        if not self.allows(host, port):
            return f"{host}:{port} is not among the hosts that code may reach."
        named = f"{host.lower()}:{port}" in self._hosts
        shown = f"[{host}]" if ":" in host else host
        url = f"{'https' if tunnel else 'http'}://{shown}:{port}/"
        try:
            return await asyncio.to_thread(check_url, url, allow_private=named)
        except QwenbeltError as error:
            return str(error)


class _Request:
    """The head of a request to a proxy.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, head: bytes) -> None:
        first, *self._lines = head.split(b"\r\n")
        self._method, address, self._version = first.decode("ascii").split(" ")
        self.tunnel = self._method == "CONNECT"
        self._parts = urlsplit(f"https://{address}" if self.tunnel else address)
        self.host = self._parts.hostname or ""
        self.port = self._parts.port or (443 if self.tunnel else 80)

    def own_form(self) -> bytes:
        """Returns it as its server expects it: with a path, for one request a connection."""
        dropped = (b"proxy-", b"connection:")
        kept = [line for line in self._lines if not line.lower().startswith(dropped)]
        query = f"?{self._parts.query}" if self._parts.query else ""
        first = f"{self._method} {self._parts.path or '/'}{query} {self._version}".encode("ascii")
        return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


async def _accepted(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> socket.socket:
    while True:
        try:
            client, _ = await loop.sock_accept(listener)
        except OSError:  # the client was gone before its turn, or descriptors have run out
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        client.setblocking(False)
        return client


async def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Returns the head of a request without the empty line, and what came behind it.

    Raises:
        ValueError: there is no end to it.
    """
    loop, read = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in read:
        piece = await loop.sock_recv(client, _CHUNK)
        if not piece or len(read) > _HEAD_BYTES:
            raise ValueError("no head of a request")
        read += piece
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest


async def _connected(target: Target) -> socket.socket:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        with anyio.fail_after(_CONNECT_SECONDS):
            await loop.sock_connect(server, (target.address, target.port))
    except BaseException:  # a cancel, too, must not leave the socket open
        server.close()
        raise
    return server


async def _refuse(client: socket.socket, status: str, why: str) -> None:
    """Answers, and waits until it has been read: closing with unread data would discard it."""
    loop, body = asyncio.get_running_loop(), f"{why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    await loop.sock_sendall(client, head.encode("ascii") + body)
    client.shutdown(socket.SHUT_WR)
    with anyio.move_on_after(_LAST_WORDS_SECONDS):
        await _drain(client)


async def _drain(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, _CHUNK):
        pass


async def _relay(source: socket.socket, target: socket.socket, first: bytes = b"") -> None:
    """Passes on what comes until its end, and then that end.

    A side that is gone ends this direction only: in the other one its last words may be under way.
    """
    loop, piece = asyncio.get_running_loop(), first
    with contextlib.suppress(OSError):
        if piece:
            await loop.sock_sendall(target, piece)
        while piece := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(target, piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
