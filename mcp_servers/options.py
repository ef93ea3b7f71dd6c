"""Options of a server over HTTP: its address, who may use it, and how many processes serve."""

from __future__ import annotations

from dataclasses import dataclass

from qwenbelt.core.errors import ConfigError
from qwenbelt.core.urls import host_of_header, is_loopback

_MOST_WORKERS = 64


@dataclass(frozen=True)
class IssuerOptions:
    """The authorization server whose tokens are taken, and what must be in them.

    Attributes:
        issuer: its identifier, the `iss` of its tokens.
        resource: this server's address as clients know it, which tokens must be for (`aud`); ""
            for the address that is served at.
        jwks: where its keys are, if its metadata need not be asked.
        introspection: where it is asked about tokens (RFC 7662), if they are not signed.
        client: name and secret that it knows this server by, for the introspection.
        read_scope: the scope that every request needs.
        write_scope: the scope that calls of tools that change something need.
    """

    issuer: str
    resource: str = ""
    jwks: str = ""
    introspection: str = ""
    client: tuple[str, str] | None = None
    read_scope: str = "read"
    write_scope: str = "write"

    def checked(self) -> IssuerOptions:
        """Returns the options if they are safe.

        Raises:
            ConfigError: an address is none, or is read by everybody on the way.
        """
        for option, url in (
            ("--issuer", self.issuer),
            ("--jwks", self.jwks),
            ("--introspection", self.introspection),
            ("--resource", self.resource),
        ):
            scheme, _, rest = url.partition("://")
            if not url or (scheme == "https" and rest):
                continue
            if scheme != "http" or not rest:
                raise ConfigError(f"Not an https:// address: {option} {url}.")
            if option != "--resource" and not is_loopback(url):
                raise ConfigError(
                    f"Tokens need https: {option} {url}.", fix="Only loopback may be http://."
                )
        if self.introspection and self.client is None:
            raise ConfigError(
                "--introspection needs this server's name and secret at the issuer.",
                fix="Set QWENBELT_MCP_CLIENT_ID and QWENBELT_MCP_CLIENT_SECRET.",
            )
        return self


@dataclass(frozen=True)
class HttpOptions:
    """Where and for whom to serve.

    Attributes:
        host: the address to bind.
        port: the port; 0 takes a free one, which is printed.
        token: what clients must send as `Authorization: Bearer …`.
        names: further names of this server that clients may use as host or origin.
        workers: the processes that serve the port.
        issuer: whose tokens are taken, instead of the one `token`.
        per_user: whether the subject of a token chooses what is served.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    names: tuple[str, ...] = ()
    workers: int = 1
    issuer: IssuerOptions | None = None
    per_user: bool = False

    def checked(self) -> HttpOptions:
        """Returns the options if they are safe.

        Raises:
            ConfigError: beyond loopback nobody is asked for a token, or options contradict.
        """
        if not is_loopback(self.host) and not self.token and not self.issuer:
            raise ConfigError(
                f"Serving on {self.host or 'all addresses'} needs a token.",
                fix="Set QWENBELT_MCP_TOKEN, or name an --issuer, or leave --host out.",
            )
        if self.token is not None and len(self.token) < 16:
            raise ConfigError("The token must have at least 16 characters.")
        if self.token and self.issuer:
            raise ConfigError(
                "There are a token in QWENBELT_MCP_TOKEN and an --issuer.", fix="Choose one."
            )
        if self.per_user and self.issuer is None:
            raise ConfigError("--per-user needs tokens that name users.", fix="Add --issuer URL.")
        if not 1 <= self.workers <= _MOST_WORKERS:
            raise ConfigError(f"--workers must be from 1 to {_MOST_WORKERS}.")
        if self.issuer is not None:
            self.issuer.checked()
        return self

    def known_names(self) -> set[str]:
        """Returns the names under which clients may come."""
        found = {self.host, *self.names}
        if self.issuer is not None and self.issuer.resource:
            authority = self.issuer.resource.partition("://")[2].partition("/")[0]
            found.add(host_of_header(authority))
        return found - {""}
