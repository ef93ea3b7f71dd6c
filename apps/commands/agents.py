"""`qwenbelt agents`: agents that are described by files."""

from __future__ import annotations

import json
from typing import Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import say
from qwenbelt.core.errors import ConfigError, one_line
from qwenbelt.core.language import Language, user_language
from qwenbelt.core.terminal import terminal_json
from qwenbelt.core.translation import in_language


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def agents() -> None:
    """Agents of your own, one a file; use one with -a NAME."""


@agents.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_agents(as_json: bool) -> None:
    """List the agents in the user's folder and in ./agents."""
    from qwenbelt.agents.agent_files import agent_folders, find_agents

    language = "en" if as_json else user_language()
    rows = [_row(name, path, language) for name, path in find_agents().items()]
    if as_json:
        echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        about = row["error"] or row["description"]
        echo(f"{row['name']:<{width}}  {one_line(about, 100)}  ({row['file']})")
    if not rows:
        folders = ", ".join(str(folder) for folder in agent_folders())
        echo(say("no_agents", folders=folders), err=True)


def _row(name: str, path: Any, language: Language) -> dict[str, Any]:
    from qwenbelt.agents.agent_files import read_agent

    row = {"name": name, "file": str(path), "description": "", "error": None}
    try:
        return {**row, "description": read_agent(path).description}
    except ConfigError as error:
        told = one_line(in_language(error, language))
        return {**row, "error": told.removeprefix(f"{path}{'：' if language == 'zh' else ': '}")}


@agents.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(name: str, as_json: bool) -> None:
    """Show what an agent's file says; NAME is its name or its file."""
    from qwenbelt.agents.agent_files import agent_file, read_agent

    found = read_agent(agent_file(name))
    if as_json:
        echo(terminal_json(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=2)))
        return
    known = {
        "agent": found.agent,
        "tools": ", ".join(found.tools),
        "mcp": ", ".join(found.mcp),
        "endpoint": found.endpoint or "",
        "files": ", ".join(found.files),
        "file": str(found.path),
    }
    echo(f"{found.name}: {found.description}".rstrip(": "))
    for key, value in known.items():
        if value:
            echo(f"  {key}: {value}")
    echo(f"\n{found.prompt}")
