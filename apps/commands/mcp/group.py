"""`qwenbelt mcp`: run our MCP servers, and look at those of a configuration."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.commands.mcp.add import add, import_servers
from qwenbelt.apps.commands.mcp.login import login, logout
from qwenbelt.apps.commands.mcp.search import search
from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error
from qwenbelt.core.errors import EXIT_FAILED
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_json, terminal_text
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.apps.mcp_view import ServerView

_SERVERS = {
    "sqlite": ("A SQLite database, read-only by default.", "SQLite 数据库，默认只读。"),
    "filesystem": ("Files below some folders.", "若干文件夹下的文件。"),
    "memory": ("A knowledge graph that lasts.", "持久的知识图谱。"),
    "toolbox": ("Code interpreter, documents, charts.", "代码解释器、文档检索与图表。"),
}
_SETTINGS = {"help_option_names": ["-h", "--help"]}
_TEXTS = {
    "ready": (
        "{name}: ready in {seconds:.2f} s, {count} tools",
        "{name}：{seconds:.2f} 秒就绪，{count} 个工具",
    ),
    "failed": ("{name}: {error}", "{name}：{error}"),
    "offers": (
        "  about {tokens} tokens; {resources} resources, {templates} templates, "
        "{prompts} prompts, {instructions} characters of instructions",
        "  约 {tokens} 个词元；{resources} 个资源，{templates} 个资源模板，"
        "{prompts} 个提示，使用说明 {instructions} 个字符",
    ),
    "prompts": ("  prompts: {names}", "  提示：{names}"),
    "called": (
        "  called {tool}: {outcome} in {seconds:.3f} s",
        "  调用 {tool}：{outcome}，{seconds:.3f} 秒",
    ),
    "none": ("  no tool could be called without knowing it", "  没有可以安全试调的工具"),
    "ok": ("ok", "成功"),
}
_say = Texts(_TEXTS).for_user


class _Servers(click.Group):
    """The servers, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SERVERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SERVERS:
            return None
        if cmd_name == "toolbox":
            from qwenbelt.apps.commands.mcp.toolbox import toolbox_command

            found = toolbox_command()
        else:
            found = importlib.import_module(f"qwenbelt.mcp_servers.{cmd_name}").command
        if user_language() == "zh":
            from qwenbelt.apps.help_words import in_chinese

            return in_chinese(found)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Servers"):
            formatter.write_dl([(n, t[user_language() == "zh"]) for n, t in _SERVERS.items()])


@click.group(context_settings=_SETTINGS)
def mcp() -> None:
    """Run MCP servers, and look at others."""


mcp.add_command(add)
mcp.add_command(import_servers)
mcp.add_command(login)
mcp.add_command(logout)
mcp.add_command(search)


@mcp.group(cls=_Servers, context_settings=_SETTINGS)
def serve() -> None:
    """Run a server over stdio, or with --http PORT over streamable HTTP."""


@mcp.command("list")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print what the servers offer as JSON.")
def list_servers(file: str, as_json: bool) -> None:
    """Start the servers of FILE.json and list their tools."""
    _show_servers(file, as_json, try_one=False)


@mcp.command()
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def test(file: str, as_json: bool) -> None:
    """Start the servers of FILE.json, call a harmless tool of each, and say what is wrong."""
    _show_servers(file, as_json, try_one=True)


def _show_servers(file: str, as_json: bool, *, try_one: bool) -> None:
    from qwenbelt.apps.mcp_view import look_at_servers

    views: list[ServerView] = []
    for view in look_at_servers(file, try_one=try_one):
        views.append(view)
        if not as_json:
            _print_server(view, try_one)
    if as_json:
        servers: list[dict[str, Any]] = [view.to_dict() for view in views]
        echo(terminal_json(json.dumps({"servers": servers}, ensure_ascii=False, indent=2)))
    if not all(view.ok for view in views):
        raise click.exceptions.Exit(EXIT_FAILED)


def _print_server(view: ServerView, try_one: bool) -> None:
    if view.error:
        echo(_say("failed", name=view.name, error=explain_error(view.error)))
        return
    echo(_say("ready", name=view.name, seconds=view.seconds, count=len(view.tools)))
    if view.server:
        title = f"{view.title}: " if view.title not in ("", view.server) else ""
        echo(terminal_text(f"  {title}{view.server} ({view.protocol})"))
    offered = {"prompts": len(view.prompts), "resources": view.resources}
    offered |= {"templates": view.templates, "instructions": view.instructions}
    echo(_say("offers", tokens=view.tokens, **offered))
    if not try_one:
        width = max((len(tool["name"]) for tool in view.tools), default=0)
        for tool in view.tools:
            shown = tool["title"] not in ("", tool["name"], tool["description"])
            title = f"{tool['title']}: " if shown else ""
            echo(terminal_text(f"  {tool['name']:<{width}}  {title}{tool['description']}"))
        if view.prompts:
            echo(_say("prompts", names=", ".join(view.prompts)))
        return
    for finding in view.findings:
        echo(f"  - {terminal_text(finding)}")
    if view.called is None:
        echo(_say("none"))
        return
    outcome = explain_error(view.call_error) or _say("ok")
    echo(_say("called", tool=view.called, outcome=outcome, seconds=view.call_seconds))
