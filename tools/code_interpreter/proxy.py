"""The session's only way out: an HTTP proxy that lets through what the person has allowed.

It runs on this side of the sandbox. The host's name is resolved and checked here, once, and the
connection goes to the address that was checked; private addresses are refused unless the person
has named the host together with its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from urllib.parse import urlsplit

from qwenbelt.core.errors import QwenbeltError
from qwenbelt.core.urls import Target, check_url

_HEAD_BYTES = 64 * 1024
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 20.0
_PORTS = {80, 443}
ANY = "*"


class Proxy:
    """Serves one session.

    Args:
        hosts: "*" for every public host, names ("example.org" covers its subdomains), and names
            or addresses with a port ("127.0.0.1:8000"), which may be private.
    """

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = {host.lower().strip(".") for host in hosts}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serves on a socket that listens already, perhaps in another network namespace."""
        self._server = await asyncio.start_server(self._serve, sock=listener, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """Ends all connections."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()

    def allows(self, host: str, port: int) -> bool:
        """Says whether code may connect to the host on the port."""
        host = host.lower().strip(".")
        if f"{host}:{port}" in self._hosts:
            return True
        if port not in _PORTS:
            return False
        parts = host.split(".")
        return ANY in self._hosts or any(
            ".".join(parts[n:]) in self._hosts for n in range(len(parts))
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass  # either side is gone or does not speak HTTP
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, address, version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        tunnel = method == "CONNECT"
        parts = urlsplit(f"https://{address}" if tunnel else address)
        host, port = parts.hostname or "", parts.port or (443 if tunnel else 80)
        target = await self._target(host, port, tunnel)
        if isinstance(target, str):
            body = f"{target}\n".encode()
            lines = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{lines}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
            return
        there_reader, there = await asyncio.wait_for(
            asyncio.open_connection(target.address, target.port), _CONNECT_SECONDS
        )
        self._open.add(there)
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there.write(_own_form(head, method, parts.path, parts.query, version))
            await asyncio.gather(_relay(reader, there), _relay(there_reader, writer))
        finally:
            self._open.discard(there)
            there.close()

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


def _own_form(head: bytes, method: str, path: str, query: str, version: str) -> bytes:
    """Returns the request as its server expects it: with a path, for one request a connection."""
    lines = head.split(b"\r\n")[1:-2]
    kept = [line for line in lines if not line.lower().startswith((b"proxy-", b"connection:"))]
    target = (path or "/") + (f"?{query}" if query else "")
    first = f"{method} {target} {version}".encode("ascii")
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_CHUNK):
            writer.write(piece)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()
