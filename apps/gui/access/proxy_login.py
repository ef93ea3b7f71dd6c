"""Login by a header that a reverse proxy sets, and by nobody else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from qwenbelt.core.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_LONGEST_USER = 200


@dataclass(frozen=True)
class ProxyLogin:
    """Who a proxy says the user is.

    Attributes:
        header: the header that names the user.
        networks: the addresses of proxies that are believed.
    """

    header: str
    networks: tuple[Network, ...]

    @classmethod
    def read(cls, header: str, proxies: Sequence[str]) -> ProxyLogin:
        """Reads what was given on the command line.

        Raises:
            ConfigError: it is no header's name, or no address or network.
        """
        if not _NAME.fullmatch(header):
            raise ConfigError(f"{header!r} is no name of a header.")
        if not proxies:
            raise ConfigError(
                "A header names the user only where a trusted proxy sets it.",
                fix="Give the proxy's address with --trusted-proxy, for example 127.0.0.1.",
            )
        try:
            networks = tuple(ipaddress.ip_network(one, strict=False) for one in proxies)
        except ValueError as error:
            raise ConfigError(f"--trusted-proxy takes addresses and networks: {error}.") from None
        return cls(header, networks)

    def user(self, request: Request) -> str | None:
        """Returns the user of a request, or None where no trusted proxy names exactly one."""
        names = request.headers.getlist(self.header)
        if request.client is None or len(names) != 1:
            return None
        try:
            address = ipaddress.ip_address(request.client.host)
        except ValueError:
            return None
        if not any(address in network for network in self.networks):
            return None
        name = names[0].strip()
        fits = 0 < len(name) <= _LONGEST_USER and name.isprintable()
        return name if fits else None
