"""Logging in and out, as the command line does it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from urllib.parse import quote

import httpx2

from qwenbelt.core.errors import ConfigError, QwenbeltError
from qwenbelt.core.urls import connection_options
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.connection import ServerConnection
from qwenbelt.tools.mcp.login.options import LoginOptions
from qwenbelt.tools.mcp.login.pages import LOGIN_SECONDS, LoginPage
from qwenbelt.tools.mcp.login.store import Login, LoginStore, keyring_name

_REVOKE_SECONDS = 10.0


@dataclass(frozen=True)
class LoginOutcome:
    """What became of a login.

    Attributes:
        name: of the server.
        state: "logged in", "was logged in", "no login needed" or "failed".
        tools: how many it offers now.
        kept: where the tokens are: "file", or the keyring's name.
        error: why it failed, or "".
    """

    name: str
    state: str
    issuer: str = ""
    scopes: str = ""
    tools: int = 0
    kept: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the server can be used."""
        return self.state != "failed"


def log_in(config: ServerConfig, page: LoginPage, *, anew: bool) -> LoginOutcome:
    """Connects to a server, and logs in if it asks for it (or `anew` does)."""
    store = LoginStore(config.url, config.login.client_id)
    before = store.read()
    anew = anew or bool(before and before.wanted)
    way = "oauth" if config.login.way == "auto" else config.login.way
    patient = dataclasses.replace(
        config,
        start_timeout=config.start_timeout + LOGIN_SECONDS,
        login=dataclasses.replace(config.login, way=way),
    )
    connection = ServerConnection(patient, page, anew=anew)
    try:
        offer = connection.loop.submit(connection.offer()).result()
    except QwenbeltError as error:
        return LoginOutcome(config.name, "failed", error=str(error))
    finally:
        connection.loop.submit(connection.close()).result()
    login = store.read()
    if login is None or not login.tokens:
        return LoginOutcome(config.name, "no login needed", tools=len(offer.tools))
    same = before is not None and before.tokens == login.tokens
    return LoginOutcome(
        config.name,
        "was logged in" if same else "logged in",
        issuer=login.issuer,
        scopes=login.tokens.get("scope") or "",
        tools=len(offer.tools),
        kept=keyring_name() or "file",
    )


def log_out(config: ServerConfig) -> bool:
    """Takes the tokens back, where the issuer can, and forgets them; whether there were any."""
    store = LoginStore(config.url, config.login.client_id)
    try:
        login = store.read()
    except ConfigError:
        login = None  # readable by others: it goes unread
    removed = store.remove()
    if login is not None:
        _revoke(login, config.login)
    return removed


def _revoke(login: Login, options: LoginOptions) -> None:
    place = login.metadata.get("revocation_endpoint")
    kind = "refresh_token" if login.tokens.get("refresh_token") else "access_token"
    token = login.tokens.get(kind)
    if not place or not token:
        return
    name = options.client_id or login.client.get("client_id", "")
    secret = options.client_secret or login.client.get("client_secret") or ""
    # the Python SDK's server wants the key client_secret, be it empty
    data = {"token": token, "token_type_hint": kind, "client_id": name, "client_secret": secret}
    basic = login.client.get("token_endpoint_auth_method") == "client_secret_basic"
    auth = httpx2.BasicAuth(quote(name), quote(secret)) if basic else None
    try:
        with httpx2.Client(
            auth=auth, timeout=_REVOKE_SECONDS, **connection_options(place)
        ) as client:
            client.post(place, data=data)
    except httpx2.HTTPError:
        return  # it is forgotten here nevertheless, and expires by itself
