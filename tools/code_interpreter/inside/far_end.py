"""Runs in kernels elsewhere: the socket that code there calls tools on, over Jupyter's messages.

The bytes of the socket go out as requests for input and come in as replies to them, on the channel
of which the kernel makes no other use: cells are not allowed to ask for input. It is sent to the
kernel as text, so it imports nothing of this package.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
import threading
from typing import Any

_PIECE = 1 << 18
_CREDENTIALS = struct.Struct("3i")


def open_far_end(tools: Any) -> None:
    """Gives the module `tools` its socket, and begins to carry what goes over it."""
    import zmq
    from IPython import get_ipython
    from jupyter_client.session import Session

    kernel = get_ipython().kernel
    own = kernel.session
    # objects of its own: the kernel's are not made for two threads
    wire = Session(key=own.key, signature_scheme=own.signature_scheme)
    channel: Any = zmq.Socket.shadow(kernel.stdin_socket.underlying)
    ours, theirs = socket.socketpair()
    if hasattr(socket, "SO_PASSCRED"):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    tools.open_line(theirs.detach())
    carrier = threading.Thread(target=_carry, args=(wire, channel, ours), daemon=True)
    carrier.start()


def _carry(wire: Any, channel: Any, ours: socket.socket) -> None:
    import zmq

    poller = zmq.Poller()
    poller.register(channel, zmq.POLLIN)
    client: Any = None
    with contextlib.suppress(OSError, zmq.ZMQError), ours:  # the kernel ends, or the other side
        while True:
            ready = dict(poller.poll())
            if channel in ready:
                with contextlib.suppress(ValueError):  # not signed as it should be
                    idents, message = wire.recv(channel)
                    value = message["content"]["value"]
                    if client is None:
                        client = idents
                        poller.register(ours, zmq.POLLIN)
                    if value == "!":
                        return
                    ours.sendall(base64.b64decode(value))
            if ours.fileno() in ready:
                piece = _received(ours)
                content = {"prompt": base64.b64encode(piece).decode(), "password": False}
                if piece:
                    wire.send(channel, "input_request", content, ident=client)


def _received(ours: socket.socket) -> bytes:
    """Reads what this process has sent; what a forked child has is dropped."""
    space = socket.CMSG_SPACE(_CREDENTIALS.size)
    piece, told, _, _ = ours.recvmsg(_PIECE, space)
    if not piece:
        raise OSError("the socket has ended")
    senders = [
        _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        for level, kind, data in told
        if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None)
    ]
    return piece if all(sender == os.getpid() for sender in senders) else b""
