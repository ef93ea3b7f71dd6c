"""What checks every request first: host names, login, cookies, and headers that fence the page in.

The content security policy lets the page load and send nothing outside this server, whatever text
a model or a document brings into it.
"""

from __future__ import annotations

import hmac
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwenbelt.apps.bodies import BodyRefused, BoundedBody, read_body
from qwenbelt.apps.gui.access.login_attempts import LoginAttempts
from qwenbelt.apps.gui.access.login_page import login_page, provider_page
from qwenbelt.apps.gui.access.logins import LOGIN_SECONDS, Logins
from qwenbelt.apps.gui.access.oidc_login import (
    BEGIN,
    DONE,
    PATIENCE,
    STATE_COOKIE,
    LoginRefused,
    OidcLogin,
)
from qwenbelt.apps.gui.access.proxy_login import ProxyLogin
from qwenbelt.core.errors import ConfigError
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.urls import host_of_header, is_loopback

_LOG = logging.getLogger("qwenbelt.gui")
USER_COOKIE, LOGIN_COOKIE, LANGUAGE_COOKIE = "qb_user", "qb_login", "qb_lang"
_LOGIN_BODY = 8 * 1024
_LOGIN_PATIENCE = 10.0
_LARGEST_UPLOAD = 1024 * 1024 * 1024  # several files; each has its own limit
_LARGEST_BODY = 8 * 1024 * 1024  # of a request that uploads nothing
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}


def read_accounts(entries: tuple[str, ...], file: str | None = None) -> dict[str, str]:
    """Returns users and passwords from `USER:PASSWORD` texts and the lines of a file.

    Raises:
        ConfigError: an entry has another form, or the file cannot be read.
    """
    lines = list(entries)
    if file:
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read ({error}).") from error
        lines += [line for line in text.splitlines() if line.strip() and line[0] != "#"]
    accounts: dict[str, str] = {}
    for line in lines:
        user, colon, password = line.strip().partition(":")
        if not colon or not user or len(password) < 8:
            raise ConfigError(
                "An account is written USER:PASSWORD, the password of 8 characters at least."
            )
        remember_secret(password)
        accounts[user] = password
    return accounts


class Guard:
    """An ASGI middleware.

    Args:
        app: what it guards.
        accounts: users and passwords; empty for no login, each browser then being a user.
        proxy: a reverse proxy that logs people in, in place of accounts.
        provider: an OpenID provider that logs people in, in place of accounts.
        admins: the users who see and set what concerns all.
        loopback: whether only loopback names may be asked for, which defeats DNS rebinding.
        logins: where logins are kept; in memory by default.
    """

    leave: Callable[[], None] | None = None  # lets open streams end when the server does
    ready: Callable[[], Awaitable[bool]] | None = None  # whether what the server needs is there

    def __init__(
        self,
        app: ASGIApp,
        accounts: Mapping[str, str],
        loopback: bool,
        *,
        proxy: ProxyLogin | None = None,
        provider: OidcLogin | None = None,
        admins: Collection[str] = (),
        logins: Logins | None = None,
    ) -> None:
        self._app = app
        self.proxy = proxy
        self._provider = provider
        self._admins = frozenset(admins)
        self._accounts = dict(accounts)
        self._loopback = loopback
        self._logins = logins or Logins()
        self._attempts = LoginAttempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket" and (
                self._accounts or self.proxy or self._provider or not self._host_fits(scope)
            ):
                return
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        cookies: list[str] = []
        response = await self._answer(request, cookies)
        if response is not None:
            await response(scope, receive, _with_headers(send, cookies, request))
            return
        await self._pass_on(scope, receive, _with_headers(send, cookies, request))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the application answer; its bodies have bounds, those of uploads its own."""
        kind = Headers(scope=scope).get("content-type", "")
        largest = _LARGEST_UPLOAD if kind.startswith("multipart/") else _LARGEST_BODY
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, BoundedBody(receive, largest), told)
        except BodyRefused as error:
            if begun:
                raise
            refusal = JSONResponse({"error": str(error)}, error.status)
            await refusal(scope, receive, send)

    async def _answer(self, request: Request, cookies: list[str]) -> Response | None:
        """Returns the answer to a request that does not go further, else None."""
        if not self._host_fits(request.scope):
            return JSONResponse({"error": "This host name is not served here."}, 421)
        if not _same_origin(request):
            return JSONResponse({"error": "Requests from other sites are refused."}, 403)
        path = request.url.path
        if path in ("/healthz", "/readyz"):  # a load balancer has no login
            good = path == "/healthz" or self.ready is None or await self.ready()
            return JSONResponse({"status": "ok" if good else "not ready"}, 200 if good else 503)
        if path == "/login" and self._accounts:
            return await self._login(request, cookies)
        if self._provider is not None and path in ("/login", BEGIN, DONE):
            return await self._at_provider(self._provider, request, cookies)
        user = self._user(request, cookies)
        if path == "/logout":
            self._logins.end(request.cookies.get(LOGIN_COOKIE, ""))
            return RedirectResponse("/login" if self._accounts or self._provider else "/", 303)
        if user is None and self.proxy is not None:
            return JSONResponse({"error": "Log in at the proxy of this server first."}, 401)
        if user is None:
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse("/login", 303)
            return JSONResponse({"error": "Log in first."}, 401)
        state = request.scope.setdefault("state", {})
        state |= {"user": user, "admin": user in self._admins}
        return None

    def _host_fits(self, scope: Scope) -> bool:
        if not self._loopback:
            return True
        return is_loopback(host_of_header(Headers(scope=scope).get("host", "")))

    def _user(self, request: Request, cookies: list[str]) -> str | None:
        if self.proxy is not None:
            return self.proxy.user(request)
        if self._accounts or self._provider:
            return self._logins.user(request.cookies.get(LOGIN_COOKIE, ""))
        known = request.cookies.get(USER_COOKIE, "")
        if len(known) < 20 or len(known) > 64 or not known.replace("_", "").isalnum():
            known = secrets.token_hex(16)
            cookies.append(_cookie(request, USER_COOKIE, known, 365 * 24 * 3600))
        return f"browser-{known}"

    async def _login(self, request: Request, cookies: list[str]) -> Response:
        language = language_of(request)
        if request.method != "POST":
            return HTMLResponse(login_page(language, wrong=False))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":  # nothing is uploaded before a login
            return HTMLResponse(login_page(language, wrong=True), 415)
        try:
            raw = await read_body(request, _LOGIN_BODY, _LOGIN_PATIENCE)
        except BodyRefused as error:
            return HTMLResponse(login_page(language, wrong=True), error.status)
        form = dict(parse_qsl(raw.decode("utf-8", "replace"), max_num_fields=_LOGIN_BODY))
        user, password = form.get("user", ""), form.get("password", "")
        address = request.client.host if request.client else ""
        wait = self._attempts.wait(user, address)
        if wait > 0:
            headers = {"retry-after": str(math.ceil(wait))}
            return HTMLResponse(login_page(language, wrong=True), 429, headers)
        expected = self._accounts.get(user, secrets.token_hex(16))
        if not hmac.compare_digest(password.encode("utf-8", "replace"), expected.encode()):
            self._attempts.failed(user, address)
            return HTMLResponse(login_page(language, wrong=True), 403)
        self._attempts.passed(user, address)
        return self._logged_in(user, request, cookies)

    async def _at_provider(
        self, provider: OidcLogin, request: Request, cookies: list[str]
    ) -> Response:
        language = language_of(request)
        if request.method != "GET" or request.url.path == "/login":
            return HTMLResponse(provider_page(language, provider.name))
        try:
            if request.url.path == BEGIN:
                url, state = await provider.begin(request)
                cookies.append(_cookie(request, STATE_COOKIE, state, int(PATIENCE)))
                return RedirectResponse(url, 303)
            user = await provider.finish(request)
        except LoginRefused as error:
            _LOG.warning("%s: %s", provider.name, error)
            return HTMLResponse(provider_page(language, provider.name, failed=True), 403)
        cookies.append(_cookie(request, STATE_COOKIE, "", 0))
        return self._logged_in(user, request, cookies)

    def _logged_in(self, user: str, request: Request, cookies: list[str]) -> Response:
        """Begins a login's time, and sends the browser to the page."""
        token = self._logins.begin(user)
        cookies.append(_cookie(request, LOGIN_COOKIE, token, int(LOGIN_SECONDS)))
        return RedirectResponse("/", 303)


def _same_origin(request: Request) -> bool:
    """Refuses what another site's page sends with this user's cookies."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return True
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return not origin or urlsplit(origin).netloc == request.headers.get("host", "")


def _cookie(request: Request, name: str, value: str, seconds: int) -> str:
    secure = "; Secure" if request.url.scheme == "https" else ""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"


def _with_headers(send: Send, cookies: list[str], request: Request) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                if name not in headers:
                    headers[name] = value
            for cookie in cookies:
                headers.append("set-cookie", cookie)
        await send(message)

    return wrapped


def language_of(request: Request) -> str:
    """Returns "en" or "zh": what the person chose, else what the browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in ("en", "zh"):
        return chosen
    for entry in request.headers.get("accept-language", "").lower().split(","):
        tag = entry.strip()[:2]
        if tag in ("en", "zh"):
            return tag
    return "en"
