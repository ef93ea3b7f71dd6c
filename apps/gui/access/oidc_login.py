"""Login at an OpenID provider: the authorization code flow with PKCE, by Authlib."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from starlette.requests import Request

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.urls import is_loopback

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

BEGIN, DONE = "/login/begin", "/login/done"
STATE_COOKIE = "qwenbelt_login_state"
PATIENCE = 600.0  # seconds for which a login that has begun can end
_MOST_BEGUN = 1000
_LONGEST_USER = 200
_LONGEST_ANSWER = 1_000_000
_LEEWAY = 60
# no symmetric ones: whoever knows the client's secret could write tokens
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]


class LoginRefused(Exception):
    """The provider did not tell who the user is; the text is for the server's log."""


@dataclass
class OidcLogin:
    """An OpenID provider, and the logins that have begun.

    Attributes:
        issuer: the provider's address, as it writes it itself.
        client_id: the name under which this server is known there.
        secret: this server's secret there; empty for a public client, which PKCE protects.
        claim: what of the ID token names the user.
        public_url: this server's address as browsers see it; the request's when empty.
    """

    issuer: str
    client_id: str
    secret: str = field(default="", repr=False)
    claim: str = "email"
    public_url: str = ""
    _begun: dict[str, tuple[str, str, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, issuer: str, client_id: str | None, claim: str, public_url: str) -> OidcLogin:
        """Reads what was given on the command line, and the secret from QWENBELT_OIDC_SECRET.

        Raises:
            ConfigError: the library is missing, a client is not named, or an address is not safe.
        """
        try:
            import authlib.integrations.httpx_client  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "Login at an OpenID provider needs Authlib.", fix='pip install "qwenbelt[oidc]"'
            ) from error
        if not client_id:
            raise ConfigError(
                "The provider knows this server under a name.", fix="Give --oidc-client ID."
            )
        for address in filter(None, (issuer, public_url)):
            parts = urlsplit(address)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise ConfigError(f"{address} does not begin with https://.")
        secret = os.environ.get("QWENBELT_OIDC_SECRET", "")
        if secret:
            remember_secret(secret)
        return cls(issuer, client_id, secret, claim, public_url.rstrip("/"))

    @property
    def name(self) -> str:
        """The provider's host, for people."""
        return urlsplit(self.issuer).netloc

    async def begin(self, request: Request) -> tuple[str, str]:
        """Returns where the browser goes to log in, and a state that it keeps in a cookie.

        Raises:
            LoginRefused: the provider does not answer as one.
        """
        now = time.monotonic()
        self._begun = {k: v for k, v in self._begun.items() if v[2] > now}
        while len(self._begun) >= _MOST_BEGUN:
            self._begun.pop(next(iter(self._begun)))
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        async with self._client(request) as client:
            about = await self._about(client)
            url, _ = client.create_authorization_url(
                about["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        self._begun[state] = (nonce, verifier, now + PATIENCE)
        return str(url), state

    async def finish(self, request: Request) -> str:
        """Returns the user whom the provider has sent back.

        Raises:
            LoginRefused: the login was not begun by this browser, or the provider names nobody.
        """
        state = request.query_params.get("state", "")
        known = self._begun.pop(state, None)
        if known is None or known[2] < time.monotonic():
            raise LoginRefused("the login has not begun here, or too long ago")
        if not secrets.compare_digest(request.cookies.get(STATE_COOKIE, ""), state):
            raise LoginRefused("another browser has begun this login")
        if "code" not in request.query_params:
            raise LoginRefused(request.query_params.get("error", "no code")[:100])
        nonce, verifier, _ = known
        try:
            async with self._client(request) as client:
                about = await self._about(client)
                token = await client.fetch_token(
                    about["token_endpoint"],
                    code=request.query_params["code"],
                    code_verifier=verifier,
                    grant_type="authorization_code",
                )
                keys = await _json_of(client, about["jwks_uri"])
        except LoginRefused:
            raise
        except Exception as error:  # whatever a stranger's server makes the library raise
            raise LoginRefused(f"{type(error).__name__}: {str(error)[:200]}") from error
        return self._user_of(str(token.get("id_token") or ""), keys, nonce)

    def _client(self, request: Request) -> AsyncOAuth2Client:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        place = self.public_url or str(request.base_url).rstrip("/")
        return AsyncOAuth2Client(
            self.client_id,
            self.secret or None,
            scope="openid email profile",
            redirect_uri=f"{place}{DONE}",
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self.secret else "none",
            timeout=20,
        )

    async def _about(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        about = await _json_of(
            client, f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        )
        if about.get("issuer") != self.issuer:
            raise LoginRefused(f"the provider calls itself {str(about.get('issuer'))[:200]!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            parts = urlsplit(str(about.get(name) or ""))
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise LoginRefused(f"the provider's {name} is no https address")
        return about

    def _user_of(self, token: str, keys: Mapping[str, Any], nonce: str) -> str:
        from joserfc import jwt
        from joserfc.jwk import KeySet

        try:
            read = jwt.decode(token, KeySet.import_key_set(dict(keys)), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
            jwt.JWTClaimsRegistry(
                leeway=_LEEWAY,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.client_id},
                exp={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(read.claims)
        except Exception as error:  # a token that is none, of another key, or for somebody else
            raise LoginRefused(f"ID token: {type(error).__name__}: {str(error)[:200]}") from error
        user = str(read.claims.get(self.claim) or "").strip()
        if self.claim == "email" and read.claims.get("email_verified") is not True:
            raise LoginRefused("the provider has not verified the address (see --oidc-claim)")
        if not 0 < len(user) <= _LONGEST_USER or not user.isprintable():
            raise LoginRefused(f"the ID token has no {self.claim}")
        return user


async def _json_of(client: AsyncOAuth2Client, url: str) -> dict[str, Any]:
    try:
        reply = await client.request("GET", url, withhold_token=True)
        body = loads_bounded(reply.content) if len(reply.content) <= _LONGEST_ANSWER else None
    except (httpx.HTTPError, ValueError) as error:
        raise LoginRefused(f"{url}: {type(error).__name__}") from error
    if reply.status_code != 200 or not isinstance(body, dict):
        raise LoginRefused(f"{url}: {reply.status_code}")
    return body
