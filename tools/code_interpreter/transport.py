"""Messages to and from a kernel: Jupyter's protocol over ZeroMQ sockets.

Protocol: https://jupyter-client.readthedocs.io/en/stable/messaging.html (version 5.3 and later).
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session as Wire

from qwenbelt.tools.code_interpreter.text import lenient

Message = dict[str, Any]
Handler = Callable[[str, Message], None]
_LARGEST_MESSAGE = 64 * 1024 * 1024  # a kernel that sends more is cut off


class TransportClosed(Exception):
    """The connection to the kernel is gone."""


class Transport(ABC):
    """One kernel's channels. Messages without a waiting receiver are dropped.

    Attributes:
        handler: called on the loop with ("shell" or "iopub", message) for each message.
        opened: set when messages of the kernel arrive here.
    """

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.opened = asyncio.Event()

    @abstractmethod
    async def request(self, kind: str, content: Message) -> str:
        """Sends a request on the shell channel and returns its id."""

    @abstractmethod
    async def close(self) -> None:
        """Closes the connection; may be called twice."""

    def _received(self, channel: str, message: Message) -> None:
        if not _is_message(message):
            return
        if message["header"]["msg_type"] in ("iopub_welcome", "status"):
            self.opened.set()
        if self.handler is not None:
            self.handler(channel, message)


def _is_message(message: object) -> bool:
    """Returns whether it has the parts that every message must have; kernels are not trusted."""
    return (
        isinstance(message, dict)
        and all(isinstance(message.get(k), dict) for k in ("header", "parent_header", "content"))
        and isinstance(message["header"].get("msg_type"), str)
    )


class ZmqTransport(Transport):
    """Channels over ZeroMQ; the connection is as in a kernel's connection file.

    All sockets belong to the loop that makes the object.
    """

    def __init__(self, context: zmq.asyncio.Context, connection: Message) -> None:
        super().__init__()
        self._wire = Wire(key=connection["key"].encode("ascii"))
        self._wire.pack = lenient(self._wire.pack)
        self._shell = self._socket(context, zmq.DEALER, connection, "shell_port")
        self._iopub = self._socket(context, zmq.SUB, connection, "iopub_port")
        self._readers = [
            asyncio.create_task(self._read("shell", self._shell)),
            asyncio.create_task(self._read("iopub", self._iopub)),
        ]

    @staticmethod
    def _socket(
        context: zmq.asyncio.Context, kind: int, connection: Message, port: str
    ) -> zmq.asyncio.Socket:
        socket = context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        joint = "-" if connection["transport"] == "ipc" else ":"
        socket.connect(f"{connection['transport']}://{connection['ip']}{joint}{connection[port]}")
        return socket

    async def _read(self, channel: str, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart()
            # what a hostile kernel sends can fail in any way while it is read; it is no message
            with contextlib.suppress(Exception):
                _, parts = self._wire.feed_identities(frames)
                self._received(channel, self._wire.deserialize(parts))

    async def request(self, kind: str, content: Message) -> str:
        """Sends a request on the shell channel and returns its id."""
        if self._shell.closed:
            raise TransportClosed("the kernel's connection is closed")
        message = self._wire.msg(kind, content=content)
        await self._shell.send_multipart(self._wire.serialize(message))
        identity: str = message["header"]["msg_id"]
        return identity

    async def close(self) -> None:
        """Closes the sockets."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._shell.close(linger=0)
        self._iopub.close(linger=0)
