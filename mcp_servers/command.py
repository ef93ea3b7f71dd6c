"""Common to the servers' command lines: where and for whom to serve, and errors in one line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.core.errors import EXIT_INTERRUPTED, ConfigError, QwenbeltError
from qwenbelt.core.secrets import mask_secrets, remember_secret
from qwenbelt.mcp_servers.options import HttpOptions, IssuerOptions

if TYPE_CHECKING:
    from qwenbelt.mcp_servers.service import McpService

TOKEN_VARIABLE = "QWENBELT_MCP_TOKEN"  # noqa: S105 - the name of the variable
SETTINGS = {"help_option_names": ["-h", "--help"]}


CLIENT_VARIABLES = ("QWENBELT_MCP_CLIENT_ID", "QWENBELT_MCP_CLIENT_SECRET")
_ISSUER_OPTIONS = ("resource", "jwks", "introspection", "read_scope", "write_scope")


def transport_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose the transport; the command gets them as `http`, or None."""

    @functools.wraps(command)
    def run(port: int | None, **given: Any) -> Any:
        names = ("host", "names", "workers", "per_user", "issuer", *_ISSUER_OPTIONS)
        chosen = {name: given.pop(name) for name in names}
        return command(http=_http_options(port, chosen), **given)

    found: Callable[..., Any] = run
    for option in (*_issuer_options(), *_http_choices()):
        found = option(found)
    return found


def _http_choices() -> tuple[Callable[..., Any], ...]:
    return (
        click.option(
            "--workers",
            type=click.IntRange(1, 64),
            default=1,
            show_default=True,
            help="Processes that serve the port of --http.",
        ),
        click.option(
            "--allow-name",
            "names",
            multiple=True,
            help="A name under which clients may reach this server (Host and Origin).",
        ),
        click.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            help=f"The address for --http; any but loopback needs {TOKEN_VARIABLE} or --issuer.",
        ),
        click.option(
            "--http",
            "port",
            type=click.IntRange(0, 65535),
            help="Serve over streamable HTTP on this port (0: any) instead of stdio.",
        ),
    )


def _issuer_options() -> tuple[Callable[..., Any], ...]:
    return (
        click.option(
            "--per-user",
            is_flag=True,
            help="Serve to each user what is theirs: a folder or file named by the token's sub.",
        ),
        click.option(
            "--write-scope",
            default="write",
            show_default=True,
            help="The scope that tools need to change something.",
        ),
        click.option(
            "--read-scope",
            default="read",
            show_default=True,
            help="The scope that every request needs.",
        ),
        click.option(
            "--introspection",
            default="",
            metavar="URL",
            help=f"Ask here about each token; needs {' and '.join(CLIENT_VARIABLES)}.",
        ),
        click.option(
            "--jwks",
            default="",
            metavar="URL",
            help="The issuer's keys, where its metadata do not tell them.",
        ),
        click.option(
            "--resource",
            default="",
            metavar="URL",
            help="This server's address as clients know it; tokens must be for it.",
        ),
        click.option(
            "--issuer",
            default="",
            metavar="URL",
            help="Take the tokens of this authorization server (OAuth 2.1).",
        ),
    )


def _http_options(port: int | None, chosen: dict[str, Any]) -> HttpOptions | None:
    token = os.environ.get(TOKEN_VARIABLE) or None
    remember_secret(token)
    url = chosen.pop("issuer")
    told = {name: chosen.pop(name) for name in _ISSUER_OPTIONS}
    if port is None:
        if url or chosen["per_user"] or chosen["workers"] > 1:
            raise ConfigError(
                "--issuer, --per-user and --workers are for servers over HTTP.",
                fix="Add --http PORT.",
            )
        return None
    named, secret = (os.environ.get(name, "") for name in CLIENT_VARIABLES)
    client = (named, secret) if named and secret else None
    if not url and (told["jwks"] or told["introspection"] or told["resource"]):
        raise ConfigError("Tokens need an issuer.", fix="Add --issuer URL.")
    issuer = IssuerOptions(url, client=client, **told) if url else None
    return HttpOptions(port=port, token=token, issuer=issuer, **chosen).checked()


def serve_service(make: Callable[[str | None], McpService], http: HttpOptions | None) -> None:
    """Serves a service as the options say, until the client or a person ends it.

    Args:
        make: makes the service; with a name, that of the user whose folder has it.
        http: how to serve over HTTP; None for stdio.
    """
    if http is not None:
        # the SDK takes most of a second to import: only who serves over HTTP needs it
        from qwenbelt.mcp_servers.transports import serve_http

        serve_http(make, http)
        return
    from qwenbelt.mcp_servers.stdio import serve_stdio

    service = make(None)
    try:
        serve_stdio(service)
    finally:
        service.close()


def run_command(command: click.Command) -> None:
    """Runs a server's command line as a program."""
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except QwenbeltError as error:
        click.echo(mask_secrets(f"Error: {error}"), err=True)
        sys.exit(error.exit_code)
    # a thread that was left behind must not hold up the end
    sys.stdout.flush()
    os._exit(0)
