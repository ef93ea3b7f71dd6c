"""An MCP server and its authorization server, by the SDK's own classes: oauth_server.py [SECONDS].

Prints the MCP server's URL. Access tokens last SECONDS (3600). Whoever asks to be authorized is, at
once. `GET /counts` tells what was asked for; `GET /expire` ends all access tokens. The tool `save`
needs the scope "write".
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import sys
import time
import warnings
from collections import Counter
from typing import Any

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

LIFETIME = int(sys.argv[1]) if len(sys.argv) > 1 else 3600
counts: Counter[str] = Counter()
seen: dict[str, Any] = {}
SERVICE = OAuthClientInformationFull(
    client_id="service", client_secret="secret-of-the-service", scope="read write"
)


class Provider:
    def __init__(self) -> None:
        self.clients = {"service": SERVICE}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client: OAuthClientInformationFull) -> None:
        counts["register"] += 1
        self.clients[client.client_id] = client

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        counts["authorize"] += 1
        seen["authorize"] = {"resource": params.resource, "scopes": params.scopes}
        code = AuthorizationCode(
            code=secrets.token_urlsafe(24),
            scopes=params.scopes or ["read"],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(self, client: Any, code: str) -> AuthorizationCode | None:
        return self.codes.get(code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, code: AuthorizationCode
    ) -> OAuthToken:
        counts["code"] += 1
        del self.codes[code.code]
        return self.issue(client.client_id, code.scopes, code.resource)

    async def load_refresh_token(self, client: Any, token: str) -> RefreshToken | None:
        return self.refresh.get(token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        if self.refresh.pop(token.token, None) is None:
            raise TokenError("invalid_grant")
        counts["refresh"] += 1
        return self.issue(client.client_id, token.scopes, token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        counts["revoke"] += 1
        self.access.clear()
        self.refresh.clear()

    def issue(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        names = [secrets.token_urlsafe(24) for _ in range(2)]
        self.access[names[0]] = AccessToken(
            token=names[0],
            client_id=client_id,
            scopes=scopes,
            expires_at=int(time.time()) + LIFETIME,
            resource=resource,
        )
        self.refresh[names[1]] = RefreshToken(
            token=names[1], client_id=client_id, scopes=scopes, resource=resource
        )
        return OAuthToken(
            access_token=names[0],
            refresh_token=names[1],
            expires_in=LIFETIME,
            scope=" ".join(scopes),
        )


sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()  # before the address is told: a test may come at once
base = f"http://127.0.0.1:{sock.getsockname()[1]}"
provider = Provider()
server = MCPServer(
    "guarded",
    log_level="ERROR",
    auth_server_provider=provider,
    auth=AuthSettings(
        issuer_url=base,
        resource_server_url=f"{base}/mcp",
        validate_token_resource=True,
        required_scopes=["read"],
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=["read", "write"], default_scopes=["read"]
        ),
        revocation_options=RevocationOptions(enabled=True),
    ),
)


@server.tool()
async def whoami() -> str:
    """Says who asks."""
    token = get_access_token()
    return f"scopes {token.scopes}" if token else "nobody"


@server.tool()
async def save(text: str) -> str:
    """Saves a text."""
    return f"saved {text}"


async def told(_: Request) -> JSONResponse:
    return JSONResponse({"counts": counts, **seen})


async def expire(_: Request) -> JSONResponse:
    provider.access.clear()
    return JSONResponse({})


app: Starlette = server.streamable_http_app()
app.routes.extend([Route("/counts", told), Route("/expire", expire)])


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    """Grants client credentials, which the SDK's server does not know, and guards `save`."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return await app(scope, receive, send)
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Any:
        found = next(given, None)
        return found if found is not None else await receive()

    answer = None
    if scope["path"] == "/token" and b"client_credentials" in body:
        header = dict(scope["headers"]).get(b"authorization", b"").decode()
        shown = base64.b64decode(header.removeprefix("Basic ") or b"").decode()
        good = shown == "service:secret-of-the-service"
        counts["credentials" if good else "refused"] += 1
        token = provider.issue("service", ["read"], f"{base}/mcp")
        token.refresh_token = None
        content: Any = token.model_dump(exclude_none=True) if good else {"error": "invalid_client"}
        answer = JSONResponse(content, 200 if good else 401)
    with contextlib.suppress(ValueError):
        message = json.loads(body or b"{}")
        if message.get("params", {}).get("name") == "save":
            bearer = dict(scope["headers"]).get(b"authorization", b"").decode()[7:]
            held = provider.access.get(bearer)
            if held is not None and "write" not in held.scopes:
                challenge = (
                    'Bearer error="insufficient_scope", scope="write", '
                    f'resource_metadata="{base}/.well-known/oauth-protected-resource/mcp"'
                )
                answer = JSONResponse({}, 403, {"WWW-Authenticate": challenge})
    await (answer or app)(scope, again, send)


print(f"{base}/mcp", flush=True)
warnings.simplefilter("ignore")
uvicorn.Server(uvicorn.Config(guarded, log_level="error")).run(sockets=[sock])
