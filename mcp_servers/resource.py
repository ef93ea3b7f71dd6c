"""A server as a resource server of OAuth 2.1: whose tokens it takes, and how it says so."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from starlette.requests import HTTPConnection
from starlette.routing import Router

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.mcp_servers.options import IssuerOptions
from qwenbelt.mcp_servers.tokens import IssuerUnreachable

if TYPE_CHECKING:
    from pydantic import AnyHttpUrl

App = Callable[[Any, Any, Any], Awaitable[None]]
_SAID_EVERY_SECONDS = 60.0


class TokenGate:
    """Lets requests through whose token is the issuer's, is for this server, and has the scopes.

    A call of a tool that changes something is looked at here, before its server: a client learns by
    the status 403 which scope it lacks, and can ask for it.

    Args:
        app: what is let through to.
        options: the issuer and its scopes.
        resource: this server's address as clients know it.
        verifier: checks tokens.
        changes: tells by a tool's name whether it changes something.
        per_user: whether a token must name a user.
        most: bytes of a request that are read; longer ones are left to `app`, which refuses them.
    """

    def __init__(
        self,
        app: App,
        options: IssuerOptions,
        resource: str,
        verifier: TokenVerifier,
        changes: Callable[[str], bool],
        *,
        per_user: bool,
        most: int,
    ) -> None:
        self._app = app
        self._options = options
        self._backend = BearerAuthBackend(verifier)
        self._changes = changes
        self._per_user = per_user
        self._most = most
        self._said = -_SAID_EVERY_SECONDS
        # it keeps an address as it is written: clients compare the issuer's letter by letter
        known = AuthSettings.model_validate(
            {
                "issuer_url": options.issuer,
                "resource_server_url": resource,
                "validate_token_resource": False,  # the verifier does it
            }
        )
        address = cast("AnyHttpUrl", known.resource_server_url)
        self._metadata_url = str(build_resource_metadata_url(address))
        told = create_protected_resource_routes(
            address, [known.issuer_url], [options.read_scope, options.write_scope]
        )
        self._documents = Router(routes=list(told))
        self._paths = {getattr(route, "path", "") for route in told}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answers or passes on one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"] in self._paths:
            return await self._documents(scope, receive, send)
        connection = HTTPConnection(scope)
        try:
            found = await self._backend.authenticate(connection)
        except IssuerUnreachable as error:
            self._say(str(error))
            return await _refuse(send, 503, "issuer_unreachable", str(error), None)
        if found is None:
            given = "authorization" in connection.headers
            words = "The token is not valid here." if given else "A bearer token is needed."
            challenge = self._challenge(self._options.read_scope, "invalid_token" if given else "")
            return await _refuse(send, 401, "invalid_token", words, challenge)
        user = found[1]
        replay, body = receive, b""
        lacking = [] if self._options.read_scope in user.scopes else [self._options.read_scope]
        if not lacking and self._per_user and not user.access_token.subject:
            return await _refuse(send, 403, "access_denied", "The token names no user.", None)
        if (
            not lacking
            and self._options.write_scope not in user.scopes
            and scope["method"] == "POST"
        ):
            body, replay = await _read(receive, self._most)
            if await anyio.to_thread.run_sync(self._is_change, body):
                lacking = [self._options.write_scope]
        if lacking:
            # all that are needed, not the lacking alone: clients ask for what stands here
            wanted = " ".join(dict.fromkeys((self._options.read_scope, *lacking)))
            words = f"The token lacks the scope {lacking[0]}."
            challenge = self._challenge(wanted, "insufficient_scope")
            return await _refuse(send, 403, "insufficient_scope", words, challenge)
        scope["auth"], scope["user"] = found
        return await self._app(scope, replay, send)

    def _is_change(self, body: bytes) -> bool:
        try:
            told = loads_bounded(body.decode("utf-8", "replace"), max_bytes=self._most)
        except ValueError:
            return False  # the server refuses it
        names: set[str] = set()
        for message in told if isinstance(told, list) else [told]:
            params = message.get("params") if isinstance(message, dict) else None
            if isinstance(params, dict) and message.get("method") == "tools/call":
                names.add(str(params.get("name")))
        return any(self._changes(name) for name in names)

    def _challenge(self, scopes: str, error: str) -> str:
        parts = [f'error="{error}"'] if error else []
        parts += [f'scope="{scopes}"', f'resource_metadata="{self._metadata_url}"']
        return f"Bearer {', '.join(parts)}"

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now - self._said >= _SAID_EVERY_SECONDS:
            self._said = now
            print(mask_secrets(text), file=sys.stderr, flush=True)


async def _read(receive: Any, most: int) -> tuple[bytes, Any]:
    """Returns a request's body, at most so much of it, and a `receive` that gives all of it."""
    messages: list[Any] = []
    size, more = 0, True
    while more and size <= most:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(message.get("body", b"") for message in messages)
    waiting = iter(messages)

    async def replay() -> Any:
        return next(waiting, None) or await receive()

    return body if size <= most else b"", replay


async def _refuse(send: Any, status: int, error: str, text: str, challenge: str | None) -> None:
    body = json.dumps({"error": error, "error_description": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if challenge is not None:
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
