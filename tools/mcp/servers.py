"""All servers of a configuration, started side by side."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import re
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from mcp_types import GetPromptResult, Prompt
from mcp_types import Tool as Declaration

from qwenbelt.core.closing import Closing
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.terminal import terminal_text
from qwenbelt.tools.mcp.apps import is_for_apps_only
from qwenbelt.tools.mcp.config import ServerConfig, read_config
from qwenbelt.tools.mcp.connection import ServerConnection
from qwenbelt.tools.mcp.kept_offers import kept_offer
from qwenbelt.tools.mcp.session import Offer, all_entries

INSTRUCTIONS_LENGTH = 2000  # characters that a server may say about itself to the model
_LEFT_OUT = "\n[…]\n"
_MARKS = re.compile(r"</?\s*server_words[^>]*>?", re.IGNORECASE)
RESOURCE_TOOLS = ("list_resources", "read_resource")
log = logging.getLogger("qwenbelt.mcp")


class McpServers(Closing):
    """The servers of a configuration; they start when this is made, none waits for another.

    Args:
        config: `{"mcpServers": {...}}`, or the path of a JSON file with it.
        lazy: whether a server whose offer is known from before only starts at its first call. An
            offer that is not known is asked for, and the server ended again; one that may be old
            is used, and refreshed in the background.

    Attributes:
        connections: by the servers' names.
        seconds: how long each server that answered took to start.

    Raises:
        ConfigError: the configuration is wrong.
    """

    def __init__(
        self, config: Mapping[str, Any] | str | os.PathLike[str], *, lazy: bool = False
    ) -> None:
        self.connections = {
            c.name: ServerConnection(c, keeps_offer=lazy) for c in read_config(config)
        }
        self.seconds: dict[str, float] = {}
        self._offers: dict[str, concurrent.futures.Future[Offer]] = {}
        for name, connection in self.connections.items():
            self._offers[name] = _known(connection) if lazy else self._asked(name, connection)

    def _asked(self, name: str, connection: ServerConnection) -> concurrent.futures.Future[Offer]:
        future = connection.loop.submit(connection.offer())
        future.add_done_callback(_timer(name, self.seconds))
        return future

    def ready(self, timeout: float | None = 0) -> dict[str, Offer]:
        """Returns what the servers offer that have answered so far.

        Args:
            timeout: seconds to wait for the others; None waits until each has answered or failed,
                which their `start_timeout` bounds.
        """
        concurrent.futures.wait(self._offers.values(), timeout)
        done = {n: f for n, f in self._offers.items() if f.done() and not f.cancelled()}
        return {name: f.result() for name, f in done.items() if f.exception() is None}

    def failures(self) -> dict[str, ConfigError]:
        """Returns why servers failed to start, by their names, as far as known now."""
        found: dict[str, ConfigError] = {}
        for name, future in self._offers.items():
            if future.done() and not future.cancelled() and (error := future.exception()):
                known = isinstance(error, ConfigError)
                found[name] = error if known else ConfigError(f"MCP server {name}: {error}")  # type: ignore[assignment]
        return found

    def chosen_tools(self, config: ServerConfig, offer: Offer) -> list[Declaration]:
        """Returns the offered tools that the configuration allows.

        Raises:
            ConfigError: the configuration names a tool that the server does not have.
        """
        listed = [tool.name for tool in offer.tools]
        missing = [n for n in config.tools or () if n not in listed and n not in RESOURCE_TOOLS]
        if missing:
            raise ConfigError(
                f"mcpServers.{config.name}.tools names {missing[0]!r}, which it does not have.",
                fix=f"It has: {', '.join(listed) or 'none'}.",
            )
        return allowed_tools(config, offer)

    def prompts(self, name: str) -> list[Prompt]:
        """Returns the prompts of a server; for people to choose from, so they are no tools."""
        connection = self.connections[name]

        async def ask() -> list[Prompt]:
            if (await connection.offer()).prompts is None:
                return []
            return await connection.request(
                lambda client: all_entries(client.list_prompts, "prompts"), f"{name} prompts/list"
            )

        return connection.loop.submit(ask()).result()

    def prompt(self, name: str, prompt: str, arguments: dict[str, str]) -> GetPromptResult:
        """Returns the messages of a prompt."""
        connection = self.connections[name]
        request = connection.request(
            lambda client: client.get_prompt(prompt, arguments), f"{name} prompt {prompt}"
        )
        return connection.loop.submit(request).result()

    def close(self) -> None:
        """Ends all servers; at most 5 s."""
        closing = [c.loop.submit(c.close()) for c in self.connections.values()]
        concurrent.futures.wait(closing, 6)


def _known(connection: ServerConnection) -> concurrent.futures.Future[Offer]:
    """Returns the offer of a server that is not to be started for it, if that can be."""
    kept = kept_offer(connection.config)
    if kept is None:
        return connection.loop.submit(_listed(connection.config))
    if not kept.fresh:
        this = weakref.ref(connection)

        def take(future: concurrent.futures.Future[Offer]) -> None:
            lasting = this()
            if lasting is None or lasting.starts or future.cancelled():
                return
            if (error := future.exception()) is not None:
                log.info("MCP server %s: %s", lasting.config.name, error)  # its call reports why
            else:
                lasting.latest = future.result()

        connection.loop.submit(_listed(connection.config)).add_done_callback(take)
    known: concurrent.futures.Future[Offer] = concurrent.futures.Future()
    known.set_result(kept.offer)
    return known


async def _listed(config: ServerConfig) -> Offer:
    """Starts a server, asks what it offers, and lets it end."""
    return await ServerConnection(config, keeps_offer=True).offer()


def allowed_tools(config: ServerConfig, offer: Offer) -> list[Declaration]:
    """Returns the offered tools that the configuration allows, in its order if it names them."""
    offered = (tool for tool in offer.tools if not is_for_apps_only(tool))
    known = {tool.name: tool for tool in offered if tool.name not in config.exclude_tools}
    names = known if config.tools is None else config.tools
    return [known[name] for name in names if name in known]


def instructions_of(config: ServerConfig, offer: Offer) -> str:
    """Returns what a server says about itself for the model: bounded, and unable to end its mark.

    It is a stranger's text: shortened in the middle, without characters that nobody sees.
    """
    if not config.instructions:
        return ""
    text = _MARKS.sub("", terminal_text(offer.instructions)).strip()
    if len(text) <= INSTRUCTIONS_LENGTH:
        return text
    cut = INSTRUCTIONS_LENGTH - len(_LEFT_OUT)
    return text[: cut * 3 // 4].rstrip() + _LEFT_OUT + text[-(cut // 4) :].lstrip()


def _timer(
    name: str, seconds: dict[str, float]
) -> Callable[[concurrent.futures.Future[Offer]], None]:
    started = time.monotonic()

    def done(future: concurrent.futures.Future[Offer]) -> None:
        if not future.cancelled() and future.exception() is None:
            seconds[name] = time.monotonic() - started

    return done
