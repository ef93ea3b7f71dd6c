"""The guard for URLs: only http and https, and no private address unless allowed.

A name is resolved once and the connection goes to the address that was checked, so a name that
changes between check and use (DNS rebinding) gains nothing. Redirects pass the same guard.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from qwenbelt.core.errors import InputError, ToolRefused

_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """A checked URL: where to connect, and under which name."""

    url: str
    scheme: str
    host: str
    port: int
    address: str


def is_public(address: str) -> bool:
    """Says whether an IP address is reachable from everywhere, so that fetching it is harmless.

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
