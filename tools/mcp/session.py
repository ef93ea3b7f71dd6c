"""One live session with a server: opened, used by many calls at once, and closed for good.

One task enters and leaves the SDK's contexts, since they are bound to the task that entered them;
calls are tasks of their own. All of it runs on the loop thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.extension import ClientExtension, advertise
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    REQUEST_TIMEOUT,
    ElicitResult,
    Implementation,
    LoggingMessageNotificationParams,
    PromptsCapability,
    Resource,
    ResourceTemplate,
    Tool,
)

from qwenbelt.core.errors import ConfigError, QwenbeltError, ToolError, ToolTimeout, one_line
from qwenbelt.core.language import user_language
from qwenbelt.core.urls import connection_options
from qwenbelt.tools.base import Elicit, Question
from qwenbelt.tools.mcp import apps, http
from qwenbelt.tools.mcp.changes import ChangeListener, FollowedResources
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.forms import asks_for_secrets, form_faults, form_values
from qwenbelt.tools.mcp.icons import own_icon
from qwenbelt.tools.mcp.leniency import Check, Mender, lenient_streams, output_check
from qwenbelt.tools.mcp.progress_gate import NO_JSON_RPC
from qwenbelt.tools.mcp.reply_cache import reply_cache
from qwenbelt.tools.mcp.stdio import MAX_LINE_BYTES, StdioServer
from qwenbelt.tools.mcp.tasks import HeldTask, TasksExtension

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.login.pages import LoginPage
    from qwenbelt.tools.mcp.login.provider import SharedLogin

T = TypeVar("T")
Report = Callable[..., None]
_MAX_PAGES = 100
_MOST_QUESTIONS = 3  # for values that do not fit
_HTTP_TIMEOUT = 30.0
logging.getLogger("mcp").addHandler(logging.NullHandler())  # else its tracebacks go to stderr


class SessionLost(Exception):
    """The server does not know the session, so the call has not run: a new one can be tried."""


@dataclass
class Offer:
    """What a server offers.

    Attributes:
        lasts: for how many seconds the server says that its lists are good, or None.
        notes: what was left out of it, and why.
    """

    tools: list[Tool] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    templates: list[ResourceTemplate] = field(default_factory=list)
    prompts: PromptsCapability | None = None
    name: str = ""
    version: str = ""
    protocol: str = ""
    instructions: str = ""
    title: str = ""
    icon: str = ""  # a `data:` address
    lasts: float | None = None
    notes: list[str] = field(default_factory=list)


class McpSession:
    """A session with one server.

    Attributes:
        offer: what the server listed, when the session was opened or at the last change.
        alive: whether calls can still be made.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        legacy: bool = False,
        kind: str = "",
        on_offer: Callable[[Offer], None] | None = None,
        page: LoginPage | None = None,
        anew: bool = False,
        followed: FollowedResources | None = None,
    ) -> None:
        self.config = config
        self.offer = Offer()
        self.alive = False
        self._on_offer = on_offer
        self._page = page
        self._anew = anew
        self._login: SharedLogin | None = None
        self._mender = Mender()
        self._output_checks: dict[str, Check] = {}
        self._calls = 0
        self._elicitors: list[Elicit | None] = []
        self._asking = 0  # questions that a person thinks about; calls wait for them
        self._changed = False
        self.changes = ChangeListener(followed or FollowedResources(), self._list_again)
        self._relisting: asyncio.Task[None] | None = None
        self._kind = kind or config.kind
        self._mode = "legacy" if legacy or config.protocol else "auto"
        self._closing = asyncio.Event()
        self._stdio: StdioServer | None = None
        self._client: Client | None = None
        self._failure: BaseException | None = None
        self._http_client: http.WatchedClient | None = None
        self._reports: set[Report] = set()
        self._leftover: set[asyncio.Task[Any]] = set()
        self._task: asyncio.Task[None] | None = None
        self.tasks = TasksExtension(self._on_elicit, min(config.call_timeout, _HTTP_TIMEOUT))

    async def open(self) -> None:
        """Connects and lists what the server offers.

        Raises:
            ConfigError: it does not start, or does not answer as an MCP server should.
        """
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._own(ready))
        try:
            with anyio.fail_after(self.config.start_timeout):
                await ready.wait()
        except TimeoutError:
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
                self._take_offer(await _list_offer(client))
                self.alive = True
                ready.set()
                listening = asyncio.create_task(self.changes.run(client))
                try:
                    await self._closing.wait()
                finally:
                    listening.cancel()
        except asyncio.CancelledError as error:
            self._failure = self._failure or error
        except Exception as error:  # whatever ends the session is reported to its callers
            self._failure = _root_error(error)
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
                lenient_streams(transport, self._mender),
                mode=self._mode,
                cache=reply_cache(self.config.name),
                logging_callback=self._on_log,
                message_handler=self.changes.notice,
                elicitation_callback=self._on_elicit,
                log_level="info",
                client_info=Implementation(name="qwenbelt", version=version("qwenbelt")),
                extensions=[self.tasks, *_apps_extension(self.config.apps)],
            )
            yield await stack.enter_async_context(client)

    def _http(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        limits = timeout or httpx2.Timeout(_HTTP_TIMEOUT, read=self.config.sse_read_timeout)
        if self._login is None:
            from qwenbelt.tools.mcp.login.provider import login_for  # not for our children

            self._login = login_for(self.config, self._login_page, anew=self._anew)
        self._http_client = http.WatchedClient(
            login=self._login,
            posts_are_acknowledged=self._kind == "sse",
            headers=headers,
            timeout=limits,
            auth=auth,
            **connection_options(self.config.url),
        )
        return self._http_client

    @property
    def _status(self) -> int:
        return self._http_client.status if self._http_client is not None else 0

    # -- changes ------------------------------------------------------------------------------

    def _take_offer(self, offer: Offer) -> None:
        offer.notes, offer.lasts = list(self._mender.notes), self._mender.lasting()
        for tool in offer.tools:
            tool.output_schema = self._mender.output_schemas.get(tool.name)
        self.offer = offer
        if self._on_offer is not None:
            self._on_offer(offer)

    def _list_again(self) -> None:
        self._changed = True
        if self._relisting is None or self._relisting.done():
            self._relisting = asyncio.create_task(self._relist())

    async def _relist(self) -> None:
        while self._changed and self.alive and self._client is not None:
            self._changed = False
            with contextlib.suppress(Exception):  # the old list stays; the next call reports why
                self._mender.notes.clear()
                with anyio.fail_after(self.config.start_timeout):
                    offer = await _list_offer(self._client, anew=True)
                self._take_offer(offer)

    async def _on_elicit(self, context: Any, params: Any) -> ElicitResult:
        """Answers what the server asks of the person; declined where there is no one to ask."""
        attempt = http.current.get()
        elicit = attempt.elicit if attempt is not None else None
        if elicit is None:  # the older form does not say which call it belongs to
            elicit = next((one for one in reversed(self._elicitors) if one is not None), None)
        if elicit is None:
            return ElicitResult(action="decline")
        schema = getattr(params, "requested_schema", None) or {}
        url = str(getattr(params, "url", "") or "")
        mode = "url" if url else "form"
        if mode == "form" and asks_for_secrets(schema):
            return ElicitResult(action="decline")
        message = params.message
        for _ in range(_MOST_QUESTIONS):
            question = Question(self.config.name, message, schema, mode, url)
            self._asking += 1
            try:
                values = await asyncio.wrap_future(elicit(question))
            finally:
                self._asking -= 1
            if values is None:
                break
            if mode == "url":
                return ElicitResult(action="accept")
            found = form_values(values, schema)
            faults = form_faults(found, schema, user_language())
            if not faults:
                return ElicitResult(action="accept", content=found)
            wrong = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
            message = f"{params.message} ({wrong})"
        return ElicitResult(action="decline")

    def _login_page(self) -> LoginPage | None:
        """Returns where to ask a person to log in: given from the start, or the call's own."""
        attempt = http.current.get()
        if self._page is not None or attempt is None or attempt.elicit is None:
            return self._page
        from qwenbelt.tools.mcp.login.pages import AskedPage

        return AskedPage(self.config.name, attempt.elicit)

    async def settled(self, seconds: float) -> None:
        """Waits until announced changes are known, at most so long."""
        if self._relisting is not None and not self._relisting.done():
            await asyncio.wait({self._relisting}, timeout=seconds)

    async def output_fault(self, tool: str, value: Any) -> str:
        """Returns how a structured result differs from the tool's schema, "" if it fits."""
        schema = self._mender.output_schemas.get(tool)
        if schema is None:
            return ""
        if value is None:
            return "it has an output schema, and gave no structured result"
        if tool not in self._output_checks:
            self._output_checks[tool] = await asyncio.to_thread(output_check, schema)
        return await asyncio.to_thread(self._output_checks[tool], value)

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
        elicit: Elicit | None = None,
        held: HeldTask | None = None,
    ) -> T:
        """Makes one request within the call's time limit.

        Raises:
            SessionLost: the server no longer knows the session; nothing has run.
            ToolTimeout: no answer in time; the server was asked to stop.
            ToolError: the server refused, failed or ended.
        """
        client = self._client
        if client is None or not self.alive:
            raise SessionLost
        attempt = http.Attempt(elicit=elicit, held=held)
        self._elicitors.append(elicit)
        if report is not None:
            self._reports.add(report)
        self._calls += 1
        try:
            return await self._limited(_in_context(start, client, attempt), what, attempt)
        except MCPError as error:
            raise await self._call_error(error, what, attempt) from error
        except (QwenbeltError, SessionLost):
            raise
        # the SDK raises pydantic, runtime and HTTP errors for bad replies
        except Exception as error:
            raise ToolError(f"{what} failed: {one_line(_root_error(error))}") from error
        finally:
            self._calls -= 1
            self._elicitors.remove(elicit)
            if report is not None:
                self._reports.discard(report)
            if not self.alive:
                self._retire()

    async def _limited(self, work: Coroutine[Any, Any, T], what: str, attempt: http.Attempt) -> T:
        # a cancelled request may wait for a stuck pipe, so it is left behind, not waited for
        task = asyncio.create_task(work)
        ended = asyncio.create_task(attempt.ended.wait())
        try:
            while True:
                done, _ = await asyncio.wait(
                    {task, ended},
                    timeout=self.config.call_timeout,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                alive = attempt.held is not None and attempt.held.heard.is_set()
                if done or not (alive or self._asking or (self._login and self._login.asking)):
                    break
                if attempt.held is not None:
                    attempt.held.heard.clear()  # a task has its own limit, while it is heard of
        finally:
            ended.cancel()
            if not task.done():
                task.cancel()
                self._leftover.add(task)
                task.add_done_callback(self._forget)
        if attempt.ended.is_set():
            raise self._http_error(what, attempt)
        if not task.done():
            raise ToolTimeout(f"{what} gave no answer within {self.config.call_timeout:g} s.")
        return task.result()

    def _http_error(self, what: str, attempt: http.Attempt) -> Exception:
        """Returns the error of a request whose reply will not come; its session is abandoned."""
        self._retire()
        said = one_line(attempt.words, 300)
        if attempt.fault is not None:
            from qwenbelt.tools.mcp.login.provider import login_fault

            return ToolError(f"{what} failed: {login_fault(attempt.fault)}")
        if attempt.lost:
            return SessionLost(said)
        if attempt.status:
            return ToolError(f"{what} failed: HTTP {attempt.status} {said}".rstrip())
        return ToolError(f"{what} was cut off: {said}. It may have run; the next call reconnects.")

    def _retire(self) -> None:
        """Takes no more calls, and closes once those that run have ended."""
        self.alive = False
        if not self._calls:
            self._closing.set()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._leftover.discard(task)
        if not task.cancelled():
            task.exception()

    async def _call_error(self, error: MCPError, what: str, attempt: http.Attempt) -> Exception:
        if attempt.ended.is_set():
            return self._http_error(what, attempt)
        if self._stdio is None and error.code not in (INVALID_PARAMS, INTERNAL_ERROR):
            never_sent = error.code == CONNECTION_CLOSED and not attempt.sent
            if never_sent or http.says_session_lost(error.message):
                self._retire()
                return SessionLost(one_line(error.message, 300))
        if error.code == CONNECTION_CLOSED or (self._stdio is not None and not self.alive):
            if self._stdio is None:
                self._retire()
            await self._wait_for_end()
            return ToolError(f"{what} was cut off: {self._ending()}.")
        if attempt.status >= 400:
            return self._http_error(what, attempt)
        if error.message.startswith(("Failed to parse JSON", "Failed to parse SSE")):  # the SDK's
            return ToolError(f"{what} failed: {NO_JSON_RPC}")
        if error.code == REQUEST_TIMEOUT:
            return ToolTimeout(f"{what} gave no answer in time.")
        return ToolError(f"{what} failed: {one_line(error.message, 2000)}")

    async def _wait_for_end(self) -> None:
        if self._task is not None and self._closing.is_set():
            await asyncio.wait({self._task}, timeout=2)

    def _ending(self) -> str:
        if self._stdio is not None:
            return f"{self._stdio.ending()}. The next call starts it again"
        if self._failure is not None and not isinstance(self._failure, asyncio.CancelledError):
            return one_line(self._failure)
        return "the connection was closed; the next call reconnects"

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
        fault = self._http_client.fault if self._http_client is not None else None
        if fault is not None and self._status < 400:
            from qwenbelt.tools.mcp.login.provider import login_error

            return login_error(where, fault)
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

    @property
    def ended(self) -> bool:
        """Whether it was opened and is closed for good."""
        return self._task is not None and self._task.done()

    def close_soon(self) -> None:
        """Starts closing; returns at once."""
        self.alive = False
        self._closing.set()

    async def close(self) -> None:
        """Closes the session and ends the server if it is our child; at most 5 s."""
        self.close_soon()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=5)


async def _list_offer(client: Client, *, anew: bool = False) -> Offer:
    capabilities = client.server_capabilities
    info = client.server_info
    offer = Offer(
        name=info.name if info else "",
        version=info.version if info else "",
        title=info.title or "" if info else "",
        icon=own_icon(info.icons)[0] if info else "",
        protocol=client.protocol_version,
        instructions=client.instructions or "",
        prompts=capabilities.prompts,
    )
    if capabilities.tools is not None:
        offer.tools = await all_entries(client.list_tools, "tools", anew=anew)
    if capabilities.resources is not None:
        offer.resources, offer.templates = await list_resources(client, anew=anew)
    return offer


async def list_resources(
    client: Client, *, anew: bool = False
) -> tuple[list[Resource], list[ResourceTemplate]]:
    """Returns a server's resources and templates, none where it refuses to list them."""
    resources: list[Resource] = []
    templates: list[ResourceTemplate] = []
    with contextlib.suppress(MCPError):
        resources = await all_entries(client.list_resources, "resources", anew=anew)
    with contextlib.suppress(MCPError):
        templates = await all_entries(
            client.list_resource_templates, "resource_templates", anew=anew
        )
    return resources, templates


async def all_entries(
    fetch: Callable[..., Awaitable[Any]], attribute: str, *, anew: bool = False
) -> list[Any]:
    """Returns all entries of a listing, page after page.

    Args:
        fetch: lists one page.
        attribute: of a page, with its entries.
        anew: whether the server is asked although its last reply may still be good.
    """
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await fetch(cursor=cursor, cache_mode="refresh" if anew else "use")
        found += getattr(page, attribute)
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _apps_extension(shown: bool) -> list[ClientExtension]:
    return [advertise(apps.EXTENSION, {"mimeTypes": [apps.MIME_TYPE]})] if shown else []


async def _in_context(
    start: Callable[[Client], Awaitable[T]], client: Client, attempt: http.Attempt
) -> T:
    http.current.set(attempt)
    return await start(client)


def _root_error(error: BaseException) -> BaseException:
    """Returns the first error inside the groups that anyio wraps around it."""
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]  # type: ignore[attr-defined]
    return error
