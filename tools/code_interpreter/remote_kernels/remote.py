"""Kernels on a Jupyter server or an Enterprise Gateway.

API: https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html and its websocket
channel in the default (JSON) protocol. How code is kept apart there is that server's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import remember_secret
from qwenbelt.tools.code_interpreter.options import SessionLimits
from qwenbelt.tools.code_interpreter.remote_kernels.distant import DistantProcess
from qwenbelt.tools.code_interpreter.remote_kernels.messages import JsonTransport
from qwenbelt.tools.code_interpreter.transport import Transport, TransportClosed

_LARGEST_MESSAGE = 64 * 1024 * 1024
_SECONDS = 20.0
_AGAIN_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0)


class WebSocketTransport(JsonTransport):
    """One kernel's channels over a websocket."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        super().__init__()
        self._connection = connection
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (text := await self._connection.read_message()) is not None:
            self._take(text)
        self.gone.set()

    async def _send(self, text: str) -> None:
        try:
            await self._connection.write_message(text)
        except WebSocketClosedError:
            raise TransportClosed("the server has closed the connection") from None

    async def close(self) -> None:
        """Closes the websocket."""
        self._connection.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


class RemoteProcess(DistantProcess):
    """A kernel on a server.

    Args:
        url: the server's address, for example "http://127.0.0.1:8888".
        token: its token, or "".
        kernel: the kernel's name there, or "" for the server's default.
        folder: the session folder on this machine.
        limits: what is kept to on this side: time, output, files.
    """

    def __init__(
        self, url: str, token: str, kernel: str, folder: Path, limits: SessionLimits
    ) -> None:
        super().__init__(folder, limits)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"code_interpreter: {url!r} is not the address of a Jupyter server.")
        remember_secret(token)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"token {token}"} if token else {}
        self._kernel = kernel
        self._identity = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> Transport:
        """Starts a kernel on the server.

        Raises:
            ToolError: the server cannot be reached or refuses.
        """
        body = json.dumps({"name": self._kernel} if self._kernel else {})
        answer = await self._call("POST", "/api/kernels", body)
        self._identity = quote(str(loads_bounded(answer)["id"]), safe="")
        address = f"{self._url}/api/kernels/{self._identity}/channels?session_id={uuid.uuid4().hex}"
        request = HTTPRequest(
            address.replace("http", "ws", 1), headers=self._headers, connect_timeout=_SECONDS
        )
        try:
            connection = await websocket_connect(request, max_message_size=_LARGEST_MESSAGE)
        except (OSError, HTTPClientError) as error:
            raise ToolError(f"The Jupyter server does not open a channel ({error}).") from None
        transport = WebSocketTransport(connection)
        self.transport = transport
        self._later(self._watch(transport))
        return transport

    async def _watch(self, transport: JsonTransport) -> None:
        await transport.gone.wait()
        self.ending = self.ending or "the kernel on the server has died"
        self.ended.set()

    async def _call(self, method: str, path: str, body: str | None = None) -> bytes:
        request = HTTPRequest(
            f"{self._url}{path}",
            method,
            headers={**self._headers, "Content-Type": "application/json"},
            body=body,
            request_timeout=_SECONDS,
            connect_timeout=_SECONDS,
        )
        try:
            reply = await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            raise ToolError(f"The Jupyter server answers {error.code} {error.message}.") from None
        except OSError as error:
            raise ToolError(f"The Jupyter server cannot be reached ({error}).") from None
        content: bytes = reply.body
        return content

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def interrupt(self) -> None:
        """Asks the server to interrupt the kernel."""
        self._later(self._quietly("POST", f"/api/kernels/{self._identity}/interrupt", "{}"))

    async def _quietly(self, method: str, path: str, body: str | None = None) -> None:
        with contextlib.suppress(ToolError):
            await self._call(method, path, body)

    def kill(self) -> None:
        """Has the kernel ended by its server."""
        if not self.ended.is_set():
            self._later(self._end())

    async def _end(self) -> None:
        path = f"/api/kernels/{self._identity}"
        if self._identity:
            await self._quietly("DELETE", path)
        self.ending = self.ending or "signal 9"
        self.ended.set()
        # a kernel that has died is being restarted by the server, which does not heed the request
        for pause in _AGAIN_SECONDS if self._identity else ():
            await asyncio.sleep(pause)
            try:
                await self._call("GET", path)
            except ToolError:
                return
            await self._quietly("DELETE", path)

    async def close(self) -> None:
        """Ends the kernel on the server."""
        await self._end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
