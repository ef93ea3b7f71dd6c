"""The SDK's OAuth client, with what a tool belt needs besides: shared logins and quiet failures.

- Logins are kept with the endpoints they came from, so an expired token is renewed by the server
  that gave it, before the request, and by one process of several.
- Where no person can log in, the error names the command to run, and no page is opened.
- Requests are not serialised: the SDK's flow holds its lock until a reply begins.
"""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.utils import (
    build_protected_resource_metadata_discovery_urls,
    create_oauth_metadata_request,
    extract_field_from_www_auth,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    handle_protected_resource_response,
    union_scopes,
)
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl

from qwenbelt.core.errors import ConfigError, QwenbeltError, one_line
from qwenbelt.core.secrets import mask_secrets
from qwenbelt.core.urls import check_url, is_loopback
from qwenbelt.tools.mcp.config import ServerConfig
from qwenbelt.tools.mcp.login.pages import LoginDeclined, LoginPage, Redirect
from qwenbelt.tools.mcp.login.store import Login, LoginStore

Send = Callable[[httpx2.Request], Awaitable[httpx2.Response]]
# its tracebacks quote tokens' replies; what went wrong is in our own error
logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL)


class LoginNeeded(ConfigError):
    """A server wants a login, and there is no person to ask here."""


class KeptLogin:
    """The SDK's `TokenStorage` over our store: each answer is kept with where it came from."""

    def __init__(self, store: LoginStore) -> None:
        self.store = store
        self.login = Login(store.server)
        self.context: Any = None  # the SDK's, set once the provider is made

    def load(self) -> bool:
        """Takes in what is kept; returns whether there is anything."""
        found = self.store.read()
        self.login = found or Login(self.store.server)
        return found is not None

    async def get_tokens(self) -> OAuthToken | None:
        """Returns the kept tokens."""
        return OAuthToken(**self.login.tokens) if self.login.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keeps new tokens, and the endpoints that they belong to."""
        context, login = self.context, self.login
        login.tokens = tokens.model_dump(mode="json", exclude_none=True)
        lifetime = tokens.expires_in
        login.expires_at = None if lifetime is None else time.time() + lifetime
        if context.oauth_metadata is not None:
            login.metadata = context.oauth_metadata.model_dump(mode="json", exclude_none=True)
            login.issuer = str(context.oauth_metadata.issuer)
        if context.protected_resource_metadata is not None:
            resource = context.protected_resource_metadata
            login.resource = resource.model_dump(mode="json", exclude_none=True)
        granted = set((tokens.scope or "").split())
        login.wanted = "" if granted >= set(login.wanted.split()) else login.wanted
        await asyncio.to_thread(self.store.write, login)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Returns our kept registration."""
        return OAuthClientInformationFull(**self.login.client) if self.login.client else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keeps our registration; it is written with the tokens."""
        self.login.client = client_info.model_dump(mode="json", exclude_none=True)


class SharedLogin(OAuthClientProvider):
    """What both kinds of login have in common; see the module."""

    config: ServerConfig
    kept: KeptLogin
    asking = 0  # logins that a person is at; calls wait for them
    _known = False

    def _setup(self, config: ServerConfig, kept: KeptLogin) -> None:
        self.config = config
        self.kept = kept
        kept.context = self.context
        self._gate = asyncio.Lock()

    async def _initialize(self) -> None:
        await super()._initialize()
        login, context = self.kept.login, self.context
        context.token_expiry_time = login.expires_at
        if login.metadata:
            context.oauth_metadata = OAuthMetadata(**login.metadata)
        if login.resource:
            context.protected_resource_metadata = ProtectedResourceMetadata(**login.resource)
            context.auth_server_url = login.issuer or None

    async def _reload(self) -> None:
        await asyncio.to_thread(self.kept.load)
        await self._initialize()
        self._known = True

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._gate, self.kept.store.locked():
            yield

    async def send(self, request: httpx2.Request, send: Send) -> httpx2.Response:
        """Sends a request, logged in.

        Args:
            request: of the MCP client.
            send: sends it, or one of ours to the authorization server.

        Raises:
            LoginNeeded: there is no person who could log in here.
            OAuthFlowError: the login failed; so do others of the SDK.
        """
        if not self._known:
            await self._reload()
        if self.kept.login.tokens and self.kept.login.expired:
            await self._renew(self._token(), request, send)
        sent = self._token()
        response = await self._authorized(request, send)
        if response.status_code == 401 and sent:
            await self._renew(sent, request, send)
            if self._token() not in ("", sent):
                await response.aclose()
                sent = self._token()
                response = await self._authorized(request, send)
        if response.status_code == 401 or _lacks_scope(response):
            await response.aread()
            again = await self._logged_in(request, response, sent, send)
            return response if again is None else again
        return response

    async def _authorized(self, request: httpx2.Request, send: Send) -> httpx2.Response:
        request.headers.pop("Authorization", None)
        if self._token():
            self._add_auth_header(request)
        return await send(request)

    async def _aside(self, request: httpx2.Request, send: Send) -> httpx2.Response:
        """Sends a request of the login itself."""
        await self._check(request)
        try:
            response = await send(request)
            await response.aread()
        except httpx2.HTTPError as error:
            said = one_line(error) or type(error).__name__
            raise OAuthFlowError(f"no connection to {request.url.host} ({said})") from error
        return response

    def _choose_method(self) -> None:
        """Takes the way to show a secret that the authorization server knows, Basic first."""
        known, options = self.context.client_info, self.config.login
        if known is None or not options.client_secret:
            return  # registered by ourselves: as the server answered
        metadata = self.context.oauth_metadata
        able = metadata.token_endpoint_auth_methods_supported if metadata is not None else None
        basic = not able or "client_secret_basic" in able
        method = "client_secret_basic" if basic else "client_secret_post"
        self.context.client_info = known.model_copy(update={"token_endpoint_auth_method": method})

    async def _perform_authorization(self) -> httpx2.Request:
        self._choose_method()
        return await super()._perform_authorization()

    async def _refresh_token(self) -> httpx2.Request:
        self._choose_method()
        return await super()._refresh_token()

    def _token(self) -> str:
        tokens = self.context.current_tokens
        return tokens.access_token if tokens is not None else ""

    async def _renew(self, sent: str, request: httpx2.Request, send: Send) -> None:
        """Renews the tokens, unless another task or process has done so."""
        async with self._alone():
            await self._reload()
            if (self._token() != sent and not self.kept.login.expired) or (
                not self.context.can_refresh_token()
            ):
                return
            self.context.protocol_version = request.headers.get("mcp-protocol-version")
            response = await self._aside(await self._refresh_token(), send)
            if response.status_code >= 500 or response.status_code == 429:
                status = response.status_code
                raise OAuthFlowError(f"the login could not be renewed: HTTP {status}")
            if not await self._handle_refresh_response(response):
                self.context.clear_tokens()  # and log in again, where a person can

    async def _logged_in(
        self, request: httpx2.Request, refusal: httpx2.Response, sent: str, send: Send
    ) -> httpx2.Response | None:
        """Logs in and sends the request again; None leaves the refusal as it is.

        Each kind of login (of a person, of a program) has its own.
        """
        raise NotImplementedError

    async def _sdk_flow(
        self, request: httpx2.Request, refusal: httpx2.Response, send: Send
    ) -> httpx2.Response:
        """Lets the SDK log in, from the refusal on."""
        self.context.protocol_version = request.headers.get("mcp-protocol-version")
        flow = self.async_auth_flow(request)
        try:
            outgoing = await flow.__anext__()  # the request itself, which has had its answer
            outgoing = await flow.asend(refusal)
            while outgoing is not request:
                outgoing = await flow.asend(await self._aside(outgoing, send))
        finally:
            await flow.aclose()
        return await send(request)

    async def _check(self, request: httpx2.Request) -> None:
        """Refuses to follow a server's word to places that it has no business with.

        Raises:
            ToolRefused: the address is private, and the server's own is not.
            OAuthFlowError: the address is not safe from listeners.
        """
        own, url = urlsplit(self.config.url), str(request.url)
        place = urlsplit(url)
        if (own.scheme, own.netloc) == (place.scheme, place.netloc):
            return
        here = is_loopback(self.config.url)
        if place.scheme != "https" and not (here and is_loopback(url)):
            raise OAuthFlowError(f"{place.scheme}://{place.netloc} is no https address")
        if not here:
            await asyncio.to_thread(check_url, url, allow_private=await self._is_private())

    async def _is_private(self) -> bool:
        try:
            await asyncio.to_thread(check_url, self.config.url)
        except QwenbeltError:
            return True  # a server of a company's own network has its issuer there, too
        return False


class PersonLogin(SharedLogin):
    """The login of a person; without one, only stored tokens are used.

    Args:
        config: of the server.
        page: gives who is to be asked at this moment, or None.
        anew: whether to log in again although there are tokens.
    """

    def __init__(
        self,
        config: ServerConfig,
        page: Callable[[], LoginPage | None] = lambda: None,
        *,
        anew: bool = False,
    ) -> None:
        options = config.login
        kept = KeptLogin(LoginStore(config.url, options.client_id))
        super().__init__(
            config.url,
            OAuthClientMetadata(
                client_name="qwenbelt",
                redirect_uris=[AnyUrl("http://127.0.0.1/callback")],
                token_endpoint_auth_method=None if options.client_secret else "none",
            ),
            kept,
            client_metadata_url=options.client_metadata_url or None,
        )
        self._page = page
        self._anew = anew
        self._setup(config, kept)

    async def _initialize(self) -> None:
        await super()._initialize()
        options = self.config.login
        method = "client_secret_post" if options.client_secret else "none"
        if options.client_id:
            self.context.client_info = OAuthClientInformationFull(
                client_id=options.client_id,
                client_secret=options.client_secret or None,
                # a registration by hand belongs to the issuer of the first login
                issuer=options.issuer or self.kept.login.issuer or None,
                token_endpoint_auth_method=method,
            )
        if self._anew:
            self.context.clear_tokens()

    async def _logged_in(
        self, request: httpx2.Request, refusal: httpx2.Response, sent: str, send: Send
    ) -> httpx2.Response | None:
        page = self._page()
        if page is None:
            issuers = await self._issuers(refusal, send)
            if self.config.login.way == "auto" and not issuers and not sent:
                return None  # it knows no OAuth
            raise await self._needed(refusal, issuers)
        async with self._gate:
            if self._token() not in ("", sent) and not _lacks_scope(refusal):
                return await self._authorized(request, send)  # another call has asked meanwhile
            redirect = Redirect(page)
            self.asking += 1
            await redirect.start(*self._ports())
            try:
                self._aim(redirect)
                answer = await self._sdk_flow(request, self._challenge(refusal), send)
            except LoginDeclined:
                raise await self._needed(refusal, []) from None
            finally:
                self.asking -= 1
                await redirect.close()
            self._anew = False
            return answer

    def _ports(self) -> list[int]:
        """Returns the port of the configuration, and that of our registration."""
        if self.config.login.port:
            return [self.config.login.port]
        uris = self.kept.login.client.get("redirect_uris") or [""]
        return [port] if (port := urlsplit(str(uris[0])).port) else []

    def _aim(self, redirect: Redirect) -> None:
        context = self.context
        context.client_metadata.redirect_uris = [AnyUrl(redirect.url)]
        context.redirect_handler = redirect.show
        context.callback_handler = redirect.result
        known = context.client_info
        if known is None or self.config.login.client_id or known.client_id.startswith("https://"):
            return
        # servers that compare the whole address do not take another port (RFC 8252 asks them to)
        if redirect.url not in [str(uri) for uri in known.redirect_uris or ()]:
            context.client_info = None

    def _challenge(self, response: httpx2.Response) -> httpx2.Response:
        """Returns the refusal, asking for the scopes that are configured or were found missing."""
        options, login = self.config.login, self.kept.login
        asked = extract_scope_from_www_auth(response)
        if options.scopes is not None:
            scopes: str | None = " ".join(options.scopes)
        else:
            scopes = union_scopes(login.wanted, asked) if login.wanted else asked
        if _lacks_scope(response):
            scopes = union_scopes(scopes, asked)
        known = self.context.client_info
        allowed = set((known.scope or "").split()) if known is not None else set()
        if (
            allowed
            and not self.config.login.client_id
            and not allowed >= set((scopes or "").split())
        ):
            self.context.client_info = None  # registered for fewer scopes: register again
        if scopes == asked or not scopes:
            return response
        headers = {"WWW-Authenticate": _with_scope(response, scopes)}
        return httpx2.Response(response.status_code, headers=headers, request=response.request)

    async def _issuers(self, response: httpx2.Response, send: Send) -> list[str]:
        """Returns the authorization servers that the server names."""
        named = extract_resource_metadata_from_www_auth(response)
        for url in build_protected_resource_metadata_discovery_urls(named, self.config.url):
            answer = await self._aside(create_oauth_metadata_request(url), send)
            described = await handle_protected_resource_response(answer)
            if described is not None:
                return [str(issuer) for issuer in described.authorization_servers]
        return []

    async def _needed(self, response: httpx2.Response, issuers: list[str]) -> LoginNeeded:
        fix = f"Run: qwenbelt mcp login FILE.json {self.config.name}"
        if _lacks_scope(response):
            asked = extract_scope_from_www_auth(response) or ""
            login = self.kept.login
            granted = str(login.tokens.get("scope") or "")
            login.wanted = union_scopes(union_scopes(granted, login.wanted), asked) or ""
            if login.tokens:
                await asyncio.to_thread(self.kept.store.write, login)
            return LoginNeeded(f"The login does not cover {asked}.", fix=fix)
        where = f" at {issuers[0].rstrip('/')}" if issuers else ""
        if self.kept.login.client:
            return LoginNeeded(f"The login has ended{where}.", fix=fix)
        return LoginNeeded(f"It asks for a login{where}.", fix=fix)


class CredentialsLogin(SharedLogin):
    """A login without a person, by a secret or a key of our own."""

    async def _logged_in(
        self, request: httpx2.Request, refusal: httpx2.Response, sent: str, send: Send
    ) -> httpx2.Response | None:
        async with self._alone():
            await self._reload()
            if self._token() in ("", sent) or self.kept.login.expired:
                self.context.clear_tokens()
                return await self._sdk_flow(request, refusal, send)
        return await self._authorized(request, send)

    def _select_authorization_server(self, advertised: list[str]) -> str:
        chosen = super()._select_authorization_server(advertised)
        own = urlsplit(self.config.url).hostname
        if not self.config.login.issuer and urlsplit(chosen).hostname != own:
            raise OAuthFlowError(
                f"it names the authorization server {chosen}, and the configuration none: "
                f'write "issuer": "{chosen.rstrip("/")}" into its auth if the secret may go there'
            )
        return chosen


class SecretLogin(CredentialsLogin, ClientCredentialsOAuthProvider):
    """Client credentials with a secret."""

    def __init__(self, config: ServerConfig) -> None:
        options = config.login
        kept = KeptLogin(LoginStore(config.url, options.client_id))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without an issuer, see `_select_authorization_server`
            ClientCredentialsOAuthProvider.__init__(
                self,
                config.url,
                kept,
                options.client_id,
                options.client_secret,
                "client_secret_post",
                " ".join(options.scopes) if options.scopes else None,
                options.issuer or None,
            )
        self._setup(config, kept)


class KeyLogin(CredentialsLogin, PrivateKeyJWTOAuthProvider):
    """Client credentials with a key that signs."""

    def __init__(self, config: ServerConfig) -> None:
        options = config.login
        kept = KeptLogin(LoginStore(config.url, options.client_id))
        key = Path(options.private_key).expanduser().read_text(encoding="utf-8")
        signed = SignedJWTParameters(
            issuer=options.client_id,
            subject=options.client_id,
            signing_key=key,
            signing_algorithm=options.algorithm,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PrivateKeyJWTOAuthProvider.__init__(
                self,
                config.url,
                kept,
                options.client_id,
                signed.create_assertion_provider(),
                " ".join(options.scopes) if options.scopes else None,
                options.issuer or None,
            )
        self._setup(config, kept)


def login_for(
    config: ServerConfig, page: Callable[[], LoginPage | None], *, anew: bool = False
) -> SharedLogin | None:
    """Returns what logs in to a server, or None where nothing does."""
    options = config.login
    if options.way == "client_credentials":
        return KeyLogin(config) if options.private_key else SecretLogin(config)
    own_header = any(name.lower() == "authorization" for name in config.headers)
    if options.way == "none" or (options.way == "auto" and own_header):
        return None
    return PersonLogin(config, page, anew=anew)


def login_fault(error: BaseException) -> str:
    """Returns what went wrong, for people."""
    if isinstance(error, QwenbeltError):
        return str(error)
    return f"the login failed: {mask_secrets(one_line(error, 500))}"


def login_error(where: str, error: BaseException) -> ConfigError:
    """Returns the error of a server that cannot be used for want of a login."""
    if isinstance(error, ConfigError):
        return LoginNeeded(f"{where}: {error.message}", fix=error.fix)
    return ConfigError(f"{where}: {login_fault(error)}.")


def _lacks_scope(response: httpx2.Response) -> bool:
    if response.status_code != 403:
        return False
    return extract_field_from_www_auth(response, "error") == "insufficient_scope"


def _with_scope(response: httpx2.Response, scopes: str) -> str:
    parts = [f'Bearer scope="{scopes}"']
    if (named := extract_resource_metadata_from_www_auth(response)) is not None:
        parts.append(f'resource_metadata="{named}"')
    if (error := extract_field_from_www_auth(response, "error")) is not None:
        parts.append(f'error="{error}"')
    return ", ".join(parts)
