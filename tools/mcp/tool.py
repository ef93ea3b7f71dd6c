"""A server's tools as `Tool` objects for any agent."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import hashlib
import json
import os
import re
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Set
from typing import Any

from mcp import Client
from mcp_types import Tool as Declaration
from qwen_agent.llm.schema import ContentItem

from qwenbelt.core.errors import (
    ConfigError,
    QwenbeltError,
    ToolCancelled,
    ToolError,
    ToolRefused,
    ToolTimeout,
    one_line,
)
from qwenbelt.core.events import Item
from qwenbelt.core.limits import shorten_text
from qwenbelt.core.schemas import json_schema
from qwenbelt.core.terminal import terminal_text
from qwenbelt.tools.base import Elicit, Tool, ToolContext, ToolResult
from qwenbelt.tools.mcp.apps import app_of, keep_app, page_of
from qwenbelt.tools.mcp.config import Approve
from qwenbelt.tools.mcp.connection import ServerConnection
from qwenbelt.tools.mcp.icons import own_icon
from qwenbelt.tools.mcp.results import ResultReader, plain_text
from qwenbelt.tools.mcp.servers import (
    RESOURCE_TOOLS,
    McpServers,
    allowed_tools,
    instructions_of,
    log,
)
from qwenbelt.tools.mcp.session import Offer, Report, list_resources
from qwenbelt.tools.mcp.strings import say
from qwenbelt.tools.mcp.tasks import HeldTask, needs_task, note_path

_NAME_LENGTH = 64  # the longest function name that OpenAI-compatible endpoints accept
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_POLL_SECONDS = 0.05
_SETTLE_SECONDS = 2.0
_RECONNECTS = (0.5, 2.0, 5.0)  # seconds before a task that goes on elsewhere is asked for again


def mcp_tools(
    config: Mapping[str, Any] | str | os.PathLike[str], *, strict: bool = False, lazy: bool = False
) -> list[Tool]:
    """Starts the servers of a configuration side by side and returns all their tools.

    Each server has its `start_timeout`. One that fails is left out with a warning in the log
    "qwenbelt.mcp"; when all fail, that is an error. The servers end when none of their tools is
    referred to any more, and with this process.

    Args:
        config: `{"mcpServers": {...}}`, or the path of a JSON file with it.
        strict: whether one server's failure is an error too.
        lazy: whether a server only starts when one of its tools is called. What it offers is known
            from its last start; the first time it is started and ended again to be asked.

    Raises:
        ConfigError: the configuration is wrong, or servers do not start.
    """
    servers = McpServers(config, lazy=lazy)
    offers = servers.ready(None)
    failures = servers.failures()
    if failures and (strict or not offers):
        servers.close()
        first = next(iter(failures.values()))
        more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
        raise ConfigError(f"{first.message}{more}", fix=first.fix)
    for error in failures.values():
        log.warning("%s", error)
    return [tool for name, offer in offers.items() for tool in server_tools(servers, name, offer)]


def server_tools(servers: McpServers, name: str, offer: Offer) -> list[Tool]:
    """Returns the tools of one server that is ready.

    Raises:
        ConfigError: the configuration names a tool that the server does not have.
    """
    connection = servers.connections[name]
    for note in offer.notes:
        log.warning("MCP server %s: %s", name, note)
    servers.chosen_tools(connection.config, offer)  # refuses names that it does not have
    return list(ServerTools(connection, offer).current().values())


class ServerTools:
    """The tools of one server, as it offers them now.

    It holds them weakly, so that the server ends when its tools are no longer used.
    """

    def __init__(self, connection: ServerConnection, offer: Offer) -> None:
        self._connection = connection
        self._offer = offer
        self._makers: dict[str, tuple[Any, Callable[[], Tool]]] = {}
        self._tools: weakref.WeakValueDictionary[str, Tool] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._take(offer)
        self._first = frozenset(self._makers)
        # those of the first offer for good: the beginning of a prompt must not change
        self._instructions = instructions_of(connection.config, offer)

    def offered_at_first(self) -> Set[str]:
        """Returns the names that were offered when the tools were made."""
        return self._first

    def current(self) -> Mapping[str, Tool]:
        """Returns what is offered now, by name."""
        latest = self._connection.latest
        with self._lock:
            if latest is not None and latest is not self._offer:
                self._take(latest)
            found = {}
            for name, (_, make) in self._makers.items():
                found[name] = self._tools.get(name) or make()
                found[name].source = self
                self._tools[name] = found[name]
            return found

    def told(self, language: str) -> str:
        """Returns the server's instructions for the model, marked as its own words; "" for none."""
        name = self._connection.config.name
        said = self._instructions
        return said and say("instructions", language, server=name, text=said)

    async def settled(self) -> None:
        """Waits a moment for changes that the server has announced."""
        connection = self._connection
        await asyncio.wrap_future(connection.loop.submit(connection.settled(_SETTLE_SECONDS)))

    def _take(self, offer: Offer) -> None:
        connection, config = self._connection, self._connection.config
        makers: dict[str, tuple[Any, Callable[[], Tool]]] = {}
        for entry in allowed_tools(config, offer):
            name = tool_name(config.name, entry.name)
            makers[name] = (entry, functools.partial(McpTool, connection, entry))
        if offer.resources or offer.templates:
            taken = {entry.name for entry in offer.tools} | set(config.exclude_tools)
            for kind in (ListResources, ReadResource):
                chosen = config.tools is None or kind.action in config.tools
                if kind.action in taken or not chosen:
                    continue
                name = tool_name(config.name, kind.action)
                makers[name] = (offer.templates, functools.partial(kind, connection, offer))
        for name, (entry, _) in makers.items():
            if name in self._tools and self._makers[name][0] != entry:
                del self._tools[name]
        self._offer, self._makers = offer, makers


def tool_name(server: str, tool: str) -> str:
    """Returns `server-tool`, as qwen-agent builds it, changed only where endpoints refuse it."""
    name = f"{server}-{tool}"
    safe = _NOT_IN_NAMES.sub("_", name)
    if safe == name and len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{safe[: _NAME_LENGTH - 7]}_{digest}"


class _RemoteTools(Tool):
    """What all tools of a server share."""

    approve: Approve | None = None

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.timeout = connection.config.call_timeout
        self.approve = connection.config.approve
        super().__init__()

    @property
    def what(self) -> str:
        """The tool's name, for messages."""
        return str(self.name)

    def work(self, arguments: dict[str, Any], context: ToolContext) -> Coroutine[Any, Any, Any]:
        """Returns the coroutine that does the call on the loop thread."""
        raise NotImplementedError

    def call(self, params: str | dict[str, Any], **kwargs: Any) -> ToolResult:
        """Calls the server's tool and waits; ends early when the run no longer wants it."""
        context = kwargs.get("context") or ToolContext()
        future = self._submit(self.parse(params), context)
        while not concurrent.futures.wait([future], _POLL_SECONDS).done:
            if context.cancelled.is_set():
                future.cancel()
                raise ToolCancelled(f"{self.name} was cancelled.")
        return self._result(future.result(), shortened="context" not in kwargs)

    async def acall(self, arguments: Any, **kwargs: Any) -> ToolResult:
        """Calls the server's tool; cancelling this asks the server to stop."""
        context = kwargs.get("context") or ToolContext()
        items = await asyncio.wrap_future(self._submit(arguments, context))
        return self._result(items, shortened="context" not in kwargs)

    def _submit(
        self, arguments: dict[str, Any], context: ToolContext
    ) -> concurrent.futures.Future[list[Item]]:
        return self.connection.loop.submit(self._told(self.work(arguments, context)))

    async def _told(self, work: Coroutine[Any, Any, list[Item]]) -> list[Item]:
        try:
            return await work
        except ConfigError as error:
            # in the middle of a run the model is the one who hears of it
            raise ToolError(one_line(error)) from error

    @staticmethod
    def _result(items: list[Item], *, shortened: bool) -> ToolResult:
        """Returns the items; a run gets whole texts, and keeps what it shortens."""
        if shortened:
            items = [
                Item("text", shorten_text(i.value)[0]) if i.kind == "text" else i for i in items
            ]
        whole = plain_text(items)
        return whole if whole is not None else [ContentItem(**{i.kind: i.value}) for i in items]

    def _reader(self, context: ToolContext) -> ResultReader:
        return ResultReader(str(self.name), context.folder, context.language)


class McpTool(_RemoteTools):
    """One tool of a server; `parameters` is the server's own schema, whole.

    Attributes:
        title: what people may read beside the name, "" if the server gives none.
        icon: a `data:` address, or "".
    """

    def __init__(self, connection: ServerConnection, entry: Declaration) -> None:
        self.entry = entry
        self.name = tool_name(connection.config.name, entry.name)
        self.description = entry.description or entry.title or entry.name
        self.title = one_line(terminal_text(entry.title or _hinted_title(entry)), 80)
        self.icon = own_icon(entry.icons)[0]
        self.parameters = _whole_schema(entry.input_schema)
        hints = entry.annotations
        self.read_only = bool(hints and hints.read_only_hint)
        self.idempotent = self.read_only or bool(hints and hints.idempotent_hint)
        # without a hint of the server, the specification's defaults assume the worst
        self.destructive = not self.read_only and not (hints and hints.destructive_hint is False)
        self.open_world = not (hints and hints.open_world_hint is False)
        super().__init__(connection)

    def resources(self, arguments: Any) -> tuple[set[str], set[str]]:
        """Returns the server as read or written, as the tool's hints declare it; else nothing."""
        hints = self.entry.annotations
        if hints is None or hints.read_only_hint is None:
            return set(), set()
        server = {f"mcp:{self.connection.config.name}"}
        return (server, set()) if self.read_only else (set(), server)

    async def work(self, arguments: dict[str, Any], context: ToolContext) -> list[Item]:
        """Makes the call."""
        if self.approve == "never" and not self.read_only:
            raise ToolRefused(
                f"{self.name} is not read-only, and the configuration of its server says never."
            )
        report: Report = functools.partial(_report_progress, context)

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            report(message or "", min(max(progress / total, 0.0), 1.0) if total else None)

        held = self._held(arguments, context, report)

        async def start(client: Client) -> Any:
            session = await self.connection.session()
            if held.id:
                return await session.tasks.follow(client.session, held)
            if needs_task(self.entry, client.protocol_version):
                return await session.tasks.call(client.session, self.entry.name, arguments, held)
            return await client.call_tool(self.entry.name, arguments, progress_callback=on_progress)

        result = await self._settled(start, held, report, context.elicit)
        fault = await self.connection.output_fault(self.entry.name, result)
        if fault:
            log.warning("%s: %s. Its text is kept.", self.name, fault)
            report(say("unfit", context.language, fault=fault))
        await self._show_app(arguments, result, context)
        items = self._reader(context).tool_items(result)
        if result.is_error:
            said = " ".join(i.value for i in items if i.kind == "text")
            raise ToolError(one_line(said, 4000) or f"{self.name} failed.")
        return items

    async def _show_app(
        self, arguments: Mapping[str, Any], result: Any, context: ToolContext
    ) -> None:
        """Offers the tool's page to whoever shows the run; the result is whole without it."""
        uri = app_of(self.entry) if self.connection.config.apps else ""
        if not uri or context.show_app is None or context.folder is None or result.is_error:
            return
        try:
            html = await self.connection.request(lambda client: page_of(client, uri), self.what)
            if html:
                file = keep_app(context.folder, str(self.name), html, arguments, result)
                context.show_app(self.connection.config.name, file.name)
        except (QwenbeltError, OSError) as error:
            log.warning("%s: its page cannot be shown: %s", self.name, one_line(error))

    def _held(self, arguments: Mapping[str, Any], context: ToolContext, report: Report) -> HeldTask:
        """Returns what holds the task that the server may make of a call."""
        config = self.connection.config
        call = f"{context.kept_turn}/{context.call_id}" if context.kept_turn else ""
        server = f"{config.kind} {config.command} {list(config.args)} {config.url}"

        def rests(yes: bool) -> None:
            context.resting += 1 if yes else -1

        return HeldTask(
            config.task_timeout,
            report,
            rests,
            context.language,
            note_path(server, self.entry.name, arguments, call),
        )

    async def _settled(
        self,
        start: Callable[[Client], Any],
        held: HeldTask,
        report: Report,
        elicit: Elicit | None,
    ) -> Any:
        """Returns a call's result; a task is found again over reconnects, and by a later run."""
        held.recall()
        recalled = bool(held.id)

        for pause in (*_RECONNECTS, None):
            try:
                return await self.connection.request(start, self.what, report, elicit, held)
            except ToolTimeout:
                raise
            except (ToolError, ConfigError):
                if held.id and pause is not None:  # the connection is gone, not the task
                    await asyncio.sleep(pause)
                elif recalled and not held.id:
                    recalled = False  # of an earlier run, and over: it is called anew
                else:
                    raise
        raise ToolError(f"{self.what} failed: its task cannot be reached.")


def _report_progress(context: ToolContext, message: str, fraction: float | None = None) -> None:
    if not context.cancelled.is_set():
        context.report(message, fraction)


def _hinted_title(entry: Declaration) -> str:
    return (entry.annotations.title if entry.annotations else None) or ""


def _whole_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "$schema"}
    return json_schema({"type": "object", "properties": {}, "required": [], **rest})


class _ResourceTool(_RemoteTools):
    """A tool over a server's resources, named as qwen-agent names it."""

    action: str
    read_only = True
    idempotent = True
    open_world = True

    def __init__(self, connection: ServerConnection, offer: Offer) -> None:
        server = connection.config.name
        self.name = tool_name(server, self.action)
        self.description = say(self.action, "en", server=server)
        super().__init__(connection)


class ListResources(_ResourceTool):
    """Lists a server's resources."""

    action = RESOURCE_TOOLS[0]

    async def work(self, arguments: dict[str, Any], context: ToolContext) -> list[Item]:
        """Asks each time, since resources come and go."""
        found = await self.connection.request(_listed_tools, self.what)
        return [Item("text", json.dumps(found, ensure_ascii=False, indent=1))]


async def _listed_tools(client: Client) -> dict[str, Any]:
    resources, templates = await list_resources(client)
    keep = {"uri", "name", "title", "description", "mime_type", "size"}
    return {
        "resources": [r.model_dump(include=keep, exclude_none=True) for r in resources],
        "templates": [
            t.model_dump(include=keep | {"uri_template"}, exclude_none=True) for t in templates
        ],
    }


class ReadResource(_ResourceTool):
    """Reads one of a server's resources."""

    action = RESOURCE_TOOLS[1]

    def __init__(self, connection: ServerConnection, offer: Offer) -> None:
        super().__init__(connection, offer)
        if offer.templates:
            known = "; ".join(t.uri_template for t in offer.templates[:20])
            self.description += f" {one_line(known, 1000)}"
        self.parameters = {
            "type": "object",
            "properties": {"uri": {"type": "string", "description": say("uri", "en")}},
            "required": ["uri"],
        }

    async def work(self, arguments: dict[str, Any], context: ToolContext) -> list[Item]:
        """Reads the resource."""
        uri = arguments.get("uri")
        if not isinstance(uri, str) or not uri:
            raise ToolError("Give the uri of the resource.")
        read: Callable[[Client], Any] = lambda client: client.read_resource(uri)  # noqa: E731
        result = await self.connection.request(read, self.what)
        return self._reader(context).resource_items(result)
