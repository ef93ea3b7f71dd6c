"""Serving over streamable HTTP, by the SDK."""

from __future__ import annotations

import contextlib
import hmac
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.urls import host_of_header, is_loopback
from qwenbelt.mcp_servers.handlers import McpHandlers
from qwenbelt.mcp_servers.options import HttpOptions
from qwenbelt.mcp_servers.service import McpService
from qwenbelt.mcp_servers.users import UserServices
from qwenbelt.mcp_servers.workers import GRACE_SECONDS, serve_by_workers

_WAITING = 2048  # connections that nobody has taken yet
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
        self._hosts = options.known_names() - set(_EVERYWHERE)
        # a guessing web page does not know the token
        self._any_host = options.host in _EVERYWHERE and not self._hosts

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


def http_app(server: Server[Any], options: HttpOptions, gate: Callable[[App], App]) -> App:
    """Returns the ASGI application that serves at `/mcp`.

    Args:
        server: what is served.
        options: who may come.
        gate: puts the check of tokens before the server.
    """
    app = server.streamable_http_app(
        host=options.host,
        max_request_body_size=MAX_BODY_BYTES,
        # a session of the older protocols lives in one process
        stateless_http=options.workers > 1,
        # `Doorman` does it, and knows further names
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return Doorman(gate(app), options)


def serve_http(make: Callable[[str | None], McpService], options: HttpOptions) -> None:
    """Serves any number of clients over streamable HTTP, until interrupted.

    The address is printed as one line on standard error.

    Args:
        make: makes the service; with a name, that of the user whose folder has it.
        options: where and for whom.

    Raises:
        ConfigError: the options are not safe, the port is taken, or the issuer cannot be used.
    """
    options.checked()
    with _listener(options) as listener:
        _serve_on(listener, make, options)


def _serve_on(
    listener: socket.socket, make: Callable[[str | None], McpService], options: HttpOptions
) -> None:
    shown = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{shown}:{listener.getsockname()[1]}/mcp"
    issuer = options.issuer
    resource = (issuer.resource if issuer else "") or url
    verifier = None
    if issuer is not None:
        from qwenbelt.mcp_servers.tokens import token_verifier

        verifier = token_verifier(issuer, resource)

    def serve() -> None:
        import uvicorn

        with _opened(make, options, verifier, resource) as app:
            grace = GRACE_SECONDS if options.workers > 1 else 2
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=grace)
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])

    print(url, file=sys.stderr, flush=True)
    if options.workers > 1:
        serve_by_workers(options.workers, serve)
    else:
        serve()


@contextlib.contextmanager
def _opened(
    make: Callable[[str | None], McpService],
    options: HttpOptions,
    verifier: TokenVerifier | None,
    resource: str,
) -> Iterator[App]:
    """Gives the application over services that are open meanwhile."""
    from qwenbelt.mcp_servers.serving import build_server

    service = make(None)
    users = UserServices(make) if options.per_user else None
    issuer = options.issuer
    server = build_server(
        service, users.of if users is not None else None, issuer.write_scope if issuer else None
    )
    handlers = McpHandlers(service)

    def gate(app: App) -> App:
        if issuer is None or verifier is None:
            return app
        from qwenbelt.mcp_servers.resource import TokenGate

        return TokenGate(
            app,
            issuer,
            resource,
            verifier,
            handlers.changes,
            per_user=options.per_user,
            most=MAX_BODY_BYTES,
        )

    try:
        yield http_app(server, options, gate)
    finally:
        if users is not None:
            users.close()
        service.close()


def _listener(options: HttpOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{options.host}:{options.port} cannot be used ({reason}).") from error
    listener.listen(_WAITING)
    return listener
