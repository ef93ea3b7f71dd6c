"""`qwenbelt skills`: folders of instructions and scripts, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.apps.strings import explain_error, say
from qwenbelt.core.errors import EXIT_FAILED, EXIT_OK, one_line
from qwenbelt.core.terminal import terminal_json, terminal_text

if TYPE_CHECKING:
    from qwenbelt.core.errors import ConfigError
    from qwenbelt.tools.skills.skill import Examined

_SOURCES = ("./skills", "user", "shipped")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def skills() -> None:
    """Skills as agentskills.io defines them; an agent gets them by --skills FOLDER."""


def _print(rows: Any) -> None:
    echo(terminal_json(json.dumps(rows, ensure_ascii=False, indent=2)))


@skills.command("list")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_skills(folders: tuple[str, ...], as_json: bool) -> None:
    """List skills; without FOLDER those of ./skills, the user's own and the shipped ones."""
    rows = [_row(examined) for examined in _examined(folders)]
    if as_json:
        _print(rows)
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        # a fault is printed whole: its reason follows the path, which may be long
        about = row["error"] or one_line(row["description"], 100)
        echo(f"{row['name']:<{width}}  {one_line(terminal_text(about), 2000)}")
    if not rows:
        echo(say("no_skills"), err=True)


def _examined(folders: tuple[str, ...]) -> list[Examined]:
    """Returns the skills of the folders; of two of a name the first counts."""
    from qwenbelt.tools.skills.library import found_in, place_of

    found: dict[str, Examined] = {}
    for source in folders or _SOURCES:
        if not folders and source == "./skills" and not Path(source).is_dir():
            continue
        for examined in found_in(place_of(source)):
            found.setdefault(examined.folder.resolve().name, examined)
    return list(found.values())


def _row(examined: Examined) -> dict[str, Any]:
    skill, fault = examined.skill, examined.fault
    return {
        "name": skill.name if skill else terminal_text(examined.folder.name),
        "description": skill.description if skill else "",
        "folder": str(examined.folder),
        "scripts": [n for n in skill.files if n.startswith("scripts/")] if skill else [],
        "error": explain_error(fault) if fault else None,
    }


@skills.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(name: str, as_json: bool) -> None:
    """Show a skill's instructions and files; NAME is its name or its folder."""
    from qwenbelt.tools.skills.library import place_of
    from qwenbelt.tools.skills.skill import read_skill

    local = Path("skills") / name
    skill = read_skill(local if local.is_dir() else place_of(name))
    if as_json:
        known = {
            "name": skill.name,
            "description": skill.description,
            "license": skill.license,
            "compatibility": skill.compatibility,
            "metadata": dict(skill.metadata),
            "allowed_tools": list(skill.allowed_tools),
            "folder": str(skill.folder),
            "files": list(skill.files),
            "body": skill.body,
        }
        _print(known)
        return
    echo(f"{skill.name}: {skill.description}")
    known = {"license": skill.license, "compatibility": skill.compatibility, **skill.metadata}
    known |= {"folder": str(skill.folder), "files": ", ".join(skill.files)}
    for key, value in known.items():
        if value:
            echo(f"  {key}: {terminal_text(str(value))}")
    echo(f"\n{skill.body}")


@skills.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option("--strict", is_flag=True, help="Advice counts as well.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def lint(folders: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Say what is wrong with skills; exits 1 where one cannot be used."""
    from qwenbelt.tools.skills.library import found_in, place_of
    from qwenbelt.tools.skills.skill import examine

    found = []
    for folder in folders:
        place = place_of(folder)
        found += found_in(place) or [examine(place)]
    rows = [
        {
            "name": examined.folder.resolve().name,
            "folder": str(examined.folder),
            "ok": examined.skill is not None,
            "findings": [
                {"level": "error" if one.fatal else "advice", "message": _told(one.error)}
                for one in examined.findings
            ],
        }
        for examined in found
    ]
    bad = [row for row in rows if not row["ok"] or (strict and row["findings"])]
    if as_json:
        _print(rows)
    else:
        for row in rows:
            for finding in row["findings"]:  # type: ignore[attr-defined]
                echo(f"{say('skill_' + finding['level'])}: {finding['message']}")
        echo(say("skills_linted", good=len(rows) - len(bad), count=len(rows)))
    return EXIT_FAILED if bad else EXIT_OK


def _told(error: ConfigError) -> str:
    return terminal_text(one_line(explain_error(error)))


@skills.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--description", default="", help="What it does, and when to use it.")
def new(folder: Path, description: str) -> None:
    """Make a new skill; the last part of FOLDER is its name."""
    from qwenbelt.tools.skills.starter import new_skill

    echo(str(new_skill(folder.expanduser(), description)))
