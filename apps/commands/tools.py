"""`qwenbelt tools`: the tools without a model."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error, say
from qwenbelt.core.errors import QwenbeltError, one_line
from qwenbelt.core.terminal import terminal_json, terminal_text

if TYPE_CHECKING:
    from qwen_agent.tools.base import BaseTool

    from qwenbelt.core.events import Item


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def tools() -> None:
    """List, show and call tools without a model."""


@tools.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with the schemas.")
def list_tools(as_json: bool) -> None:
    """List the tools of this pack."""
    from qwenbelt.apps.toolset import pack_tools, tool_declaration

    rows: list[dict[str, Any]] = []
    for name, tool in pack_tools():
        if not isinstance(tool, QwenbeltError):
            rows.append(tool_declaration(tool))
        elif not as_json:
            note = say("unavailable", reason=one_line(explain_error(tool)))
            rows.append({"name": name, "description": note, "read_only": None})
    if as_json:
        echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        kind = {True: say("reads"), False: say("effects"), None: "-"}[row["read_only"]]
        echo(f"{row['name']:<{width}}  {kind:<11}  {_first_sentence(row['description'])}")


@tools.command()
@click.argument("query")
@click.option("--mcp", "mcp_file", metavar="FILE", help="Also the tools of these MCP servers.")
@click.option("--top-k", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of declarations.")
def search(query: str, mcp_file: str | None, top_k: int, as_json: bool) -> None:
    """Find tools by what they do."""
    from qwenbelt.apps.toolset import pack_tools, tool_declaration
    from qwenbelt.tools.search import ToolIndex

    found = [
        tool_declaration(tool) for _, tool in pack_tools() if not isinstance(tool, QwenbeltError)
    ]
    if mcp_file is not None:
        from qwenbelt.tools.mcp import mcp_tools

        found += [tool_declaration(tool) for tool in mcp_tools(mcp_file, lazy=True)]
    by_name = {entry["name"]: entry for entry in found}
    rows = [by_name[name] for name in ToolIndex(found).search(query, top_k)]
    if as_json:
        echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))
        return
    for row in rows:
        echo(f"{row['name']}  {_first_sentence(row['description'])}")


def _first_sentence(text: str) -> str:
    line = one_line(text, 1000)
    for end in (". ", "。"):
        if end in line:
            line = line[: line.index(end) + 1]
    return one_line(line, 110)


@tools.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the declaration as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show what a tool does and the arguments that it takes."""
    from qwenbelt.apps.toolset import tool_declaration, tool_named

    known = tool_declaration(tool_named(name))
    if as_json:
        echo(terminal_json(json.dumps(known, ensure_ascii=False, indent=2)))
        return
    echo(f"{known['name']} ({say('reads' if known['read_only'] else 'effects')})\n")
    echo(known["description"].strip() + "\n")
    for line in _arguments(known["parameters"]):
        echo(line)


def _arguments(schema: dict[str, Any]) -> list[str]:
    required = set(schema.get("required", ()))
    lines = []
    for name, entry in schema.get("properties", {}).items():
        kind = entry.get("type") or " | ".join(
            str(option.get("type", "object")) for option in entry.get("anyOf", ())
        )
        given = "" if name in required else f" = {json.dumps(entry.get('default'))}"
        lines.append(f"  {name}: {kind or 'any'}{given}")
        if entry.get("description"):
            lines.append(f"      {one_line(entry['description'], 1000)}")
        if entry.get("enum"):
            lines.append("      " + ", ".join(json.dumps(v) for v in entry["enum"]))
    return lines


@tools.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@click.option("-f", "--file", "files", multiple=True, help="A file that the tool may use.")
@click.option("--config", default="{}", help="The tool's configuration, a JSON object.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON items.")
def call(name: str, arguments: str, files: tuple[str, ...], config: str, as_json: bool) -> None:
    """Call a tool and print the result as a model would see it.

    ARGUMENTS is a JSON object, or - to read it from standard input.
    """
    from qwenbelt.apps.toolset import json_object, tool_named
    from qwenbelt.core.limits import input_file

    if arguments == "-":
        arguments = sys.stdin.read()
    given = json_object(arguments, "ARGUMENTS")
    paths = [input_file(file).resolve() for file in files]
    tool = tool_named(name, json_object(config, "--config"))
    with _progress() as report:
        items = call_tool(tool, given, paths, report)
    echo(as_lines(items) if not as_json else terminal_json(_as_json(items)))


def call_tool(
    tool: BaseTool, given: dict[str, Any], paths: list[Path], report: Callable[..., None]
) -> tuple[Item, ...]:
    """Calls a tool outside any run and returns its result as items."""
    from qwenbelt.core.language import user_language
    from qwenbelt.tools.base import Tool, ToolContext, result_items

    if not isinstance(tool, Tool):
        kwargs = {"files": [str(path) for path in paths]} if tool.file_access else {}
        return result_items(tool.call(json.dumps(given, ensure_ascii=False), **kwargs))
    named = {path.name: path for path in paths}
    context = ToolContext(session="cli", files=named, report=report, language=user_language())
    return result_items(tool.call(given, context=context))


def as_lines(items: tuple[Item, ...]) -> str:
    """Returns a result as text: texts as they are, pictures and files by path."""
    from qwenbelt.tools.base import result_text

    return result_text(items)


def _as_json(items: tuple[Item, ...]) -> str:
    return json.dumps([{item.kind: item.value} for item in items], ensure_ascii=False, indent=2)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[..., None]]:
    """Gives a report that keeps one line on stderr up to date, or is silent when piped."""
    shown = sys.stderr.isatty()

    def report(text: str = "", fraction: float | None = None) -> None:
        if shown:
            share = "" if fraction is None else f"{fraction:4.0%} "
            click.echo(f"\r\x1b[2K{share}{one_line(terminal_text(text), 100)}", nl=False, err=True)

    try:
        yield report
    finally:
        if shown:
            click.echo("\r\x1b[2K", nl=False, err=True)
