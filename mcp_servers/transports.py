"""Serving over streamable HTTP, by the SDK."""

from __future__ import annotations

import contextlib
import hmac
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mcp.server.lowlevel import Server

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.urls import host_of_header, is_loopback
from qwenbelt.mcp_servers.options import HttpOptions

MAX_BODY_BYTES = 16 * 1024 * 1024
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - recognised here, not bound

App = Callable[[Any, Any, Any], Awaitable[None]]


class Doorman:
    """Lets requests through that come under our names, from our pages, and with the token.

    Without it a web page could reach a server on loopback by a name that it points there (DNS
    rebinding).
    """

    def __init__(self, app: App, options: HttpOptions) -> None:
        self._app = app
        self._token = options.token
        self._hosts = {options.host, *options.names} - set(_EVERYWHERE)
        # a guessing web page does not know the token
        self._any_host = options.host in _EVERYWHERE and not options.names

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answers or passes on one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(headers)
        if refusal is None:
            return await self._app(scope, receive, send)
        status, text = refusal
        extra = [(b"www-authenticate", b"Bearer")] if status == 401 else []
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": [(b"content-type", b"text/plain"), *extra]})
        await send({"type": "http.response.body", "body": text.encode()})

    def _is_ours(self, host: str) -> bool:
        name = host_of_header(host)
        return name in self._hosts or is_loopback(name)

    def _refusal(self, headers: dict[str, str]) -> tuple[int, str] | None:
        if not self._any_host and not self._is_ours(headers.get("host", "")):
            return 421, "Invalid Host header"
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin.partition("://")[2]):
            return 403, "Invalid Origin header"
        if self._token is None:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(given.encode("latin-1"), self._token.encode("utf-8"))
        return None if kind.lower() == "bearer" and known else (401, "A bearer token is needed")


def http_app(server: Server[Any], options: HttpOptions) -> App:
    """Returns the ASGI application that serves at `/mcp`.

    Raises:
        ConfigError: the options are not safe.
    """
    options.checked()
    app = server.streamable_http_app(host=options.host, max_request_body_size=MAX_BODY_BYTES)
    return Doorman(app, options)


def serve_http(server: Server[Any], options: HttpOptions) -> None:
    """Serves any number of clients over streamable HTTP, until interrupted.

    The address is printed as one line on standard error.

    Raises:
        ConfigError: the options are not safe, or the port is taken.
    """
    import socket

    import uvicorn

    app = http_app(server, options)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{options.host}:{options.port} cannot be used ({reason}).") from error
    listener.listen()
    shown = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{shown}:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
