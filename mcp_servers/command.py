"""Common to the servers' command lines: `--http`, `--host`, the token, and errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.core.errors import EXIT_INTERRUPTED, QwenbeltError
from qwenbelt.core.secrets import mask_secrets, remember_secret
from qwenbelt.mcp_servers.options import HttpOptions

if TYPE_CHECKING:
    from qwenbelt.mcp_servers.service import McpService

TOKEN_VARIABLE = "QWENBELT_MCP_TOKEN"  # noqa: S105 - the name of the variable
SETTINGS = {"help_option_names": ["-h", "--help"]}


def transport_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose the transport."""
    for option in (
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
            help=f"The address for --http; any but loopback needs {TOKEN_VARIABLE}.",
        ),
        click.option(
            "--http",
            "port",
            type=click.IntRange(0, 65535),
            help="Serve over streamable HTTP on this port (0: any) instead of stdio.",
        ),
    ):
        command = option(command)
    return command


def serve_service(
    make: Callable[[], McpService], port: int | None, host: str, names: tuple[str, ...]
) -> None:
    """Serves a service as the options say, until the client or a person ends it."""
    token = os.environ.get(TOKEN_VARIABLE) or None
    remember_secret(token)
    http = None if port is None else HttpOptions(host, port, token, names).checked()
    service = make()
    try:
        if http is None:
            from qwenbelt.mcp_servers.stdio import serve_stdio

            serve_stdio(service)
        else:
            # the SDK takes most of a second to import: only who serves over HTTP needs it
            from qwenbelt.mcp_servers.serving import build_server
            from qwenbelt.mcp_servers.transports import serve_http

            serve_http(build_server(service), http)
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
