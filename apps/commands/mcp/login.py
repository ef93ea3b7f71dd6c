"""`qwenbelt mcp login` and `logout`: OAuth at remote servers."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error
from qwenbelt.core.errors import EXIT_FAILED, ConfigError
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.tools.mcp.config import ServerConfig
    from qwenbelt.tools.mcp.login.actions import LoginOutcome

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_TEXTS = {
    "open": (
        "Log in to {name} here:\n  {url}",
        "请在此登录 {name}：\n  {url}",
    ),
    "paste": (
        "If the browser is on another machine, paste the address that it ends at:",
        "如果浏览器在另一台机器上，请粘贴它最后到达的地址：",
    ),
    "wrong": ("That does not fit: {reason}.", "不符：{reason}。"),
    "logged in": ("{name}: logged in ({tools} tools).", "{name}：已登录（{tools} 个工具）。"),
    "was logged in": (
        "{name}: was logged in ({tools} tools); --force logs in anew.",
        "{name}：已处于登录状态（{tools} 个工具）；--force 可重新登录。",
    ),
    "no login needed": ("{name}: needs no login.", "{name}：无需登录。"),
    "failed": ("{name}: {error}", "{name}：{error}"),
    "out": ("{name}: logged out.", "{name}：已退出登录。"),
    "never": ("{name}: was not logged in.", "{name}：未曾登录。"),
}
_say = Texts(_TEXTS).for_user


@click.command(context_settings=_SETTINGS)
@click.argument("file", type=click.Path())
@click.argument("name", required=False)
@click.option("--force", is_flag=True, help="Log in anew although there are tokens.")
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@click.option(
    "--paste", is_flag=True, help="Read the address that the browser ends at from stdin as well."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def login(
    file: str, name: str | None, force: bool, no_browser: bool, paste: bool, as_json: bool
) -> None:
    """Log in to the remote server NAME of FILE.json, or to all of them, by OAuth.

    The page opens in $BROWSER (or the usual one) and its address is printed. Tokens are kept in
    the system's keyring where there is one, else in a file that only you can read.
    """
    from qwenbelt.tools.mcp.login.actions import log_in
    from qwenbelt.tools.mcp.login.pages import BrowserPage

    outcomes: list[LoginOutcome] = []
    for config in _remote(file, name):
        ask = paste or (sys.stdin is not None and sys.stdin.isatty())

        def tell(url: str, config: ServerConfig = config, ask: bool = ask) -> None:
            # a machine must be able to read stdout
            echo(_say("open", name=config.name, url=url), err=as_json)
            if ask:
                echo(_say("paste"), err=True)

        page = BrowserPage(
            tell,
            browser=not no_browser,
            pasted=sys.stdin if ask else None,
            complain=lambda reason: echo(_say("wrong", reason=reason), err=True),
        )
        outcome = log_in(config, page, anew=force)
        outcomes.append(outcome)
        if not as_json:
            values = {**dataclasses.asdict(outcome), "error": explain_error(outcome.error)}
            echo(_say(outcome.state, **values), err=not outcome.ok)
    if as_json:
        servers = [{"ok": o.ok, **dataclasses.asdict(o)} for o in outcomes]
        echo(terminal_json(json.dumps({"servers": servers}, ensure_ascii=False, indent=2)))
    if not all(outcome.ok for outcome in outcomes):
        raise click.exceptions.Exit(EXIT_FAILED)


@click.command(context_settings=_SETTINGS)
@click.argument("file", type=click.Path())
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def logout(file: str, name: str | None, as_json: bool) -> None:
    """Forget the tokens of the server NAME of FILE.json, or of all, and take them back there."""
    from qwenbelt.tools.mcp.login.actions import log_out

    found = {config.name: log_out(config) for config in _remote(file, name)}
    if as_json:
        servers = [{"name": n, "logged_out": was} for n, was in found.items()]
        echo(terminal_json(json.dumps({"servers": servers}, ensure_ascii=False, indent=2)))
        return
    for server, was in found.items():
        echo(_say("out" if was else "never", name=server))


def _remote(file: str, name: str | None) -> list[ServerConfig]:
    from qwenbelt.tools.mcp.config import read_config

    servers = {config.name: config for config in read_config(file)}
    remote = [config for config in servers.values() if config.kind != "stdio"]
    if name is None:
        if not remote:
            raise ConfigError(f"{file} has no remote server, so there is nothing to log in to.")
        return remote
    if name not in servers:
        raise ConfigError(
            f"{file} has no server {name!r}.", fix=f"It has: {', '.join(servers) or 'none'}."
        )
    if servers[name].kind == "stdio":
        raise ConfigError(f"{name} is a program of this machine; it takes its keys from env.")
    return [servers[name]]
