"""Bearer tokens of an authorization server: signed ones by its keys, others by asking it."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
import httpx2
import jwt
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls
from mcp.server.auth.provider import AccessToken, TokenVerifier

from qwenbelt.core.errors import ConfigError, QwenbeltError, one_line
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.urls import is_loopback
from qwenbelt.mcp_servers.options import IssuerOptions

# with the keys of others only: a shared secret would make everybody who checks one who signs
_ALGORITHMS = [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)]
_ALGORITHMS.append("EdDSA")
_LEEWAY_SECONDS = 30
_TIMEOUT_SECONDS = 10
_KEPT_SECONDS = 10.0  # a token that was withdrawn is good for so long
_MOST_KEPT = 1000
_MOST_BYTES = 256 * 1024
_MOST_TOKEN_LETTERS = 16 * 1024


class IssuerUnreachable(QwenbeltError):
    """The authorization server does not answer, so nobody can be let in or sent away."""


def token_verifier(options: IssuerOptions, resource: str) -> TokenVerifier:
    """Returns what checks the tokens of an issuer for a resource.

    Raises:
        ConfigError: the issuer cannot be asked, or does not say how to check its tokens.
    """
    jwks, introspection = options.jwks, options.introspection
    if not jwks and not introspection:
        metadata = _issuer_metadata(options.issuer)
        jwks = _endpoint(metadata, "jwks_uri")
        if options.client is not None or not jwks:
            introspection = _endpoint(metadata, "introspection_endpoint")
        if not jwks and not introspection:
            raise ConfigError(
                f"The issuer {options.issuer} tells no keys and no way to ask about tokens.",
                fix="Name one: --jwks URL or --introspection URL.",
            )
    if introspection and options.client is not None:
        remember_secret(options.client[1])
        return _AskedTokens(options.issuer, options.client, resource, introspection)
    if not jwks:
        raise ConfigError(
            f"The issuer {options.issuer} wants to be asked about each token.",
            fix="Set QWENBELT_MCP_CLIENT_ID and QWENBELT_MCP_CLIENT_SECRET.",
        )
    return _SignedTokens(options, resource, jwks)


def _issuer_metadata(issuer: str) -> Mapping[str, Any]:
    reason = "it has no metadata"
    for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer):
        try:
            with _client(url) as client:
                reply = client.get(url)
            found = loads_bounded(reply.content[:_MOST_BYTES]) if reply.is_success else None
        except (httpx2.HTTPError, ValueError) as error:
            reason = one_line(str(error) or type(error).__name__, 100)
            continue
        if isinstance(found, dict):
            if str(found.get("issuer", "")).rstrip("/") == issuer.rstrip("/"):
                return found
            reason = f"its metadata are those of {one_line(str(found.get('issuer')), 100)}"
    raise ConfigError(
        f"The issuer {issuer} cannot be used ({reason}).",
        fix="Check the address, or name its keys: --jwks URL.",
    )


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str) or not (url.startswith("https://") or is_loopback(url)):
        return ""
    return url


def _client(url: str) -> httpx2.Client:
    return httpx2.Client(timeout=_TIMEOUT_SECONDS, trust_env=not is_loopback(url))


def _audiences(resource: str) -> list[str]:
    """Returns the ways to write a resource: some issuers put a slash at its end, or take it off."""
    bare = resource.rstrip("/")
    return [bare, f"{bare}/"]


class _SignedTokens:
    """Tokens that are JWTs, checked by the issuer's keys (RFC 9068)."""

    def __init__(self, options: IssuerOptions, resource: str, jwks: str) -> None:
        self._issuer = options.issuer
        self._resource = resource
        self._keys = jwt.PyJWKClient(jwks, timeout=_TIMEOUT_SECONDS)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Returns what a token says, or None if it is none of the issuer's for this resource."""
        if len(token) > _MOST_TOKEN_LETTERS:
            return None
        claims = await anyio.to_thread.run_sync(self._claims, token)
        return None if claims is None else _access(token, claims, self._resource)

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token),
                algorithms=_ALGORITHMS,
                audience=_audiences(self._resource),
                issuer=_audiences(self._issuer),
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IssuerUnreachable(f"The keys of {self._issuer} cannot be fetched.") from error
        except (jwt.PyJWTError, ValueError):
            return None
        return found


class _AskedTokens:
    """Tokens that only the issuer can read: it is asked (RFC 7662), and its word kept for a bit."""

    def __init__(self, issuer: str, client: tuple[str, str], resource: str, endpoint: str) -> None:
        self._issuer = issuer
        self._resource = resource
        self._endpoint = endpoint
        self._client = client
        self._kept: OrderedDict[bytes, tuple[float, AccessToken | None]] = OrderedDict()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Returns what the issuer says about a token, or None if it is not for this resource."""
        if len(token) > _MOST_TOKEN_LETTERS:
            return None
        key, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < _KEPT_SECONDS:
            return kept[1]
        found = await self._asked(token)
        self._kept[key] = (now, found)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _asked(self, token: str) -> AccessToken | None:
        try:
            async with httpx2.AsyncClient(
                timeout=_TIMEOUT_SECONDS, trust_env=not is_loopback(self._endpoint)
            ) as client:
                reply = await client.post(
                    self._endpoint,
                    data={"token": token, "token_type_hint": "access_token"},
                    auth=self._client,
                )
            reply.raise_for_status()
            told = loads_bounded(reply.content[:_MOST_BYTES])
        except (httpx2.HTTPError, ValueError) as error:
            raise IssuerUnreachable(
                f"The issuer {self._issuer} does not answer about tokens."
            ) from error
        if not isinstance(told, dict) or told.get("active") is not True:
            return None
        audience = told.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(name in _audiences(self._resource) for name in named):
            return None
        if "iss" in told and told["iss"] not in _audiences(self._issuer):
            return None
        return _access(token, told, self._resource)


def _access(token: str, claims: Mapping[str, Any], resource: str) -> AccessToken:
    subject = claims.get("sub")
    expires = claims.get("exp")
    return AccessToken(
        token=token,
        client_id=str(claims.get("client_id") or claims.get("azp") or subject or ""),
        scopes=_scopes(claims),
        expires_at=int(expires) + _LEEWAY_SECONDS if isinstance(expires, (int, float)) else None,
        resource=resource,
        subject=subject if isinstance(subject, str) and subject else None,
        claims={"iss": claims.get("iss")},
    )


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Returns the scopes of a token: `scope` by RFC 9068, `scp` as Entra ID and Okta name it."""
    found: list[str] = []
    for name in ("scope", "scp"):
        told = claims.get(name)
        if isinstance(told, str):
            found += told.split()
        elif isinstance(told, list):
            found += [entry for entry in told if isinstance(entry, str)]
    return found
