"""Options of a server over HTTP: its address, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.urls import is_loopback


@dataclass(frozen=True)
class HttpOptions:
    """Where and for whom to serve.

    Attributes:
        host: the address to bind.
        port: the port; 0 takes a free one, which is printed.
        token: what clients must send as `Authorization: Bearer …`; needed beyond loopback.
        names: further names of this server that clients may use as host or origin.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    names: tuple[str, ...] = ()

    def checked(self) -> HttpOptions:
        """Returns the options if they are safe.

        Raises:
            ConfigError: the address is not loopback and there is no token.
        """
        if not is_loopback(self.host) and not self.token:
            raise ConfigError(
                f"Serving on {self.host or 'all addresses'} needs a token.",
                fix="Set QWENBELT_MCP_TOKEN, or leave --host out.",
            )
        if self.token is not None and len(self.token) < 16:
            raise ConfigError("The token must have at least 16 characters.")
        return self
