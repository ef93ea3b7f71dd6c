"""`qwenbelt mcp add` and `import`: servers into a configuration."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error
from qwenbelt.core.errors import EXIT_FAILED, ConfigError
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.apps.mcp_files import ImportedServers

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_FILE = "mcp.json"
_TEXTS = {
    "added": ("{name}: added to {file}.", "{name}：已加入 {file}。"),
    "next": ("Try it: qwenbelt mcp test {file}", "试一试：qwenbelt mcp test {file}"),
    "secret": (
        "{file} now holds a secret in plain text; ${{NAME}} in its place reads a variable.",
        "{file} 中现有明文密钥；可改写为 ${{NAME}}，从环境变量读取。",
    ),
    "source": ("{source}:", "{source}："),
    "imported": ("  added: {names}", "  已加入：{names}"),
    "known": ("  there already: {names}", "  已存在：{names}"),
    "differing": (
        "  there with other settings, left alone (--force replaces): {names}",
        "  同名但设置不同，未改动（--force 可替换）：{names}",
    ),
    "unusable": ("  cannot be used: {name}: {reason}", "  无法使用：{name}：{reason}"),
    "wanted": (
        "  set these variables first: {names}",
        "  请先设置这些环境变量：{names}",
    ),
    "dry": ("Nothing was written (--dry-run).", "未写入任何内容（--dry-run）。"),
}
_say = Texts(_TEXTS).for_user


def _pairs(given: tuple[str, ...], mark: str, option: str) -> dict[str, str]:
    found = {}
    for pair in given:
        name, found_mark, value = pair.partition(mark)
        if not found_mark or not name.strip():
            raise click.UsageError(f"{option} takes NAME{mark}VALUE, not {pair!r}.")
        found[name.strip()] = value.strip() if mark == ":" else value
    return found


@click.command(
    context_settings={**_SETTINGS, "ignore_unknown_options": False, "allow_interspersed_args": True}
)
@click.argument("name")
@click.argument("target", nargs=-1, required=True)
@click.option("--file", default=_FILE, show_default=True, type=click.Path(), help="Where to.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of the program.")
@click.option("--header", multiple=True, metavar="NAME:VALUE", help="Sent with every request.")
@click.option("--type", "kind", type=click.Choice(["streamable-http", "sse"]), help="Of a URL.")
@click.option("--auth", type=click.Choice(["oauth", "none"]), help="How to log in at a URL.")
@click.option("--force", is_flag=True, help="Replace a server of that name.")
@click.option("--json", "as_json", is_flag=True, help="Print the entry as JSON.")
def add(
    name: str,
    target: tuple[str, ...],
    file: str,
    env: tuple[str, ...],
    header: tuple[str, ...],
    kind: str | None,
    auth: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Add the server NAME to a configuration: `add NAME -- command …`, or `add NAME URL`.

    Write ${NAME} for secrets: they are read from the environment at start.
    """
    from qwenbelt.apps.mcp_files import ServersFile, has_secret

    remote = len(target) == 1 and target[0].lower().startswith(("http://", "https://"))
    entry: dict[str, Any] = {}
    if remote:
        if env:
            raise click.UsageError("--env is for programs; a URL takes --header.")
        entry = {"url": target[0], "type": kind, "headers": _pairs(header, ":", "--header")}
        entry["auth"] = auth
    else:
        if header or kind or auth:
            raise click.UsageError("--header, --type and --auth are for URLs.")
        entry = {"command": target[0], "args": list(target[1:]), "env": _pairs(env, "=", "--env")}
    entry = {key: value for key, value in entry.items() if value or key in ("command", "url")}
    servers = ServersFile(file)
    servers.add(name, entry, replace=force)
    servers.write()
    if as_json:
        found = {"file": str(servers.path), "name": name, "entry": entry}
        echo(terminal_json(json.dumps(found, ensure_ascii=False, indent=2)))
        return
    echo(_say("added", name=name, file=servers.path))
    if has_secret(entry):
        echo(_say("secret", file=servers.path), err=True)
    echo(_say("next", file=servers.path))


@click.command("import", context_settings=_SETTINGS)
@click.argument("source", required=False)
@click.option("--file", default=_FILE, show_default=True, type=click.Path(), help="Where to.")
@click.option("--dry-run", is_flag=True, help="Only say what would be added.")
@click.option("--force", is_flag=True, help="Replace servers of the same names.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def import_servers(
    source: str | None, file: str, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Take in the servers of other programs.

    SOURCE is a file, or one of claude-desktop, claude-code, vscode, cursor, qwen-code, gemini-cli,
    windsurf; without it, all of them are looked at.
    """
    from qwenbelt.apps.mcp_files import ServersFile, import_file, known_places

    servers = ServersFile(file)
    found: list[ImportedServers] = []
    if source is not None and Path(source).expanduser().exists():
        found.append(import_file(Path(source).expanduser(), servers, replace=force))
    else:
        places = [(p, f) for p, f in known_places(source or "") if f.is_file()]
        for _, place in places:
            if place.resolve() == servers.path.resolve():
                continue
            try:
                found.append(import_file(place, servers, replace=force))
            except ConfigError:
                continue  # a settings file without servers
        if not found:
            looked = ", ".join(str(f) for _, f in known_places(source or ""))
            raise ConfigError(
                "No MCP servers of other programs were found.", fix=f"Looked at: {looked}."
            )
    if not dry_run and any(one.added for one in found):
        servers.write()
    if as_json:
        answer = {"file": str(servers.path), "sources": [dataclasses.asdict(o) for o in found]}
        echo(terminal_json(json.dumps(answer, ensure_ascii=False, indent=2)))
    else:
        for one in found:
            _print(one)
        echo(_say("dry") if dry_run else _say("next", file=servers.path))
    if not any(one.added or one.known for one in found):
        raise click.exceptions.Exit(EXIT_FAILED)


def _print(found: ImportedServers) -> None:
    echo(_say("source", source=found.source))
    for key, names in (
        ("imported", found.added),
        ("known", found.known),
        ("differing", found.differing),
        ("wanted", found.wanted),
    ):
        if names:
            echo(_say(key, names=", ".join(names)))
    for name, reason in found.unusable.items():
        echo(_say("unusable", name=name, reason=explain_error(reason)))
