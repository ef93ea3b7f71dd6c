"""What the servers of an MCP configuration look like from a client."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwenbelt.core.errors import QwenbeltError, one_line

if TYPE_CHECKING:
    from mcp import Client

    from qwenbelt.tools.mcp.servers import McpServers
    from qwenbelt.tools.mcp.session import Offer

_POLL_SECONDS = 0.02


@dataclass
class ServerView:
    """One server.

    Attributes:
        error: why it did not start, or "".
        seconds: how long it took to start and list its tools.
        server: how it names itself; `title` is for people, `icon` whether it brings one.
        tools: each with its cost in tokens.
        resources: how many it lists; `templates` of them take arguments.
        prompts: their names.
        instructions: how many characters they have.
        tokens: what its tools cost in each request, roughly.
        findings: what is wrong with its tools, one line each.
        called: the tool that was tried, or None.
        call_error: what it answered if it failed, or "".
    """

    name: str
    error: str = ""
    seconds: float = 0.0
    server: str = ""
    title: str = ""
    icon: bool = False
    protocol: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    resources: int = 0
    templates: int = 0
    prompts: list[str] = field(default_factory=list)
    instructions: int = 0
    tokens: int = 0
    findings: list[str] = field(default_factory=list)
    called: str | None = None
    call_seconds: float = 0.0
    call_error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it started, and the tool that was tried answered."""
        return not self.error and not self.call_error

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return {"ok": self.ok, **dataclasses.asdict(self)}


def look_at_servers(config: Mapping[str, Any] | str, *, try_one: bool) -> Iterator[ServerView]:
    """Starts all servers side by side and yields each as soon as it is known.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    from qwenbelt.tools.mcp.servers import McpServers

    with McpServers(config) as servers:
        waiting = set(servers.connections)
        while waiting:
            offers, failures = servers.ready(), servers.failures()
            for name in sorted(waiting & (set(offers) | set(failures))):
                waiting.discard(name)
                if name in failures:
                    yield ServerView(name, error=str(failures[name]))
                else:
                    yield _viewed(servers, name, offers[name], try_one)
            time.sleep(_POLL_SECONDS)


def _viewed(servers: McpServers, name: str, offer: Offer, try_one: bool) -> ServerView:
    from qwenbelt.apps.mcp_findings import tokens_of, tool_findings
    from qwenbelt.tools.mcp.icons import own_icon

    view = ServerView(
        name,
        seconds=servers.seconds.get(name, 0.0),
        server=f"{offer.name} {offer.version}".strip(),
        title=offer.title,
        icon=bool(offer.icon),
        protocol=offer.protocol,
        resources=len(offer.resources),
        templates=len(offer.templates),
        instructions=len(offer.instructions),
    )
    try:
        chosen = servers.chosen_tools(servers.connections[name].config, offer)
    except QwenbeltError as error:
        view.error = str(error)
        return view
    view.tools = [
        {
            "name": tool.name,
            "title": one_line(tool.title or "", 60),
            "icon": bool(own_icon(tool.icons)[0]),
            "description": one_line(tool.description or tool.title or "", 90),
            "parameters": tool.input_schema,
            "read_only": bool(tool.annotations and tool.annotations.read_only_hint),
            "tokens": tokens_of(tool),
        }
        for tool in chosen
    ]
    view.tokens = sum(tool["tokens"] for tool in view.tools)
    view.findings = [*map(one_line, offer.notes), *tool_findings(name, chosen)]
    with contextlib.suppress(QwenbeltError):  # a server that offers prompts and lists none
        view.prompts = [prompt.name for prompt in servers.prompts(name)]
    if try_one:
        _try(servers, view)
    return view


def _try(servers: McpServers, view: ServerView) -> None:
    """Calls a tool that only reads and needs no arguments; else asks for the tools again."""
    tool = next(
        (t for t in view.tools if t["read_only"] and not t["parameters"].get("required")), None
    )
    if tool is None:
        return
    view.called = tool["name"]
    connection = servers.connections[view.name]

    async def call(client: Client) -> str:
        result = await client.call_tool(str(view.called), {})
        texts = [block.text for block in result.content if block.type == "text"]
        return " ".join(texts) if result.is_error else ""

    started = time.monotonic()
    try:
        request = connection.request(call, f"{view.name}-{view.called}")
        view.call_error = one_line(connection.loop.submit(request).result(), 300)
    except QwenbeltError as error:
        view.call_error = str(error)
    view.call_seconds = time.monotonic() - started
