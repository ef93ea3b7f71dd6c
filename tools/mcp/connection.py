"""The lasting connection to one server: starts it when needed, and once again after it ended."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from mcp import Client
from mcp_types import CallToolResult, Tool

from qwenbelt.core.errors import ConfigError, ToolError
from qwenbelt.tools.base import Elicit
from qwenbelt.tools.mcp.changes import FollowedResources
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.kept_offers import keep_offer, kept_offer
from qwenbelt.tools.mcp.loop import LoopThread, loop_thread
from qwenbelt.tools.mcp.session import McpSession, Offer, Report, SessionLost

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.login.pages import LoginPage
    from qwenbelt.tools.mcp.tasks import HeldTask

T = TypeVar("T")
_REST_SECONDS = 5.0  # after a failed start the same answer is given for so long


class ServerConnection:
    """A server of the configuration, as its tools see it.

    The process or HTTP session is shared by all calls. When it has ended, the next call opens a
    new one; calls that come meanwhile wait for the same one. When nothing refers to the connection
    any longer, the server is ended.

    Args:
        page: where a person may log in while it is opened.
        anew: whether to log in again although there are tokens.
        keeps_offer: whether what the server offers is kept for the next time.
    """

    def __init__(
        self,
        config: ServerConfig,
        page: LoginPage | None = None,
        *,
        anew: bool = False,
        keeps_offer: bool = False,
    ) -> None:
        self.config = config
        self._keeps_offer = keeps_offer
        self._page = page
        self._anew = anew
        self.starts = 0
        self.loop: LoopThread = loop_thread()
        self._opening: asyncio.Task[McpSession] | None = None
        self._failed_at = 0.0
        self.latest: Offer | None = None  # read from any thread
        self.followed = FollowedResources()
        self._closed = False
        self._sessions: set[McpSession] = set()
        forget = self.loop.at_exit(_close_sessions(self._sessions))
        self._end = weakref.finalize(self, _close_soon, self.loop, self._sessions, forget)
        self._end.atexit = False

    async def session(self) -> McpSession:
        """Returns the live session, opening one if need be.

        Raises:
            ConfigError: the server cannot be started; the same for some seconds after a failure.
            ToolError: the connection was closed.
        """
        if self._closed:
            raise ToolError(f"The MCP server {self.config.name} was closed.")
        if self._opening is None or self._is_spent(self._opening):
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_retrieve_error)
        return await asyncio.shield(self._opening)

    def _is_spent(self, opening: asyncio.Task[McpSession]) -> bool:
        if not opening.done():
            return False
        if opening.cancelled():
            return True
        if opening.exception() is not None:
            # a program is not started again and again; a server elsewhere may be back at once
            rest = _REST_SECONDS if self.config.kind == "stdio" else 0.0
            return time.monotonic() - self._failed_at >= rest
        return not opening.result().alive

    async def _open(self) -> McpSession:
        self.starts += 1
        self._sessions -= {session for session in self._sessions if session.ended}
        try:
            return await self._try_ways()
        except ConfigError:
            self._failed_at = time.monotonic()
            raise

    async def _try_ways(self) -> McpSession:
        kind = "http" if self.config.kind == "auto" else self.config.kind
        session = self._session(kind)
        self._sessions.add(session)
        try:
            await session.open()
        except ConfigError:
            if session.died_at_start:
                # a server of the old protocol may end on a request before `initialize`
                session = self._session(kind, legacy=True)
            elif self.config.kind == "auto" and session.refused_http:
                session = self._session("sse")
            else:
                raise
            self._sessions.add(session)
            await session.open()
        return session

    def _session(self, kind: str, *, legacy: bool = False) -> McpSession:
        # the session must not hold us: who drops the tools drops the server
        this = weakref.ref(self)
        config, keeps_offer = self.config, self._keeps_offer

        def take(offer: Offer) -> None:
            connection = this()
            known = connection.latest if connection is not None else None
            if known is None and keeps_offer and (kept := kept_offer(config)) is not None:
                known = kept.offer
            if known is not None:
                offer.tools = in_known_order(offer.tools, known.tools)
            if keeps_offer:
                keep_offer(config, offer)
            if connection is not None:
                connection.latest = offer

        return McpSession(
            self.config,
            kind=kind,
            legacy=legacy,
            on_offer=take,
            page=self._page,
            anew=self._anew,
            followed=self.followed,
        )

    async def settled(self, seconds: float) -> None:
        """Waits until changes that the server has announced are known, at most so long."""
        if self._opening is not None and self._opening.done() and not self._is_spent(self._opening):
            await self._opening.result().settled(seconds)

    async def output_fault(self, tool: str, result: CallToolResult) -> str:
        """Returns how a result differs from what its tool declares, "" if it does not."""
        if result.is_error or self._opening is None or not self._opening.done():
            return ""
        return await self._opening.result().output_fault(tool, result.structured_content)

    async def follow(self, uri: str) -> bool:
        """Asks to be told of a resource's changes; False if the server does not offer that."""
        return await (await self.session()).changes.follow(uri)

    async def offer(self) -> Offer:
        """Returns what the server offers."""
        return (await self.session()).offer

    async def request(
        self,
        start: Callable[[Client], Awaitable[T]],
        what: str,
        report: Report | None = None,
        elicit: Elicit | None = None,
        held: HeldTask | None = None,
    ) -> T:
        """Makes a request on the live session; for errors see `McpSession.request`."""
        said = ""
        for _ in range(2):
            session = await self.session()
            try:
                return await session.request(start, what, report, elicit, held)
            except SessionLost as lost:
                said = str(lost) or said
        why = f" ({said})" if said else ""
        raise ToolError(f"{what} failed: the server keeps forgetting its sessions{why}.")

    async def close(self) -> None:
        """Ends the server; later calls fail."""
        self._closed = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        await asyncio.gather(*(session.close() for session in self._sessions))


def in_known_order(tools: list[Tool], known: list[Tool]) -> list[Tool]:
    """Returns tools in the order that is known, new ones at the end.

    The model's prompt begins with them, and is cheaper while its beginning is the same; servers
    that keep their tools in a set list them in another order at each start.
    """
    places = {tool.name: place for place, tool in enumerate(known)}
    return sorted(tools, key=lambda tool: places.get(tool.name, len(places)))


def _retrieve_error(task: asyncio.Task[McpSession]) -> None:
    if not task.cancelled():
        task.exception()  # the callers get it too; this keeps asyncio from warning when all left


def _close_sessions(sessions: set[McpSession]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def close() -> None:
        await asyncio.gather(*(session.close() for session in sessions))

    return close


def _close_soon(loop: LoopThread, sessions: set[McpSession], forget: Callable[[], None]) -> None:
    forget()
    for session in sessions:
        loop.post(session.close_soon)
