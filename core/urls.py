"""The guard for URLs: only http and https, and no private address unless allowed.

A name is resolved once and the connection goes to the address that was checked, so a name that
changes between check and use (DNS rebinding) gains nothing. Redirects pass the same guard.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qwenbelt.core.errors import InputError, ToolRefused

_SCHEMES = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^:/@\[\]\s]+))(?::\d*)?")
_OLD_ADDRESS = re.compile(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}")  # as inet_aton reads


@dataclass(frozen=True)
class Target:
    """A checked URL: where to connect, and under which name."""

    url: str
    scheme: str
    host: str
    port: int
    address: str


@functools.lru_cache(maxsize=1024)
def is_loopback(place: str) -> bool:
    """Returns whether a URL, host name or address means this machine's loopback interface.

    That is `localhost` and the names below it (RFC 6761, 6.3), 127.0.0.0/8 in every spelling that
    `connect` takes ("127.1"), and ::1. A name that merely begins like one, such as
    127.example.com, is not; names are never resolved.
    """
    address = _address_of(_host_of(place))
    if isinstance(address, str):
        return address == "localhost" or address.endswith(".localhost")
    return address.is_loopback


def is_this_machine(place: str) -> bool:
    """Returns whether a client that connects to a URL, host name or address stays on this machine.

    Beside loopback that is 0.0.0.0 and ::, to which servers bind and which people copy from their
    logs.
    """
    address = _address_of(_host_of(place))
    return is_loopback(place) or (not isinstance(address, str) and address.is_unspecified)


def host_of_header(value: str) -> str:
    """Returns the name or address in a `Host` header or an authority, without port and brackets.

    What is neither is "", which is no loopback address.
    """
    found = _AUTHORITY.fullmatch(value.strip())
    return (found["address"] or found["name"] or "").lower() if found else ""


def connection_options(url: str) -> dict[str, Any]:
    """Returns keyword arguments for an httpx client or request to this URL: no proxy to oneself.

    `HTTPS_PROXY` and its kind are for other machines; a proxy cannot reach our own loopback, and
    would see the key. httpx has one switch for all variables, so the certificates that
    `SSL_CERT_FILE` names are read here.
    """
    if not is_this_machine(url):
        return {}
    options: dict[str, Any] = {"trust_env": False}
    if url.strip().lower().startswith("https:"):
        import httpx

        options["verify"] = httpx.create_ssl_context(trust_env=True)
    return options


def _host_of(place: str) -> str:
    if "://" in place:
        try:
            return (urlsplit(place.strip()).hostname or "").rstrip(".")
        except ValueError:
            return ""
    return place.strip().strip("[]").rstrip(".").lower()


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | str:
    """Returns the address that a host is written as, or the host itself when it is a name."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        if not _OLD_ADDRESS.fullmatch(host):
            return host
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return host
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: str) -> bool:
    """Returns whether an IP address is reachable from everywhere, so that fetching it is harmless.

    Mapped and translated IPv4 addresses inside IPv6 (RFC 4291, 6052, 3056, 4380) are unwrapped.
    """
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def check_url(url: str, *, allow_private: bool = False) -> Target:
    """Checks a URL and resolves its host once.

    Raises:
        InputError: the URL has no host, another scheme than http or https, or does not resolve.
        ToolRefused: the host is, or resolves to, an address that is not public.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _SCHEMES.get(parts.scheme, 0)
    except ValueError as error:
        raise InputError(f"{url!r} is not a valid URL ({error}).") from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise InputError(f"{url!r} is not an http or https URL.")
    if parts.username or parts.password:
        raise ToolRefused("URLs with a user name or password in them are not fetched.")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"The host {parts.hostname!r} was not found.") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise InputError(f"The host {parts.hostname!r} was not found.")
    if not allow_private and not all(is_public(a) for a in addresses):
        raise ToolRefused(
            f"{parts.hostname} leads to a private address, which tools may not fetch.",
            fix="Set allow_private_urls = true to allow it.",
        )
    return Target(url.strip(), parts.scheme, parts.hostname, port, addresses[0])
