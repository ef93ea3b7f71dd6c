"""One live session with a server: opened, used by many calls at once, and closed for good.

One task enters and leaves the SDK's contexts, since they are bound to the task that entered them;
calls are tasks of their own. All of it runs on the loop thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import importlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeVar

import httpx2
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    REQUEST_TIMEOUT,
    Implementation,
    LoggingMessageNotificationParams,
    PromptsCapability,
    Resource,
    ResourceTemplate,
    Tool,
)

from qwenbelt.core.errors import ConfigError, QwenbeltError, ToolError, ToolTimeout, one_line
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.stdio import MAX_LINE_BYTES, StdioServer

T = TypeVar("T")
Report = Callable[..., None]
_MAX_PAGES = 100
_HTTP_TIMEOUT = 30.0


class SessionLost(Exception):
    """The server does not know the session, so the call has not run: a new one can be tried."""


@dataclass
class Offer:
    """What a server offers."""

    tools: list[Tool] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    templates: list[ResourceTemplate] = field(default_factory=list)
    prompts: PromptsCapability | None = None
    name: str = ""
    version: str = ""
    protocol: str = ""
    instructions: str = ""


class McpSession:
    """A session with one server.

    Attributes:
        offer: what the server listed when the session was opened.
        alive: whether calls can still be made.
    """

    def __init__(self, config: ServerConfig, *, legacy: bool = False, kind: str = "") -> None:
        self.config = config
        self.offer = Offer()
        self.alive = False
        self._kind = kind or config.kind
        self._mode = "legacy" if legacy else "auto"
        self._closing = asyncio.Event()
        self._stdio: StdioServer | None = None
        self._client: Client | None = None
        self._failure: BaseException | None = None
        self._status = 0
        self._checks = False
        self._reports: set[Report] = set()
        self._leftover: set[asyncio.Task[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects and lists what the server offers.

        Raises:
            ConfigError: it does not start, or does not answer as an MCP server should.
        """
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._own(ready))
        try:
            await asyncio.wait_for(ready.wait(), self.config.start_timeout)
        except asyncio.TimeoutError:
            self._task.cancel()
            raise self._start_error(None) from None
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not self.alive:
            await asyncio.wait({self._task}, timeout=5)
            raise self._start_error(self._failure) from self._failure

    async def _own(self, ready: asyncio.Event) -> None:
        try:
            async with self._connected() as client:
                self._client = client
                self.offer = await _list_offer(client)
                self._checks = any(tool.output_schema for tool in self.offer.tools)
                if self._checks:
                    _checker(os.getpid())
                self.alive = True
                ready.set()
                await self._closing.wait()
        except asyncio.CancelledError as error:
            self._failure = self._failure or error
        except Exception as error:  # whatever ends the session is told to its callers
            self._failure = _root(error)
        finally:
            self.alive = False
            self._closing.set()
            ready.set()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with contextlib.AsyncExitStack() as stack:
            transport: Any
            if self._kind == "stdio":
                self._stdio = StdioServer(self.config)
                transport = self._stdio.connect()
                watch = asyncio.create_task(self._watch_end(self._stdio))
                stack.callback(watch.cancel)
            elif self._kind == "sse":
                transport = sse_client(
                    self.config.url,
                    dict(self.config.headers),
                    timeout=_HTTP_TIMEOUT,
                    sse_read_timeout=self.config.sse_read_timeout,
                    httpx_client_factory=self._http,
                )
            else:
                http = await stack.enter_async_context(self._http(dict(self.config.headers)))
                transport = streamable_http_client(
                    self.config.url, http_client=http, max_sse_event_size=MAX_LINE_BYTES
                )
            client = Client(
                transport,
                mode=self._mode,
                cache=None,
                logging_callback=self._on_log,
                log_level="info",
                client_info=Implementation(name="qwenbelt", version=version("qwenbelt")),
            )
            yield await stack.enter_async_context(client)

    def _http(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        async def note(response: httpx2.Response) -> None:
            self._status = response.status_code

        limits = timeout or httpx2.Timeout(_HTTP_TIMEOUT, read=self.config.sse_read_timeout)
        return httpx2.AsyncClient(
            headers=headers,
            timeout=limits,
            auth=auth,
            trust_env=not self.config.is_local,  # a proxy cannot reach our own loopback
            event_hooks={"response": [note]},
        )

    async def _watch_end(self, server: StdioServer) -> None:
        await server.ended.wait()
        self.alive = False
        self._closing.set()

    async def _on_log(self, params: LoggingMessageNotificationParams) -> None:
        data = params.data
        text = data if isinstance(data, str) else str(data)
        for report in list(self._reports):
            report(one_line(text))

    async def request(
        self,
        start: Callable[[Client], Awaitable[T]],
        what: str,
        report: Report | None = None,
    ) -> T:
        """Makes one request within the call's time limit.

        Raises:
            SessionLost: the server does not know the session any more; nothing has run.
            ToolTimeout: no answer in time; the server was told to stop.
            ToolError: the server refused, failed or ended.
        """
        client = self._client
        if client is None or not self.alive:
            raise SessionLost
        if self._checks:
            await asyncio.shield(asyncio.wrap_future(_checker(os.getpid())))
        if report is not None:
            self._reports.add(report)
        try:
            return await self._limited(start(client), what)
        except MCPError as error:
            raise await self._call_error(error, what) from error
        except QwenbeltError:
            raise
        # the SDK raises pydantic, runtime and HTTP errors for bad replies
        except Exception as error:
            raise ToolError(f"{what} failed: {one_line(_root(error))}") from error
        finally:
            if report is not None:
                self._reports.discard(report)

    async def _limited(self, work: Awaitable[T], what: str) -> T:
        # a cancelled request may wait for a stuck pipe, so it is left behind, not waited for
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=self.config.call_timeout)
        finally:
            if not task.done():
                task.cancel()
                self._leftover.add(task)
                task.add_done_callback(self._forget)
        if not task.done():
            raise ToolTimeout(f"{what} gave no answer within {self.config.call_timeout:g} s.")
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._leftover.discard(task)
        if not task.cancelled():
            task.exception()

    async def _call_error(self, error: MCPError, what: str) -> Exception:
        if error.code == INVALID_REQUEST and self._status == 404:
            self.close_soon()
            return SessionLost()
        if error.code == REQUEST_TIMEOUT:
            return ToolTimeout(f"{what} gave no answer in time.")
        if error.code == CONNECTION_CLOSED or not self.alive:
            await self._wait_for_end()
            return ToolError(f"{what} was cut off: {self._ending()}.")
        return ToolError(f"{what} failed: {one_line(error.message, 2000)}")

    async def _wait_for_end(self) -> None:
        if self._task is not None and self._closing.is_set():
            await asyncio.wait({self._task}, timeout=2)

    def _ending(self) -> str:
        if self._stdio is not None:
            return f"{self._stdio.ending()}. The next call starts it again"
        if self._failure is not None and not isinstance(self._failure, asyncio.CancelledError):
            return one_line(self._failure)
        return "the connection was closed"

    def _start_error(self, error: BaseException | None) -> ConfigError:
        where = f"MCP server {self.config.name}"
        if isinstance(error, ConfigError):
            return ConfigError(f"{where}: {error.message}", fix=error.fix)
        if error is None:
            words = f" Its last words: {said}" if (said := self._last_words()) else ""
            limit = f"{self.config.start_timeout:g}"
            return ConfigError(
                f"{where} did not answer within {limit} s of being started.{words}",
                fix=f"Run {self.config.place} by hand to see why, or raise start_timeout.",
            )
        if self._stdio is not None:
            return ConfigError(f"{where} did not start: {self._stdio.ending()}.")
        return ConfigError(f"{where} at {self.config.place}: {self._http_reason(error)}.")

    def _last_words(self) -> str:
        return self._stdio.last_words() if self._stdio is not None else ""

    def _http_reason(self, error: BaseException) -> str:
        if self._status in (401, 403):
            return f"it refused us (HTTP {self._status}); check its headers"
        if self._status >= 400:
            return f"it answered HTTP {self._status}"
        if isinstance(error, httpx2.TransportError):
            return f"no connection ({one_line(error) or type(error).__name__})"
        return one_line(error) or type(error).__name__

    @property
    def refused_http(self) -> bool:
        """Whether the server answered as one that does not speak streamable HTTP."""
        return self._status in (400, 404, 405, 406)

    @property
    def died_at_start(self) -> bool:
        """Whether the server ended by itself while the session was being opened."""
        return self._stdio is not None and self._stdio.ended.is_set() and not self._stdio.fault

    def close_soon(self) -> None:
        """Starts closing; returns at once."""
        self.alive = False
        self._closing.set()

    async def close(self) -> None:
        """Closes the session and ends the server if it is our child; at most 5 s."""
        self.close_soon()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=5)


async def _list_offer(client: Client) -> Offer:
    capabilities = client.server_capabilities
    info = client.server_info
    offer = Offer(
        name=info.name if info else "",
        version=info.version if info else "",
        protocol=client.protocol_version,
        instructions=client.instructions or "",
        prompts=capabilities.prompts,
    )
    if capabilities.tools is not None:
        offer.tools = await pages(client.list_tools, "tools")
    if capabilities.resources is not None:
        offer.resources, offer.templates = await list_resources(client)
    return offer


async def list_resources(client: Client) -> tuple[list[Resource], list[ResourceTemplate]]:
    """Returns a server's resources and templates, none where it refuses to list them."""
    resources: list[Resource] = []
    templates: list[ResourceTemplate] = []
    with contextlib.suppress(MCPError):
        resources = await pages(client.list_resources, "resources")
    with contextlib.suppress(MCPError):
        templates = await pages(client.list_resource_templates, "resource_templates")
    return resources, templates


async def pages(fetch: Callable[..., Awaitable[Any]], attribute: str) -> list[Any]:
    """Returns all entries of a listing, page after page."""
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await fetch(cursor=cursor)
        found += getattr(page, attribute)
        cursor = page.next_cursor
        if not cursor:
            break
    return found


@functools.cache
def _checker(process: int) -> concurrent.futures.Future[None]:
    """Imports what the SDK checks structured content with; done when the future is.

    The SDK would import it in the middle of a call, on the loop that all servers share. Where
    jsonschema's formats are installed (Jupyter brings them) that takes seconds. A forked copy of
    this process has no such thread, so each `process` has a future of its own.
    """
    loaded: concurrent.futures.Future[None] = concurrent.futures.Future()

    def load() -> None:
        try:
            importlib.import_module("jsonschema.validators")
        finally:
            loaded.set_result(None)

    threading.Thread(target=load, name="qwenbelt-mcp-import", daemon=True).start()
    return loaded


def _root(error: BaseException) -> BaseException:
    """Returns the first error inside the groups that anyio wraps around it."""
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]  # type: ignore[attr-defined]
    return error
