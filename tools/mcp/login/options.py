"""The key `auth` of a server in the configuration: how we log in there.

    "auth": "oauth"                   # a person logs in: `qwenbelt mcp login FILE.json NAME`
    "auth": {"type": "client_credentials", "client_id": "…", "client_secret": "${SECRET}",
             "issuer": "https://…"}   # without a person: batches, services
    "auth": "none"                    # never, whatever the server asks for

Without it, a server that answers 401 and names its authorization server is treated as "oauth".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.secrets import remember_secret
from qwenbelt.core.urls import is_loopback

Way = Literal["auto", "oauth", "client_credentials", "none"]

_WAYS: dict[str, Way] = {
    "auto": "auto",
    "oauth": "oauth",
    "oauth2": "oauth",
    "authorizationcode": "oauth",
    "dynamicdiscovery": "oauth",  # Gemini CLI, Qwen Code
    "clientcredentials": "client_credentials",
    "none": "none",
    "off": "none",
}
# ours, and the names of Claude Code, Cursor, Qwen Code, opencode
_KEYS = {
    "type": "way",
    "grant": "way",
    "granttype": "way",
    "clientid": "client_id",
    "clientsecret": "client_secret",
    "clientmetadataurl": "client_metadata_url",
    "issuer": "issuer",
    "scope": "scopes",
    "scopes": "scopes",
    "port": "port",
    "callbackport": "port",
    "redirectport": "port",
    "privatekey": "private_key",
    "algorithm": "algorithm",
}
_TEXTS = ("client_id", "client_secret", "client_metadata_url", "issuer", "private_key", "algorithm")


@dataclass(frozen=True)
class LoginOptions:
    """How to log in to one server.

    Attributes:
        way: "oauth" where a person logs in, "client_credentials" where there is none, "auto" if
            the server is to say, "none" for never.
        client_id: of a client that was registered by hand; else we register ourselves.
        client_secret: of such a client.
        client_metadata_url: where a description of the client is published, which then is its id.
        issuer: the one authorization server that gets our credentials.
        scopes: what to ask for; None for the server's own list.
        port: of the loopback redirect, where the client is registered with one; 0 for any.
        private_key: a PEM file; the client then signs instead of sending a secret.
        algorithm: of that signature.
    """

    way: Way = "auto"
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_metadata_url: str = ""
    issuer: str = ""
    scopes: tuple[str, ...] | None = None
    port: int = 0
    private_key: str = field(default="", repr=False)
    algorithm: str = "RS256"


def read_login(where: str, given: object, expand: Callable[[str, str], str]) -> LoginOptions:
    """Returns the options in the key `auth` of a server.

    Args:
        where: the key's place, for messages.
        given: its value.
        expand: fills in `${NAME}`.

    Raises:
        ConfigError: it is wrong.
    """
    if given is None or given is True:
        return LoginOptions("auto" if given is None else "oauth")
    if given is False:
        return LoginOptions("none")
    if isinstance(given, str):
        return LoginOptions(_login_way(where, given))
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be a text or an object.", fix='Write "auth": "oauth".')
    found: dict[str, Any] = {"way": "oauth"}
    for key, value in given.items():
        name = _KEYS.get(_plain(key))
        if _plain(key) == "enabled" and value is False:
            return LoginOptions("auto")
        if name is None or value is None:
            continue  # other clients' endpoints: they are discovered here
        found[name] = _option_value(f"{where}.{key}", name, value, expand)
    options = LoginOptions(**found)
    return _checked_options(where, options)


def _login_way(where: str, given: object) -> Way:
    way = _WAYS.get(_plain(given))
    if way is None:
        raise ConfigError(f"{where} is {given!r}.", fix="Use oauth, client_credentials or none.")
    return way


def _option_value(where: str, name: str, value: object, expand: Callable[[str, str], str]) -> Any:
    if name == "way":
        return _login_way(where, value)
    if name == "port":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 65536:
            raise ConfigError(f"{where} must be a port number, not {value!r}.")
        return value
    if name == "scopes":
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(words, (list, tuple)) or not all(isinstance(w, str) for w in words):
            raise ConfigError(f"{where} must be a list of texts.")
        return tuple(words)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} must be a text.")
    text = expand(where, value)
    if name == "client_secret":
        remember_secret(text)
    return text


def _checked_options(where: str, options: LoginOptions) -> LoginOptions:
    for name in ("issuer", "client_metadata_url"):
        url = getattr(options, name)
        if url and urlsplit(url).scheme != "https" and not is_loopback(url):
            raise ConfigError(f"{where}.{name} must begin with https://.")
    if options.way == "client_credentials":
        if not options.client_id or not (options.client_secret or options.private_key):
            raise ConfigError(
                f"{where} needs client_id and client_secret (or private_key).",
                fix='Write "client_secret": "${NAME}" and set NAME.',
            )
        if options.private_key and not Path(options.private_key).expanduser().is_file():
            raise ConfigError(f"{where}.private_key: {options.private_key} is not a file.")
    return options


def _plain(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
