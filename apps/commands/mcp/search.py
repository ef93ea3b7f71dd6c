"""`qwenbelt mcp search`: servers of the public registry."""

from __future__ import annotations

import json

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import EXIT_FAILED
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.texts import Texts

_TEXTS = {
    "row": ("{name} {version}", "{name} {version}"),
    "deprecated": ("  deprecated by its publisher", "  发布者已不建议使用"),
    "wanted": ("  set these variables first: {names}", "  请先设置这些环境变量：{names}"),
    "no_way": (
        "  no package or address that can be used here",
        "  没有此处可用的软件包或地址",
    ),
    "none": ("Nothing in {registry} has: {words}", "{registry} 中没有：{words}"),
    "judge": (
        "Anybody can publish there: look at a server's source before you add it.",
        "任何人都可以在那里发布：加入之前请先查看服务器的源码。",
    ),
}
_say = Texts(_TEXTS).for_user


@click.command("search", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--registry",
    metavar="FILE|URL",
    help="A registry's address, or its stored replies as JSON or JSONL; the official one.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the servers as JSON.")
def search(words: tuple[str, ...], registry: str | None, limit: int, as_json: bool) -> None:
    """Search a registry for servers that have all WORDS, with the command that adds each.

    A registry that is asked over the network looks for the longest word in names only; a stored one
    is searched in names, titles and descriptions.
    """
    from qwenbelt.apps.commands.mcp.registry import registry_place, search_registry

    place = registry or registry_place()
    rows = search_registry(words, place, limit)
    if as_json:
        found = {"registry": place, "servers": [row.to_dict() for row in rows]}
        echo(terminal_json(json.dumps(found, ensure_ascii=False, indent=2)))
    for row in () if as_json else rows:
        echo(_say("row", name=row.name, version=row.version))
        for line in (row.description, row.repository):
            if line:
                echo(f"  {line}")
        if row.deprecated:
            echo(_say("deprecated"))
        if row.wanted:
            echo(_say("wanted", names=", ".join(row.wanted)))
        echo(f"  {row.command}" if row.command else _say("no_way"))
    if not rows:
        if not as_json:
            echo(_say("none", registry=place, words=" ".join(words)), err=True)
        raise click.exceptions.Exit(EXIT_FAILED)
    if not as_json:
        echo(_say("judge"), err=True)
