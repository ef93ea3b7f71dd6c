"""Changes that a server announces: of its lists, and of resources that a conversation holds.

A server of 2026-07-28 tells them on a stream that is asked for (`subscriptions/listen`), an older
one in the session itself (`resources/subscribe`). Neither replays what was missed, so a stream that
was away counts as a change of everything: whoever holds a resource looks at it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

import anyio
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated
from mcp_types import (
    EmptyResult,
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

_LONGEST_REST = 30.0  # between tries to listen
_MOST_FOLLOWED = 200  # resources of one server
_SUBSCRIBE_SECONDS = 10.0
_LISTS = (
    ToolListChangedNotification,
    ResourceListChangedNotification,
    PromptListChangedNotification,
)


class FollowedResources:
    """The resources of one server that somebody holds, over all its sessions; any thread may ask.

    Each has a number that grows when it may have changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._seen: dict[tuple[str, str], int] = {}  # by holder and URI

    def uris(self) -> list[str]:
        """Returns what is followed, in the order in which it was asked for."""
        with self._lock:
            return list(self._numbers)

    def follow(self, uri: str) -> bool:
        """Follows a resource; False if there are too many."""
        with self._lock:
            if uri not in self._numbers and len(self._numbers) >= _MOST_FOLLOWED:
                return False
            self._numbers.setdefault(uri, 0)
            return True

    def changed(self, uri: str) -> None:
        """Takes in that a resource has changed, or a part of it."""
        with self._lock:
            for held in self._numbers:
                rest = uri.removeprefix(held)
                # the URI of a notice may be one below the one that was subscribed to
                if not rest or (uri.startswith(held) and (rest[0] in "/#?" or held[-1] in "/#?")):
                    self._numbers[held] += 1

    def may_have_changed(self, uris: Iterable[str]) -> None:
        """Takes in that changes of these may have been missed."""
        with self._lock:
            for uri in self._numbers.keys() & set(uris):
                self._numbers[uri] += 1

    def number(self, uri: str) -> int:
        """Returns the number of a resource, to be given to `seen` once it has been read."""
        with self._lock:
            return self._numbers.get(uri, 0)

    def is_new(self, holder: str, uri: str) -> bool:
        """Returns whether a holder has not seen a resource as it is now, as far as is known."""
        with self._lock:
            return self._seen.get((holder, uri)) != self._numbers.get(uri, 0)

    def seen(self, holder: str, uri: str, number: int) -> None:
        """Takes in that a holder has read a resource when it had this number."""
        with self._lock:
            self._seen[holder, uri] = number


class ChangeListener:
    """Follows what one session's server announces.

    Args:
        followed: the resources that are held.
        list_again: is called when a list may have changed.
    """

    def __init__(self, followed: FollowedResources, list_again: Callable[[], None]) -> None:
        self._followed = followed
        self._list_again = list_again
        self._grown = asyncio.Event()
        self._subscribed: set[str] = set()
        self._client: Client | None = None

    async def notice(self, message: Any) -> None:
        """Takes in a message of the server."""
        if isinstance(message, _LISTS):
            self._list_again()
        elif isinstance(message, ResourceUpdatedNotification):
            self._followed.changed(message.params.uri)

    async def follow(self, uri: str) -> bool:
        """Asks to be told of changes of a resource; False if the server does not offer that."""
        client = self._client
        if client is None or not _tells_of_resources(client) or not self._followed.follow(uri):
            return False
        if uri in self._subscribed:
            return True
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._grown.set()
            return True
        self._subscribed.add(uri)
        # by hand, since the SDK's own method warns that it is of the older protocols
        request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
        try:
            with anyio.fail_after(_SUBSCRIBE_SECONDS):
                await client.session.send_request(request, EmptyResult)
        except Exception:  # a server that refuses: its resource is as it was read
            self._subscribed.discard(uri)
            return False
        return True

    async def run(self, client: Client) -> None:
        """Listens for as long as the session lasts."""
        self._client = client
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            for uri in self._followed.uris():  # of an earlier session
                await self.follow(uri)
            self._followed.may_have_changed(self._followed.uris())
            return
        able = client.server_capabilities
        lists = {
            f"{name}_list_changed": bool(getattr(getattr(able, name), "list_changed", False))
            for name in ("tools", "prompts", "resources")
        }
        if any(lists.values()) or _tells_of_resources(client):
            await self._listen(client, lists)

    async def _listen(self, client: Client, lists: dict[str, bool]) -> None:
        rest, missed = 1.0, False
        stream: asyncio.Task[None] | None = None
        fresh: asyncio.Task[None] | None = None
        try:
            while True:
                self._grown.clear()
                uris = self._followed.uris() if _tells_of_resources(client) else []
                if not uris and not any(lists.values()):
                    await self._grown.wait()
                    continue
                heard = asyncio.Event()
                fresh = asyncio.create_task(self._read(client, lists, uris, heard))
                await _either(fresh, heard)
                if stream is not None:  # only now, so that nothing falls between the two
                    stream.cancel()
                stream, fresh = fresh, None
                if missed:
                    self._list_again()
                self._followed.may_have_changed(
                    uris if missed else set(uris) - self._subscribed  # read before we listened
                )
                if heard.is_set():
                    self._subscribed, rest = set(uris), 1.0
                missed = await _either(stream, self._grown)
                if missed:
                    stream = None
                    await asyncio.sleep(rest)
                    rest = min(rest * 2, _LONGEST_REST)
        finally:
            for task in filter(None, (stream, fresh)):
                task.cancel()

    async def _read(
        self, client: Client, lists: dict[str, bool], uris: list[str], heard: asyncio.Event
    ) -> None:
        with contextlib.suppress(Exception):  # a server that ends the stream, or knows none
            async with client.listen(**lists, resource_subscriptions=uris) as changes:
                heard.set()
                async for event in changes:
                    if isinstance(event, ResourceUpdated):
                        self._followed.changed(event.uri)
                    else:
                        self._list_again()


def _tells_of_resources(client: Client) -> bool:
    return bool(getattr(client.server_capabilities.resources, "subscribe", False))


async def _either(task: asyncio.Task[None], event: asyncio.Event) -> bool:
    """Waits for the one or the other; returns whether the task has ended."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return task.done()
