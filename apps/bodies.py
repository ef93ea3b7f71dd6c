"""Bodies of requests, read within bounds: how many bytes, how slowly, and how much at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

PATIENCE = 20.0  # seconds that any body may take
SLOWEST = 32 * 1024  # bytes a second beyond that
MOST_HELD = 256 * 1024 * 1024  # of all requests that are being read and parsed


class BodyRefused(Exception):
    """The body is too large or too slow.

    Attributes:
        status: the HTTP status for it.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class BoundedBody:
    """Passes a request's body on, piece by piece, as long as it keeps to the bounds."""

    def __init__(self, receive: Receive, largest: int, patience: float = PATIENCE) -> None:
        self._receive = receive
        self._largest = largest
        self._patience = patience
        self._began = time.monotonic()
        self._size = 0
        self._whole = False

    async def __call__(self) -> Message:
        """Returns the next message of the request.

        Raises:
            BodyRefused: the body is larger or slower than it may be.
        """
        if self._whole:  # what comes now is only that the client has gone
            return await self._receive()
        left = self._began + self._patience + self._size / SLOWEST - time.monotonic()
        try:
            with anyio.fail_after(max(0.0, left)):
                message = await self._receive()
        except TimeoutError:
            raise BodyRefused(408, "The request's body came too slowly.") from None
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        if self._size > self._largest:
            raise BodyRefused(413, f"The request is larger than {_shown_size(self._largest)}.")
        self._whole = not message.get("more_body", False)
        return message


def _shown_size(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size // 2**10} KB"


class Room:
    """How much of bodies one process holds at once."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self._left = most

    @contextlib.contextmanager
    def taking(self) -> Iterator[Callable[[int], None]]:
        """Gives what takes room for some bytes, all of which is free again at the end.

        Raises:
            BodyRefused: others need the room.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise BodyRefused(503, "The server is busy with other large requests.")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


async def read_body(
    request: Request,
    largest: int,
    patience: float = PATIENCE,
    take: Callable[[int], None] = lambda size: None,
) -> bytearray:
    """Reads the whole body.

    Args:
        request: the request.
        largest: bytes that it may have.
        patience: seconds that it may take, however small.
        take: called with each piece's size; see `Room`.

    Raises:
        BodyRefused: it is larger or slower than it may be, by its own word or in fact, or the
            client has gone.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > largest:
        raise BodyRefused(413, f"The request is larger than {_shown_size(largest)}.")
    bounded = Request(request.scope, BoundedBody(request.receive, largest, patience))
    raw = bytearray()
    try:
        async for piece in bounded.stream():
            take(len(piece))
            raw += piece
    except ClientDisconnect:
        raise BodyRefused(400, "The client has gone.") from None
    return raw
